//! `empatia._count_assigned()`: how many assignments each member has in each unit, counted for everybody and compared with what is
//! stored; only what differs is written.

use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{Level, Path};
use empatia_engine::error::EngineError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::changes::grow;
use super::diff::PAGE;
use super::facts::Stopped;
use super::structure::{read_members, Source, Units};
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Int4, Int8, Text};
use crate::pg::column::Tid;
use crate::pg::delete::delete_rows;
use crate::pg::read::query;
use crate::pg::threads::{start_context, Limits};
use crate::pg::write::{copy_rows, Relation};

/// What is sorted at once: some hundredths of a second.
const SORTED_AT_ONCE: usize = 1 << 19;
/// As they are read: by part, then by user. (By name, whatever the database's order of texts.)
const LEVELS: [Level; 5] = [
    Level::Course,
    Level::Environment,
    Level::Lecture,
    Level::Space,
    Level::Subject,
];

/// Counts the assignments of client `client_id` in the warehouse `dw`, per student and unit of the cube in schema `results`, and brings
/// `cube_assigned` up to them. `noting`: the keys of rows that are new, gone or different go to `pg_temp._reassigned`. Returns how many
/// those are, null where they do not fit into `empatia.memory_limit`: nothing is written then.
#[pg_extern(name = "_count_assigned", volatile, parallel_unsafe)]
fn count_assigned(client_id: i32, dw: &str, results: &str, noting: bool) -> Result<Option<i64>, ErrorReport> {
    let context = start_context(Limits::from_settings())?;
    let source = Source::new(client_id, dw, results);
    match Differences::find(&context, &source) {
        Ok(differences) => Ok(Some(differences.write(&source, noting)?)),
        Err(Stopped::Full(_)) => Ok(None),
        Err(Stopped::Failed(error)) => Err(error.into()),
    }
}

/// Student and unit.
type Key = (i64, i64);

/// A row of `cube_assigned`.
#[derive(Clone, Copy, Debug)]
struct Stored {
    key: Key,
    assigned: i64,
    tid: Tid,
}

/// What has to be deleted and inserted.
struct Differences {
    gone: Vec<(Level, Key, Tid)>,
    new: Vec<(Level, Key, i64)>,
    memory: Reservation,
}

impl Differences {
    fn find(context: &Context, source: &Source) -> Result<Self, Stopped> {
        let mut differences = Self {
            gone: Vec::new(),
            new: Vec::new(),
            memory: context.reserve(0)?,
        };
        let mut memory = context.reserve(0)?;
        let mut facts = read_facts(context, source, &mut memory)?;
        let mut stored = read_stored(source, &mut memory)?;
        for level in LEVELS {
            let (facts, stored) = (&mut facts[level.index()], &mut stored[level.index()]);
            sort(context, facts, |key| *key)?;
            sort(context, stored, |row| row.key)?;
            differences.of_level(level, facts, stored)?;
        }
        Ok(differences)
    }

    /// Both sides are ordered by key.
    fn of_level(&mut self, level: Level, facts: &[Key], stored: &[Stored]) -> Result<(), EngineError> {
        let mut stored = stored.iter().peekable();
        for same in facts.chunk_by(|a, b| a == b) {
            let (key, assigned) = (same[0], same.len() as i64);
            while let Some(row) = stored.next_if(|row| row.key < key) {
                self.gone(level, row)?;
            }
            let row = stored.next_if(|row| row.key == key);
            if row.is_some_and(|row| row.assigned == assigned) {
                continue;
            }
            row.map_or(Ok(()), |row| self.gone(level, row))?;
            grow(&mut self.new, &mut self.memory)?;
            self.new.push((level, key, assigned));
        }
        stored.try_for_each(|row| self.gone(level, row))
    }

    fn gone(&mut self, level: Level, row: &Stored) -> Result<(), EngineError> {
        grow(&mut self.gone, &mut self.memory)?;
        self.gone.push((level, row.key, row.tid));
        Ok(())
    }

    fn write(&self, source: &Source, noting: bool) -> Result<i64> {
        for gone in self.gone.chunks(PAGE) {
            let places: Vec<Tid> = gone.iter().map(|(.., tid)| *tid).collect();
            delete_rows(&source.results_name, "cube_assigned", &places)?;
        }
        self.insert(source)?;
        let mut changed: Vec<(Level, Key)> = self.gone.iter().map(|(level, key, _)| (*level, *key)).collect();
        changed.extend(self.new.iter().map(|(level, key, _)| (*level, *key)));
        changed.sort_unstable_by_key(|(level, key)| (level.index(), *key));
        changed.dedup();
        if noting {
            note(&changed)?;
        }
        Ok(changed.len() as i64)
    }

    fn insert(&self, source: &Source) -> Result<()> {
        const COLUMNS: [(&str, ColumnType); 5] = [
            ("client_id", Int4),
            ("level", Text),
            ("user_id", Int8),
            ("unit_id", Int8),
            ("assigned_exercises", Int8),
        ];
        if self.new.is_empty() {
            return Ok(());
        }
        let relation = Relation::Named {
            schema: &source.results_name,
            table: "cube_assigned",
        };
        let mut new = self.new.iter();
        copy_rows(relation, &COLUMNS, |row| {
            let Some((level, (user, unit), assigned)) = new.next() else {
                return Ok(false);
            };
            row.i32(source.client_id);
            row.text(level.as_str());
            row.i64(*user);
            row.i64(*unit);
            row.i64(*assigned);
            Ok(true)
        })?;
        Ok(())
    }
}

