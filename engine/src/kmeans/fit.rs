//! Fitting: canonical rows, starts, the best of them.

use rayon::prelude::*;

use super::blocks::{Blocks, LANES};
use super::init;
use super::lloyd::{self, Start, Stop};
use super::model::{KMeansModel, StartReport};
use super::params::{Init, KMeansValidParams};
use crate::context::Context;
use crate::data::WeightedRows;
use crate::error::{EngineError, Result};

/// A model together with the labels of the rows it was fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub model: KMeansModel,
    /// Cluster of each row as given to the fit, n, zero-weight rows included; what the model predicts for it.
    pub labels: Vec<u32>,
}

impl KMeansValidParams {
    /// Fits on `rows` (n x p, any order, repeats allowed).
    ///
    /// With no more distinct rows (of positive weight) than `k`, each distinct row is a cluster of its own, the
    /// inertia is 0 and [`KMeansModel::is_reduced`] says whether there are fewer clusters than asked for.
    ///
    /// # Errors
    /// [`EngineError::EmptyInput`] when no row has a positive weight, [`EngineError::Dimension`] when given
    /// centroids have another number of features, [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit_rows(&self, ctx: &Context, rows: &WeightedRows) -> Result<Fitted> {
        let distinct = rows.distinct(ctx)?;
        let _distinct = ctx.reserve_for::<f64>(distinct.values().len().saturating_add(distinct.n_rows()))?;
        let model = self.fit_distinct(ctx, &distinct)?;
        let labels = model.predict_rows(ctx, rows.values())?;
        Ok(Fitted { model, labels })
    }

    /// As [`KMeansValidParams::fit_rows`], on rows in canonical form ([`WeightedRows::distinct`]), without labels.
    pub(crate) fn fit_distinct(&self, ctx: &Context, rows: &WeightedRows) -> Result<KMeansModel> {
        let p = rows.n_features();
        if let Init::Precomputed(centroids) = self.init() {
            let found = centroids.ncols();
            if found != p {
                return Err(EngineError::Dimension {
                    what: "features of the initial centroids",
                    expected: p,
                    found,
                });
            }
        }
        if rows.n_rows() == 0 {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        if rows.n_rows() <= self.k() {
            return Ok(self.one_cluster_per_row(rows));
        }
        let blocks = Blocks::new(ctx, rows)?;
        let seeds = init::start_seeds(self.seed(), self.n_init());
        let first = match self.init() {
            Init::KMeansPlusPlus => init::plus_plus(ctx, &blocks, self.k(), 1, &seeds)?,
            Init::GreedyKMeansPlusPlus => {
                let trials = 2 + (self.k() as f64).ln() as usize;
                init::plus_plus(ctx, &blocks, self.k(), trials, &seeds)?
            }
            Init::Precomputed(centroids) => vec![centroids.iter().copied().collect()],
        };
        let stop = Stop {
            max_iter: self.max_iter(),
            shift: self.tolerance() * mean_variance(ctx, &blocks)?,
        };
        let starts = lloyd::run(ctx, &blocks, self.k(), first, &stop)?;
        self.best_of(starts, p)
    }

    fn best_of(&self, starts: Vec<Start>, p: usize) -> Result<KMeansModel> {
        let reports: Vec<StartReport> = starts
            .iter()
            .map(|s| StartReport {
                inertia: s.inertia,
                iterations: s.iterations,
                converged: s.converged,
            })
            .collect();
        let best = starts
            .into_iter()
            .enumerate()
            .min_by(|(i, a), (j, b)| a.inertia.total_cmp(&b.inertia).then(i.cmp(j)))
            .ok_or(EngineError::EmptyInput { what: "list of starts" })?;
        Ok(KMeansModel::new(
            p,
            best.1.centroids,
            best.1.weights,
            reports,
            best.0,
            self.k(),
        ))
    }

    fn one_cluster_per_row(&self, rows: &WeightedRows) -> KMeansModel {
        let reports = vec![StartReport {
            inertia: 0.0,
            iterations: 0,
            converged: true,
        }];
        let weights = rows.weights().to_vec();
        KMeansModel::new(rows.n_features(), rows.values().to_vec(), weights, reports, 0, self.k())
    }
}

/// Mean over the features of their weighted population variance.
fn mean_variance(ctx: &Context, blocks: &Blocks) -> Result<f64> {
    let mean = moment(ctx, blocks, &vec![0.0; blocks.p()], |x| x)?;
    Ok(moment(ctx, blocks, &mean, |x| x * x)?.iter().sum::<f64>() / blocks.p() as f64)
}

/// Weighted mean of `power(x - centre)` per feature, p; chunks in parallel, added up in order.
fn moment(ctx: &Context, blocks: &Blocks, centre: &[f64], power: fn(f64) -> f64) -> Result<Vec<f64>> {
    let chunks: Vec<_> = blocks.chunks().collect();
    let partial = |(values, weights): &(&[f64], &[f64])| {
        ctx.check()?;
        let mut sums = vec![0.0; blocks.p()];
        for (block, weights) in values.chunks_exact(LANES * blocks.p()).zip(weights.chunks_exact(LANES)) {
            for ((sum, c), column) in sums.iter_mut().zip(centre).zip(block.chunks_exact(LANES)) {
                *sum += column.iter().zip(weights).map(|(x, w)| w * power(x - c)).sum::<f64>();
            }
        }
        Ok(sums)
    };
    let partials: Vec<Vec<f64>> = ctx.run(|| chunks.par_iter().map(partial).collect::<Result<_>>())?;
    let mut sums = vec![0.0; blocks.p()];
    for partial in partials {
        sums.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
    }
    let total = blocks.total_weight();
    sums.iter_mut().for_each(|sum| *sum /= total);
    Ok(sums)
}
