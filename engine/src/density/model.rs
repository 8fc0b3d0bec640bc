//! The core rows and their clusters, which say where any row belongs.

use serde::{Deserialize, Serialize};

use super::params::MAX_FOUND;
use crate::data::check_value;
use crate::error::{EngineError, Result};

/// Core rows in lexicographic order, each with its cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredDensity")]
pub struct DensityModel {
    n_features: usize,
    eps: f64,
    min_points: usize,
    n_clusters: usize,
    core: Vec<f64>,
    clusters: Vec<u32>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct StoredDensity {
    n_features: usize,
    eps: f64,
    min_points: usize,
    n_clusters: usize,
    core: Vec<f64>,
    clusters: Vec<u32>,
}

impl TryFrom<StoredDensity> for DensityModel {
    type Error = EngineError;

    fn try_from(stored: StoredDensity) -> Result<Self> {
        Self::new(
            stored.n_features,
            stored.eps,
            stored.min_points,
            stored.n_clusters,
            stored.core,
            stored.clusters,
        )
    }
}

impl DensityModel {
    pub(super) fn new(
        p: usize,
        eps: f64,
        min_points: usize,
        n_clusters: usize,
        core: Vec<f64>,
        clusters: Vec<u32>,
    ) -> Result<Self> {
        let params = super::DensityParams {
            eps,
            min_points: Some(min_points),
        };
        params.check()?;
        let expected = clusters.len().saturating_mul(p);
        if p == 0 || core.len() != expected {
            let found = core.len();
            let what = "values of core rows";
            return Err(EngineError::Dimension { what, expected, found });
        }
        for (index, value) in core.iter().enumerate() {
            check_value(*value, index / p, index % p)?;
        }
        let ordered = |pair: (&[f64], &[f64])| lexicographic(pair.0, pair.1).is_lt();
        if !core.chunks_exact(p).zip(core.chunks_exact(p).skip(1)).all(ordered) {
            return Err(EngineError::invalid("core rows", "distinct and sorted", "others"));
        }
        if n_clusters > MAX_FOUND || clusters.iter().any(|cluster| *cluster as usize >= n_clusters) {
            return Err(EngineError::invalid(
                "clusters of core rows",
                format!("less than {n_clusters}, at most {MAX_FOUND}"),
                "more",
            ));
        }
        Ok(Self {
            n_features: p,
            eps,
            min_points,
            n_clusters,
            core,
            clusters,
        })
    }

    /// Number of clusters, noise not counted; may be 0.
    pub fn n_clusters(&self) -> usize {
        self.n_clusters
    }

    /// Number of features, p.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Largest distance of neighbours.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// Fewest rows around a core row, as given or found from the data.
    pub fn min_points(&self) -> usize {
        self.min_points
    }

    /// Number of core rows, distinct ones.
    pub fn n_core(&self) -> usize {
        self.clusters.len()
    }

    /// Cluster of the nearest core row within eps of `row` (p values), the first among equals; `None`: noise.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`].
    pub fn predict_row(&self, row: &[f64]) -> Result<Option<u32>> {
        let (p, found) = (self.n_features, row.len());
        if p != found {
            return Err(EngineError::Dimension {
                what: "features",
                expected: p,
                found,
            });
        }
        row.iter()
            .enumerate()
            .try_for_each(|(column, value)| check_value(*value, 0, column))?;
        // most rows of a cube are core: their own place is found without looking at the others
        let (mut low, mut high) = (0, self.n_core());
        while low < high {
            let middle = (low + high) / 2;
            match lexicographic(&self.core[middle * p..(middle + 1) * p], row) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(self.clusters[middle])),
            }
        }
        let mut best = (self.eps * self.eps, None);
        for (core, cluster) in self.core.chunks_exact(p).zip(&self.clusters) {
            let distance: f64 = core.iter().zip(row).map(|(x, y)| (x - y) * (x - y)).sum();
            if distance < best.0 || (distance == best.0 && best.1.is_none()) {
                best = (distance, Some(*cluster));
            }
        }
        Ok(best.1)
    }
}

/// Order of rows of numbers; -0.0 equals 0.0.
fn lexicographic(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    let differ = |(x, y): (&f64, &f64)| (x + 0.0).total_cmp(&(y + 0.0));
    a.iter()
        .zip(b)
        .map(differ)
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}
