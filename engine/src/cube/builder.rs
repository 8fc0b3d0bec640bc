//! The in-memory way in: facts in any order. What memory has no room for can be set aside.

use std::ops::RangeInclusive;

use super::buckets::{Buckets, BUCKET_BITS};
use super::cell::CubeBatch;
use super::facts::{Assignment, AssignmentRow, CubeSummary, Interaction, InteractionKind, InteractionRow};
use super::hash::fold;
use super::intake::Intake;
use super::members::Members;
use super::params::CubePlan;
use super::path::Path;
use super::paths::Units;
use super::ranges::Ranges;
use super::runner::Runner;
use super::set_aside::{Kept, Nowhere};
use super::student::Shared;
use super::tasks::Tasks;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// A path known to one builder; [`NO_PATH`] where facts that hang on it count for no unit.
#[derive(Debug, Clone, Copy)]
pub struct PathNumber(u32);

/// More than there can be paths.
const NO_PATH: u32 = u32::MAX;

/// Builds the cube of one client from facts pushed in any order; holds them all until [`CubeBuilder::finish`].
///
/// Pushing already partitions them by student, so no pass over all facts is left for the end.
#[derive(Debug)]
pub struct CubeBuilder {
    ctx: Context,
    intake: Intake,
    spread: Spread,
    interactions: Buckets<InteractionRow>,
    assignments: Buckets<AssignmentRow>,
    /// Bytes set aside so far.
    aside: u64,
}

impl CubeBuilder {
    /// # Errors
    /// [`EngineError::Memory`] when the budget has no room for the empty buckets.
    pub fn new(ctx: &Context, plan: CubePlan) -> Result<Self> {
        Self::with_spread(ctx, plan, Spread::Hash)
    }

    /// As [`CubeBuilder::new`], but the students come out ordered by user id, over all batches: an index on (user, ...)
    /// that the cells go into then grows at its end. Pushing is a little slower. Facts are spread well over the threads
    /// where most of them are members'.
    ///
    /// # Errors
    /// As [`CubeBuilder::new`].
    pub fn ordered(ctx: &Context, plan: CubePlan, members: &Members) -> Result<Self> {
        Self::with_spread(ctx, plan, Spread::ordered(ctx, members)?)
    }

    fn with_spread(ctx: &Context, plan: CubePlan, spread: Spread) -> Result<Self> {
        Ok(Self {
            ctx: ctx.clone(),
            intake: Intake::new(ctx, plan)?,
            spread,
            interactions: Buckets::new(ctx)?,
            assignments: Buckets::new(ctx)?,
            aside: 0,
        })
    }

    /// Takes one interaction in.
    ///
    /// # Errors
    /// [`EngineError::Memory`] beyond the budget, [`EngineError::Cube`] as in [`CubeError`](super::CubeError).
    #[inline]
    pub fn push_interaction(&mut self, fact: &Interaction) -> Result<()> {
        match self.intake.interaction(fact)? {
            Some(row) => self.interactions.push(self.spread.bucket(row.user), row),
            None => Ok(()),
        }
    }

    /// The number of a path for [`CubeBuilder::push_numbered`]: where many facts come with few paths, each is looked up once.
    ///
    /// # Errors
    /// [`EngineError::Memory`] beyond the budget, [`EngineError::Cube`] as in [`CubeError`](super::CubeError).
    pub fn number(&mut self, path: &Path) -> Result<PathNumber> {
        let number = self.intake.number(path)?;
        Ok(PathNumber(number.unwrap_or(NO_PATH)))
    }

    /// Takes one interaction in whose path is known by its number.
    ///
    /// # Errors
    /// As [`CubeBuilder::push_interaction`].
    #[inline]
    pub fn push_numbered(
        &mut self,
        user: i64,
        path: PathNumber,
        day: i32,
        kind: InteractionKind,
        amount: i64,
    ) -> Result<()> {
        let path = (path.0 != NO_PATH).then_some(path.0);
        match self.intake.numbered(user, path, day, kind, amount) {
            Some(row) => self.interactions.push(self.spread.bucket(row.user), row),
            None => Ok(()),
        }
    }

