//! `empatia._train_table()`: reads the rows, looks for leaks, trains on what is left.

use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Duration;

use empatia_engine::classifier::{Trained, Training};
use empatia_engine::context::Context;
use empatia_engine::data::{Labels, Table, Values, MISSING};
use empatia_engine::error::EngineError;
use empatia_engine::leak::{LeakGuard, LeakReport};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::JsonB;
use serde_json::{json, Value};

use super::source::{hashed, read, Kind, Rows};
use crate::error::{Error, Result};
use crate::model::train_cube::with_alarm;
use crate::pg::json::Document;
use crate::pg::threads::{run_feeding, start_context, Limits};

/// A text column with more levels than this share of the rows, or of the students, and at least so many, names them.
const IDENTIFIER_SHARE: f64 = 0.5;
const IDENTIFIER_LEVELS: usize = 50;

/// A column that is not trained on, and why.
struct Ignored {
    column: String,
    reason: &'static str,
}

/// Trains a classifier on the rows of `query`: columns `features` as double precision or text by `kinds`, then target, group and
/// (integer) period. Rows without a target are left out. `classes` null: the values of the target, sorted.
///
/// `guard` null: no search for leaks. `time_budget` in seconds; null: none.
#[pg_extern(name = "_train_table", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // the SQL function's
fn train_table(
    query: &str,
    features: Vec<String>,
    kinds: Vec<String>,
    classes: Option<Vec<String>>,
    training: Document,
    guard: Option<Document>,
    of_target: Vec<String>,
    allowed: Vec<String>,
    time_budget: Option<f64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(encoded, Option<Vec<u8>>),
            name!(evaluation, Option<Vec<u8>>),
            name!(report, Option<JsonB>),
            name!(leaks, Option<JsonB>),
            name!(ignored, JsonB),
            name!(classes, Vec<String>),
            name!(features, Vec<String>),
            name!(rows, i64),
            name!(groups, i64),
            name!(fingerprint, String),
        ),
    >,
    ErrorReport,
> {
    let training = Training::from_json(training.0).map_err(Error::from)?;
    training.check().map_err(Error::from)?;
    let guard = guard.map(|guard| guard_of(guard.0)).transpose()?;
    let context = start_context(Limits::from_settings())?;
    let kinds: Vec<Kind> = kinds.iter().map(|kind| Kind::parse(kind)).collect::<Result<_>>()?;
    let rows = read(&context, query, &features, &kinds, 2, 1)?;
    let set = Set::new(&context, rows, classes)?;
    let budget = time_budget.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    let (n_rows, groups, fingerprint) = (set.labels.n_rows(), set.groups, set.fingerprint());
    let (ignored, found) = set.run(&context, &training, guard.as_ref(), &of_target, &allowed, budget)?;
    let ignored: Vec<Value> = ignored
        .iter()
        .map(|i| json!({"column": i.column, "reason": i.reason}))
        .collect();
    let (leaks, trained) = found;
    let report = serde_json::to_value(&trained.report).map_err(|e| Error::internal(e.to_string()))?;
    let leaks = leaks
        .map(|leaks| serde_json::to_value(leaks).map_err(|e| Error::internal(e.to_string())))
        .transpose()?;
    Ok(TableIterator::once((
        Some(trained.model.encode().map_err(Error::from)?),
        Some(trained.evaluation.encode().map_err(Error::from)?),
        Some(JsonB(report)),
        leaks.map(JsonB),
        JsonB(Value::Array(ignored)),
        trained.model.classes().to_vec(),
        trained
            .model
            .columns()
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        n_rows as i64,
        groups as i64,
        fingerprint,
    )))
}

