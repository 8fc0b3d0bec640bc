//! Loading: what the SQL of `sql/warehouse/` needs that SQL cannot do without failing.
pub(crate) mod convert;