    /// Takes one assignment in.
    ///
    /// # Errors
    /// As [`CubeBuilder::push_interaction`].
    pub fn push_assignment(&mut self, fact: &Assignment) -> Result<()> {
        match self.intake.assignment(fact)? {
            Some(row) => self.assignments.push(self.spread.bucket(row.user), row),
            None => Ok(()),
        }
    }

    /// Sets all facts held aside: `write` is given their bytes, to be kept one after the other, those of earlier calls first;
    /// [`CubeBuilder::finish_with`] reads them back. Returns how many facts there were; their memory is free.
    ///
    /// # Errors
    /// What `write` returned; [`EngineError::Memory`] when even the places of what was set aside do not fit.
    pub fn set_aside<E: From<EngineError>>(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let interactions = self.interactions.set_aside(&mut self.aside, &mut write)?;
        Ok(interactions + self.assignments.set_aside(&mut self.aside, &mut write)?)
    }

    /// Whether some facts were [set aside](CubeBuilder::set_aside).
    pub fn has_set_aside(&self) -> bool {
        self.aside > 0
    }

    /// Computes all cells and hands them to `sink`, on the calling thread. Values and order are the same for any thread
    /// count and any order of pushing; students come in the order of a hash (or of their ids, see [`CubeBuilder::ordered`]),
    /// all of one in the same run of batches.
    ///
    /// # Errors
    /// The sink's own; [`EngineError::Cancelled`], [`EngineError::Memory`], [`EngineError::Cube`].
    pub fn finish<E: From<EngineError>>(
        self,
        members: &Members,
        sink: impl FnMut(CubeBatch<'_>) -> Result<(), E>,
    ) -> Result<CubeSummary, E> {
        self.finish_with(members, &Nowhere, sink)
    }

    /// As [`CubeBuilder::finish`], with what was set aside; the facts stay, for whoever has a better place to drop them.
    ///
    /// # Errors
    /// As there; what `kept` returned.
    pub fn finish_with<E: From<EngineError>>(
        &self,
        members: &Members,
        kept: &dyn Kept,
        sink: impl FnMut(CubeBatch<'_>) -> Result<(), E>,
    ) -> Result<CubeSummary, E> {
        let Intake { plan, paths, summary } = &self.intake;
        let mut summary = *summary;
        let mut units = Units::new(&self.ctx)?;
        units.refresh(paths, plan.params().combinations.levels())?;
        let shared = Shared {
            plan,
            units: &units,
            members,
        };
        let (interactions, assignments) = (&self.interactions, &self.assignments);
        let facts = |bucket| interactions.len(bucket) + assignments.len(bucket);
        let tasks = Tasks::new(&self.ctx, plan, facts, |bucket| {
            members.users_in(&self.spread.users(bucket)?).into()
        })?;
        Runner::new(&self.ctx)?.run(
            shared,
            &tasks.waves(&self.ctx),
            |task, slot| {
                let task = &tasks[task];
                let mut of_task = std::mem::take(&mut slot.interactions);
                let mut assigned = std::mem::take(&mut slot.assignments);
                let done = interactions
                    .gather(task, kept, &mut of_task, &mut slot.memory)
                    .and_then(|()| assignments.gather(task, kept, &mut assigned, &mut slot.memory))
                    .and_then(|()| slot.students(shared, &of_task, &assigned));
                slot.interactions = of_task;
                slot.assignments = assigned;
                done
            },
            &mut summary,
            sink,
        )?;
        Ok(summary)
    }
}

/// Which bucket a user's facts go to.
#[derive(Debug)]
enum Spread {
    Hash,
    Ranges(Ranges),
}

impl Spread {
    /// Ranges with about as many members each.
    fn ordered(ctx: &Context, members: &Members) -> Result<Self> {
        Ranges::new(ctx, members).map(Self::Ranges)
    }

    #[inline]
    fn bucket(&self, user: i64) -> usize {
        match self {
            Self::Hash => (fold(0, user as u64) >> (64 - BUCKET_BITS)) as usize,
            Self::Ranges(ranges) => ranges.bucket(user),
        }
    }

    /// Users of a bucket; none where they have no order.
    fn users(&self, bucket: usize) -> Option<RangeInclusive<i64>> {
        match self {
            Self::Hash => None,
            Self::Ranges(ranges) => Some(ranges.users(bucket)),
        }
    }
}