fn note(changed: &[(Level, Key)]) -> Result<()> {
    const COLUMNS: [(&str, ColumnType); 3] = [("level", Text), ("user_id", Int8), ("unit_id", Int8)];
    if changed.is_empty() {
        return Ok(());
    }
    let relation = Relation::Named {
        schema: "pg_temp",
        table: "_reassigned",
    };
    let mut changed = changed.iter();
    copy_rows(relation, &COLUMNS, |row| {
        let Some((level, (user, unit))) = changed.next() else {
            return Ok(false);
        };
        row.text(level.as_str());
        row.i64(*user);
        row.i64(*unit);
        Ok(true)
    })?;
    Ok(())
}

/// A key per assignment of a student of its space and per unit of the cube that it counts in, by level.
fn read_facts(
    context: &Context,
    source: &Source,
    memory: &mut Reservation,
) -> std::result::Result<[Vec<Key>; 5], Stopped> {
    let members = read_members(context, source)?;
    let units = Units::read(context, source)?;
    let sql = format!(
        "SELECT f.user_id, f.environment_id, f.course_id, f.space_id, f.subject_id, f.lecture_id \
         FROM {}.fact_assignment f WHERE f.client_id = $1",
        source.dw
    );
    let mut keys: [Vec<Key>; 5] = Default::default();
    // paths repeat from fact to fact
    let mut last: Option<(Path, [bool; 5])> = None;
    reading(|full| {
        query(&sql, &[source.client_id.into()], &[Int8; 6], |row| {
            let path = Path::new(std::array::from_fn(|level| row.i64(1 + level)));
            let (Some(user), Some(space)) = (row.i64(0), path.unit(Level::Space)) else {
                return Ok(());
            };
            if members.spaces_of(user).binary_search(&space).is_err() {
                return Ok(());
            }
            let present = match last {
                Some((known, present)) if known == path => present,
                _ => Level::ALL.map(|level| path.unit(level).is_some_and(|unit| units.contains(level, unit))),
            };
            last = Some((path, present));
            for level in Level::ALL {
                if let Some(unit) = path.unit(level).filter(|_| present[level.index()]) {
                    let of_level = &mut keys[level.index()];
                    grow(of_level, memory).map_err(&mut *full)?;
                    of_level.push((user, unit));
                }
            }
            Ok(())
        })
    })?;
    Ok(keys)
}

fn read_stored(source: &Source, memory: &mut Reservation) -> std::result::Result<[Vec<Stored>; 5], Stopped> {
    let sql = format!(
        "SELECT a.ctid, a.level, a.user_id, a.unit_id, a.assigned_exercises FROM {}.cube_assigned a WHERE a.client_id = $1",
        source.results
    );
    let mut stored: [Vec<Stored>; 5] = Default::default();
    reading(|full| {
        query(
            &sql,
            &[source.client_id.into()],
            &[ColumnType::Tid, Text, Int8, Int8, Int8],
            |row| {
                let (Some(tid), Some(level)) = (row.tid(0), row.text(1)?) else {
                    return Err(null());
                };
                let (Some(user), Some(unit), Some(assigned)) = (row.i64(2), row.i64(3), row.i64(4)) else {
                    return Err(null());
                };
                let level: Level = level.parse()?;
                let of_level = &mut stored[level.index()];
                grow(of_level, memory).map_err(&mut *full)?;
                of_level.push(Stored {
                    key: (user, unit),
                    assigned,
                    tid,
                });
                Ok(())
            },
        )
    })?;
    Ok(stored)
}

fn null() -> Error {
    Error::internal("found a null in a column of cube_assigned that cannot hold one")
}

/// Runs a query whose rows may not fit: `full` remembers why it was ended.
fn reading(read: impl FnOnce(&mut dyn FnMut(EngineError) -> Error) -> Result<u64>) -> std::result::Result<(), Stopped> {
    let mut why = None;
    let done = read(&mut |error| {
        why = Some(error);
        Error::internal("counts of assignments do not fit into the memory budget")
    });
    match (why, done) {
        (Some(error), _) => Err(error.into()),
        (None, done) => Ok(done.map(|_| ())?),
    }
}

/// Sorts so that a cancel is noticed: a range too long to be sorted at once is parted in halves first.
fn sort<T, K: Ord>(context: &Context, rows: &mut [T], key: impl Fn(&T) -> K + Copy) -> Result<(), EngineError> {
    context.check()?;
    if rows.is_sorted_by_key(key) {
        return Ok(());
    }
    if rows.len() <= SORTED_AT_ONCE {
        rows.sort_unstable_by_key(key);
        return Ok(());
    }
    let (before, _, after) = rows.select_nth_unstable_by_key(rows.len() / 2, key);
    sort(context, before, key)?;
    sort(context, after, key)
}
