//! Rows that a part of the cube holds already, and how they compare with computed cells.

use empatia_engine::calendar::Grain;
use empatia_engine::context::Reservation;
use empatia_engine::cube::{Cell, Level, Measures};
use pgrx::datum::DatumWithOid;

use super::changes::grow;
use super::fact_runs::Runs;
use super::facts::Stopped;
use super::structure::Source;
use super::write_cells::{find_cells, partition};
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Date, Float8, Int4, Int8};
use crate::pg::column::Tid;
use crate::pg::read::query;
use crate::pg::row::Row;
use crate::pg::settings::with_settings;

/// User, unit and first day of the period: what the primary key of a part has besides the client, in its order.
pub(super) type Key = (i64, i64, i32);

pub(super) fn key_of(cell: &Cell) -> Key {
    (cell.user, cell.unit, cell.period_start)
}

/// One stored row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub tid: Tid,
    pub key: Key,
    pub measures: Measures,
}

/// Whether two rows hold the same, grades bit for bit.
pub(super) fn same(a: &Measures, b: &Measures) -> bool {
    a.grade_sum.to_bits() == b.grade_sum.to_bits()
        && a.amounts == b.amounts
        && a.active_days == b.active_days
        && a.assigned_exercises == b.assigned_exercises
        && a.submitted_exercises == b.submitted_exercises
        && a.late_exercises == b.late_exercises
        && a.grade_count == b.grade_count
}

const COLUMNS: [ColumnType; 15] = [
    ColumnType::Tid,
    Int8,
    Int8,
    Date,
    Int8,
    Int8,
    Int8,
    Int8,
    Int8,
    Int4,
    Int4,
    Int4,
    Int4,
    Float8,
    Int4,
];
const SELECT: &str = "SELECT c.ctid, c.user_id, c.unit_id, c.period_start, c.posts, c.post_replies, c.help_requests, \
     c.help_request_replies, c.accesses, c.active_days, c.assigned_exercises, c.submitted_exercises, c.late_exercises, \
     c.grade_sum, c.grade_count";

fn stored(row: &Row<'_>) -> Option<Stored> {
    // a negative count, which no build writes, becomes one that no cell has
    let count = |column| row.i32(column).map(|count| count as u32);
    let mut amounts = [0; 5];
    for (index, amount) in amounts.iter_mut().enumerate() {
        *amount = row.i64(4 + index)?;
    }
    Some(Stored {
        tid: row.tid(0)?,
        key: (row.i64(1)?, row.i64(2)?, row.date(3)?),
        measures: Measures {
            amounts,
            active_days: count(9)?,
            assigned_exercises: count(10)?,
            submitted_exercises: count(11)?,
            late_exercises: count(12)?,
            grade_sum: row.f64(13)?,
            grade_count: count(14)?,
        },
    })
}

/// One part of a client's cube, to read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub source: &'a Source,
    pub level: Level,
    pub grain: Grain,
}

impl Part<'_> {
    fn table(&self) -> String {
        format!("{}.{}", self.source.results, partition(self.level, self.grain))
    }

    /// Whether it holds any row of the client.
    pub fn holds_rows(&self) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} c WHERE c.client_id = $1 LIMIT 1", self.table());
        let mut found = false;
        self.read(&sql, &[self.source.client_id.into()], &[Int4], |_| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }

    /// Rows after `after` and up to `to`, ordered by key, at most `limit`; returns their number.
    pub fn range(
        &self,
        after: Option<Key>,
        to: Option<Key>,
        limit: usize,
        mut on_row: impl FnMut(Stored) -> Result<()>,
    ) -> Result<u64> {
        let mut sql = format!("{SELECT} FROM {} c WHERE c.client_id = $1", self.table());
        let mut args: Vec<DatumWithOid<'_>> = vec![self.source.client_id.into()];
        for (key, operator) in [(after, ">"), (to, "<=")] {
            let Some((user, unit, period)) = key else { continue };
            let n = args.len();
            sql += &format!(
                " AND (c.user_id, c.unit_id, c.period_start) {operator} (${}, ${}, date '2000-01-01' + ${})",
                n + 1,
                n + 2,
                n + 3
            );
            args.extend([user.into(), unit.into(), period.into()]);
        }
        sql += &format!(" ORDER BY c.user_id, c.unit_id, c.period_start LIMIT {limit}");
        self.read(&sql, &args, &COLUMNS, |row| on_row(checked(row)?))
    }

    /// Rows of the periods that begin in these runs of days; a user's follow each other.
    fn of_runs(&self, runs: &Runs, mut on_row: impl FnMut(Stored) -> Result<()>) -> Result<u64> {
        let sql = format!(
            "SELECT i.* FROM unnest($2, $3, $4) r (user_id, first_day, last_day), LATERAL ({SELECT} FROM {} c \
             WHERE c.client_id = $1 AND c.user_id = r.user_id \
             AND c.period_start BETWEEN date '2000-01-01' + r.first_day AND date '2000-01-01' + r.last_day OFFSET 0) i",
            self.table()
        );
        let args = [
            self.source.client_id.into(),
            runs.users.clone().into(),
            runs.first_days.clone().into(),
            runs.last_days.clone().into(),
        ];
        self.read(&sql, &args, &COLUMNS, |row| on_row(checked(row)?))
    }

    /// Rows of the periods that begin in these runs of days and those with these keys, which ascend, by key.
    pub fn rows(
        &self,
        runs: &Runs,
        keys: &[Key],
        memory: &mut Reservation,
    ) -> std::result::Result<Vec<Stored>, Stopped> {
        let mut stored = Vec::new();
        let mut full = None;
        let mut on_row = |row| {
            if let Err(error) = grow(&mut stored, memory) {
                full = Some(error);
                return Err(Error::internal("rows do not fit into the memory budget"));
            }
            stored.push(row);
            Ok(())
        };
        let mut done = Ok(0);
        if !runs.is_empty() {
            done = self.of_runs(&runs.merged(), &mut on_row);
        }
        if done.is_ok() && !keys.is_empty() {
            done = self.of_keys(keys, &mut on_row);
        }
        if let Some(full) = full {
            return Err(full.into());
        }
        done?;
        stored.sort_unstable_by_key(|row| row.key);
        Ok(stored)
    }

    /// The rows with these keys, which ascend.
    fn of_keys(&self, keys: &[Key], on_row: impl FnMut(Stored) -> Result<()>) -> Result<u64> {
        find_cells(
            &self.source.results_name,
            self.source.client_id,
            (self.level, self.grain),
            keys,
            on_row,
        )
    }

    fn read(
        &self,
        sql: &str,
        args: &[DatumWithOid<'_>],
        columns: &[ColumnType],
        on_row: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<u64> {
        // the key's order is the index's; statistics of a part that was just written would make the planner sort it whole
        let settings = [
            (c"enable_seqscan", c"off"),
            (c"enable_bitmapscan", c"off"),
            (c"enable_sort", c"off"),
            (c"enable_memoize", c"off"),
            (c"max_parallel_workers_per_gather", c"0"),
        ];
        with_settings(&settings, || query(sql, args, columns, on_row))
    }
}

fn checked(row: &Row<'_>) -> Result<Stored> {
    stored(row).ok_or_else(null_in_the_cube)
}

pub(super) fn null_in_the_cube() -> Error {
    Error::internal("found a null in a column of the cube that cannot hold one")
}
