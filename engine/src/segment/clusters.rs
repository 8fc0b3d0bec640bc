//! What a segment model found its segments with, behind one set of questions.

use rayon::prelude::*;

use crate::context::Context;
use crate::data::WeightedRows;
use crate::density::{DensityModel, DensityParams};
use crate::error::{EngineError, Result};
use crate::kmeans::{KMeansModel, KMeansValidParams};
use crate::mixture::{MixtureModel, MixtureParams};

/// Rows per parallel task.
const TASK_ROWS: usize = 1_024;

/// An algorithm with its parameters.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// Weighted K-Means.
    KMeans(KMeansValidParams),
    /// Gaussian mixture.
    Mixture(MixtureParams),
    /// DBSCAN.
    Density(DensityParams),
}

/// What an algorithm found in standardised space.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Clusters {
    /// Of K-Means: the nearest centroid decides.
    KMeans(KMeansModel),
    /// Of a mixture: the highest responsibility decides.
    Mixture(MixtureModel),
    /// Of DBSCAN: the nearest core row within eps decides; without one a row is noise.
    Density(DensityModel),
}

impl Method {
    /// Name of the algorithm.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KMeans(_) => "kmeans",
            Self::Mixture(_) => "gmm",
            Self::Density(_) => "dbscan",
        }
    }

    /// Fits on standardised rows in canonical form.
    pub(super) fn fit(&self, ctx: &Context, rows: &WeightedRows) -> Result<Clusters> {
        Ok(match self {
            Self::KMeans(params) => Clusters::KMeans(params.fit_distinct(ctx, rows)?),
            Self::Mixture(params) => Clusters::Mixture(params.fit(ctx, rows)?),
            Self::Density(params) => Clusters::Density(params.fit(ctx, rows)?),
        })
    }

    /// (seed, clusters asked for, most iterations, tolerance); 0 where the algorithm has none.
    pub(super) fn facts(&self) -> (u64, usize, usize, f64) {
        match self {
            Self::KMeans(params) => (params.seed(), params.k(), params.max_iter(), params.tolerance()),
            Self::Mixture(params) => (params.seed, params.k, params.max_iter, params.tolerance),
            Self::Density(_) => (0, 0, 0, 0.0),
        }
    }
}

impl Clusters {
    /// Number of features, p.
    pub fn n_features(&self) -> usize {
        match self {
            Self::KMeans(model) => model.n_features(),
            Self::Mixture(model) => model.n_features(),
            Self::Density(model) => model.n_features(),
        }
    }

    /// Number of clusters; with DBSCAN, the noise is one of them, the last.
    pub fn n_clusters(&self) -> usize {
        match self {
            Self::KMeans(model) => model.n_clusters(),
            Self::Mixture(model) => model.n_components(),
            Self::Density(model) => model.n_clusters() + 1,
        }
    }

    /// The cluster that is noise.
    pub fn noise(&self) -> Option<usize> {
        match self {
            Self::Density(model) => Some(model.n_clusters()),
            _ => None,
        }
    }

    /// Cluster of a standardised row (p).
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`].
    pub fn predict_row(&self, row: &[f64]) -> Result<u32> {
        match self {
            Self::KMeans(model) => model.predict_row(row),
            Self::Mixture(model) => model.predict_row(row),
            Self::Density(model) => Ok(model.predict_row(row)?.unwrap_or(model.n_clusters() as u32)),
        }
    }

    /// Clusters of standardised `values` (row-major, n x p), n labels.
    ///
    /// # Errors
    /// As [`Clusters::predict_row`], and [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn predict_rows(&self, ctx: &Context, values: &[f64]) -> Result<Vec<u32>> {
        if let Self::KMeans(model) = self {
            return model.predict_rows(ctx, values);
        }
        let p = self.n_features();
        let n = values.len() / p;
        let _memory = ctx.reserve_for::<u32>(n)?;
        let mut labels = vec![0; n];
        let tasks = labels.par_chunks_mut(TASK_ROWS).zip(values.par_chunks(TASK_ROWS * p));
        ctx.run(|| {
            tasks.try_for_each(|(labels, values)| {
                ctx.check()?;
                for (label, row) in labels.iter_mut().zip(values.chunks_exact(p)) {
                    *label = self.predict_row(row)?;
                }
                Ok::<(), EngineError>(())
            })
        })?;
        Ok(labels)
    }

    /// What a cluster is where no row belongs to it: its component's mean. `None`: nothing is known.
    pub(super) fn fallback(&self, cluster: usize) -> Option<&[f64]> {
        match self {
            Self::Mixture(model) => model.means().chunks_exact(model.n_features()).nth(cluster),
            _ => None,
        }
    }
}