/// Looks for leaks without training: what `train_table()` would leave out.
#[pg_extern(name = "_find_leaks", volatile, parallel_unsafe)]
fn find_leaks(
    query: &str,
    features: Vec<String>,
    kinds: Vec<String>,
    guard: Document,
    of_target: Vec<String>,
    allowed: Vec<String>,
) -> Result<JsonB, ErrorReport> {
    let guard = guard_of(guard.0)?;
    let context = start_context(Limits::from_settings())?;
    let kinds: Vec<Kind> = kinds.iter().map(|kind| Kind::parse(kind)).collect::<Result<_>>()?;
    let rows = read(&context, query, &features, &kinds, 2, 1)?;
    let set = Set::new(&context, rows, None)?;
    let report = run_feeding(
        &context,
        1,
        |_: &mut dyn FnMut(()) -> Result<(), EngineError>| {
            context.run(|| guard.look(&context, &set.table, &set.labels, &of_target, &allowed))
        },
        |()| Ok(()),
    )?;
    Ok(JsonB(
        serde_json::to_value(report).map_err(|e| Error::internal(e.to_string()))?,
    ))
}

fn guard_of(value: Value) -> Result<LeakGuard> {
    serde_json::from_value(value).map_err(|e| {
        Error::invalid_parameter(
            "leak_guard",
            "an object with limit, max_rows, max_pairs or max_terms",
            e,
        )
    })
}

/// Rows with a target.
struct Set {
    table: Table,
    labels: Labels,
    classes: Vec<String>,
    groups: usize,
    _reservation: empatia_engine::context::Reservation,
}

/// The key by which the evaluation of a model of a table knows a student: that of the text of its key.
#[pg_extern(name = "_table_key", immutable, strict, parallel_safe)]
fn table_key(key: &str) -> i64 {
    hashed(key) as i64
}

impl Set {
    fn new(context: &Context, rows: Rows, classes: Option<Vec<String>>) -> Result<Self> {
        let Rows {
            table,
            mut texts,
            mut numbers,
            reservation,
            ..
        } = rows;
        let (Some(groups), Some(targets), Some(periods)) = (texts.pop(), texts.pop(), numbers.pop()) else {
            return Err(Error::internal("a query without target, group and period"));
        };
        let kept: Vec<u32> = (0..table.n_rows() as u32)
            .filter(|row| targets[*row as usize].is_some())
            .collect();
        let target = |row: &u32| targets[*row as usize].as_deref().unwrap_or_default();
        let classes = classes.unwrap_or_else(|| {
            let mut found: Vec<String> = kept.iter().map(|row| target(row).to_owned()).collect();
            found.sort_unstable();
            found.dedup();
            found
        });
        if classes.len() > MOST_CLASSES {
            return Err(Error::invalid_parameter(
                "target",
                format!("an expression of at most {MOST_CLASSES} values"),
                format!("one of {}", classes.len()),
            )
            .hint("Say a condition, such as grade < 5."));
        }
        let place: std::collections::HashMap<&str, u32> = classes
            .iter()
            .enumerate()
            .map(|(at, class)| (class.as_str(), at as u32))
            .collect();
        let of_row = |row: &u32| {
            place.get(target(row)).copied().ok_or_else(|| {
                Error::invalid_parameter("target", format!("one of {}", classes.join(", ")), target(row))
            })
        };
        let of_rows: Vec<u32> = kept.iter().map(of_row).collect::<Result<_>>()?;
        if kept.is_empty() {
            return Err(Error::new(PgSqlErrorCode::ERRCODE_NO_DATA_FOUND, "no row has a target"));
        }
        let keys: Vec<u64> = kept
            .iter()
            .map(|row| groups[*row as usize].as_deref().map_or(u64::from(*row), hashed))
            .collect();
        let mut distinct = keys.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let mut labels = Labels::unweighted(of_rows, classes.len().max(2))?.with_groups(keys)?;
        let known: Option<Vec<i32>> = kept.iter().map(|row| periods[*row as usize]).collect();
        if let Some(known) = known {
            labels = labels.with_periods(known)?;
        }
        let table = if kept.len() == table.n_rows() {
            table
        } else {
            table.select(context, &kept)?
        };
        let mut classes = classes;
        while classes.len() < 2 {
            // refused further on, with a reason
            classes.push(format!("not {}", classes.first().cloned().unwrap_or_default()));
        }
        Ok(Self {
            table,
            labels,
            classes,
            groups: distinct.len(),
            _reservation: reservation,
        })
    }

