//! `empatia._build_cells()`: every cell of a client, for any number of combinations, from one reading of the facts.
//!
//! The backend's thread reads the facts into the engine, then the engine computes on threads of its own while the
//! backend's thread writes what is done already: writing takes longest, so computing costs next to no time.
//! Facts that do not fit into `empatia.memory_limit` are taken in parts, by ranges of users: all cells of a student
//! come from that student's facts, so a part is as good as the whole.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use empatia_engine::calendar::{DateRange, FirstDayOfWeek};
use empatia_engine::context::Context;
use empatia_engine::cube::{Basis, Combinations, CubeBuilder, CubeParams, CubePlan, Members};
use empatia_engine::error::EngineError;
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::chunks::{Chunks, QUEUED};
use super::facts::{read_facts, Stopped};
use super::left_out::LeftOut;
use super::structure::{read_members, Kinds, Source, Units};
use super::write_cells::{partition, write_chunk};
use crate::error::{Error, Result};
use crate::pg::append::{build_indexes, lock_empty, Way};
use crate::pg::threads::{run_feeding, start_context, Limits};
use crate::pg::write::Relation;

/// Writing is one thread's work, and takes longer than computing on this many.
const MOST_THREADS: usize = 4;
/// Part of the budget that facts leave for computing cells.
const COMPUTING_SHARE: usize = 3;

/// Writes the cells of client `client_id` for the combinations `levels[i]` x `grains[i]` into their partitions of the
/// cube in schema `results`, where that client has none of them. One row per combination, in the order given; each
/// row repeats how many facts of the client were left out.
#[pg_extern(name = "_build_cells", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // the SQL function's
fn build_cells(
    client_id: i32,
    dw: &str,
    results: &str,
    levels: Vec<String>,
    grains: Vec<String>,
    date_from: Date,
    date_to: Date,
    first_day_of_week: i32,
    basis: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(level, String),
            name!(grain, String),
            name!(written_rows, i64),
            name!(hang_on_no_space, i64),
            name!(not_student, i64),
            name!(outside_range, i64),
        ),
    >,
    ErrorReport,
> {
    let asked = combinations(&levels, &grains)?;
    let params = CubeParams {
        range: DateRange::new(date_from.to_pg_epoch_days(), date_to.to_pg_epoch_days()).map_err(Error::from)?,
        first_day_of_week: u8::try_from(first_day_of_week)
            .map_err(|_| Error::invalid_parameter("first_day_of_week", "between 0 and 6", first_day_of_week))
            .and_then(|day| Ok(FirstDayOfWeek::new(day)?))?,
        basis: match basis {
            "universe" => Basis::Universe,
            "due" => Basis::Due,
            other => return Err(Error::unknown_name("assignment basis", other, &["universe", "due"]).into()),
        },
        combinations: asked.iter().copied().collect(),
    };
    let limits = Limits::from_settings();
    let context = start_context(Limits {
        threads: limits.threads.min(MOST_THREADS),
        ..limits
    })?;
    let mut pass = Pass::new(&context, Source::new(client_id, dw, results), params)?;
    pass.run(results)?;
    pass.log();
    let LeftOut {
        no_space,
        not_student,
        outside_range,
    } = pass.left_out;
    let written = pass.written;
    let rows: Vec<_> = asked
        .into_iter()
        .map(|(level, grain)| {
            (
                level.to_string(),
                grain.to_string(),
                written[level.index()][grain.index()] as i64,
                no_space as i64,
                not_student as i64,
                outside_range as i64,
            )
        })
        .collect();
    Ok(TableIterator::new(rows))
}

type Combination = (empatia_engine::cube::Level, empatia_engine::calendar::Grain);

fn combinations(levels: &[String], grains: &[String]) -> Result<Vec<Combination>> {
    if levels.len() != grains.len() {
        return Err(Error::invalid_parameter(
            "number of grains",
            format!("that of levels, {}", levels.len()),
            grains.len(),
        ));
    }
    let pairs = levels.iter().zip(grains);
    let asked = pairs
        .map(|(level, grain)| Ok((level.parse()?, grain.parse()?)))
        .collect::<Result<Vec<Combination>, EngineError>>()?;
    let mut seen = Combinations::none();
    for (level, grain) in &asked {
        if seen.contains(*level, *grain) {
            return Err(Error::invalid_parameter(
                "each combination",
                "named once",
                format!("{level} x {grain} again"),
            ));
        }
        seen = seen.with(*level, *grain);
    }
    Ok(asked)
}

/// One call: what it works with and what it did so far.
struct Pass<'a> {
    context: &'a Context,
    source: Source,
    plan: CubePlan,
    members: Members,
    units: Units,
    kinds: Kinds,
    left_out: LeftOut,
    written: [[u64; 7]; 5],
    ways: [[Way; 7]; 5],
    parts: usize,
    reading: Duration,
    indexing: Duration,
    waiting: Duration,
    writing: Duration,
}

