//! Parameters of gradient boosting, checked before fitting (linfa's `ParamGuard`).

use linfa::ParamGuard;
use serde::{Deserialize, Serialize};

use super::binned::MAX_BINS;
use super::node::MAX_DEPTH;
use super::params::{at_least_zero, fraction, within, ClassWeight, MAX_TREES};
use crate::error::{EngineError, Result};

/// Most leaves of a boosted tree.
pub const MAX_LEAVES: usize = 4_096;

/// Which leaf is split next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// The one that gains most (LightGBM's way).
    #[default]
    LeafWise,
    /// All of one level before the next.
    DepthWise,
}

/// Checked parameters; obtained from [`BoostingParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostingValidParams {
    rounds: usize,
    learning_rate: f64,
    growth: Growth,
    max_leaves: usize,
    max_depth: Option<usize>,
    min_leaf: f64,
    min_child_weight: f64,
    min_gain: f64,
    l2: f64,
    row_fraction: f64,
    column_fraction: f64,
    early_stopping: usize,
    max_bins: usize,
    class_weight: ClassWeight,
    seed: u64,
}

impl Default for BoostingValidParams {
    fn default() -> Self {
        Self {
            rounds: 100,
            learning_rate: 0.1,
            growth: Growth::LeafWise,
            max_leaves: 31,
            max_depth: None,
            min_leaf: 20.0,
            min_child_weight: 1e-3,
            min_gain: 0.0,
            l2: 0.0,
            row_fraction: 1.0,
            column_fraction: 1.0,
            early_stopping: 20,
            max_bins: MAX_BINS,
            class_weight: ClassWeight::Equal,
            seed: 0,
        }
    }
}

impl BoostingValidParams {
    /// Most rounds.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Factor of each tree's values.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Which leaf is split next.
    pub fn growth(&self) -> Growth {
        self.growth
    }

    /// Most leaves of a tree.
    pub fn max_leaves(&self) -> usize {
        self.max_leaves
    }

    /// Most splits on a path.
    pub fn max_depth(&self) -> usize {
        self.max_depth.unwrap_or(MAX_DEPTH)
    }

    /// Least weight of a leaf.
    pub fn min_leaf(&self) -> f64 {
        self.min_leaf
    }

    /// Least sum of second derivatives of a leaf.
    pub fn min_child_weight(&self) -> f64 {
        self.min_child_weight
    }

    /// What a split has to gain more than.
    pub fn min_gain(&self) -> f64 {
        self.min_gain
    }

    /// L2 penalty of leaf values.
    pub fn l2(&self) -> f64 {
        self.l2
    }

    /// Part of the rows that a round sees.
    pub fn row_fraction(&self) -> f64 {
        self.row_fraction
    }

    /// Part of the features that a tree sees.
    pub fn column_fraction(&self) -> f64 {
        self.column_fraction
    }

    /// Rounds without improvement on the validation set that end the fit; 0 for never.
    pub fn early_stopping(&self) -> usize {
        self.early_stopping
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
}

/// Parameters of gradient boosting before the check; deserialised from `{}` they are the default, and an unknown key
/// is an error that lists the known ones.
///
/// ```
/// use empatia_engine::tree::BoostingParams;
/// use linfa::ParamGuard;
/// assert!(BoostingParams::new(200).learning_rate(0.05).max_leaves(15).check().is_ok());
/// assert!(BoostingParams::new(200).learning_rate(0.0).check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(transparent)]
pub struct BoostingParams(BoostingValidParams);

impl BoostingParams {
    /// At most `rounds` rounds; learning rate 0.1, leaf-wise with 31 leaves of weight 20 at least, no penalty, all rows
    /// and features, 255 bins, seed 0; with a validation set, stop after 20 rounds without improvement.
    pub fn new(rounds: usize) -> Self {
        Self(BoostingValidParams {
            rounds,
            ..BoostingValidParams::default()
        })
    }

    /// Factor of each tree's values, above 0 and at most 1.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.0.learning_rate = learning_rate;
        self
    }

    /// Which leaf is split next.
    pub fn growth(mut self, growth: Growth) -> Self {
        self.0.growth = growth;
        self
    }

    /// Most leaves of a tree, 2..=4096.
    pub fn max_leaves(mut self, max_leaves: usize) -> Self {
        self.0.max_leaves = max_leaves;
        self
    }

    /// Most splits on a path.
    pub fn max_depth(mut self, max_depth: usize) -> Self {
        self.0.max_depth = Some(max_depth);
        self
    }

    /// Least weight of a leaf, estimated from its share of the node's second derivatives (as LightGBM does): exact in
    /// the first round.
    pub fn min_leaf(mut self, min_leaf: f64) -> Self {
        self.0.min_leaf = min_leaf;
        self
    }

    /// Least sum of second derivatives of a leaf.
    pub fn min_child_weight(mut self, min_child_weight: f64) -> Self {
        self.0.min_child_weight = min_child_weight;
        self
    }

    /// What a split has to gain more than: G_l^2/(H_l + l2) + G_r^2/(H_r + l2) - G^2/(H + l2).
    pub fn min_gain(mut self, min_gain: f64) -> Self {
        self.0.min_gain = min_gain;
        self
    }

    /// L2 penalty of leaf values.
    pub fn l2(mut self, l2: f64) -> Self {
        self.0.l2 = l2;
        self
    }

    /// Part of the rows that a round sees, drawn anew each round; of a row of weight w, Binomial(w, part) copies.
    pub fn row_fraction(mut self, row_fraction: f64) -> Self {
        self.0.row_fraction = row_fraction;
        self
    }

    /// Part of the features that a tree sees, at least one, drawn anew for each tree.
    pub fn column_fraction(mut self, column_fraction: f64) -> Self {
        self.0.column_fraction = column_fraction;
        self
    }

    /// Rounds without a lower loss on the validation set that end the fit; 0 for never.
    pub fn early_stopping(mut self, early_stopping: usize) -> Self {
        self.0.early_stopping = early_stopping;
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

impl ParamGuard for BoostingParams {
    type Checked = BoostingValidParams;
    type Error = EngineError;

    fn check_ref(&self) -> Result<&BoostingValidParams> {
        let params = &self.0;
        within("rounds", params.rounds, 1, MAX_TREES)?;
        fraction("learning_rate", params.learning_rate)?;
        within("max_leaves", params.max_leaves, 2, MAX_LEAVES)?;
        within("max_depth", params.max_depth(), 1, MAX_DEPTH)?;
        at_least_zero("min_leaf", params.min_leaf)?;
        at_least_zero("min_child_weight", params.min_child_weight)?;
        at_least_zero("min_gain", params.min_gain)?;
        at_least_zero("l2", params.l2)?;
        fraction("row_fraction", params.row_fraction)?;
        fraction("column_fraction", params.column_fraction)?;
        within("max_bins", params.max_bins, 2, MAX_BINS)?;
        params.class_weight.check()?;
        Ok(params)
    }

    fn check(self) -> Result<BoostingValidParams> {
        self.check_ref()?;
        Ok(self.0)
    }
}
