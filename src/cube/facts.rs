//! Facts of a client from the warehouse into the engine.

use empatia_engine::cube::{Assignment, Basis, CubeBuilder, CubeParams, Interaction, Level, Page, Path, PathNumber};
use empatia_engine::error::EngineError;

use super::fact_runs::{look_up_each, read_runs, Runs};
use super::left_out::LeftOut;
use super::packed_facts::StoredInteraction;
use super::spill::Spill;
use super::structure::Structure;
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

impl From<EngineError> for Stopped {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Memory { .. } => Self::Full(error),
            other => Self::Failed(other.into()),
        }
    }
}

/// Whose facts are read.
#[derive(Debug)]
pub(super) enum Whose {
    Everybody,
    /// Interactions of these days; assignments of these users.
    Runs(Runs),
}

/// Reads facts into `builder`, those beyond the budget into `spill`, where there is one; `on_interaction` is shown those that count, `on_grade` is told who has a grade, and the day that it
/// counts on.
///
/// Returns those left out, but for interactions inside the range by people who are not students of the space: those
/// the engine counts.
pub(super) fn read_facts(
    structure: &Structure,
    whose: &Whose,
    params: &CubeParams,
    builder: &mut CubeBuilder,
    spill: Option<&mut Spill>,
    on_interaction: impl FnMut(&Interaction) -> Result<(), EngineError>,
    on_grade: impl FnMut(i64, Option<i32>),
) -> Result<LeftOut, Stopped> {
    let mut reader = Reader {
        params,
        structure,
        builder,
        spill,
        on_interaction,
        on_grade,
        left_out: LeftOut::default(),
        full: None,
    };
    let result = reader.interactions(whose).and_then(|()| reader.assignments(whose));
    match (reader.full, result) {
        (Some(full), _) => Err(Stopped::Full(full)),
        (None, Err(failed)) => Err(Stopped::Failed(failed)),
        (None, Ok(())) => Ok(reader.left_out),
    }
}

pub(super) const INTERACTION_COLUMNS: [ColumnType; 9] = [Int8, Int2, Int8, Date, Int8, Int8, Int8, Int8, Int8];

/// All of client `$1`; more conditions may follow.
pub(super) fn select_interactions(dw: &str) -> String {
    format!(
        "SELECT f.user_id, f.interaction_type_id, f.amount, f.day, {PATH_COLUMNS} FROM {dw}.fact_interaction f WHERE f.client_id = $1"
    )
}

/// A row of [`select_interactions`].
#[inline(always)]
pub(super) fn interaction_of(row: &Row<'_>) -> Result<StoredInteraction> {
    let (Some(user), Some(kind), Some(amount), Some(day)) = (row.i64(0), row.i16(1), row.i64(2), row.date(3)) else {
        return Err(null_in("fact_interaction"));
    };
    let path = path_of(row, 4);
    Ok(StoredInteraction {
        user,
        kind,
        amount,
        day,
        path,
    })
}

const PATH_COLUMNS: &str = "f.environment_id, f.course_id, f.space_id, f.subject_id, f.lecture_id";

/// The paths that a worker's pages told, by their number there. Apart, since each fact needs the first alone, and many paths take more
/// than the caches hold.
#[derive(Default)]
struct Paths {
    numbers: Vec<PathNumber>,
    spaces: Vec<Option<i64>>,
}

struct Reader<'a, I, G> {
    params: &'a CubeParams,
    structure: &'a Structure,
    builder: &'a mut CubeBuilder,
    spill: Option<&'a mut Spill>,
    on_interaction: I,
    on_grade: G,
    left_out: LeftOut,
    full: Option<EngineError>,
}