impl<'a> Pass<'a> {
    fn new(context: &'a Context, source: Source, params: CubeParams) -> Result<Self> {
        let began = Instant::now();
        Ok(Self {
            context,
            plan: params.check(context)?,
            members: read_members(context, &source)?,
            units: Units::read(context, &source)?,
            kinds: Kinds::read(&source)?,
            source,
            left_out: LeftOut::default(),
            written: Default::default(),
            ways: [[Way::Copy; 7]; 5],
            parts: 0,
            reading: began.elapsed(),
            indexing: Duration::ZERO,
            waiting: Duration::ZERO,
            writing: Duration::ZERO,
        })
    }

    /// Builds all users in as few parts as the budget allows; parts in ascending order of users, so that the primary
    /// key's index of the cube grows at its end.
    fn run(&mut self, results: &str) -> Result<()> {
        self.choose_ways(results)?;
        let mut pending = vec![i64::MIN..=i64::MAX];
        while let Some(users) = pending.pop() {
            match self.read(&users) {
                Ok(builder) => self.write(builder, results)?,
                Err(Stopped::Failed(error)) => return Err(error),
                Err(Stopped::Full(error)) => {
                    let (first, second) = self.halve(&users).ok_or(error)?;
                    pending.push(second);
                    pending.push(first);
                }
            }
        }
        self.index(results)
    }

    fn parts_of(&self) -> Vec<Combination> {
        let combinations = self.plan.params().combinations;
        let levels = combinations.levels();
        levels
            .flat_map(|level| combinations.grains(level).map(move |grain| (level, grain)))
            .collect()
    }

    fn choose_ways(&mut self, results: &str) -> Result<()> {
        for (level, grain) in self.parts_of() {
            let table = partition(level, grain);
            let part = Relation::Named {
                schema: results,
                table: &table,
            };
            if lock_empty(part)? {
                self.ways[level.index()][grain.index()] = Way::Append;
            }
        }
        Ok(())
    }

    fn index(&mut self, results: &str) -> Result<()> {
        let began = Instant::now();
        for (level, grain) in self.parts_of() {
            if self.ways[level.index()][grain.index()] == Way::Append && self.written[level.index()][grain.index()] > 0
            {
                let table = partition(level, grain);
                build_indexes(Relation::Named {
                    schema: results,
                    table: &table,
                })?;
            }
        }
        self.indexing = began.elapsed();
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
        let full = |error: EngineError| match error {
            EngineError::Memory { .. } => Stopped::Full(error),
            other => Stopped::Failed(other.into()),
        };
        // kept free while the facts are read, given back for computing
        let _computing = self
            .context
            .reserve(self.context.budget() / COMPUTING_SHARE)
            .map_err(full)?;
        let mut builder = CubeBuilder::ordered(self.context, self.plan.clone(), &self.members).map_err(full)?;
        let range = self.plan.params().range;
        let left_out = read_facts(&self.source, users, range, &self.kinds, &self.members, &mut builder)?;
        Ok((builder, left_out))
    }

    fn write(&mut self, builder: CubeBuilder, results: &str) -> Result<()> {
        let began = Instant::now();
        let (context, units, members) = (self.context, &self.units, &self.members);
        let combinations = self.plan.params().combinations;
        let count = combinations
            .levels()
            .map(|level| combinations.grains(level).count())
            .sum();
        let (written, ways, client_id) = (&mut self.written, &self.ways, self.source.client_id);
        let mut writing = Duration::ZERO;
        let summary = run_feeding(
            context,
            QUEUED,
            |send| {
                let mut chunks = Chunks::new(context, count, units)?;
                let summary = builder.finish(members, |batch| chunks.take(batch, &mut *send))?;
                chunks.finish(send)?;
                Ok::<_, EngineError>(summary)
            },
            |chunk| {
                let began = Instant::now();
                let (level, grain) = (chunk.level.index(), chunk.grain.index());
                written[level][grain] += write_chunk(ways[level][grain], results, client_id, &chunk)?;
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
        let members = self.members.users_in(users);
        let middle = *members.get(members.len() / 2).filter(|_| members.len() > 1)?;
        Some((*users.start()..=middle - 1, middle..=*users.end()))
    }

    fn log(&self) {
        let rows: u64 = self.written.iter().flatten().sum();
        let appended = self.ways.iter().flatten().filter(|way| **way == Way::Append).count();
        debug1!(
            "cube of client {}: {rows} cells, {appended} of {} combinations appended; {} part(s), read {:.3} s, wrote {:.3} s, indexed {:.3} s, waited for cells {:.3} s",
            self.source.client_id,
            self.parts_of().len(),
            self.parts,
            self.reading.as_secs_f64(),
            self.writing.as_secs_f64(),
            self.indexing.as_secs_f64(),
            self.waiting.as_secs_f64()
        );
    }
}
