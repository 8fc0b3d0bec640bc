//! Tasks in parallel, waves of them, batches out in order.
//!
//! A wave is as many tasks as there are slots; a slot is a task's buffers, reused from wave to wave, so memory is that of
//! one wave. Which thread runs a task makes no difference to what the task produces, and batches leave in task order.

use std::ops::Range;

use rayon::prelude::*;

use super::cell::CubeBatch;
use super::facts::{AssignmentRow, CubeSummary, InteractionRow, Row};
use super::student::{Scratch, Shared, TaskOutput};
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Facts per task, about: enough to hide the scheduling, few enough that a wave's cells stay small.
pub(super) const TASK_FACTS: usize = 2048;
/// What a task's cells of all 35 combinations take, about; sizes the wave to the budget.
const TASK_BYTES: usize = 4 << 20;

/// One task's buffers.
#[derive(Debug)]
pub(super) struct Slot {
    scratch: Scratch,
    out: TaskOutput,
    /// The task's facts, where it has to gather them first.
    pub interactions: Vec<InteractionRow>,
    pub assignments: Vec<AssignmentRow>,
    pub memory: Reservation,
    result: Result<()>,
}

impl Slot {
    /// Computes the cells of the students in both slices, which are ordered by user and hold all their facts.
    ///
    /// # Errors
    /// As [`Scratch::student`].
    pub fn students(
        &mut self,
        shared: Shared<'_>,
        mut interactions: &[InteractionRow],
        mut assignments: &[AssignmentRow],
    ) -> Result<()> {
        while let Some(user) = first_user(interactions, assignments) {
            let (of_user, rest) = interactions.split_at(run_of(user, interactions));
            interactions = rest;
            let (assigned, rest) = assignments.split_at(run_of(user, assignments));
            assignments = rest;
            let (out, memory) = (&mut self.out, &mut self.memory);
            self.scratch.student(shared, user, of_user, assigned, out, memory)?;
        }
        Ok(())
    }
}

/// The smallest user at the head of either slice.
pub(super) fn first_user<A: Row, B: Row>(a: &[A], b: &[B]) -> Option<i64> {
    match (a.first().map(Row::user), b.first().map(Row::user)) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// How many rows at the head are `user`'s.
fn run_of<T: Row>(user: i64, rows: &[T]) -> usize {
    rows.iter().take_while(|row| row.user() == user).count()
}

/// Most tasks of a wave: several per thread even out their sizes; a small budget gets small waves.
pub(super) fn width(ctx: &Context) -> usize {
    let affordable = (ctx.budget() / (2 * TASK_BYTES)).max(1);
    (ctx.threads() * 4).clamp(16, 256).min(affordable)
}

/// The slots of a pass.
#[derive(Debug)]
pub(super) struct Runner {
    ctx: Context,
    slots: Vec<Slot>,
}

impl Runner {
    pub fn new(ctx: &Context) -> Result<Self> {
        let slots = (0..width(ctx))
            .map(|_| {
                Ok(Slot {
                    scratch: Scratch::default(),
                    out: TaskOutput::default(),
                    interactions: Vec::new(),
                    assignments: Vec::new(),
                    memory: ctx.reserve(0)?,
                    result: Ok(()),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            ctx: ctx.clone(),
            slots,
        })
    }

    /// Tasks per wave.
    pub fn width(&self) -> usize {
        self.slots.len()
    }

    /// Runs `work(task, slot)` for each task of `waves`, none of more than [`width`], and hands the batches to `sink`, on the calling thread, in task order.
    ///
    /// # Errors
    /// The first failing task's error, `Cancelled` between waves and tasks, or the sink's own.
    pub fn run<E: From<EngineError>>(
        &mut self,
        shared: Shared<'_>,
        waves: &[Range<usize>],
        work: impl Fn(usize, &mut Slot) -> Result<()> + Sync,
        summary: &mut CubeSummary,
        mut sink: impl FnMut(CubeBatch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.ctx.expect_work(waves.iter().map(|wave| wave.len() as u64).sum());
        for Range { start: first, end } in waves.iter().cloned() {
            let wave = &mut self.slots[..end - first];
            let ctx = &self.ctx;
            ctx.check()?;
            ctx.run(|| {
                wave.par_iter_mut()
                    .with_max_len(1)
                    .enumerate()
                    .for_each(|(index, slot)| {
                        slot.out.clear();
                        slot.result = ctx.check().and_then(|()| work(first + index, slot));
                    });
            });
            let done = wave.len() as u64;
            for slot in wave {
                std::mem::replace(&mut slot.result, Ok(()))?;
                emit(shared, &slot.out, summary, &mut sink)?;
            }
            ctx.work_done(done);
        }
        Ok(())
    }
}

fn emit<E>(
    shared: Shared<'_>,
    out: &TaskOutput,
    summary: &mut CubeSummary,
    sink: &mut impl FnMut(CubeBatch<'_>) -> Result<(), E>,
) -> Result<(), E> {
    summary.add_facts(&out.summary);
    for level in shared.plan.params().combinations.levels() {
        let cells = out.assigned[level.index()].as_slice();
        if !cells.is_empty() {
            sink(CubeBatch::Assigned { level, cells })?;
        }
        for periods in shared.plan.periods_of(level) {
            let (grain, cells) = (periods.grain(), out.cells_of(level, periods));
            if !cells.is_empty() {
                summary.cells[level.index()][grain.index()] += cells.len() as u64;
                sink(CubeBatch::Cells { level, grain, cells })?;
            }
        }
    }
    Ok(())
}
