//! How many rounds boosting takes: those after which rows held out of the training rows, whole groups of them, are predicted best.

use rayon::prelude::*;

use crate::context::Context;
use crate::data::Labels;
use crate::error::{EngineError, Result};
use crate::tree::{BoostingValidParams, FeatureTable, TrainingSet};
use crate::validate::{Fold, Split};

/// Up to here several parts are held out one after the other; one part of many rows says enough.
const FEW_ROWS: usize = 20_000;
/// Parts that few rows are held out in.
const PARTS: usize = 4;
/// Share of the weight that is held out where the latest periods are.
const LATEST: f64 = 0.2;

/// The number of rounds with the lowest log-loss on held-out rows, averaged over the parts; `None` where nothing can be held out.
///
/// # Errors
/// [`EngineError::Memory`], [`EngineError::Cancelled`].
pub(super) fn choose(
    ctx: &Context,
    params: &BoostingValidParams,
    table: &FeatureTable,
    labels: &Labels,
    by_time: bool,
    seed: u64,
) -> Result<Option<usize>> {
    let parts = held_out(labels, by_time, seed)?;
    let losses = |fold: &Fold| losses(ctx, params, table, labels, fold);
    let together: Vec<Result<_>> = ctx.run(|| parts.par_iter().map(losses).collect());
    let all: Result<Vec<(Vec<f64>, f64)>> = match together.into_iter().collect() {
        // not for all at a time
        Err(EngineError::Memory { .. }) => parts.iter().map(losses).collect(),
        all => all,
    };
    let mut total: Vec<f64> = Vec::new();
    let mut last = 0.0;
    for (losses, test_weight) in all? {
        // A part that stopped early stays where it was when it stopped
        let ended = losses.last().copied().unwrap_or(0.0) * test_weight;
        if total.len() < losses.len() {
            total.resize(losses.len(), last);
        }
        for (round, sum) in total.iter_mut().enumerate() {
            *sum += losses.get(round).map_or(ended, |loss| loss * test_weight);
        }
        last += ended;
    }
    let lowest = total.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(total.iter().position(|loss| *loss == lowest).map(|round| round + 1))
}

/// The log-loss on the rows that `fold` holds out, round by round, and their weight.
fn losses(
    ctx: &Context,
    params: &BoostingValidParams,
    table: &FeatureTable,
    labels: &Labels,
    fold: &Fold,
) -> Result<(Vec<f64>, f64)> {
    ctx.check()?;
    let width = table.n_features().saturating_add(3);
    let _copies = ctx.reserve_for::<f64>(labels.n_rows().saturating_mul(width))?;
    let part = |rows: &[u32]| -> Result<(FeatureTable, Labels)> {
        let positions: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
        Ok((table.select(&positions)?, labels.select(rows)?))
    };
    let (train, test) = (part(&fold.train)?, part(&fold.test)?);
    let train = TrainingSet::new(&train.0, train.1.targets(), labels.n_classes(), train.1.weights())?;
    let test_weight: f64 = test.1.weights().iter().sum();
    let test = TrainingSet::new(&test.0, test.1.targets(), labels.n_classes(), test.1.weights())?;
    let losses = params.fit(ctx, &train, Some(&test))?.validation_loss;
    Ok((losses, test_weight))
}

/// What is held out, part by part.
fn held_out(labels: &Labels, by_time: bool, seed: u64) -> Result<Vec<Fold>> {
    if by_time {
        if let Some(fold) = latest(labels) {
            return Ok(vec![fold]);
        }
    }
    let many = labels.n_rows() > FEW_ROWS;
    let parts = if many { PARTS + 1 } else { PARTS };
    let groups = labels.groups().map_or(0, |groups| {
        let mut with_weight: Vec<u64> = groups
            .iter()
            .zip(labels.weights())
            .filter(|(_, w)| **w > 0.0)
            .map(|(g, _)| *g)
            .collect();
        with_weight.sort_unstable();
        with_weight.dedup();
        with_weight.len()
    });
    let mut ways = Vec::new();
    if groups >= 2 {
        ways.push(Split::Group {
            folds: parts.min(groups),
        });
    }
    ways.extend([Split::Stratified { folds: parts }, Split::Stratified { folds: 2 }]);
    for way in ways {
        match way.folds(labels, 1, seed) {
            Ok(folds) => {
                let kept = if many { 1 } else { folds.len() };
                return Ok(folds.iter().take(kept).cloned().collect());
            }
            Err(EngineError::Refusal(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Vec::new())
}

/// The latest periods that have a fifth of the weight, after periods that have every class.
fn latest(labels: &Labels) -> Option<Fold> {
    let periods = labels.periods()?;
    let total: f64 = labels.weights().iter().sum();
    let mut rows: Vec<u32> = (0..labels.n_rows() as u32).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(periods[*row as usize]));
    let mut weight = 0.0;
    let mut first = None;
    for same in rows.chunk_by(|a, b| periods[*a as usize] == periods[*b as usize]) {
        weight += same.iter().map(|row| labels.weights()[*row as usize]).sum::<f64>();
        first = Some(periods[same[0] as usize]);
        if weight >= LATEST * total {
            break;
        }
    }
    let first = first?;
    let (test, train): (Vec<u32>, Vec<u32>) =
        (0..labels.n_rows() as u32).partition(|row| periods[*row as usize] >= first);
    let trains_all = {
        let overall = labels.class_weights();
        let train = labels.select(&train).ok()?.class_weights();
        overall.iter().zip(&train).all(|(all, own)| *all == 0.0 || *own > 0.0)
    };
    (trains_all && !train.is_empty() && !test.is_empty() && weight > 0.0).then_some(Fold { train, test })
}
