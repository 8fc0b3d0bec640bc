//! Cells into the cube's partition of their level and grain.

use empatia_engine::calendar::Grain;
use empatia_engine::cube::{Cell, InteractionKind, Level, Measures};
use pgrx::PgSqlErrorCode;

use super::stored::{null_in_the_cube, Key, Stored};
use crate::error::{Error, Result};
use crate::pg::append::{append_rows, Indexes};
use crate::pg::column::ColumnType::{self, Date, Float8, Int4, Int8, Text};
use crate::pg::column::Tid;
use crate::pg::edit::{edit_rows, Editor};
use crate::pg::find::find_rows;
use crate::pg::scout::Scout;

use crate::pg::row_writer::RowWriter;
use crate::pg::value::Value;
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

/// Adds cells to the partition of their combination in schema `results` (as stored, not quoted), by COPY where they are not to be `appended`;
/// returns the rows written.
///
/// # Errors
/// As [`copy_rows`]; 22003 for a count that an integer cannot hold.
pub(super) fn write_cells(
    appended: Option<&mut Indexes>,
    results: &str,
    client_id: i32,
    (level, grain): (Level, Grain),
    mut cells: impl Iterator<Item = Cell>,
) -> Result<u64> {
    let table = partition(level, grain);
    let relation = Relation::Named {
        schema: results,
        table: &table,
    };
    let keys = (client_id, level, grain);
    match appended {
        None => copy_rows(relation, &COLUMNS, |row| write_next(row, keys, cells.next())),
        Some(indexes) => append_rows(relation, &COLUMNS, indexes, |row| write_next(row, keys, cells.next())),
    }
}

#[inline]
fn write_next(row: &mut impl RowWriter, keys: (i32, Level, Grain), cell: Option<Cell>) -> Result<bool> {
    let Some(cell) = cell else {
        return Ok(false);
    };
    row.i32(keys.0);
    row.text(keys.1.as_str());
    row.text(keys.2.as_str());
    write_cell(row, &cell)?;
    Ok(true)
}

const KEY: [(&str, ColumnType); 4] = [COLUMNS[0], COLUMNS[3], COLUMNS[4], COLUMNS[5]];

/// The rows of one partition, to be changed one by one.
pub(super) struct Rows<'a, 'e> {
    client_id: i32,
    editor: &'a mut Editor<'e>,
}

/// Gives `work` the rows of a partition.
///
/// # Errors
/// As [`edit_rows`].
pub(super) fn edit_cells<R>(
    results: &str,
    client_id: i32,
    (level, grain): (Level, Grain),
    work: impl FnOnce(&mut Rows<'_, '_>) -> Result<R>,
) -> Result<R> {
    let table = partition(level, grain);
    let relation = Relation::Named {
        schema: results,
        table: &table,
    };
    edit_rows(relation, &KEY, &measures(), |editor| {
        work(&mut Rows { client_id, editor })
    })
}

/// Calls `on_row` with each row of a partition that has one of these keys, which ascend.
///
/// # Errors
/// As [`find_rows`].
pub(super) fn find_cells(
    results: &str,
    client_id: i32,
    (level, grain): (Level, Grain),
    keys: &[Key],
    mut on_row: impl FnMut(Stored) -> Result<()>,
) -> Result<u64> {
    let table = partition(level, grain);
    let relation = Relation::Named {
        schema: results,
        table: &table,
    };
    let values = keys.iter().map(|key| values_of(client_id, *key));
    find_rows(relation, &KEY, &measures(), values, |position, tid, values| {
        let measures = measures_of(&values).ok_or_else(null_in_the_cube)?;
        let key = keys[position];
        on_row(Stored { tid, key, measures })
    })
}

/// What [`look_for`] needs to look for rows of a partition; see [`Scout::new`].
pub(super) fn scout(results: &str, level: Level, grain: Grain) -> Result<Option<Scout>> {
    let table = partition(level, grain);
    let relation = Relation::Named {
        schema: results,
        table: &table,
    };
    Scout::new(relation, &KEY)
}

