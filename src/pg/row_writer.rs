//! A row being written, column by column, whatever the way into the table.

/// One call per column, in the declared order, no nulls.
pub trait RowWriter {
    /// A `smallint`.
    fn i16(&mut self, value: i16);
    /// An `integer`.
    fn i32(&mut self, value: i32);
    /// A `bigint`.
    fn i64(&mut self, value: i64);
    /// A `double precision`.
    fn f64(&mut self, value: f64);
    /// A `date`, in days since 2000-01-01.
    fn date(&mut self, value: i32);
    /// A `text`.
    fn text(&mut self, value: &str);
}
