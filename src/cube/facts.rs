//! Facts of a client from the warehouse into the engine.

use std::ops::RangeInclusive;

use empatia_engine::calendar::DateRange;
use empatia_engine::cube::{Assignment, CubeBuilder, Interaction, Members, Path};
use empatia_engine::error::EngineError;

use super::left_out::LeftOut;
use super::structure::{Kinds, Source};
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Bool, Date, Float8, Int2, Int8};
use crate::pg::read::query;
use crate::pg::row::Row;

/// What ended a reading.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The facts do not fit into the memory budget; fewer may.
    Full(EngineError),
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads the facts of some users into `builder`.
///
/// Returns those left out, but for interactions inside the range by people who are not students of the space: those
/// the engine counts.
pub(super) fn read_facts(
    source: &Source,
    users: &RangeInclusive<i64>,
    range: DateRange,
    kinds: &Kinds,
    members: &Members,
    builder: &mut CubeBuilder,
) -> Result<LeftOut, Stopped> {
    let mut reader = Reader {
        range,
        kinds,
        members,
        builder,
        left_out: LeftOut::default(),
        full: None,
    };
    let result = reader
        .interactions(source, users)
        .and_then(|()| reader.assignments(source, users));
    match (reader.full, result) {
        (Some(full), _) => Err(Stopped::Full(full)),
        (None, Err(failed)) => Err(Stopped::Failed(failed)),
        (None, Ok(())) => Ok(reader.left_out),
    }
}

const PATH_COLUMNS: &str = "f.environment_id, f.course_id, f.space_id, f.subject_id, f.lecture_id";

struct Reader<'a> {
    range: DateRange,
    kinds: &'a Kinds,
    members: &'a Members,
    builder: &'a mut CubeBuilder,
    left_out: LeftOut,
    full: Option<EngineError>,
}

impl Reader<'_> {
    fn interactions(&mut self, source: &Source, users: &RangeInclusive<i64>) -> Result<()> {
        const COLUMNS: [ColumnType; 9] = [Int8, Int2, Int8, Date, Int8, Int8, Int8, Int8, Int8];
        let select = format!(
            "SELECT f.user_id, f.interaction_type_id, f.amount, f.day, {PATH_COLUMNS} FROM {}.fact_interaction f",
            source.dw
        );
        run(&select, source, users, &COLUMNS, |row| {
            let (Some(user), Some(kind), Some(amount), Some(day)) = (row.i64(0), row.i16(1), row.i64(2), row.date(3))
            else {
                return Err(null_in("fact_interaction"));
            };
            let path = path_of(row, 4);
            // a fact of no known kind adds to no measure, but is reported like the others
            match self.kinds.get(kind).filter(|_| self.range.contains(day)) {
                Some(kind) => {
                    let fact = Interaction {
                        user,
                        path,
                        day,
                        kind,
                        amount,
                    };
                    let pushed = self.builder.push_interaction(&fact);
                    self.pushed(pushed)
                }
                None => {
                    self.report(user, row.i64(6), Some(day));
                    Ok(())
                }
            }
        })
    }

    fn assignments(&mut self, source: &Source, users: &RangeInclusive<i64>) -> Result<()> {
        const COLUMNS: [ColumnType; 11] = [Int8, Date, Date, Date, Bool, Float8, Int8, Int8, Int8, Int8, Int8];
        let select = format!(
            "SELECT f.user_id, f.assigned_day, f.due_day, f.submitted_day, coalesce(f.submitted_at > f.due_at, false), \
             f.grade / nullif(f.max_grade, 0), {PATH_COLUMNS} FROM {}.fact_assignment f",
            source.dw
        );
        run(&select, source, users, &COLUMNS, |row| {
            let (Some(user), Some(late)) = (row.i64(0), row.bool(4)) else {
                return Err(null_in("fact_assignment"));
            };
            let fact = Assignment {
                user,
                path: path_of(row, 6),
                assigned: row.date(1),
                due: row.date(2),
                submitted: row.date(3),
                late,
                grade: row.f64(5),
            };
            let space = row.i64(8);
            // without space the engine leaves it out, and counts it, too
            if space.is_some() {
                self.report(user, space, fact.submitted);
            }
            let pushed = self.builder.push_assignment(&fact);
            self.pushed(pushed)
        })
    }

    /// Counts a fact that the engine does not, or not by the same reasons; `None` for a day that is in any range.
    fn report(&mut self, user: i64, space: Option<i64>, day: Option<i32>) {
        let Some(space) = space else {
            self.left_out.no_space += 1;
            return;
        };
        if self.members.spaces_of(user).binary_search(&space).is_err() {
            self.left_out.not_student += 1;
        } else if day.is_some_and(|day| !self.range.contains(day)) {
            self.left_out.outside_range += 1;
        }
    }

    #[inline]
    fn pushed(&mut self, pushed: Result<(), EngineError>) -> Result<()> {
        match pushed {
            Ok(()) => Ok(()),
            Err(full @ EngineError::Memory { .. }) => {
                self.full = Some(full);
                Err(Error::internal("facts do not fit into the memory budget"))
            }
            Err(other) => Err(other.into()),
        }
    }
}

fn run(
    select: &str,
    source: &Source,
    users: &RangeInclusive<i64>,
    columns: &[ColumnType],
    on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let client = source.client_id;
    if *users == (i64::MIN..=i64::MAX) {
        let sql = format!("{select} WHERE f.client_id = $1");
        query(&sql, &[client.into()], columns, on_row)?;
    } else {
        let sql = format!("{select} WHERE f.client_id = $1 AND f.user_id BETWEEN $2 AND $3");
        let args = [client.into(), (*users.start()).into(), (*users.end()).into()];
        query(&sql, &args, columns, on_row)?;
    }
    Ok(())
}

#[inline]
fn path_of(row: &Row<'_>, first: usize) -> Path {
    Path::new(std::array::from_fn(|level| row.i64(first + level)))
}

fn null_in(table: &str) -> Error {
    Error::internal(format!("found a null in a column of {table} that cannot hold one"))
}
