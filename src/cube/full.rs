//! All cells of a client from one reading of the facts, into parts that may hold rows already.
//!
//! The backend's thread reads the facts into the engine, then the engine computes on threads of its own while the
//! backend's thread writes what is done already: writing takes longest, so computing costs next to no time.
//! Facts that do not fit into `empatia.memory_limit` are taken in parts, by ranges of users: all cells of a student
//! come from that student's facts, so a part is as good as the whole.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use empatia_engine::calendar::Grain;
use empatia_engine::context::Context;
use empatia_engine::cube::{CubeBuilder, CubePlan, Level};
use empatia_engine::error::EngineError;
use pgrx::prelude::*;

use super::chunks::{capacity, Chunks, QUEUED};
use super::diff::{Differ, Target};
use super::facts::{read_facts, Stopped, Whose};
use super::left_out::LeftOut;
use super::structure::Structure;
use crate::error::Result;
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
    parts: usize,
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
        Ok(Self {
            context,
            structure,
            plan,
            targets,
            target_of,
            left_out: LeftOut::default(),
            differ: Differ::new(context, chunk)?,
            chunk,
            parts: 0,
            reading: Duration::ZERO,
            waiting: Duration::ZERO,
            writing: Duration::ZERO,
            indexing: Duration::ZERO,
        })
    }

    /// Builds all users in as few parts as the budget allows; parts in ascending order of users, so that cells come in
    /// the order of the primary key.
    pub fn run(&mut self) -> Result<()> {
        let mut pending = vec![i64::MIN..=i64::MAX];
        while let Some(users) = pending.pop() {
            match self.read(&users) {
                Ok(builder) => self.write(builder)?,
                Err(Stopped::Failed(error)) => return Err(error),
                Err(Stopped::Full(error)) => {
                    let (first, second) = self.halve(&users).ok_or(error)?;
                    pending.push(second);
                    pending.push(first);
                }
            }
        }
        let began = Instant::now();
        for target in &mut self.targets {
            target.take(&self.structure.source, &mut self.differ, &[])?;
        }
        self.writing += began.elapsed();
        let began = Instant::now();
        // what the facts took is free, and sorting keys may take no more than they
        give_back();
        with_maintenance_memory(self.context.budget() / INDEXING_SHARE, || {
            let mut grown = self.targets.iter().filter(|target| target.counts.inserted > 0);
            grown.try_for_each(|target| target.finish(&self.structure.source))
        })?;
        self.indexing = began.elapsed();
        self.log();
        Ok(())
    }

    fn read(&mut self, users: &RangeInclusive<i64>) -> Result<CubeBuilder, Stopped> {
        let began = Instant::now();
        let read = self.try_read(users);
        self.reading += began.elapsed();
        let (builder, left_out) = read?;
        self.left_out.add(left_out);
        self.parts += 1;
        Ok(builder)
    }

    fn try_read(&self, users: &RangeInclusive<i64>) -> Result<(CubeBuilder, LeftOut), Stopped> {
        // kept free while the facts are read, given back for computing
        let _computing = self.context.reserve(self.context.budget() / COMPUTING_SHARE)?;
        let mut builder = CubeBuilder::ordered(self.context, self.plan.clone(), &self.structure.members)?;
        let params = self.plan.params();
        let left_out = read_facts(
            self.structure,
            &Whose::Users(users.clone()),
            params,
            &mut builder,
            |_| Ok(()),
            |_, _| (),
        )?;
        Ok((builder, left_out))
    }

    fn write(&mut self, builder: CubeBuilder) -> Result<()> {
        let began = Instant::now();
        let (context, structure, chunk) = (self.context, self.structure, self.chunk);
        let (targets, target_of, differ) = (&mut self.targets, &self.target_of, &mut self.differ);
        let count = targets.len();
        let mut writing = Duration::ZERO;
        let summary = run_feeding(
            context,
            QUEUED,
            |send| {
                let mut chunks = Chunks::new(context, count, chunk, &structure.units)?;
                let summary = builder.finish(&structure.members, |batch| chunks.take(batch, &mut *send))?;
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
        self.left_out.no_space += summary.interactions.no_unit + summary.assignments.no_unit;
        self.left_out.not_student += summary.interactions.not_member;
        self.writing += writing;
        self.waiting += began.elapsed().saturating_sub(writing);
        Ok(())
    }

    /// Two ranges with half of the members each; none where there are fewer than two.
    fn halve(&self, users: &RangeInclusive<i64>) -> Option<(RangeInclusive<i64>, RangeInclusive<i64>)> {
        let members = self.structure.members.users_in(users);
        let middle = *members.get(members.len() / 2).filter(|_| members.len() > 1)?;
        Some((*users.start()..=middle - 1, middle..=*users.end()))
    }

    fn log(&self) {
        let inserted: u64 = self.targets.iter().map(|target| target.counts.inserted).sum();
        let deleted: u64 = self.targets.iter().map(|target| target.counts.deleted).sum();
        let appended = self.targets.iter().filter(|target| target.is_appended()).count();
        debug1!(
            "cube of client {}: {inserted} cells, {deleted} rows gone, {appended} of {} combinations appended; {} part(s), read {:.3} s, \
             wrote {:.3} s, indexed {:.3} s, waited for cells {:.3} s",
            self.structure.source.client_id,
            self.targets.len(),
            self.parts,
            (self.reading + self.structure.reading).as_secs_f64(),
            self.writing.as_secs_f64(),
            self.indexing.as_secs_f64(),
            self.waiting.as_secs_f64()
        );
    }
}
