//! One row of a query result, borrowed from the executor for the length of a callback.

use pgrx::pg_sys;
use pgrx::varlena::{varatt_is_1b, varatt_is_1b_e, varatt_is_4b_u, varlena_to_byte_slice};
use pgrx::PgSqlErrorCode;

use super::column::{ColumnType, Tid};
use crate::error::{Error, Result};

// float8, int8 and timestamptz are passed by value only where a Datum has 64 bits.
const _: () = assert!(size_of::<pg_sys::Datum>() == 8, "a 64-bit PostgreSQL is required");

/// A row whose column types were compared with the declared ones before the first row.
///
/// Columns count from 0. Every accessor gives `None` for NULL.
///
/// # Panics
/// An accessor panics when the column was not declared with its type: a mistake in the calling code that no input can
/// bring about.
pub struct Row<'a> {
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
    columns: &'a [ColumnType],
}

impl<'a> Row<'a> {
    /// The first `columns.len()` values of `slot`.
    ///
    /// # Safety
    /// `slot` is valid for `'a` with that many attributes deformed, and their types are accepted by `columns`.
    pub(super) unsafe fn from_slot(slot: *const pg_sys::TupleTableSlot, columns: &'a [ColumnType]) -> Self {
        if columns.is_empty() {
            return Self {
                values: &[],
                nulls: &[],
                columns,
            };
        }
        // SAFETY: by contract both arrays hold at least `columns.len()` initialised entries.
        unsafe {
            Self {
                values: std::slice::from_raw_parts((*slot).tts_values, columns.len()),
                nulls: std::slice::from_raw_parts((*slot).tts_isnull, columns.len()),
                columns,
            }
        }
    }

    #[inline]
    #[track_caller]
    fn datum(&self, column: usize, wanted: ColumnType) -> Option<pg_sys::Datum> {
        let declared = self.columns[column];
        assert!(
            declared == wanted,
            "column {column} was declared as {declared:?}, not {wanted:?}"
        );
        (!self.nulls[column]).then(|| self.values[column])
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether the row has no columns at all.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether the value is NULL, whatever its type.
    pub fn is_null(&self, column: usize) -> bool {
        self.nulls[column]
    }

    /// A `boolean`.
    #[inline]
    #[track_caller]
    pub fn bool(&self, column: usize) -> Option<bool> {
        // DatumGetBool looks at the lowest byte only.
        self.datum(column, ColumnType::Bool).map(|d| d.value() as u8 != 0)
    }

    /// A `smallint`.
    #[inline]
    #[track_caller]
    pub fn i16(&self, column: usize) -> Option<i16> {
        self.datum(column, ColumnType::Int2).map(|d| d.value() as i16)
    }

    /// An `integer`.
    #[inline]
    #[track_caller]
    pub fn i32(&self, column: usize) -> Option<i32> {
        self.datum(column, ColumnType::Int4).map(|d| d.value() as i32)
    }

    /// A `bigint`.
    #[inline]
    #[track_caller]
    pub fn i64(&self, column: usize) -> Option<i64> {
        self.datum(column, ColumnType::Int8).map(|d| d.value() as i64)
    }

    /// A `double precision`, NaN and infinities included.
    #[inline]
    #[track_caller]
    pub fn f64(&self, column: usize) -> Option<f64> {
        self.datum(column, ColumnType::Float8)
            .map(|d| f64::from_bits(d.value() as u64))
    }

    /// A `date` as days since 2000-01-01; `-infinity` is `i32::MIN`, `infinity` is `i32::MAX`.
    #[inline]
    #[track_caller]
    pub fn date(&self, column: usize) -> Option<i32> {
        self.datum(column, ColumnType::Date).map(|d| d.value() as i32)
    }

    /// A `timestamptz` as microseconds since 2000-01-01 00:00 UTC; the infinities are `i64::MIN` and `i64::MAX`.
    #[inline]
    #[track_caller]
    pub fn timestamptz(&self, column: usize) -> Option<i64> {
        self.datum(column, ColumnType::Timestamptz).map(|d| d.value() as i64)
    }

    /// A `text`, without copying unless it is compressed or stored out of line.
    ///
    /// # Errors
    /// 22021 when it is not UTF-8, which only a database of another encoding can hold.
    #[track_caller]
    pub fn text(&self, column: usize) -> Result<Option<&str>> {
        let Some(bytes) = self.varlena(column, ColumnType::Text) else {
            return Ok(None);
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(e) => Err(Error::new(
                PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                format!(
                    "text must be UTF-8, found an invalid byte at position {} of column {}",
                    e.valid_up_to() + 1,
                    column + 1
                ),
            )
            .hint("Use a database whose encoding is UTF8.")),
        }
    }

    /// A `bytea`, without copying unless it is compressed or stored out of line.
    #[track_caller]
    pub fn bytes(&self, column: usize) -> Option<&[u8]> {
        self.varlena(column, ColumnType::Bytea)
    }

    /// A `tid`, such as the system column `ctid`.
    #[inline]
    #[track_caller]
    pub fn tid(&self, column: usize) -> Option<Tid> {
        let datum = self.datum(column, ColumnType::Tid)?;
        let stored: *const pg_sys::ItemPointerData = datum.cast_mut_ptr();
        // SAFETY: a non-null value of type tid points to an ItemPointerData, which lives as long as the row.
        let pg_sys::ItemPointerData { ip_blkid, ip_posid } = unsafe { stored.read_unaligned() };
        Some(Tid {
            block: u32::from(ip_blkid.bi_hi) << 16 | u32::from(ip_blkid.bi_lo),
            position: ip_posid,
        })
    }

    #[inline]
    #[track_caller]
    fn varlena(&self, column: usize, wanted: ColumnType) -> Option<&[u8]> {
        let datum = self.datum(column, wanted)?;
        let stored: *mut pg_sys::varlena = datum.cast_mut_ptr();
        // SAFETY: a non-null value of a varlena type points to a varlena. The copy made by detoasting is allocated in
        // the row's memory context, which is reset only after the callback that `self` is borrowed for.
        unsafe {
            let plain = varatt_is_4b_u(stored) || (varatt_is_1b(stored) && !varatt_is_1b_e(stored));
            let plain = if plain {
                stored
            } else {
                pg_sys::pg_detoast_datum_packed(stored)
            };
            Some(varlena_to_byte_slice(plain))
        }
    }
}