impl<I, G> Reader<'_, I, G>
where
    I: FnMut(&Interaction) -> Result<(), EngineError>,
    G: FnMut(i64, Option<i32>),
{
    fn interactions(&mut self, whose: &Whose) -> Result<()> {
        if matches!(whose, Whose::Everybody) && self.packed_interactions()? {
            return Ok(());
        }
        let structure = self.structure;
        let (select, source) = (select_interactions(&structure.source.dw), &structure.source);
        let on_row = |row: &Row<'_>| {
            let StoredInteraction {
                user,
                kind,
                amount,
                day,
                path,
            } = interaction_of(row)?;
            // a fact of no known kind adds to no measure, but is reported like the others
            match structure.kinds.get(kind).filter(|_| self.params.range.contains(day)) {
                Some(kind) => {
                    let fact = Interaction {
                        user,
                        path,
                        day,
                        kind,
                        amount,
                    };
                    let shown = (self.on_interaction)(&fact);
                    self.pushed(shown)?;
                    self.push(|builder| builder.push_interaction(&fact))
                }
                None => {
                    self.report(user, path.unit(Level::Space), Some(day));
                    Ok(())
                }
            }
        };
        match whose {
            Whose::Everybody => {
                query(&select, &[source.client_id.into()], &INTERACTION_COLUMNS, on_row)?;
                Ok(())
            }
            Whose::Runs(runs) => {
                let user_and_day = |row: &Row<'_>| row.i64(0).zip(row.date(3));
                read_runs(&select, source, runs, &INTERACTION_COLUMNS, user_and_day, on_row)?;
                Ok(())
            }
        }
    }

    /// The same by parallel workers; false where there are none.
    fn packed_interactions(&mut self) -> Result<bool> {
        let structure = self.structure;
        let Some(parallel) = &structure.parallel else {
            return Ok(false);
        };
        let Ok(_reserved) = parallel.reserve() else {
            return Ok(false);
        };
        let mut paths: Vec<Paths> = Vec::new();
        parallel.read(&structure.source, |worker, page| {
            if paths.len() <= worker {
                paths.resize_with(worker + 1, Paths::default);
            }
            let page = Page::new(page)?;
            self.page(&page, &mut paths[worker])
        })
    }

    /// Takes the facts of a page in; `paths` are those that its packer told so far.
    fn page(&mut self, page: &Page<'_>, paths: &mut Paths) -> Result<()> {
        if page.begins_anew {
            paths.numbers.clear();
            paths.spaces.clear();
        }
        for path in page.new_paths() {
            paths.numbers.push(self.push(|builder| builder.number(&path))?);
            paths.spaces.push(path.unit(Level::Space));
        }
        for fact in page.facts() {
            let path = fact.path as usize;
            let number = *paths
                .numbers
                .get(path)
                .ok_or_else(|| Error::internal("a page of facts names a path that no page told"))?;
            let kind = self.structure.kinds.get(fact.kind);
            match kind.filter(|_| self.params.range.contains(fact.day)) {
                Some(kind) => {
                    self.push(|builder| builder.push_numbered(fact.user, number, fact.day, kind, fact.amount))?;
                }
                None => self.report(fact.user, paths.spaces[path], Some(fact.day)),
            }
        }
        Ok(())
    }

    fn assignments(&mut self, whose: &Whose) -> Result<()> {
        const COLUMNS: [ColumnType; 11] = [Int8, Date, Date, Date, Bool, Float8, Int8, Int8, Int8, Int8, Int8];
        let structure = self.structure;
        let select = format!(
            "SELECT f.user_id, f.assigned_day, f.due_day, f.submitted_day, coalesce(f.submitted_at > f.due_at, false), \
             f.grade / nullif(f.max_grade, 0), {PATH_COLUMNS} FROM {}.fact_assignment f WHERE f.client_id = $1",
            structure.source.dw
        );
        let source = &structure.source;
        let on_row = |row: &Row<'_>| {
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
            if fact.grade.is_some() && fact.submitted.is_some() {
                let day = match self.params.basis {
                    Basis::Universe => fact.submitted,
                    Basis::Due => fact.due.or(fact.assigned),
                };
                (self.on_grade)(user, day);
            }
            self.push(|builder| builder.push_assignment(&fact))
        };
        match whose {
            Whose::Everybody => {
                query(&select, &[source.client_id.into()], &COLUMNS, on_row)?;
                Ok(())
            }
            // a student has few, and no index knows all their days
            Whose::Runs(runs) => {
                let mut users = runs.users.clone();
                users.dedup();
                let sql = format!(
                    "SELECT i.* FROM unnest($2) r (user_id), LATERAL ({select} AND f.user_id = r.user_id OFFSET 0) i"
                );
                look_up_each(&sql, &[source.client_id.into(), users.into()], &COLUMNS, on_row)?;
                Ok(())
            }
        }
    }

    /// Counts a fact that the engine does not, or not by the same reasons; `None` for a day that is in any range.
    fn report(&mut self, user: i64, space: Option<i64>, day: Option<i32>) {
        let Some(space) = space else {
            self.left_out.no_space += 1;
            return;
        };
        if self.structure.members.spaces_of(user).binary_search(&space).is_err() {
            self.left_out.not_student += 1;
        } else if day.is_some_and(|day| !self.params.range.contains(day)) {
            self.left_out.outside_range += 1;
        }
    }

    /// Gives the builder something, which it refuses where there is no room: then room is made.
    #[inline]
    fn push<T>(&mut self, give: impl Fn(&mut CubeBuilder) -> Result<T, EngineError>) -> Result<T> {
        let mut pushed = give(self.builder);
        if matches!(pushed, Err(EngineError::Memory { .. })) && self.make_room()? {
            pushed = give(self.builder);
        }
        self.pushed(pushed)
    }

    #[cold]
    fn make_room(&mut self) -> Result<bool> {
        match &mut self.spill {
            Some(spill) => spill.make_room(self.builder),
            None => Ok(false),
        }
    }

    /// Remembers an error of memory as such.
    #[inline]
    fn pushed<T>(&mut self, pushed: Result<T, EngineError>) -> Result<T> {
        pushed.map_err(|error| match error {
            EngineError::Memory { .. } => {
                self.full = Some(error);
                Error::internal("facts do not fit into the memory budget")
            }
            other => other.into(),
        })
    }
}

#[inline]
fn path_of(row: &Row<'_>, first: usize) -> Path {
    Path::new(std::array::from_fn(|level| row.i64(first + level)))
}

fn null_in(table: &str) -> Error {
    Error::internal(format!("found a null in a column of {table} that cannot hold one"))
}