    /// md5-like only in its use: the same rows have the same.
    fn fingerprint(&self) -> String {
        let mut hash = 0u64;
        let mut mix = |value: u64| hash = (hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
        for column in self.table.columns() {
            mix(hashed(&column.name));
            match &column.values {
                Values::Numeric(values) => values.iter().for_each(|x| mix(x.to_bits())),
                Values::Category { levels, codes } => {
                    let of_level: Vec<u64> = levels.iter().map(|level| hashed(level)).collect();
                    codes
                        .iter()
                        .for_each(|code| mix(of_level.get(*code as usize).copied().unwrap_or(0)));
                }
            }
        }
        self.labels.targets().iter().for_each(|target| mix(u64::from(*target)));
        format!("{hash:016x}")
    }

    /// The columns that cannot help.
    fn useless(&self) -> Vec<Ignored> {
        let columns = self.table.columns().iter();
        columns
            .filter_map(|column| {
                reason(&column.values, self.groups).map(|reason| Ignored {
                    column: column.name.clone(),
                    reason,
                })
            })
            .collect()
    }

    #[allow(clippy::type_complexity)] // what was left out, what gives the target away, and the model
    fn run(
        self,
        context: &Context,
        training: &Training,
        guard: Option<&LeakGuard>,
        of_target: &[String],
        allowed: &[String],
        budget: Option<Duration>,
    ) -> Result<(Vec<Ignored>, (Option<LeakReport>, Trained))> {
        let ignored = self.useless();
        let useful = |name: &String| !ignored.iter().any(|i| i.column == *name);
        let table = without(&self.table, useful)?;
        let flag = budget.map(|_| Arc::new(AtomicBool::new(false)));
        let (alarm, time_up) = (budget.zip(flag.clone()), flag);
        let found = run_feeding(
            context,
            1,
            |_: &mut dyn FnMut(()) -> Result<(), EngineError>| {
                let leaks = guard
                    .map(|guard| context.run(|| guard.look(context, &table, &self.labels, of_target, allowed)))
                    .transpose()?;
                let kept = match &leaks {
                    Some(leaks) => engine_without(&table, |name| !leaks.excluded.contains(name))?,
                    None => engine_without(&table, |name| allowed.contains(name) || !of_target.contains(name))?,
                };
                let trained = with_alarm(alarm, || {
                    context.run(|| training.train(context, &kept, &self.labels, &self.classes, time_up))
                })?;
                Ok((leaks, trained))
            },
            |()| Ok(()),
        )?;
        Ok((ignored, found))
    }
}

/// Most classes that a target may have before it is taken for a mistake.
const MOST_CLASSES: usize = 100;

/// Why a column cannot help, if so.
fn reason(values: &Values, groups: usize) -> Option<&'static str> {
    match values {
        Values::Numeric(values) => {
            let mut known = values.iter().filter(|x| !x.is_nan());
            match known.next() {
                None => Some("no row has a value"),
                Some(first) if known.all(|x| x == first) && values.iter().all(|x| !x.is_nan()) => {
                    Some("one value in all rows")
                }
                Some(_) => None,
            }
        }
        Values::Category { levels, codes } => {
            let known = codes.iter().filter(|code| **code != MISSING).count();
            let mut present = vec![false; levels.len()];
            codes
                .iter()
                .filter(|code| **code != MISSING)
                .for_each(|code| present[*code as usize] = true);
            match present.into_iter().filter(|present| *present).count() {
                0 => Some("no row has a value"),
                1 if known == codes.len() => Some("one value in all rows"),
                distinct
                    if distinct >= IDENTIFIER_LEVELS
                        && distinct as f64 > IDENTIFIER_SHARE * known.min(groups) as f64 =>
                {
                    Some("an identifier: most rows or students have a value of their own")
                }
                _ => None,
            }
        }
    }
}

fn engine_without(table: &Table, keep: impl Fn(&String) -> bool) -> Result<Table, EngineError> {
    Table::new(
        table
            .columns()
            .iter()
            .filter(|column| keep(&column.name))
            .cloned()
            .collect(),
    )
}

fn without(table: &Table, keep: impl Fn(&String) -> bool) -> Result<Table> {
    match engine_without(table, keep) {
        Ok(table) => Ok(table),
        Err(_) => Err(Error::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            "no column has more than one value",
        )),
    }
}
