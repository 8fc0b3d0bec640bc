//! Cells into the cube's partition of their level and grain.

use std::slice::Iter;

use empatia_engine::calendar::Grain;
use empatia_engine::cube::{Cell, InteractionKind, Level};
use pgrx::PgSqlErrorCode;

use super::chunks::Chunk;
use crate::error::{Error, Result};
use crate::pg::append::{append_rows, Way};
use crate::pg::column::ColumnType::{self, Date, Float8, Int4, Int8, Text};
use crate::pg::row_writer::RowWriter;
use crate::pg::write::{copy_rows, Relation};

const COLUMNS: [(&str, ColumnType); 17] = [
    ("client_id", Int4),
    ("level", Text),
    ("grain", Text),
    ("user_id", Int8),
    ("unit_id", Int8),
    ("period_start", Date),
    ("posts", Int8),
    ("post_replies", Int8),
    ("help_requests", Int8),
    ("help_request_replies", Int8),
    ("accesses", Int8),
    ("active_days", Int4),
    ("assigned_exercises", Int4),
    ("submitted_exercises", Int4),
    ("late_exercises", Int4),
    ("grade_sum", Float8),
    ("grade_count", Int4),
];

/// Name of the partition of a combination.
pub(super) fn partition(level: Level, grain: Grain) -> String {
    format!("cube_{level}_{grain}").to_lowercase()
}

/// Appends a chunk to its partition in schema `results` (as stored, not quoted); returns the rows written.
///
/// # Errors
/// As [`copy_rows`]; 22003 for a count that an integer cannot hold.
pub(super) fn write_chunk(way: Way, results: &str, client_id: i32, chunk: &Chunk) -> Result<u64> {
    let table = partition(chunk.level, chunk.grain);
    let relation = Relation::Named {
        schema: results,
        table: &table,
    };
    let mut cells = chunk.cells.iter();
    match way {
        Way::Copy => copy_rows(relation, &COLUMNS, |row| write_next(row, client_id, chunk, &mut cells)),
        Way::Append => append_rows(relation, &COLUMNS, |row| write_next(row, client_id, chunk, &mut cells)),
    }
}

#[inline]
fn write_next(row: &mut impl RowWriter, client_id: i32, chunk: &Chunk, cells: &mut Iter<'_, Cell>) -> Result<bool> {
    let Some(cell) = cells.next() else {
        return Ok(false);
    };
    row.i32(client_id);
    row.text(chunk.level.as_str());
    row.text(chunk.grain.as_str());
    write_cell(row, cell)?;
    Ok(true)
}

fn write_cell(row: &mut impl RowWriter, cell: &Cell) -> Result<()> {
    row.i64(cell.user);
    row.i64(cell.unit);
    row.date(cell.period_start);
    let measures = &cell.measures;
    for kind in InteractionKind::ALL {
        row.i64(measures.amount(kind));
    }
    for count in [
        measures.active_days,
        measures.assigned_exercises,
        measures.submitted_exercises,
        measures.late_exercises,
    ] {
        row.i32(integer(count)?);
    }
    row.f64(measures.grade_sum);
    row.i32(integer(measures.grade_count)?);
    Ok(())
}

fn integer(count: u32) -> Result<i32> {
    i32::try_from(count).map_err(|_| {
        Error::new(
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            format!("count {count} of a cube cell is out of range for type integer"),
        )
    })
}
