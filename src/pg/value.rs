//! Values of the types that are passed by value, for rows that are found and changed without a statement.

use pgrx::prelude::*;

use super::column::ColumnType;

/// A value to find or to write, of a type that is passed by value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Int4(i32),
    Int8(i64),
    Float8(f64),
    /// Days since 2000-01-01.
    Date(i32),
}

impl Value {
    pub(super) fn datum(self) -> pg_sys::Datum {
        match self {
            Self::Int4(value) | Self::Date(value) => pg_sys::Datum::from(value),
            Self::Int8(value) => pg_sys::Datum::from(value),
            Self::Float8(value) => pg_sys::Datum::from(value.to_bits()),
        }
    }

    pub(super) fn from_datum(datum: pg_sys::Datum, column: ColumnType) -> Option<Self> {
        match column {
            ColumnType::Int4 => Some(Self::Int4(datum.value() as i32)),
            ColumnType::Int8 => Some(Self::Int8(datum.value() as i64)),
            ColumnType::Float8 => Some(Self::Float8(f64::from_bits(datum.value() as u64))),
            ColumnType::Date => Some(Self::Date(datum.value() as i32)),
            _ => None,
        }
    }

    /// Of a type of whole numbers.
    pub(super) fn whole(self) -> i64 {
        match self {
            Self::Int4(value) | Self::Date(value) => i64::from(value),
            Self::Int8(value) => value,
            Self::Float8(value) => value as i64,
        }
    }

    pub(super) fn is_of(self, column: ColumnType) -> bool {
        matches!(
            (self, column),
            (Self::Int4(_), ColumnType::Int4)
                | (Self::Int8(_), ColumnType::Int8)
                | (Self::Float8(_), ColumnType::Float8)
                | (Self::Date(_), ColumnType::Date)
        )
    }

    /// The function that compares two of its type, as an index on it does.
    pub(super) fn equality(self) -> u32 {
        match self {
            Self::Int4(_) => pg_sys::F_INT4EQ,
            Self::Int8(_) => pg_sys::F_INT8EQ,
            Self::Float8(_) => pg_sys::F_FLOAT8EQ,
            Self::Date(_) => pg_sys::F_DATE_EQ,
        }
    }
}
