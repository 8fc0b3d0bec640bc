//! Fitting: canonical rows, starts, the best of them.

use super::blocks::Blocks;
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
            return Err(EngineError::EmptyInput {
                what: "training set",
            });
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
            shift: self.tolerance() * mean_variance(&blocks),
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
            .ok_or(EngineError::EmptyInput {
                what: "list of starts",
            })?;
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
        KMeansModel::new(
            rows.n_features(),
            rows.values().to_vec(),
            weights,
            reports,
            0,
            self.k(),
        )
    }
}

/// Mean over the features of their weighted population variance.
fn mean_variance(blocks: &Blocks) -> f64 {
    let (p, total) = (blocks.p(), blocks.total_weight());
    let moment = |centre: &[f64], power: i32| {
        let mut sums = vec![0.0; p];
        let mut row = vec![0.0; p];
        for index in 0..blocks.n() {
            blocks.copy_row(index, &mut row);
            let weight = blocks.weights()[index];
            for ((sum, x), c) in sums.iter_mut().zip(&row).zip(centre) {
                *sum += weight * (x - c).powi(power);
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= total);
        sums
    };
    let mean = moment(&vec![0.0; p], 1);
    moment(&mean, 2).iter().sum::<f64>() / p as f64
}
