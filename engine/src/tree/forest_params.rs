//! Parameters of a random forest, checked before fitting (linfa's `ParamGuard`).

use linfa::ParamGuard;
use serde::{Deserialize, Serialize};

use super::binned::MAX_BINS;
use super::node::MAX_DEPTH;
use super::params::{at_least_zero, within, ClassWeight, MaxFeatures, MAX_TREES};
use crate::error::{EngineError, Result};

/// Checked parameters of a forest; obtained from [`ForestParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForestValidParams {
    trees: usize,
    max_features: MaxFeatures,
    bootstrap: bool,
    out_of_bag: bool,
    max_depth: Option<usize>,
    min_leaf: f64,
    min_gain: f64,
    max_bins: usize,
    class_weight: ClassWeight,
    seed: u64,
}

impl Default for ForestValidParams {
    fn default() -> Self {
        Self {
            trees: 100,
            max_features: MaxFeatures::Sqrt,
            bootstrap: true,
            out_of_bag: false,
            max_depth: None,
            min_leaf: 1.0,
            min_gain: 0.0,
            max_bins: MAX_BINS,
            class_weight: ClassWeight::Equal,
            seed: 0,
        }
    }
}

impl ForestValidParams {
    /// Number of trees.
    pub fn trees(&self) -> usize {
        self.trees
    }

    /// See [`ForestParams::max_features`].
    pub fn max_features(&self) -> MaxFeatures {
        self.max_features
    }

    /// See [`ForestParams::bootstrap`].
    pub fn bootstrap(&self) -> bool {
        self.bootstrap
    }

    /// See [`ForestParams::out_of_bag`].
    pub fn out_of_bag(&self) -> bool {
        self.out_of_bag
    }

    /// Most splits on a path.
    pub fn max_depth(&self) -> usize {
        self.max_depth.unwrap_or(MAX_DEPTH)
    }

    /// Least weight of a leaf.
    pub fn min_leaf(&self) -> f64 {
        self.min_leaf
    }

    /// Least gain of a split.
    pub fn min_gain(&self) -> f64 {
        self.min_gain
    }

    /// Most bins of values per feature.
    pub fn max_bins(&self) -> usize {
        self.max_bins
    }

    /// How much the classes count.
    pub fn class_weight(&self) -> &ClassWeight {
        &self.class_weight
    }

    /// Seed of the random numbers.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn check(&self) -> Result<()> {
        within("trees", self.trees, 1, MAX_TREES)?;
        self.max_features.check()?;
        within("max_depth", self.max_depth(), 1, MAX_DEPTH)?;
        at_least_zero("min_leaf", self.min_leaf)?;
        at_least_zero("min_gain", self.min_gain)?;
        within("max_bins", self.max_bins, 2, MAX_BINS)?;
        if self.out_of_bag && !self.bootstrap {
            return Err(EngineError::invalid("out_of_bag", "false without bootstrap", true));
        }
        self.class_weight.check()
    }
}

/// Parameters of a random forest before the check; deserialised from `{}` they are the default, and an unknown key is
/// an error that lists the known ones.
///
/// ```
/// use empatia_engine::tree::ForestParams;
/// use linfa::ParamGuard;
/// assert!(ForestParams::new(100).min_leaf(20.0).seed(42).check().is_ok());
/// assert!(ForestParams::new(0).check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(transparent)]
pub struct ForestParams(ForestValidParams);

impl ForestParams {
    /// `trees` trees of full depth on bootstrapped rows, sqrt(p) features tried per split, 255 bins, seed 0.
    pub fn new(trees: usize) -> Self {
        Self(ForestValidParams {
            trees,
            ..ForestValidParams::default()
        })
    }

    /// Number of features tried at a split; ones that do not vary in the node are not counted, as in scikit-learn.
    pub fn max_features(mut self, max_features: MaxFeatures) -> Self {
        self.0.max_features = max_features;
        self
    }

    /// Whether each tree sees a sample: every row Poisson(weight) times (Oza & Russell 2001), otherwise all rows.
    pub fn bootstrap(mut self, bootstrap: bool) -> Self {
        self.0.bootstrap = bootstrap;
        self
    }

    /// Whether to predict each training row by the trees whose samples it is not in.
    pub fn out_of_bag(mut self, out_of_bag: bool) -> Self {
        self.0.out_of_bag = out_of_bag;
        self
    }

    /// Most splits on a path, at most 512, which is also the default.
    pub fn max_depth(mut self, max_depth: usize) -> Self {
        self.0.max_depth = Some(max_depth);
        self
    }

    /// Least weight of a leaf: the rows drawn, repeats counted (scikit-learn counts the distinct ones).
    pub fn min_leaf(mut self, min_leaf: f64) -> Self {
        self.0.min_leaf = min_leaf;
        self
    }

    /// Least decrease of the Gini impurity, as a part of the tree's weight (scikit-learn's min_impurity_decrease).
    pub fn min_gain(mut self, min_gain: f64) -> Self {
        self.0.min_gain = min_gain;
        self
    }

    /// Most bins of values per feature, 2..=255.
    pub fn max_bins(mut self, max_bins: usize) -> Self {
        self.0.max_bins = max_bins;
        self
    }

    /// How much the classes count.
    pub fn class_weight(mut self, class_weight: ClassWeight) -> Self {
        self.0.class_weight = class_weight;
        self
    }

    /// Seed of the random numbers; same seed, same rows: same model, whatever the number of threads.
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }
}

impl ParamGuard for ForestParams {
    type Checked = ForestValidParams;
    type Error = EngineError;

    fn check_ref(&self) -> Result<&ForestValidParams> {
        self.0.check()?;
        Ok(&self.0)
    }

    fn check(self) -> Result<ForestValidParams> {
        self.check_ref()?;
        Ok(self.0)
    }
}
