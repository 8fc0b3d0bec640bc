//! The column types that rows made or read in Rust may have, and how they compare with a table's.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Type of a column, as far as reading and writing it in Rust is concerned.
///
/// Deliberately few: a query casts the rest (`numeric` to `float8`, an enum to `text`), which is cheaper there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean` as `bool`.
    Bool,
    /// `smallint` as `i16`.
    Int2,
    /// `integer` as `i32`.
    Int4,
    /// `bigint` as `i64`.
    Int8,
    /// `double precision` as `f64`.
    Float8,
    /// `date` as `i32`, days since 2000-01-01; `i32::MIN` and `i32::MAX` are the infinities.
    Date,
    /// `timestamptz` as `i64`, microseconds since 2000-01-01 00:00 UTC; `i64::MIN` and `i64::MAX` are the infinities.
    Timestamptz,
    /// `text`, `varchar` or `char(n)` as `&str`.
    Text,
    /// `bytea` as `&[u8]`.
    Bytea,
    /// `tid`, the place of a row in its table, as [`Tid`]; to read only.
    Tid,
}

/// Block and position in the block of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tid {
    pub block: u32,
    pub position: u16,
}

impl std::fmt::Display for Tid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({},{})", self.block, self.position)
    }
}

impl ColumnType {
    /// The SQL name, for messages.
    pub fn sql_name(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float8 => "double precision",
            Self::Date => "date",
            Self::Timestamptz => "timestamp with time zone",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Tid => "tid",
        }
    }

    /// Whether values of type `oid` (or, for a domain, of its base type) have this type's representation.
    pub fn accepts(self, oid: pg_sys::Oid) -> bool {
        // SAFETY: a system cache look-up by value.
        let base = unsafe { pg_sys::getBaseType(oid) };
        match self {
            Self::Bool => base == pg_sys::BOOLOID,
            Self::Int2 => base == pg_sys::INT2OID,
            Self::Int4 => base == pg_sys::INT4OID,
            Self::Int8 => base == pg_sys::INT8OID,
            Self::Float8 => base == pg_sys::FLOAT8OID,
            Self::Date => base == pg_sys::DATEOID,
            Self::Timestamptz => base == pg_sys::TIMESTAMPTZOID,
            Self::Text => [pg_sys::TEXTOID, pg_sys::VARCHAROID, pg_sys::BPCHAROID].contains(&base),
            Self::Bytea => base == pg_sys::BYTEAOID,
            Self::Tid => base == pg_sys::TIDOID,
        }
    }
}

/// The SQL name of type `oid`, for messages.
pub(super) fn type_name(oid: pg_sys::Oid) -> String {
    // SAFETY: format_type_be returns a NUL-terminated palloc'd string for any OID ("???" where there is no such type).
    unsafe {
        let name = pg_sys::format_type_be(oid);
        let owned = CStr::from_ptr(name).to_string_lossy().into_owned();
        pg_sys::pfree(name.cast());
        owned
    }
}

/// Attribute `index` (from 0) of a row type.
///
/// # Safety
/// `desc` points to a valid tuple descriptor with more than `index` attributes, which outlives the result.
pub(super) unsafe fn attribute<'a>(desc: pg_sys::TupleDesc, index: usize) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: by contract; since 18 the array of attributes is behind an accessor.
    #[cfg(feature = "pg18")]
    unsafe {
        &*pg_sys::TupleDescAttr(desc, index as i32)
    }
    // SAFETY: by contract.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        &*(*desc).attrs.as_ptr().add(index)
    }
}

/// What PostgreSQL's inline function `slot_getsomeattrs()` does: the first so many columns of the row in a slot are there to be read.
///
/// # Safety
/// The slot holds a row of at least so many columns.
pub(super) unsafe fn deform(slot: *mut pg_sys::TupleTableSlot, columns: i16) {
    // SAFETY: by contract; the function may be called only where fewer are there.
    unsafe {
        if (*slot).tts_nvalid < columns {
            pg_sys::slot_getsomeattrs_int(slot, i32::from(columns));
        }
    }
}
