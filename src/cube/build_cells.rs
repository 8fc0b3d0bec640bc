//! `empatia._build_cells()`: any number of combinations of a client brought up to date, whole ones from one reading of all
//! facts, the others from the facts of those students and periods that changed.

use std::collections::BTreeMap;

use empatia_engine::calendar::{DateRange, FirstDayOfWeek, Grain};
use empatia_engine::cube::{Basis, Combinations, CubeParams, CubePlan, Level};
use empatia_engine::error::EngineError;
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::changed::Changed;
use super::diff::{Counts, Target};
use super::full::Pass;
use super::left_out::LeftOut;
use super::refresh::{Refresh, Stale};
use super::structure::{Source, Structure};
use crate::error::{Error, Result};
use crate::pg::threads::{start_context, Limits};

/// Writing is one thread's work, and takes longer than computing on this many.
const MOST_THREADS: usize = 4;

/// Brings the combinations `levels[i]` x `grains[i]` of client `client_id` up to date in their partitions of the cube in
/// schema `results`: only rows that are new, gone or different are written. `since[i]` is the last change that the part
/// contains, null for a part that is to be computed whole. The keys of up to `changed_limits[i]` changed rows go to
/// `pg_temp._changed`, which has to exist where that is not 0; beyond it they are incomplete.
///
/// One row per combination, in the order given: rows inserted and deleted (a changed row is both), all its rows where it
/// was computed whole, and how many facts of the client were left out, if any part was.
#[pg_extern(name = "_build_cells", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // the SQL function's
fn build_cells(
    client_id: i32,
    dw: &str,
    results: &str,
    levels: Vec<String>,
    grains: Vec<String>,
    since: Vec<Option<i64>>,
    changed_limits: Vec<i64>,
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
            name!(inserted_rows, i64),
            name!(deleted_rows, i64),
            name!(all_rows, Option<i64>),
            name!(hang_on_no_space, Option<i64>),
            name!(not_student, Option<i64>),
            name!(outside_range, Option<i64>),
        ),
    >,
    ErrorReport,
> {
    let asked = combinations(&levels, &grains)?;
    for (name, found) in [
        ("number of changes", since.len()),
        ("number of limits", changed_limits.len()),
    ] {
        if found != asked.len() {
            return Err(Error::invalid_parameter(name, format!("that of levels, {}", asked.len()), found).into());
        }
    }
    let limits = Limits::from_settings();
    let context = start_context(Limits {
        threads: limits.threads.min(MOST_THREADS),
        ..limits
    })?;
    let structure = Structure::read(&context, Source::new(client_id, dw, results))?;
    let plan_of = |combinations: &[Combination]| -> Result<CubePlan> {
        Ok(params(combinations, date_from, date_to, first_day_of_week, basis)?.check(&context)?)
    };
    let limit_of = |of: Combination| {
        let position = asked.iter().position(|combination| *combination == of);
        let limit = position.and_then(|position| u64::try_from(changed_limits[position]).ok());
        Changed::new(limit.unwrap_or(0))
    };
    let mut groups: BTreeMap<Option<i64>, Vec<Combination>> = BTreeMap::new();
    for (combination, since) in asked.iter().zip(since) {
        groups.entry(since).or_default().push(*combination);
    }
    let mut done: Vec<(Combination, Counts)> = Vec::new();
    let mut left_out = None;
    for (since, of_group) in groups {
        let plan = plan_of(&of_group)?;
        let Some(since) = since else {
            let targets = of_group
                .iter()
                .map(|(level, grain)| Target::new(&structure.source, *level, *grain, limit_of((*level, *grain))));
            let targets = targets.collect::<Result<Vec<_>>>()?;
            let mut pass = Pass::new(&context, &structure, plan, targets).map_err(Error::from)?;
            pass.run()?;
            left_out = Some(pass.left_out);
            done.extend(
                pass.targets
                    .iter()
                    .map(|target| ((target.level, target.grain), target.counts)),
            );
            continue;
        };
        let parts = of_group.iter().map(|(level, grain)| Stale {
            level: *level,
            grain: *grain,
            counts: Counts::default(),
            changed: limit_of((*level, *grain)),
        });
        let mut refresh = Refresh::new(&context, &structure, plan, parts.collect(), since)?;
        refresh.run()?;
        done.extend(refresh.parts.iter().map(|part| ((part.level, part.grain), part.counts)));
    }
    let rows: Vec<_> = asked
        .iter()
        .filter_map(|asked| done.iter().find(|(combination, _)| combination == asked))
        .map(|((level, grain), counts)| {
            let of_all = |of: fn(&LeftOut) -> u64| left_out.as_ref().map(|left_out| of(left_out) as i64);
            (
                level.to_string(),
                grain.to_string(),
                counts.inserted as i64,
                counts.deleted as i64,
                counts.cells.map(|cells| cells as i64),
                of_all(|left_out| left_out.no_space),
                of_all(|left_out| left_out.not_student),
                of_all(|left_out| left_out.outside_range),
            )
        })
        .collect();
    Ok(TableIterator::new(rows))
}

fn params(asked: &[Combination], from: Date, to: Date, first_day_of_week: i32, basis: &str) -> Result<CubeParams> {
    Ok(CubeParams {
        range: DateRange::new(from.to_pg_epoch_days(), to.to_pg_epoch_days())?,
        first_day_of_week: u8::try_from(first_day_of_week)
            .map_err(|_| Error::invalid_parameter("first_day_of_week", "between 0 and 6", first_day_of_week))
            .and_then(|day| Ok(FirstDayOfWeek::new(day)?))?,
        basis: match basis {
            "universe" => Basis::Universe,
            "due" => Basis::Due,
            other => return Err(Error::unknown_name("assignment basis", other, &["universe", "due"])),
        },
        combinations: asked.iter().copied().collect(),
    })
}

type Combination = (Level, Grain);

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
