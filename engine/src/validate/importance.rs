//! Permutation importance: what a score loses when a column no longer belongs to its row (Breiman 2001; Fisher, Rudin &
//! Dominici 2019).

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Metric;
use crate::context::Context;
use crate::data::{labels, Labels, Table};
use crate::error::{EngineError, Result};
use crate::metrics::Predictions;
use crate::random::{shuffle, uniform};

/// What a raw column is worth to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    pub name: String,
    /// Mean loss of score over the repeats, in the metric's unit; positive: the column helps.
    pub mean: f64,
    /// Sample standard deviation over the repeats; 0 with one.
    pub sd: f64,
}

/// Importance of every column of `table` for `predict`, measured on these rows, which the model must not have seen.
///
/// Each repeat gives every row the value of another: a permutation where all weights are equal, else a draw by weight (a row
/// that stands for many cannot be permuted as one). Deterministic for a seed. `None` where the score is not
/// defined on these rows.
///
/// # Errors
/// [`EngineError::InvalidParameter`] unless there is a repeat, [`EngineError::Dimension`], [`EngineError::Cancelled`],
/// [`EngineError::Memory`], and those of `predict`.
pub fn permutation_importance(
    ctx: &Context,
    table: &Table,
    labels: &Labels,
    metric: Metric,
    repeats: usize,
    seed: u64,
    predict: impl Fn(&Table) -> Result<Vec<f64>>,
) -> Result<Option<Vec<Importance>>> {
    let all: Vec<usize> = (0..table.columns().len()).collect();
    permutation_importance_of(ctx, table, &all, labels, metric, repeats, seed, predict)
}

/// As [`permutation_importance`], of the columns at positions `columns` alone.
///
/// # Errors
/// As [`permutation_importance`]; [`EngineError::InvalidParameter`] for a position out of range.
#[allow(clippy::too_many_arguments)]
pub(crate) fn permutation_importance_of(
    ctx: &Context,
    table: &Table,
    columns: &[usize],
    labels: &Labels,
    metric: Metric,
    repeats: usize,
    seed: u64,
    predict: impl Fn(&Table) -> Result<Vec<f64>>,
) -> Result<Option<Vec<Importance>>> {
    if !(1..=1_000).contains(&repeats) {
        return Err(EngineError::invalid("repeats", "between 1 and 1000", repeats));
    }
    labels::same("labels", table.n_rows(), labels.n_rows())?;
    let score = |table: &Table| {
        let probabilities = predict(table)?;
        let predictions = Predictions::new(&probabilities, labels.n_classes(), labels.targets(), labels.weights())?;
        metric.of(ctx, &predictions)
    };
    let Some(base) = score(table)? else {
        return Ok(None);
    };
    let _copy = ctx.reserve_for::<f64>(table.n_rows().saturating_mul(table.columns().len() + 1))?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut importances = Vec::with_capacity(columns.len());
    for index in columns.iter().copied() {
        let Some(column) = table.columns().get(index) else {
            let expected = format!("less than {}", table.columns().len());
            return Err(EngineError::invalid("position of a column", expected, index));
        };
        let mut losses = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            ctx.check()?;
            let from = others(labels.weights(), &mut rng);
            let mixed = score(&table.with_values(index, column.values.gather(&from)))?;
            // The truth and the weights are the same: a score defined before is defined now
            let loss = metric.worth(Some(base)) - metric.worth(mixed);
            losses.push(loss);
        }
        let n = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / n;
        let squares: f64 = losses.iter().map(|x| (x - mean) * (x - mean)).sum();
        importances.push(Importance {
            name: column.name.clone(),
            mean,
            sd: if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 },
        });
    }
    Ok(Some(importances))
}

/// For each row, the row whose value it gets.
fn others(weights: &[f64], rng: &mut Xoshiro256PlusPlus) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..weights.len() as u32).collect();
    if weights.windows(2).all(|pair| pair[0] == pair[1]) {
        shuffle(rng, &mut rows);
        return rows;
    }
    let mut sum = 0.0;
    let sums: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight;
            sum
        })
        .collect();
    let draw = |_| {
        let drawn = uniform(rng) * sum;
        sums.partition_point(|below| *below <= drawn).min(weights.len() - 1) as u32
    };
    rows.into_iter().map(draw).collect()
}
