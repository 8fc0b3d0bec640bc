//! Parts of the cube brought up to date where students changed, without reading what did not change.
//!
//! Everything is computed and compared first and written at the end, so what does not fit into `empatia.memory_limit` is
//! begun again with half of the students.

use std::time::{Duration, Instant};

use empatia_engine::calendar::Grain;
use empatia_engine::context::Context;
use empatia_engine::cube::{CubePlan, Level};
use pgrx::prelude::*;

use super::additions::Additions;
use super::attempt::{Attempt, Outcome};
use super::changed::Changed;
use super::changes::{sum_up, write};
use super::diff::Counts;
use super::facts::Stopped;
use super::stored::{Key, Part};
use super::structure::Structure;
use super::touched::Touched;
use super::write_cells::{look_for, scout};
use crate::error::Result;
use crate::pg::column::Tid;
use crate::pg::scout::Scout;
use crate::pg::threads::beside;

/// One part to bring up to date.
#[derive(Debug)]
pub(super) struct Stale {
    pub level: Level,
    pub grain: Grain,
    pub counts: Counts,
    pub changed: Changed,
}

/// Parts that contain the same changes.
pub(super) struct Refresh<'a> {
    context: &'a Context,
    structure: &'a Structure,
    plan: CubePlan,
    pub parts: Vec<Stale>,
    touched: Touched,
    facts: Duration,
    cells: Duration,
    stored: Duration,
    writing: Duration,
    known: usize,
    again: usize,
}

/// Rows to be looked for beforehand, if there is a way to.
struct Search {
    scout: Option<Scout>,
    keys: Vec<Key>,
}

/// How the changes of students are found.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By the interactions that came.
    Added,
    /// By cells of the finest grain.
    Finest,
    AllGrains,
}

impl<'a> Refresh<'a> {
    /// `plan` has the combinations of `parts`, which contain the changes up to `since`.
    pub fn new(
        context: &'a Context,
        structure: &'a Structure,
        plan: CubePlan,
        parts: Vec<Stale>,
        since: i64,
    ) -> Result<Self> {
        Ok(Self {
            touched: Touched::read(context, &structure.source, since, &plan)?,
            context,
            structure,
            plan,
            parts,
            facts: Duration::ZERO,
            cells: Duration::ZERO,
            stored: Duration::ZERO,
            writing: Duration::ZERO,
            known: 0,
            again: 0,
        })
    }

    fn outcome(&self, users: &[usize], way: Way) -> Result<Outcome, Stopped> {
        let (context, structure, plan, touched) = (self.context, self.structure, &self.plan, &self.touched);
        let all_grains = match way {
            Way::Added => {
                let additions = Additions {
                    context,
                    structure,
                    plan,
                    touched,
                    users,
                };
                return additions.run();
            }
            Way::Finest => false,
            Way::AllGrains => true,
        };
        Attempt::new(context, structure, plan, touched, users, all_grains)?.run()
    }

    pub fn run(&mut self) -> Result<()> {
        let (known, others): (Vec<usize>, Vec<usize>) =
            (0..self.touched.len()).partition(|user| self.touched.is_known(*user));
        self.known = known.len();
        let mut pending = vec![(others, Way::Finest), (known, Way::Added)];
        while let Some((users, way)) = pending.pop() {
            if users.is_empty() {
                continue;
            }
            match self.outcome(&users, way) {
                Ok(outcome) => {
                    let again = self.write(outcome)?;
                    self.again += again.len();
                    pending.push((again, Way::AllGrains));
                }
                Err(Stopped::Failed(error)) => return Err(error),
                Err(Stopped::Full(error)) if users.len() < 2 => return Err(error.into()),
                Err(Stopped::Full(_)) => {
                    let (first, second) = users.split_at(users.len() / 2);
                    pending.push((second.to_vec(), way));
                    pending.push((first.to_vec(), way));
                }
            }
        }
        debug1!(
            "refresh of client {}: {} students changed, of {} what came is known, {} computed at all grains; structure {:.3} s, facts {:.3} s, cells {:.3} s, \
             stored rows {:.3} s, wrote {:.3} s",
            self.structure.source.client_id,
            self.touched.len(),
            self.known,
            self.again,
            self.structure.reading.as_secs_f64(),
            self.facts.as_secs_f64(),
            self.cells.as_secs_f64(),
            self.stored.as_secs_f64(),
            self.writing.as_secs_f64()
        );
        Ok(())
    }

