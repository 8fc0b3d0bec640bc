//! Reads a part of the cube (one client, level and grain): the stored rows as vectors of features.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use empatia_engine::context::Context;
use empatia_engine::data::{CellKey, LookUp};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Date, Int4, Int8};
use crate::pg::read::{query, query_writing};
use crate::pg::row::Row;

/// Measures that can be a feature, as the cube stores them.
const MEASURES: [(&str, ColumnType); 9] = [
    ("posts", Int8),
    ("post_replies", Int8),
    ("help_requests", Int8),
    ("help_request_replies", Int8),
    ("accesses", Int8),
    ("active_days", Int4),
    (ASSIGNED, Int4),
    ("submitted_exercises", Int4),
    ("late_exercises", Int4),
];
const ASSIGNED: &str = "assigned_exercises";

/// All users.
pub(super) const EVERYBODY: RangeInclusive<i64> = i64::MIN..=i64::MAX;

/// A level and grain of the cube, and the features of its rows.
#[derive(Debug)]
pub(super) struct Part {
    /// Quoted.
    results: String,
    level: String,
    grain: String,
    measures: Vec<(&'static str, ColumnType)>,
}

/// A stored row.
pub(super) struct PartRow<'a> {
    pub key: CellKey,
    /// Assignments of the member in the unit; 0 for a basis that counts them in the row.
    pub universe: i64,
    /// Features, in the order asked for.
    pub vector: &'a [i64],
}

impl Part {
    /// # Errors
    /// 22023 for an unknown feature.
    pub fn new(results: &str, level: &str, grain: &str, features: &[String]) -> Result<Self> {
        let measures = features
            .iter()
            .map(|feature| {
                let known = MEASURES.iter().find(|(name, _)| name == feature).copied();
                known.ok_or_else(|| Error::unknown_name("feature", feature, &MEASURES.map(|(name, _)| name)))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            results: quote_identifier(results),
            level: level.into(),
            grain: grain.into(),
            measures,
        })
    }

    /// Which feature is the number of assignments.
    pub fn assigned_feature(&self) -> Option<usize> {
        self.measures.iter().position(|(name, _)| *name == ASSIGNED)
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.measures.len()
    }

    pub fn level(&self) -> &str {
        &self.level
    }

    pub fn grain(&self) -> &str {
        &self.grain
    }

    /// Name of a table of the results, qualified and quoted.
    pub fn table(&self, name: &str) -> String {
        format!("{}.{}", self.results, quote_identifier(name))
    }

    /// Name of this part's partition of `parent`, not quoted.
    pub fn partition(&self, parent: &str) -> String {
        format!("{parent}_{}_{}", self.level, self.grain).to_lowercase()
    }

    /// Calls `on_row` for the client's stored rows of some users. `assigned`: for the basis universe, from
    /// [`Part::read_assigned`].
    ///
    /// `on_row` may write where `writing` is set.
    ///
    /// # Errors
    /// As [`query`].
    pub fn read(
        &self,
        client: i32,
        users: &RangeInclusive<i64>,
        mut assigned: Option<&mut Assigned>,
        writing: bool,
        mut on_row: impl FnMut(&PartRow<'_>) -> Result<()>,
    ) -> Result<u64> {
        let names: String = self.measures.iter().map(|(name, _)| format!(", x.{name}")).collect();
        let table = self.table(&self.partition("cube"));
        let select =
            format!("SELECT x.user_id, x.unit_id, x.period_start{names} FROM {table} x WHERE x.client_id = $1");
        let mut columns = vec![Int8, Int8, Date];
        columns.extend(self.measures.iter().map(|(_, column)| *column));
        let counted = assigned.as_ref().and_then(|_| self.assigned_feature());
        let mut vector = vec![0; self.width()];
        let take = |row: &Row<'_>| {
            let key = key_of(row, 0)?;
            for ((at, value), column) in vector.iter_mut().enumerate().zip(&columns[3..]) {
                let found = match column {
                    Int4 => row.i32(3 + at).map(i64::from),
                    _ => row.i64(3 + at),
                };
                *value = found.ok_or_else(null)?;
            }
            let universe = assigned.as_mut().map_or(0, |assigned| assigned.get(key.user, key.unit));
            if let Some(at) = counted {
                vector[at] = universe;
            }
            on_row(&PartRow {
                key,
                universe,
                vector: &vector,
            })
        };
        by_users(&select, "x", client, users, |sql, args| {
            if writing {
                query_writing(sql, args, &columns, take)
            } else {
                query(sql, args, &columns, take)
            }
        })
    }

