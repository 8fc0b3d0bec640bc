//! Rows in COPY's binary format, made from typed Rust values.
//!
//! Format: PostgreSQL documentation, COPY, "Binary Format"; the fields are what the types' receive functions expect.

use pgrx::PgSqlErrorCode;

use super::column::ColumnType;
use super::row_writer::RowWriter;
use crate::error::{Error, Result};

/// Signature, flags (none) and length of the header extension (none).
pub(super) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// In the place of a field count: no more rows.
pub(super) const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// The row being written: one call per column, in the declared order. Every value may be an `Option`, `None` is NULL.
///
/// A value of another type than declared, or too many or too few of them, fail the row (XX000) once it is complete.
pub struct CopyRow<'a> {
    out: &'a mut Vec<u8>,
    columns: &'a [ColumnType],
    written: usize,
    fault: Option<Error>,
}

impl<'a> CopyRow<'a> {
    /// Starts a row at the end of `out`.
    pub(super) fn begin(out: &'a mut Vec<u8>, columns: &'a [ColumnType]) -> Self {
        // A table has at most 1600 columns.
        out.extend_from_slice(&(columns.len() as i16).to_be_bytes());
        Self {
            out,
            columns,
            written: 0,
            fault: None,
        }
    }

    /// Checks that the row is complete.
    pub(super) fn finish(self) -> Result<()> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.written != self.columns.len() => Err(Error::internal(format!(
                "expected {} values in a row, not {}",
                self.columns.len(),
                self.written
            ))),
            None => Ok(()),
        }
    }

    /// A `boolean`.
    #[inline]
    pub fn bool(&mut self, value: impl Into<Option<bool>>) {
        let bytes = value.into().map(|v| [u8::from(v)]);
        self.field(ColumnType::Bool, bytes.as_ref().map(<[u8; 1]>::as_slice));
    }

    /// A `smallint`.
    #[inline]
    pub fn i16(&mut self, value: impl Into<Option<i16>>) {
        let bytes = value.into().map(i16::to_be_bytes);
        self.field(ColumnType::Int2, bytes.as_ref().map(<[u8; 2]>::as_slice));
    }

    /// An `integer`.
    #[inline]
    pub fn i32(&mut self, value: impl Into<Option<i32>>) {
        let bytes = value.into().map(i32::to_be_bytes);
        self.field(ColumnType::Int4, bytes.as_ref().map(<[u8; 4]>::as_slice));
    }

    /// A `bigint`.
    #[inline]
    pub fn i64(&mut self, value: impl Into<Option<i64>>) {
        let bytes = value.into().map(i64::to_be_bytes);
        self.field(ColumnType::Int8, bytes.as_ref().map(<[u8; 8]>::as_slice));
    }

    /// A `double precision`.
    #[inline]
    pub fn f64(&mut self, value: impl Into<Option<f64>>) {
        let bytes = value.into().map(f64::to_be_bytes);
        self.field(ColumnType::Float8, bytes.as_ref().map(<[u8; 8]>::as_slice));
    }

    /// A `date`, in days since 2000-01-01.
    #[inline]
    pub fn date(&mut self, value: impl Into<Option<i32>>) {
        let bytes = value.into().map(i32::to_be_bytes);
        self.field(ColumnType::Date, bytes.as_ref().map(<[u8; 4]>::as_slice));
    }

    /// A `timestamptz`, in microseconds since 2000-01-01 00:00 UTC.
    #[inline]
    pub fn timestamptz(&mut self, value: impl Into<Option<i64>>) {
        let bytes = value.into().map(i64::to_be_bytes);
        self.field(ColumnType::Timestamptz, bytes.as_ref().map(<[u8; 8]>::as_slice));
    }

    /// A `text`, `varchar` or `char(n)`.
    #[inline]
    pub fn text<'v>(&mut self, value: impl Into<Option<&'v str>>) {
        self.field(ColumnType::Text, value.into().map(str::as_bytes));
    }

    /// A `bytea`.
    #[inline]
    pub fn bytes<'v>(&mut self, value: impl Into<Option<&'v [u8]>>) {
        self.field(ColumnType::Bytea, value.into());
    }

    #[inline]
    fn field(&mut self, column_type: ColumnType, bytes: Option<&[u8]>) {
        if self.columns.get(self.written) != Some(&column_type) {
            self.mismatch(column_type);
            return;
        }
        self.written += 1;
        let Some(bytes) = bytes else {
            self.out.extend_from_slice(&(-1i32).to_be_bytes());
            return;
        };
        match i32::try_from(bytes.len()) {
            Ok(length) if self.out.try_reserve(bytes.len() + 4).is_ok() => {
                self.out.extend_from_slice(&length.to_be_bytes());
                self.out.extend_from_slice(bytes);
            }
            fits => self.too_large(bytes.len(), fits.is_ok()),
        }
    }

    #[cold]
    fn mismatch(&mut self, found: ColumnType) {
        let position = self.written + 1;
        self.fault.get_or_insert_with(|| match self.columns.get(position - 1) {
            Some(expected) => Error::internal(format!(
                "value {position} of a row must be of type {}, not {}",
                expected.sql_name(),
                found.sql_name()
            )),
            None => Error::internal(format!(
                "expected {} values in a row, not {position} or more",
                self.columns.len()
            )),
        });
    }

    #[cold]
    fn too_large(&mut self, bytes: usize, fits_the_format: bool) {
        let code = if fits_the_format {
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY
        } else {
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED
        };
        self.fault
            .get_or_insert_with(|| Error::new(code, format!("cannot write a value of {bytes} bytes")));
    }
}

impl RowWriter for CopyRow<'_> {
    #[inline]
    fn i16(&mut self, value: i16) {
        CopyRow::i16(self, value);
    }

    #[inline]
    fn i32(&mut self, value: i32) {
        CopyRow::i32(self, value);
    }

    #[inline]
    fn i64(&mut self, value: i64) {
        CopyRow::i64(self, value);
    }

    #[inline]
    fn f64(&mut self, value: f64) {
        CopyRow::f64(self, value);
    }

    #[inline]
    fn date(&mut self, value: i32) {
        CopyRow::date(self, value);
    }

    #[inline]
    fn text(&mut self, value: &str) {
        CopyRow::text(self, value);
    }
}
