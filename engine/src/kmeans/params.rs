//! Parameters of K-Means, checked before fitting (linfa's `ParamGuard`).

use linfa::ParamGuard;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::MAX_MAGNITUDE;
use crate::error::{EngineError, Result};

/// Most clusters accepted; labels and the per-chunk sums are sized by it.
pub const MAX_CLUSTERS: usize = 10_000;
/// Most starts accepted.
pub const MAX_STARTS: usize = 1_000;

/// Where the first centroids come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Init {
    /// k-means++ (Arthur & Vassilvitskii 2007): each next centroid a row, drawn by weight x squared distance.
    KMeansPlusPlus,
    /// The same with 2 + floor(ln k) candidates per step, the best of which is kept (scikit-learn's variant).
    GreedyKMeansPlusPlus,
    /// Given centroids, k x p; one start.
    Precomputed(Array2<f64>),
}

/// Checked parameters; obtained from [`KMeansParams`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KMeansValidParams {
    k: usize,
    n_init: usize,
    max_iter: usize,
    tolerance: f64,
    seed: u64,
    init: Init,
}

/// Parameters of K-Means before the check.
///
/// ```
/// use empatia_engine::kmeans::KMeansParams;
/// use linfa::ParamGuard;
/// assert!(KMeansParams::new(4).n_init(10).seed(42).check().is_ok());
/// assert!(KMeansParams::new(0).check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansParams(KMeansValidParams);

impl KMeansParams {
    /// `k` clusters, 10 starts of greedy k-means++, at most 300 iterations, tolerance 1e-4, seed 0.
    pub fn new(k: usize) -> Self {
        let init = Init::GreedyKMeansPlusPlus;
        Self(KMeansValidParams {
            k,
            n_init: 10,
            max_iter: 300,
            tolerance: 1e-4,
            seed: 0,
            init,
        })
    }

    /// Number of starts, the best of which (lowest inertia, then first) is kept.
    pub fn n_init(mut self, n_init: usize) -> Self {
        self.0.n_init = n_init;
        self
    }

    /// Most iterations of a start.
    pub fn max_iter(mut self, max_iter: usize) -> Self {
        self.0.max_iter = max_iter;
        self
    }

    /// A start stops when the squared shifts of its centroids sum to at most `tolerance` x the mean of the features'
    /// weighted variances (as in scikit-learn); 0 means until no label changes.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.0.tolerance = tolerance;
        self
    }

    /// Seed of the random numbers; same seed, same rows: same model, whatever the number of threads.
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }

    /// Where the first centroids come from.
    pub fn init(mut self, init: Init) -> Self {
        self.0.init = init;
        self
    }
}

impl KMeansValidParams {
    /// Number of clusters asked for.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of starts; 1 where the centroids are given.
    pub fn n_init(&self) -> usize {
        match self.init {
            Init::Precomputed(_) => 1,
            _ => self.n_init,
        }
    }

    /// Most iterations of a start.
    pub fn max_iter(&self) -> usize {
        self.max_iter
    }

    /// See [`KMeansParams::tolerance`].
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// Seed of the random numbers.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Where the first centroids come from.
    pub fn init(&self) -> &Init {
        &self.init
    }
}

impl ParamGuard for KMeansParams {
    type Checked = KMeansValidParams;
    type Error = EngineError;

    fn check_ref(&self) -> Result<&KMeansValidParams> {
        let params = &self.0;
        within("k", params.k, MAX_CLUSTERS)?;
        within("n_init", params.n_init, MAX_STARTS)?;
        within("max_iter", params.max_iter, i32::MAX as usize)?;
        if !(params.tolerance >= 0.0 && params.tolerance.is_finite()) {
            return Err(EngineError::invalid(
                "tolerance",
                "finite and at least 0",
                params.tolerance,
            ));
        }
        if let Init::Precomputed(centroids) = &params.init {
            if centroids.nrows() != params.k {
                let found = centroids.nrows();
                return Err(EngineError::Dimension {
                    what: "initial centroids",
                    expected: params.k,
                    found,
                });
            }
            if let Some(bad) = centroids.iter().find(|c| !c.is_finite() || c.abs() > MAX_MAGNITUDE) {
                return Err(EngineError::invalid("initial centroids", "finite, at most 1e100", bad));
            }
        }
        Ok(params)
    }

    fn check(self) -> Result<KMeansValidParams> {
        self.check_ref()?;
        Ok(self.0)
    }
}

fn within(name: &'static str, found: usize, most: usize) -> Result<()> {
    if (1..=most).contains(&found) {
        Ok(())
    } else {
        Err(EngineError::invalid(name, format!("between 1 and {most}"), found))
    }
}
