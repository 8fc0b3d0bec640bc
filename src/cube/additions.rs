//! What new interactions add to the rows of the cube, from the facts of no more than the days on which they came.
//!
//! Measures are sums over days, so rows of all grains can be moved by what came. But for one: on a day on which a student was active in
//! a unit already there is no further active day. So the cells of those days are computed twice, without the new interactions and with
//! them, and rows are moved by the difference.

use std::time::Instant;

use empatia_engine::calendar::Grain;
use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{Cell, CubeBuilder, CubeParams, CubePlan, Interaction, Level};
use empatia_engine::error::EngineError;

use super::attempt::{Outcome, Table};
use super::changes::{grow, Delta, Moved};
use super::chunks::cells_of;
use super::fact_runs::{look_up, read_runs, Runs};
use super::facts::{
    assignment_of, interaction_of, select_assignments, select_interactions, Stopped, ASSIGNMENT_COLUMNS,
    INTERACTION_COLUMNS,
};
use super::stored::{key_of, same, Key};
use super::structure::Structure;
use super::touched::{bit, grains, grains_of, period_of, Touched};
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{Int4, Int8};

/// Part of the budget that facts leave for cells and rows.
const OTHER_SHARE: usize = 2;

/// Students of whom it is known which interactions came, and that nothing else happened.
pub(super) struct Additions<'a> {
    pub context: &'a Context,
    pub structure: &'a Structure,
    pub plan: &'a CubePlan,
    pub touched: &'a Touched,
    /// Positions in `touched`.
    pub users: &'a [usize],
}

