//! All cells of a client from one reading of the facts, into parts that may hold rows already.
//!
//! The backend's thread reads the facts into the engine, then the engine computes on threads of its own while the
//! backend's thread writes what is done already: writing takes longest, so computing costs next to no time.
//! Facts that do not fit into `empatia.memory_limit` wait in a temporary file, packed and by ranges of users, until the
//! turn of their students comes: they are read from their tables once, however many there are.

use std::time::{Duration, Instant};

use empatia_engine::calendar::Grain;
use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{CubeBatch, CubeBuilder, CubePlan, Level};
use empatia_engine::error::EngineError;
use pgrx::prelude::*;

use super::chunks::{capacity, Chunks, QUEUED};
use super::diff::{Differ, Target};
use super::facts::{read_facts, Stopped, Whose};
use super::left_out::LeftOut;
use super::spill::Spill;
use super::structure::Structure;
use crate::error::Result;
use crate::pg::append::BUILD_BYTES;
use crate::pg::freed_later::FreedLater;
use crate::pg::memory::{give_back, with_maintenance_memory};
use crate::pg::threads::run_feeding;

/// Part of the budget that facts leave for computing cells.
const COMPUTING_SHARE: usize = 3;
/// Part of the budget that building indexes may take.
const INDEXING_SHARE: usize = 2;

/// One pass: what it works with and what it did so far.
pub(super) struct Pass<'a> {
    context: &'a Context,
    structure: &'a Structure,
    plan: CubePlan,
    pub targets: Vec<Target>,
    /// Position in `targets` of each combination.
    target_of: [[usize; 7]; 5],
    pub left_out: LeftOut,
    differ: Differ,
    chunk: usize,
    /// Of the indexes that are built.
    _indexes: Reservation,
    spill: Spill,
    spilled: (usize, i64),
    reading: Duration,
    waiting: Duration,
    writing: Duration,
    indexing: Duration,
}

impl<'a> Pass<'a> {
    /// # Errors
    /// `Memory` when not even the buffers fit.
    pub fn new(
        context: &'a Context,
        structure: &'a Structure,
        plan: CubePlan,
        targets: Vec<Target>,
    ) -> Result<Self, EngineError> {
        let chunk = capacity(context, targets.len());
        let mut target_of = [[usize::MAX; 7]; 5];
        for (position, target) in targets.iter().enumerate() {
            target_of[target.level.index()][target.grain.index()] = position;
        }
        let targets_appended = targets.iter().filter(|target| target.is_appended()).count();
        Ok(Self {
            context,
            structure,
            plan,
            targets,
            target_of,
            left_out: LeftOut::default(),
            differ: Differ::new(context, chunk)?,
            chunk,
            _indexes: context.reserve(targets_appended * BUILD_BYTES)?,
            spill: Spill::default(),
            spilled: (0, 0),
            reading: Duration::ZERO,
            waiting: Duration::ZERO,
            writing: Duration::ZERO,
            indexing: Duration::ZERO,
        })
    }

    /// Builds all users, in ascending order, so that cells come in the order of the primary key.
    pub fn run(&mut self) -> Result<()> {
        let builder = self.read()?;
        self.write(builder)?;
        let began = Instant::now();
        for target in &mut self.targets {
            target.take(&self.structure.source, &mut self.differ, &[])?;
        }
        self.writing += began.elapsed();
        let began = Instant::now();
        // what the facts took is free, and sorting keys may take no more than they
        give_back();
        with_maintenance_memory(self.context.budget() / INDEXING_SHARE, || {
            let mut grown = self.targets.iter_mut().filter(|target| target.counts.inserted > 0);
            grown.try_for_each(|target| target.finish(&self.structure.source))
        })?;
        self.indexing = began.elapsed();
        self.log();
        Ok(())
    }

    fn read(&mut self) -> Result<FreedLater<CubeBuilder>> {
        let began = Instant::now();
        let (builder, left_out) = self.try_read().map_err(|stopped| match stopped {
            Stopped::Full(error) => error.into(),
            Stopped::Failed(error) => error,
        })?;
        self.left_out.add(left_out);
        self.reading += began.elapsed();
        Ok(builder)
    }

    fn try_read(&mut self) -> Result<(FreedLater<CubeBuilder>, LeftOut), Stopped> {
        // kept free while the facts are read, given back for computing
        let _computing = self.context.reserve(self.context.budget() / COMPUTING_SHARE)?;
        let builder = CubeBuilder::ordered(self.context, self.plan.clone(), &self.structure.members)?;
        let mut builder = FreedLater::new(builder);
        let params = self.plan.params();
        let left_out = read_facts(
            self.structure,
            &Whose::Everybody,
            params,
            &mut builder,
            Some(&mut self.spill),
            |_| Ok(()),
            |_, _| (),
        )?;
        Ok((builder, left_out))
    }

    fn write(&mut self, builder: FreedLater<CubeBuilder>) -> Result<()> {
        let began = Instant::now();
        let (context, structure, chunk) = (self.context, self.structure, self.chunk);
        let (targets, target_of, differ) = (&mut self.targets, &self.target_of, &mut self.differ);
        let count = targets.len();
        let mut writing = Duration::ZERO;
        let back = self.spill.reader()?;
        let summary = run_feeding(
            context,
            QUEUED,
            |send| {
                let mut chunks = Chunks::new(context, count, chunk, &structure.units)?;
                let take = |batch: CubeBatch<'_>| chunks.take(batch, &mut *send);
                let summary = builder.finish_with(&structure.members, &back, take)?;
                chunks.finish(send)?;
                Ok::<_, EngineError>(summary)
            },
            |chunk| {
                let began = Instant::now();
                let (level, grain): (Level, Grain) = (chunk.level, chunk.grain);
                if let Some(target) = targets.get_mut(target_of[level.index()][grain.index()]) {
                    target.take(&structure.source, differ, &chunk.cells)?;
                }
                writing += began.elapsed();
                Ok(())
            },
        )?;
        builder.free();
        self.left_out.no_space += summary.interactions.no_unit + summary.assignments.no_unit;
        self.left_out.not_student += summary.interactions.not_member;
        self.spilled = self.spill.size();
        std::mem::take(&mut self.spill).close();
        self.writing += writing;
        self.waiting += began.elapsed().saturating_sub(writing);
        Ok(())
    }

    fn log(&self) {
        let inserted: u64 = self.targets.iter().map(|target| target.counts.inserted).sum();
        let deleted: u64 = self.targets.iter().map(|target| target.counts.deleted).sum();
        let appended = self.targets.iter().filter(|target| target.is_appended()).count();
        debug1!(
            "cube of client {}: {inserted} cells, {deleted} rows gone, {appended} of {} combinations appended; {} bytes of facts set aside in {} round(s), read {:.3} s, \
             wrote {:.3} s, indexed {:.3} s, waited for cells {:.3} s",
            self.structure.source.client_id,
            self.targets.len(),
            self.spilled.1,
            self.spilled.0,
            (self.reading + self.structure.reading).as_secs_f64(),
            self.writing.as_secs_f64(),
            self.indexing.as_secs_f64(),
            self.waiting.as_secs_f64()
        );
    }
}
