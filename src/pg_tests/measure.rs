//! Helpers to measure by hand how fast rows are read and written: `SELECT tests.read_ms(3000000)`.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::time::Instant;

    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;

    use crate::pg::column::ColumnType::{Date, Float8, Int4, Int8, Text};
    use crate::pg::read::query;
    use crate::pg::write::{copy_rows, Relation};

    /// Milliseconds to read columns (a bigint, b integer, c date, d double precision, e bigint, f text) of a table.
    #[pg_extern]
    fn read_ms(relation: &str) -> Result<f64, ErrorReport> {
        let start = Instant::now();
        let mut sum = 0.0;
        query(
            &format!("SELECT a, b, c, d, e, f FROM {relation}"),
            &[],
            &[Int8, Int4, Date, Float8, Int8, Text],
            |row| {
                sum += row.i64(0).unwrap_or(0) as f64 + f64::from(row.i32(1).unwrap_or(0));
                sum += f64::from(row.date(2).unwrap_or(0)) + row.f64(3).unwrap_or(0.0);
                sum += row.i64(4).unwrap_or(0) as f64;
                sum += row.text(5)?.map_or(0, str::len) as f64;
                Ok(())
            },
        )?;
        let elapsed = start.elapsed();
        assert!(sum.is_finite());
        Ok(elapsed.as_secs_f64() * 1e3)
    }

    /// Milliseconds to write `rows` rows into the columns above.
    #[pg_extern]
    fn write_ms(schema: &str, table: &str, rows: i64) -> Result<f64, ErrorReport> {
        let start = Instant::now();
        let mut next = 0;
        let stored = copy_rows(
            Relation::Named { schema, table },
            &[
                ("a", Int8),
                ("b", Int4),
                ("c", Date),
                ("d", Float8),
                ("e", Int8),
                ("f", Text),
            ],
            |row| {
                if next == rows {
                    return Ok(false);
                }
                row.i64(next);
                row.i32((next % 1000) as i32);
                row.date((next % 3000) as i32);
                row.f64(next as f64 / 3.0);
                row.i64(next * 7);
                row.text("consistente");
                next += 1;
                Ok(true)
            },
        )?;
        assert_eq!(stored, rows as u64);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}
