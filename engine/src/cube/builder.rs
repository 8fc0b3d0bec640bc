//! The in-memory way in: facts in any order.

use super::cell::CubeBatch;
use super::facts::{Assignment, AssignmentRow, CubeSummary, Interaction, InteractionKind, InteractionRow, Row};
use super::hash::fold;
use super::intake::Intake;
use super::members::Members;
use super::memory::{grow, grow_to};
use super::params::CubePlan;
use super::path::Path;
use super::paths::Units;
use super::runner::Runner;
use super::student::Shared;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Facts are spread over 2^12 buckets by a hash of their user: one bucket, one task.
const BUCKET_BITS: u32 = 12;
const BUCKETS: usize = 1 << BUCKET_BITS;
const FIRST_BLOCK: usize = 8;
const LAST_BLOCK: usize = 512;

/// A path known to one builder.
#[derive(Debug, Clone, Copy)]
pub struct PathNumber(Option<u32>);

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
        self.intake.number(path).map(PathNumber)
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
        match self.intake.numbered(user, path.0, day, kind, amount) {
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
        let Intake {
            plan,
            paths,
            mut summary,
        } = self.intake;
        let mut units = Units::new(&self.ctx)?;
        units.refresh(&paths, plan.params().combinations.levels())?;
        let shared = Shared {
            plan: &plan,
            units: &units,
            members,
        };
        let (interactions, assignments) = (&self.interactions, &self.assignments);
        let tasks: Vec<usize> = (0..BUCKETS)
            .filter(|bucket| !interactions.is_empty(*bucket) || !assignments.is_empty(*bucket))
            .collect();
        Runner::new(&self.ctx)?.run(
            shared,
            tasks.len(),
            |task, slot| {
                let mut of_task = std::mem::take(&mut slot.interactions);
                let mut assigned = std::mem::take(&mut slot.assignments);
                let done = interactions
                    .gather(tasks[task], &mut of_task, &mut slot.memory)
                    .and_then(|()| assignments.gather(tasks[task], &mut assigned, &mut slot.memory))
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
    /// Bucket `i` ends before user `bounds[i]`; the last is open.
    Ranges {
        bounds: Vec<i64>,
        _reservation: Reservation,
    },
}

impl Spread {
    /// Ranges with about as many members each.
    fn ordered(ctx: &Context, members: &Members) -> Result<Self> {
        let reservation = ctx.reserve_for::<i64>(BUCKETS)?;
        let users = members.users_in(&(i64::MIN..=i64::MAX));
        let bounds = (1..BUCKETS).filter_map(|bucket| users.get(bucket * users.len() / BUCKETS).copied());
        Ok(Self::Ranges {
            bounds: bounds.collect(),
            _reservation: reservation,
        })
    }

    #[inline]
    fn bucket(&self, user: i64) -> usize {
        match self {
            Self::Hash => (fold(0, user as u64) >> (64 - BUCKET_BITS)) as usize,
            Self::Ranges { bounds, .. } => bounds.partition_point(|bound| *bound <= user),
        }
    }
}

/// Rows by bucket, in blocks that are never moved: growing neither copies nor needs twice the memory.
#[derive(Debug)]
struct Buckets<T> {
    /// The block being filled, per bucket.
    open: Vec<Vec<T>>,
    full: Vec<Vec<Vec<T>>>,
    reservation: Reservation,
}

impl<T: Row> Buckets<T> {
    fn new(ctx: &Context) -> Result<Self> {
        let reservation = ctx.reserve(BUCKETS * 2 * size_of::<Vec<T>>())?;
        Ok(Self {
            open: (0..BUCKETS).map(|_| Vec::new()).collect(),
            full: (0..BUCKETS).map(|_| Vec::new()).collect(),
            reservation,
        })
    }

    fn is_empty(&self, bucket: usize) -> bool {
        self.open[bucket].is_empty() && self.full[bucket].is_empty()
    }

    #[inline]
    fn push(&mut self, bucket: usize, row: T) -> Result<()> {
        let block = &mut self.open[bucket];
        if block.len() == block.capacity() {
            return self.push_new_block(bucket, row);
        }
        block.push(row);
        Ok(())
    }

    #[cold]
    fn push_new_block(&mut self, bucket: usize, row: T) -> Result<()> {
        let capacity = (self.open[bucket].capacity() * 2).clamp(FIRST_BLOCK, LAST_BLOCK);
        let mut block = Vec::new();
        grow_to(&mut block, capacity, &mut self.reservation)?;
        block.push(row);
        let filled = std::mem::replace(&mut self.open[bucket], block);
        if !filled.is_empty() {
            grow(&mut self.full[bucket], 1, &mut self.reservation)?;
            self.full[bucket].push(filled);
        }
        Ok(())
    }

    /// Copies a bucket's rows into `rows`, ordered by user.
    fn gather(&self, bucket: usize, rows: &mut Vec<T>, memory: &mut Reservation) -> Result<()> {
        let blocks = || self.full[bucket].iter().chain([&self.open[bucket]]);
        rows.clear();
        grow(rows, blocks().map(Vec::len).sum(), memory)?;
        for block in blocks() {
            rows.extend_from_slice(block);
        }
        // rows of one user need no order: the core sorts what has to be sorted
        rows.sort_unstable_by_key(Row::user);
        Ok(())
    }
}
