//! Keys of the cells that a pass changed, for those who keep something per cell: `pg_temp._changed`.

use empatia_engine::calendar::Grain;
use empatia_engine::cube::Level;

use super::stored::Key;
use crate::error::Result;
use crate::pg::column::ColumnType::{self, Date, Int8, Text};
use crate::pg::write::{copy_rows, Relation};

const COLUMNS: [(&str, ColumnType); 5] = [
    ("level", Text),
    ("grain", Text),
    ("user_id", Int8),
    ("unit_id", Int8),
    ("period_start", Date),
];

/// The changed keys of one part, as long as they are few.
#[derive(Debug)]
pub(super) struct Changed {
    /// More than these are of no use to anybody.
    limit: u64,
    total: u64,
    pending: Vec<Key>,
}

impl Changed {
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            total: 0,
            pending: Vec::new(),
        }
    }

    pub fn push(&mut self, key: Key) {
        self.total += 1;
        if self.total <= self.limit {
            self.pending.push(key);
        }
    }

    /// Writes the keys pushed since the last call into the temporary table, which whoever gave a limit has made.
    pub fn write(&mut self, level: Level, grain: Grain) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let relation = Relation::Named {
            schema: "pg_temp",
            table: "_changed",
        };
        let mut keys = self.pending.drain(..);
        copy_rows(relation, &COLUMNS, |row| {
            let Some((user, unit, period_start)) = keys.next() else {
                return Ok(false);
            };
            row.text(level.as_str());
            row.text(grain.as_str());
            row.i64(user);
            row.i64(unit);
            row.date(period_start);
            Ok(true)
        })?;
        Ok(())
    }
}