impl Additions<'_> {
    pub fn run(self) -> Result<Outcome, Stopped> {
        let mut outcome = Outcome::new(self.context)?;
        let began = Instant::now();
        let mut runs = Runs::default();
        for user in self.users {
            for day in self.touched.changed_days(*user) {
                runs.push(self.touched.id(*user), *day, *day);
            }
        }
        let runs = runs.merged();
        let _runs = self.context.reserve_for::<(i64, i32, i32)>(runs.len())?;
        let (before, after) = self.read(&runs)?;
        outcome.facts = began.elapsed();
        let mut memory = self.context.reserve(0)?;
        let before = self.cells(before, &mut memory)?;
        let after = self.cells(after, &mut memory)?;
        for level in Level::ALL {
            for grain in Grain::ALL {
                let (before, after) = (&before[level.index()], &after[level.index()]);
                differences(&before[grain.index()], &after[grain.index()], |key, delta| {
                    self.note(level, grain, Moved { key, delta }, &mut outcome)
                })?;
            }
        }
        outcome.cells = began.elapsed() - outcome.facts;
        let rows = outcome.moved.iter().flatten().map(Vec::len).sum();
        outcome.look_where_pages_are(self.context, rows);
        outcome.stored = began.elapsed() - outcome.facts - outcome.cells;
        Ok(outcome)
    }

    /// Those of the plan, with no grain that follows from finer ones for everybody.
    fn params(&self) -> CubeParams {
        let computed = |level| {
            let asked = grains_of(level, self.plan);
            let of_users = self
                .users
                .iter()
                .map(|user| self.touched.computed(*user, asked, self.plan));
            of_users.fold(0, |all, computed| all | computed)
        };
        let combinations = Level::ALL
            .into_iter()
            .flat_map(|level| grains(computed(level)).map(move |grain| (level, grain)));
        CubeParams {
            combinations: combinations.collect(),
            ..*self.plan.params()
        }
    }

    /// Takes down what a row of a computed grain is moved by, for this grain and for those that follow from it.
    fn note(&self, level: Level, grain: Grain, moved: Moved, outcome: &mut Outcome) -> Result<(), EngineError> {
        let Some(user) = self.touched.position(moved.key.0) else {
            return Ok(());
        };
        let asked = grains_of(level, self.plan);
        let computed = self.touched.computed(user, asked, self.plan);
        if computed & bit(grain) == 0 {
            return Ok(());
        }
        let period = period_of(grain, moved.key.2.max(self.plan.params().range.first()), self.plan);
        let day = period.and_then(|(first, last)| self.touched.first_day(user, first, last));
        for to in grains(asked) {
            let own = to == grain;
            if !own && (computed & bit(to) != 0 || self.touched.source(user, to, computed, self.plan) != Some(grain)) {
                continue;
            }
            let Some((first, _)) = day.and_then(|day| period_of(to, day, self.plan)) else {
                return Ok(());
            };
            let of_part = &mut outcome.moved[level.index()][to.index()];
            grow(of_part, &mut outcome.memory)?;
            of_part.push(Moved {
                key: (moved.key.0, moved.key.1, first),
                ..moved
            });
        }
        Ok(())
    }

    /// The facts of those days as they were, and as they are.
    fn read(&self, runs: &Runs) -> Result<(CubeBuilder, CubeBuilder), Stopped> {
        let _others = self.context.reserve(self.context.budget() / OTHER_SHARE)?;
        let params = self.params();
        let builder = || CubeBuilder::ordered(self.context, params.check(self.context)?, &self.structure.members);
        let (mut before, mut after) = (builder()?, builder()?);
        let mut full = None;
        let mut pushed = |pushed: Result<(), EngineError>| {
            pushed.map_err(|error| match error {
                EngineError::Memory { .. } => {
                    full = Some(error);
                    Error::internal("facts do not fit into the memory budget")
                }
                other => other.into(),
            })
        };
        let read = self
            .interactions(runs, |fact, is_new| {
                if !is_new {
                    pushed(before.push_interaction(fact))?;
                }
                pushed(after.push_interaction(fact))
            })
            .and_then(|()| {
                // a day with a submission is an active one; whatever else is said of an assignment is the same before and after
                let source = &self.structure.source;
                let select = select_assignments(&source.dw);
                look_up(&select, "f.submitted_day", source, runs, &ASSIGNMENT_COLUMNS, |row| {
                    let fact = assignment_of(row)?;
                    pushed(before.push_assignment(&fact))?;
                    pushed(after.push_assignment(&fact))
                })
            });
        match (full, read) {
            (Some(full), _) => Err(Stopped::Full(full)),
            (None, Err(failed)) => Err(Stopped::Failed(failed)),
            (None, Ok(_)) => Ok((before, after)),
        }
    }

    fn interactions(&self, runs: &Runs, mut on_fact: impl FnMut(&Interaction, bool) -> Result<()>) -> Result<()> {
        let source = &self.structure.source;
        let select = select_interactions(&source.dw, ", f.source_id, f.interaction_id");
        let own = INTERACTION_COLUMNS.len();
        let columns = [&INTERACTION_COLUMNS[..], &[Int4, Int8]].concat();
        read_runs(&select, source, runs, self.touched.new_count(), &columns, |row| {
            let found = interaction_of(row)?;
            let Some(kind) = self.structure.kinds.get(found.kind) else {
                return Ok(());
            };
            let fact = Interaction {
                user: found.user,
                path: found.path,
                day: found.day,
                kind,
                amount: found.amount,
            };
            let id = row.i32(own).zip(row.i64(own + 1));
            on_fact(&fact, id.is_some_and(|(source, id)| self.touched.is_new(source, id)))
        })?;
        Ok(())
    }

    fn cells(&self, builder: CubeBuilder, memory: &mut Reservation) -> Result<Table<Vec<Cell>>, Stopped> {
        let mut cells = Table::<Vec<Cell>>::default();
        cells_of(
            self.context,
            self.structure,
            builder,
            self.params().combinations,
            |chunk| {
                let of_part = &mut cells[chunk.level.index()][chunk.grain.index()];
                for cell in &chunk.cells {
                    grow(of_part, memory)?;
                    of_part.push(*cell);
                }
                Ok(())
            },
        )?;
        Ok(cells)
    }
}

/// Cells that differ, both sides ordered by key. Whatever there was before there still is.
fn differences(
    before: &[Cell],
    after: &[Cell],
    mut on_difference: impl FnMut(Key, Delta) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut before = before.iter().peekable();
    for cell in after {
        let was = before.next_if(|was| key_of(was) == key_of(cell));
        let was = was.map(|was| was.measures).unwrap_or_default();
        if !same(&was, &cell.measures) {
            on_difference(key_of(cell), Delta::between(&was, &cell.measures))?;
        }
    }
    Ok(())
}
