//! The fitted model: centroids, sizes, and how the starts went.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::blocks::{transpose, CHUNK, LANES};
use super::kernel::{self, squared_distance, Label};
use crate::context::Context;
use crate::data::check_value;
use crate::error::{EngineError, Result};

/// How one start ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StartReport {
    /// Sum over the dense rows of the squared distance to their centroid.
    pub inertia: f64,
    pub iterations: usize,
    /// False when it was the limit of iterations that ended it.
    pub converged: bool,
}

/// Centroids, cluster weights and the reports of all starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredModel")]
pub struct KMeansModel {
    n_features: usize,
    centroids: Vec<f64>,
    cluster_weights: Vec<f64>,
    starts: Vec<StartReport>,
    best_start: usize,
    k: usize,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct StoredModel {
    n_features: usize,
    centroids: Vec<f64>,
    cluster_weights: Vec<f64>,
    starts: Vec<StartReport>,
    best_start: usize,
    k: usize,
}

impl TryFrom<StoredModel> for KMeansModel {
    type Error = EngineError;

    fn try_from(s: StoredModel) -> Result<Self> {
        let clusters = s.cluster_weights.len();
        if clusters == 0 || s.n_features == 0 {
            return Err(EngineError::EmptyInput {
                what: "list of centroids",
            });
        }
        let expected = clusters.saturating_mul(s.n_features);
        if s.centroids.len() != expected {
            return Err(EngineError::Dimension {
                what: "centroid values",
                expected,
                found: s.centroids.len(),
            });
        }
        for (index, value) in s.centroids.iter().enumerate() {
            check_value(*value, index / s.n_features, index % s.n_features)?;
        }
        for (row, &found) in s.cluster_weights.iter().enumerate() {
            if !found.is_finite() || found < 0.0 {
                return Err(EngineError::InvalidWeight { row, found });
            }
        }
        if s.best_start >= s.starts.len() {
            let expected = format!("less than {}", s.starts.len());
            return Err(EngineError::invalid("best_start", expected, s.best_start));
        }
        Ok(Self::new(
            s.n_features,
            s.centroids,
            s.cluster_weights,
            s.starts,
            s.best_start,
            s.k,
        ))
    }
}

impl KMeansModel {
    pub(crate) fn new(
        n_features: usize,
        centroids: Vec<f64>,
        cluster_weights: Vec<f64>,
        starts: Vec<StartReport>,
        best_start: usize,
        k: usize,
    ) -> Self {
        Self {
            n_features,
            centroids,
            cluster_weights,
            starts,
            best_start,
            k,
        }
    }

    /// Number of clusters: the k asked for, or the number of distinct rows if that is less.
    pub fn n_clusters(&self) -> usize {
        self.cluster_weights.len()
    }

    /// Number of features, p.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// True when there were fewer distinct rows than clusters asked for.
    pub fn is_reduced(&self) -> bool {
        self.n_clusters() < self.k
    }

    /// Centroids, clusters x p, in the space of the rows.
    pub fn centroids(&self) -> Array2<f64> {
        let p = self.n_features;
        Array2::from_shape_fn((self.n_clusters(), p), |(cluster, column)| {
            self.centroids[cluster * p + column]
        })
    }

    /// Centroids, row-major.
    pub fn centroid_values(&self) -> &[f64] {
        &self.centroids
    }

    /// Weight of each cluster: how many rows of the dense table are in it.
    pub fn cluster_weights(&self) -> &[f64] {
        &self.cluster_weights
    }

    /// Sum over the dense rows of the squared distance to their centroid.
    pub fn inertia(&self) -> f64 {
        self.best().inertia
    }

    /// Iterations of the start that was kept.
    pub fn iterations(&self) -> usize {
        self.best().iterations
    }

    /// Whether the start that was kept converged.
    pub fn converged(&self) -> bool {
        self.best().converged
    }

    /// All starts, in order.
    pub fn starts(&self) -> &[StartReport] {
        &self.starts
    }

    /// Index of the start that was kept.
    pub fn best_start(&self) -> usize {
        self.best_start
    }

    /// (worst - best) / best inertia of the starts; 0 when all agree, infinite when only the best is 0. A spread
    /// well above 0 says that more starts may find better.
    pub fn spread(&self) -> f64 {
        let worst = self.starts.iter().fold(0.0f64, |worst, start| worst.max(start.inertia));
        let best = self.inertia();
        match (worst > best, best > 0.0) {
            (false, _) => 0.0,
            (true, true) => (worst - best) / best,
            (true, false) => f64::INFINITY,
        }
    }

    fn best(&self) -> StartReport {
        let none = StartReport {
            inertia: 0.0,
            iterations: 0,
            converged: false,
        };
        self.starts.get(self.best_start).copied().unwrap_or(none)
    }

    /// Cluster nearest to `row` (p values); the first among equals.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`].
    pub fn predict_row(&self, row: &[f64]) -> Result<u32> {
        let (expected, found) = (self.n_features, row.len());
        if expected != found {
            return Err(EngineError::Dimension {
                what: "features",
                expected,
                found,
            });
        }
        row.iter()
            .enumerate()
            .try_for_each(|(column, value)| check_value(*value, 0, column))?;
        let mut best = (f64::INFINITY, 0);
        for (cluster, centroid) in self.centroids.chunks_exact(self.n_features).enumerate() {
            let distance = squared_distance(row, centroid);
            if distance < best.0 {
                best = (distance, cluster as u32);
            }
        }
        Ok(best.1)
    }

    /// Clusters of `values` (row-major, n x p), n labels; the same as [`KMeansModel::predict_row`] row by row.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn predict_rows(&self, ctx: &Context, values: &[f64]) -> Result<Vec<u32>> {
        let p = self.n_features;
        if !values.len().is_multiple_of(p) {
            let (expected, found) = (values.len().div_ceil(p).saturating_mul(p), values.len());
            return Err(EngineError::Dimension {
                what: "values",
                expected,
                found,
            });
        }
        let n = values.len() / p;
        let _memory = ctx.reserve_for::<u32>(n)?;
        let _scratch = ctx.reserve_for::<f64>(CHUNK.saturating_mul(p + 2).saturating_mul(ctx.threads()))?;
        let arch = kernel::arch();
        let mut labels = vec![0u32; n];
        ctx.run(|| {
            labels.par_chunks_mut(CHUNK).enumerate().try_for_each(|(chunk, out)| {
                ctx.check()?;
                let first = chunk * CHUNK;
                for (offset, row) in values[first * p..(first + out.len()) * p].chunks_exact(p).enumerate() {
                    for (column, value) in row.iter().enumerate() {
                        check_value(*value, first + offset, column)?;
                    }
                }
                let padded = out.len().div_ceil(LANES) * LANES;
                let mut block_values = vec![0.0; padded * p];
                for (block, to) in block_values.chunks_exact_mut(LANES * p).enumerate() {
                    transpose(values, p, first + block * LANES, n, to);
                }
                let (mut found, mut distances) = (vec![0u32; padded], vec![0.0; padded]);
                arch.dispatch(Label {
                    values: &block_values,
                    p,
                    centroids: &self.centroids,
                    labels: &mut found,
                    distances: &mut distances,
                });
                out.copy_from_slice(&found[..out.len()]);
                Ok::<(), EngineError>(())
            })
        })?;
        Ok(labels)
    }
}
