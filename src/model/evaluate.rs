//! What a classifier's stored out-of-fold predictions say, as rows.

use std::collections::HashMap;

use empatia_engine::classifier::{Evaluation, Share};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::pg::threads::run_interruptible;

fn decoded(bytes: &[u8]) -> Result<Evaluation> {
    Ok(Evaluation::decode(bytes)?)
}

/// The class asked for; null: the positive one.
fn class_of(evaluation: &Evaluation, class: Option<&str>) -> Result<u32> {
    let classes = evaluation.classes();
    match class {
        None => Ok(evaluation.positive()),
        Some(name) => {
            let known: Vec<&str> = classes.iter().map(String::as_str).collect();
            let position = classes.iter().position(|class| class == name);
            position
                .map(|class| class as u32)
                .ok_or_else(|| Error::unknown_name("class", name, &known))
        }
    }
}

/// Rows of each class by the class that they were predicted to be of.
#[pg_extern(name = "_confusion", immutable, parallel_safe)]
#[allow(clippy::type_complexity)]
fn confusion(
    evaluation: &[u8],
) -> Result<TableIterator<'static, (name!(actual, String), name!(predicted, String), name!(rows, f64))>, ErrorReport> {
    let evaluation = decoded(evaluation)?;
    let name = |class: u32| evaluation.classes()[class as usize].clone();
    let rows = evaluation.confusion().map_err(Error::from)?;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (name(row.actual), name(row.predicted), row.weight))
        .collect();
    Ok(TableIterator::new(rows))
}

/// Points of the ROC curve of a class against the others.
#[pg_extern(name = "_roc_curve", stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn roc_curve(
    evaluation: &[u8],
    class: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(threshold, f64),
            name!(false_positive_rate, f64),
            name!(true_positive_rate, f64),
        ),
    >,
    ErrorReport,
> {
    let evaluation = decoded(evaluation)?;
    let class = class_of(&evaluation, class)?;
    let points = run_interruptible(move |ctx| evaluation.roc(ctx, class))?;
    let rows = points
        .into_iter()
        .map(|p| (p.threshold, p.false_positive_rate, p.true_positive_rate));
    Ok(TableIterator::new(rows))
}

/// Points of the precision-recall curve of a class against the others.
#[pg_extern(name = "_pr_curve", stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn pr_curve(
    evaluation: &[u8],
    class: Option<&str>,
) -> Result<TableIterator<'static, (name!(threshold, f64), name!(recall, f64), name!(precision, f64))>, ErrorReport> {
    let evaluation = decoded(evaluation)?;
    let class = class_of(&evaluation, class)?;
    let points = run_interruptible(move |ctx| evaluation.pr(ctx, class))?;
    let rows = points.into_iter().map(|p| (p.threshold, p.recall, p.precision));
    Ok(TableIterator::new(rows))
}

/// Predicted probability of a class against its observed share.
#[pg_extern(name = "_calibration", stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn calibration(
    evaluation: &[u8],
    class: Option<&str>,
    bins: Option<i32>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(bin, i32),
            name!(rows, f64),
            name!(mean_probability, f64),
            name!(observed_share, f64),
            name!(low, f64),
            name!(high, f64),
        ),
    >,
    ErrorReport,
> {
    let evaluation = decoded(evaluation)?;
    let class = class_of(&evaluation, class)?;
    let bins = bins.unwrap_or(10);
    let wanted = usize::try_from(bins).map_err(|_| Error::invalid_parameter("bins", "between 1 and 1000", bins))?;
    let found = run_interruptible(move |ctx| evaluation.calibration(ctx, class, wanted))?;
    let numbered = (1..).zip(found);
    let rows = numbered.map(|(bin, row)| (bin, row.weight, row.predicted, row.observed, row.low, row.high));
    Ok(TableIterator::new(rows))
}

/// Recall, precision and selection rate of the positive class per group of students: the one that the evaluation knows as `students[i]` is
/// in `groups[i]`, null being no group of its own.
#[pg_extern(name = "_fairness", stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn fairness(
    evaluation: &[u8],
    students: Vec<i64>,
    groups: Vec<Option<String>>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(attribute_value, String),
            name!(students, i64),
            name!(rows, f64),
            name!(recall, Option<f64>),
            name!(recall_low, Option<f64>),
            name!(recall_high, Option<f64>),
            name!(precision, Option<f64>),
            name!(precision_low, Option<f64>),
            name!(precision_high, Option<f64>),
            name!(selection_rate, Option<f64>),
            name!(selection_low, Option<f64>),
            name!(selection_high, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let evaluation = decoded(evaluation)?;
    let group_of: HashMap<u64, String> = students
        .into_iter()
        .zip(groups)
        .filter_map(|(student, group)| Some((student as u64, group?)))
        .collect();
    let found = evaluation.by_group(&group_of).map_err(Error::from)?;
    let rows: Vec<_> = found
        .into_iter()
        .map(|group| {
            let (recall, recall_low, recall_high) = parts(group.recall);
            let (precision, precision_low, precision_high) = parts(group.precision);
            let (selection, selection_low, selection_high) = parts(group.selection_rate);
            (
                group.group,
                group.students as i64,
                group.weight,
                recall,
                recall_low,
                recall_high,
                precision,
                precision_low,
                precision_high,
                selection,
                selection_low,
                selection_high,
            )
        })
        .collect();
    Ok(TableIterator::new(rows))
}

fn parts(share: Option<Share>) -> (Option<f64>, Option<f64>, Option<f64>) {
    match share {
        Some(share) => (Some(share.value), Some(share.interval.low), Some(share.interval.high)),
        None => (None, None, None),
    }
}

/// How much lower the log loss of an evaluation is than that of another one of the same students' rows, or, with none, than that of
/// always saying the shares of the classes; and its standard error, students taken as a whole.
#[pg_extern(name = "_compare_evaluations", stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn compare_evaluations(
    evaluation: &[u8],
    other: Option<&[u8]>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(comparable, bool),
            name!(difference, Option<f64>),
            name!(standard_error, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let evaluation = decoded(evaluation)?;
    let other = other.map(decoded).transpose()?;
    let found = run_interruptible(move |ctx| evaluation.gain_over(ctx, other.as_ref()))?;
    Ok(TableIterator::once((
        found.is_some(),
        found.map(|gain| gain.value),
        found.map(|gain| gain.standard_error),
    )))
}