    /// How many assignments each member of a unit of the level has.
    ///
    /// # Errors
    /// 53200 when they do not fit the budget of `ctx`.
    pub fn read_assigned(&self, ctx: &Context, client: i32, users: &RangeInclusive<i64>) -> Result<Assigned> {
        let mut table = LookUp::new(ctx)?;
        let mut members = Members::default();
        let select = format!(
            "SELECT a.user_id, a.unit_id, a.assigned_exercises FROM {} a WHERE a.client_id = $1 AND a.level = {}",
            self.table("cube_assigned"),
            quote_literal(&self.level)
        );
        by_users(&select, "a", client, users, |sql, args| {
            query(sql, args, &[Int8; 3], |row| {
                let (Some(user), Some(unit), Some(assigned)) = (row.i64(0), row.i64(1), row.i64(2)) else {
                    return Err(null());
                };
                members.count(assigned);
                Ok(table.push(CellKey { user, unit, day: 0 }, assigned)?)
            })
        })?;
        Ok(Assigned {
            table,
            members,
            last: (0, 0),
            found: None,
        })
    }
}

/// Number of assignments by member and unit.
#[derive(Debug)]
pub(super) struct Assigned {
    table: LookUp<i64>,
    members: Members,
    /// Asked for last, and the answer: rows of a member and unit follow each other.
    last: (i64, i64),
    found: Option<i64>,
}

impl Assigned {
    /// 0 for who has none.
    #[inline]
    pub fn get(&mut self, user: i64, unit: i64) -> i64 {
        match self.found {
            Some(found) if self.last == (user, unit) => found,
            _ => {
                let key = CellKey { user, unit, day: 0 };
                let found = self.table.find(key, look_for_interrupts).map_or(0, |n| *n);
                (self.last, self.found) = ((user, unit), Some(found));
                found
            }
        }
    }

    /// Numbers of assignments, and how often a member of a unit has as many.
    pub fn members(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let Members { few, many } = &self.members;
        let few = (0..).zip(few.iter().copied()).filter(|(_, members)| *members > 0);
        few.chain(many.iter().map(|(number, members)| (*number, *members)))
    }
}

/// Members by number of assignments.
#[derive(Debug, Default)]
struct Members {
    /// By the number itself.
    few: Vec<i64>,
    many: BTreeMap<i64, i64>,
}

impl Members {
    #[inline]
    fn count(&mut self, assigned: i64) {
        match usize::try_from(assigned) {
            Ok(place) if place < 1024 => {
                if place >= self.few.len() {
                    self.few.resize(place + 1, 0);
                }
                self.few[place] += 1;
            }
            _ => *self.many.entry(assigned).or_default() += 1,
        }
    }
}

/// The key in columns `first` and the two after it.
#[inline]
pub(super) fn key_of(row: &Row<'_>, first: usize) -> Result<CellKey> {
    match (row.i64(first), row.i64(first + 1), row.date(first + 2)) {
        (Some(user), Some(unit), Some(day)) => Ok(CellKey { user, unit, day }),
        _ => Err(null()),
    }
}

/// Runs `select`, which ends with conditions and has the client as `$1`, for some users; `alias`: of the table that has them.
pub(super) fn by_users(
    select: &str,
    alias: &str,
    client: i32,
    users: &RangeInclusive<i64>,
    run: impl FnOnce(&str, &[DatumWithOid<'_>]) -> Result<u64>,
) -> Result<u64> {
    if *users == EVERYBODY {
        return run(select, &[client.into()]);
    }
    let sql = format!("{select} AND {alias}.user_id BETWEEN $2 AND $3");
    run(&sql, &[client.into(), (*users.start()).into(), (*users.end()).into()])
}

/// For [`LookUp::find`].
pub(super) fn look_for_interrupts() {
    check_for_interrupts!();
}

#[cold]
fn null() -> Error {
    Error::internal("found a null in a column of the cube that cannot hold one")
}