    /// Writes what it can and returns the students that have to be computed at all grains.
    fn write(&mut self, mut outcome: Outcome) -> Result<Vec<usize>> {
        let began = Instant::now();
        self.facts += outcome.facts;
        self.cells += outcome.cells;
        self.stored += outcome.stored;
        let mut again = std::mem::take(&mut outcome.again);
        outcome.forget(|user| {
            again
                .binary_search_by_key(&user, |position| self.touched.id(*position))
                .is_ok()
        });
        outcome.moved.iter_mut().flatten().for_each(sum_up);
        let most = outcome.moved.iter().flatten().map(Vec::len).max().unwrap_or(0);
        // of the part that is written, and of the next
        let searches = self.context.reserve_for::<(Key, Option<Tid>)>(2 * most);
        again.extend(match outcome.knows_pages() && searches.is_ok() {
            true => self.write_beside(&mut outcome)?,
            false => self.write_alone(&mut outcome)?,
        });
        again.sort_unstable();
        again.dedup();
        self.writing += began.elapsed();
        Ok(again)
    }

    fn write_alone(&mut self, outcome: &mut Outcome) -> Result<Vec<usize>> {
        let mut again = Vec::new();
        for position in 0..self.parts.len() {
            again.extend(self.write_part(position, outcome, &[])?);
        }
        Ok(again)
    }

    /// A thread finds out where the rows of a part are while those of the one before are written.
    fn write_beside(&mut self, outcome: &mut Outcome) -> Result<Vec<usize>> {
        let (context, client_id) = (self.context, self.structure.source.client_id);
        let search = |search: Search| match &search.scout {
            Some(scout) => look_for(scout, client_id, &search.keys, || context.check()),
            None => Ok(Vec::new()),
        };
        let mut again = Vec::new();
        beside(context, search, |thread| {
            if !self.parts.is_empty() {
                thread.start(self.search(0, outcome)?)?;
            }
            for position in 0..self.parts.len() {
                let hints = thread.finish()?.unwrap_or_default();
                if position + 1 < self.parts.len() {
                    thread.start(self.search(position + 1, outcome)?)?;
                }
                again.extend(self.write_part(position, outcome, &hints)?);
            }
            Ok(())
        })?;
        Ok(again)
    }

    fn search(&self, position: usize, outcome: &Outcome) -> Result<Search> {
        let Stale { level, grain, .. } = self.parts[position];
        let moved = &outcome.moved[level.index()][grain.index()];
        let results = &self.structure.source.results_name;
        Ok(Search {
            scout: match moved.is_empty() {
                true => None,
                false => scout(results, level, grain)?,
            },
            keys: moved.iter().map(|moved| moved.key).collect(),
        })
    }

    /// Returns the students that have to be computed at all grains.
    fn write_part(&mut self, position: usize, outcome: &mut Outcome, hints: &[Option<Tid>]) -> Result<Vec<usize>> {
        let stale = &mut self.parts[position];
        let part = Part {
            source: &self.structure.source,
            level: stale.level,
            grain: stale.grain,
        };
        let changes = &mut outcome.changes[stale.level.index()][stale.grain.index()];
        let moved = &outcome.moved[stale.level.index()][stale.grain.index()];
        let inconsistent = write(changes, moved, hints, part, &mut stale.counts, &mut stale.changed)?;
        let positions = inconsistent.into_iter().filter_map(|user| self.touched.position(user));
        Ok(positions.collect())
    }
}