/// Where the rows with these keys may be; on any thread.
///
/// # Errors
/// What `check` returned.
pub(super) fn look_for<E>(
    scout: &Scout,
    client_id: i32,
    keys: &[Key],
    check: impl Fn() -> Result<(), E>,
) -> Result<Vec<Option<Tid>>, E> {
    scout.look(keys.iter().map(|key| values_of(client_id, *key)), check)
}

fn measures() -> [(&'static str, ColumnType); 11] {
    let [.., a, b, c, d, e, f, g, h, i, j, k] = COLUMNS;
    [a, b, c, d, e, f, g, h, i, j, k]
}

fn values_of(client_id: i32, (user, unit, period_start): Key) -> [Value; 4] {
    [
        Value::Int4(client_id),
        Value::Int8(user),
        Value::Int8(unit),
        Value::Date(period_start),
    ]
}

impl Rows<'_, '_> {
    /// A key that is about to be gone to, see [`Editor::announce`].
    pub fn announce(&mut self, key: Key) -> Result<()> {
        self.editor.announce(&values_of(self.client_id, key))
    }

    /// Goes to the row with the key that was announced first; what it holds.
    pub fn find_announced(&mut self) -> Result<Option<Measures>> {
        if !self.editor.find_announced()? {
            return Ok(None);
        }
        self.current().map(Some)
    }

    /// Goes to the row with this key, which may be at the place `hint`; what it holds.
    pub fn find_hinted(&mut self, key: Key, hint: Option<Tid>) -> Result<Option<Measures>> {
        if !self.editor.find_hinted(&values_of(self.client_id, key), hint)? {
            return Ok(None);
        }
        self.current().map(Some)
    }

    fn current(&self) -> Result<Measures> {
        let values = self.editor.get::<11>().and_then(|values| measures_of(&values));
        values.ok_or_else(null_in_the_cube)
    }

    /// A place that is about to be gone to: soon, or after some others.
    pub fn announce_place(&self, place: Tid, soon: bool) {
        self.editor.announce_place(place, soon);
    }

    /// Goes to the row at this place.
    pub fn at(&mut self, place: Tid) -> Result<()> {
        self.editor.at(place)
    }

    /// # Errors
    /// 22003 for a count that an integer cannot hold.
    pub fn set(&mut self, measures: &Measures) -> Result<()> {
        let [a, b, c, d, e] = measures.amounts.map(Value::Int8);
        self.editor.set(&[
            a,
            b,
            c,
            d,
            e,
            Value::Int4(integer(measures.active_days)?),
            Value::Int4(integer(measures.assigned_exercises)?),
            Value::Int4(integer(measures.submitted_exercises)?),
            Value::Int4(integer(measures.late_exercises)?),
            Value::Float8(measures.grade_sum),
            Value::Int4(integer(measures.grade_count)?),
        ])
    }

    pub fn delete(&mut self) {
        self.editor.delete();
    }
}

fn measures_of(values: &[Value; 11]) -> Option<Measures> {
    let mut measures = Measures::default();
    for (amount, value) in measures.amounts.iter_mut().zip(values) {
        let Value::Int8(found) = value else { return None };
        *amount = *found;
    }
    // a negative count, which no build writes, becomes one that no cell has
    let count = |value: &Value| match value {
        Value::Int4(count) => Some(*count as u32),
        _ => None,
    };
    measures.active_days = count(&values[5])?;
    measures.assigned_exercises = count(&values[6])?;
    measures.submitted_exercises = count(&values[7])?;
    measures.late_exercises = count(&values[8])?;
    let Value::Float8(grade_sum) = values[9] else {
        return None;
    };
    measures.grade_sum = grade_sum;
    measures.grade_count = count(&values[10])?;
    Some(measures)
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
