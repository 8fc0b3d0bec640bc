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
use super::changes::write;
use super::diff::Counts;
use super::facts::Stopped;
use super::stored::Part;
use super::structure::Structure;
use super::touched::Touched;
use crate::error::Result;

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
        for stale in &mut self.parts {
            let part = Part {
                source: &self.structure.source,
                level: stale.level,
                grain: stale.grain,
            };
            let changes = &mut outcome.changes[stale.level.index()][stale.grain.index()];
            let moved = &mut outcome.moved[stale.level.index()][stale.grain.index()];
            let inconsistent = write(changes, moved, part, &mut stale.counts, &mut stale.changed)?;
            again.extend(inconsistent.into_iter().filter_map(|user| self.touched.position(user)));
        }
        again.sort_unstable();
        again.dedup();
        self.writing += began.elapsed();
        Ok(again)
    }
}
