//! Rows by bucket: one bucket, one task or a few.

use super::facts::Row;
use super::memory::{grow, grow_to};
use super::set_aside::{write_rows, Kept, Run, Stored};
use super::tasks::Task;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Facts are spread over 2^12 buckets by their user.
pub(super) const BUCKET_BITS: u32 = 12;
pub(super) const BUCKETS: usize = 1 << BUCKET_BITS;
const FIRST_BLOCK: usize = 8;
const LAST_BLOCK: usize = 512;

/// Rows by bucket, in blocks that are never moved: growing neither copies nor needs twice the memory.
#[derive(Debug)]
pub(super) struct Buckets<T> {
    ctx: Context,
    /// The block being filled, per bucket.
    open: Vec<Vec<T>>,
    full: Vec<Vec<Vec<T>>>,
    /// Rows that were set aside, per bucket.
    aside: Vec<Vec<Run>>,
    /// Of the blocks.
    reservation: Reservation,
    /// Of what stays when rows are set aside.
    fixed: Reservation,
}

impl<T: Row + Stored> Buckets<T> {
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            ctx: ctx.clone(),
            open: (0..BUCKETS).map(|_| Vec::new()).collect(),
            full: (0..BUCKETS).map(|_| Vec::new()).collect(),
            aside: (0..BUCKETS).map(|_| Vec::new()).collect(),
            reservation: ctx.reserve(0)?,
            fixed: ctx.reserve(BUCKETS * 3 * size_of::<Vec<T>>())?,
        })
    }

    /// Rows of a bucket, wherever they are.
    pub fn len(&self, bucket: usize) -> usize {
        let aside: usize = self.aside[bucket].iter().map(|run| run.rows as usize).sum();
        aside + self.blocks(bucket).map(Vec::len).sum::<usize>()
    }

    fn blocks(&self, bucket: usize) -> impl Iterator<Item = &Vec<T>> {
        self.full[bucket].iter().chain([&self.open[bucket]])
    }

    #[inline]
    pub fn push(&mut self, bucket: usize, row: T) -> Result<()> {
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
        // both, or nothing: a row that was refused may come again once there is room
        if !self.open[bucket].is_empty() {
            grow(&mut self.full[bucket], 1, &mut self.reservation)?;
        }
        let mut block = Vec::new();
        grow_to(&mut block, capacity, &mut self.reservation)?;
        block.push(row);
        let filled = std::mem::replace(&mut self.open[bucket], block);
        if !filled.is_empty() {
            self.full[bucket].push(filled);
        }
        Ok(())
    }

    /// Writes all rows held and forgets them; `at` is where the next byte goes.
    pub fn set_aside<E: From<EngineError>>(
        &mut self,
        at: &mut u64,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut rows = 0;
        // what is freed bucket by bucket: where the rows are now needs some room
        self.reservation = self.ctx.reserve(0)?;
        for bucket in 0..BUCKETS {
            let mut blocks = std::mem::take(&mut self.full[bucket]);
            blocks.push(std::mem::take(&mut self.open[bucket]));
            let of_bucket: usize = blocks.iter().map(Vec::len).sum();
            if of_bucket == 0 {
                continue;
            }
            rows += of_bucket;
            let first = self.aside[bucket].len();
            write_rows(blocks.iter().flatten(), at, write, |run| {
                grow(&mut self.aside[bucket], 1, &mut self.fixed)?;
                self.aside[bucket].push(run);
                Ok(())
            })?;
            debug_assert!(self.aside[bucket].len() > first);
        }
        Ok(rows)
    }

    /// Copies a task's rows into `rows`, ordered by user.
    pub fn gather(&self, task: &Task, kept: &dyn Kept, rows: &mut Vec<T>, memory: &mut Reservation) -> Result<()> {
        rows.clear();
        grow(rows, task.expected(self.len(task.bucket)), memory)?;
        let mut keep = |row: T| {
            if task.users.contains(&row.user()) {
                grow(rows, 1, memory)?;
                rows.push(row);
            }
            Ok(())
        };
        for block in self.blocks(task.bucket) {
            block.iter().try_for_each(|row| keep(*row))?;
        }
        for run in &self.aside[task.bucket] {
            run.read(kept, &mut keep)?;
        }
        // rows of one user need no order: the core sorts what has to be sorted
        rows.sort_unstable_by_key(Row::user);
        Ok(())
    }
}
