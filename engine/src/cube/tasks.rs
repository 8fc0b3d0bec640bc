//! What is computed at a time: students of a bucket, or some of them where it holds many facts; and how many of those side by side.

use std::ops::{Index, Range, RangeInclusive};

use super::params::CubePlan;
use crate::context::{Context, Reservation};
use crate::error::Result;

use super::buckets::BUCKETS;
use super::cell::Cell;
use super::runner::width;

/// Part of the budget that the facts and cells of a wave should stay within.
const WAVE_SHARE: usize = 4;
/// A fact, gathered and sorted.
const FACT_BYTES: usize = 64;
/// Waves that hold fewer facts would only keep threads waiting for each other.
const LEAST_FACTS: usize = 1 << 14;
/// Tasks that a full wave should have at least, so that all threads have work.
const TASKS_OF_WAVE: usize = 8;

/// Facts of some students.
#[derive(Debug)]
pub(super) struct Task {
    pub bucket: usize,
    pub users: RangeInclusive<i64>,
    /// One of so many of its bucket.
    of_bucket: usize,
    facts: usize,
}

impl Task {
    /// Of so many rows of the bucket, about.
    pub fn expected(&self, rows: usize) -> usize {
        rows / self.of_bucket
    }
}

/// All tasks, in the order of their students.
#[derive(Debug)]
pub(super) struct Tasks {
    tasks: Vec<Task>,
    /// Facts of a wave, at most, about.
    most_facts: usize,
    _reservation: Reservation,
}

impl Tasks {
    /// `facts` of each bucket, and its `users`, ascending, where they can be told apart by range.
    pub fn new<'m>(
        ctx: &Context,
        plan: &CubePlan,
        facts: impl Fn(usize) -> usize,
        users: impl Fn(usize) -> Option<&'m [i64]>,
    ) -> Result<Self> {
        let combinations: usize = (plan.params().combinations.levels())
            .map(|level| plan.periods_of(level).count())
            .sum();
        // a cell of half of all combinations, in vectors that grow by doubling
        let most_facts = ctx.budget() / WAVE_SHARE / (FACT_BYTES + combinations * size_of::<Cell>() / 2);
        let most_facts = most_facts.max(LEAST_FACTS);
        let mut reservation = ctx.reserve_for::<Task>(BUCKETS)?;
        let mut tasks = Vec::with_capacity(BUCKETS);
        for bucket in 0..BUCKETS {
            let facts = facts(bucket);
            if facts == 0 {
                continue;
            }
            let users = users(bucket).unwrap_or_default();
            let parts = (facts * TASKS_OF_WAVE)
                .div_ceil(most_facts)
                .clamp(1, users.len().max(1));
            reservation.grow((parts - 1) * size_of::<Task>())?;
            let bound = |part: usize| users[part * users.len() / parts];
            tasks.extend((0..parts).map(|part| Task {
                bucket,
                users: match part {
                    0 => i64::MIN,
                    _ => bound(part),
                }..=match part + 1 {
                    last if last == parts => i64::MAX,
                    next => bound(next) - 1,
                },
                of_bucket: parts,
                facts: facts / parts,
            }));
        }
        Ok(Self {
            tasks,
            most_facts,
            _reservation: reservation,
        })
    }

    /// Runs of tasks that may be computed side by side.
    pub fn waves(&self, ctx: &Context) -> Vec<Range<usize>> {
        let width = width(ctx);
        let (mut waves, mut first, mut facts) = (Vec::new(), 0, 0);
        for (position, task) in self.tasks.iter().enumerate() {
            if position > first && (position - first == width || facts + task.facts > self.most_facts) {
                waves.push(first..position);
                (first, facts) = (position, 0);
            }
            facts += task.facts;
        }
        if first < self.tasks.len() {
            waves.push(first..self.tasks.len());
        }
        waves
    }
}

impl Index<usize> for Tasks {
    type Output = Task;

    fn index(&self, task: usize) -> &Task {
        &self.tasks[task]
    }
}
