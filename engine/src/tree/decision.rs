//! A single classification tree, to be read by people.

use linfa::ParamGuard;
use serde::{Deserialize, Serialize};

use super::bagging::Plan;
use super::binned::MAX_BINS;
use super::ensemble::Ensemble;
use super::forest::RandomForest;
use super::node::MAX_DEPTH;
use super::params::{at_least_zero, within, ClassWeight, MaxFeatures};
use super::rules::{self, Rule};
use super::shap::Explanation;
use super::table::{FeatureTable, TrainingSet};
use crate::codec::{self, Kind};
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Checked parameters; obtained from [`TreeParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TreeValidParams {
    max_depth: usize,
    min_leaf: f64,
    min_gain: f64,
    max_bins: usize,
    class_weight: ClassWeight,
}

impl Default for TreeValidParams {
    fn default() -> Self {
        Self {
            max_depth: 5,
            min_leaf: 1.0,
            min_gain: 0.0,
            max_bins: MAX_BINS,
            class_weight: ClassWeight::Equal,
        }
    }
}

/// Parameters of a single tree before the check; deserialised from `{}` they are the default, and an unknown key is an
/// error that lists the known ones. There is nothing random in a single tree, so there is no seed.
///
/// ```
/// use empatia_engine::tree::TreeParams;
/// use linfa::ParamGuard;
/// assert!(TreeParams::new(4).min_leaf(20.0).check().is_ok());
/// assert!(TreeParams::new(0).check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(transparent)]
pub struct TreeParams(TreeValidParams);

impl TreeParams {
    /// At most `max_depth` splits on a path (5 by default, at most 512), 255 bins.
    pub fn new(max_depth: usize) -> Self {
        Self(TreeValidParams {
            max_depth,
            ..TreeValidParams::default()
        })
    }

    /// Least weight of a leaf.
    pub fn min_leaf(mut self, min_leaf: f64) -> Self {
        self.0.min_leaf = min_leaf;
        self
    }

    /// Least decrease of the Gini impurity, as a part of the total weight (scikit-learn's min_impurity_decrease).
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
}

impl ParamGuard for TreeParams {
    type Checked = TreeValidParams;
    type Error = EngineError;

    fn check_ref(&self) -> Result<&TreeValidParams> {
        let params = &self.0;
        within("max_depth", params.max_depth, 1, MAX_DEPTH)?;
        at_least_zero("min_leaf", params.min_leaf)?;
        at_least_zero("min_gain", params.min_gain)?;
        within("max_bins", params.max_bins, 2, MAX_BINS)?;
        params.class_weight.check()?;
        Ok(params)
    }

    fn check(self) -> Result<TreeValidParams> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl TreeValidParams {
    /// Fits a tree; the same one whatever the order of the rows and the number of threads, and for weighted rows the
    /// one of the repeated rows.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] for class weights of another number, [`EngineError::Memory`],
    /// [`EngineError::Cancelled`].
    pub fn fit(&self, ctx: &Context, set: &TrainingSet) -> Result<DecisionTree> {
        let plan = Plan {
            trees: 1,
            bootstrap: false,
            out_of_bag: false,
            max_features: MaxFeatures::All,
            max_depth: self.max_depth,
            min_leaf: self.min_leaf,
            min_gain: self.min_gain,
            max_bins: self.max_bins,
            class_weight: &self.class_weight,
            seed: 0,
        };
        DecisionTree::from_ensemble(plan.grow(ctx, set)?.ensemble)
    }
}

/// One tree whose leaves hold the share of each class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RandomForest", into = "RandomForest")]
pub struct DecisionTree {
    alone: RandomForest,
}

impl TryFrom<RandomForest> for DecisionTree {
    type Error = EngineError;

    fn try_from(alone: RandomForest) -> Result<Self> {
        match alone.ensemble().n_trees() {
            1 => Ok(Self { alone }),
            found => Err(EngineError::Dimension {
                what: "trees",
                expected: 1,
                found,
            }),
        }
    }
}

impl From<DecisionTree> for RandomForest {
    fn from(tree: DecisionTree) -> Self {
        tree.alone
    }
}

impl DecisionTree {
    /// A given tree, whose leaves hold the shares of all classes.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when there is not exactly one tree; as [`RandomForest::from_ensemble`].
    pub fn from_ensemble(ensemble: Ensemble) -> Result<Self> {
        RandomForest::from_ensemble(ensemble)?.try_into()
    }

    /// The same as a forest of one tree, for everything that forests can do.
    pub fn as_forest(&self) -> &RandomForest {
        &self.alone
    }

    /// Probabilities, n x classes, row-major.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn predict_probabilities(&self, ctx: &Context, table: &FeatureTable) -> Result<Vec<f64>> {
        self.alone.predict_probabilities(ctx, table)
    }

    /// Exact SHAP values of the probabilities; see [`Explanation`].
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn explain(&self, ctx: &Context, table: &FeatureTable) -> Result<Explanation> {
        self.alone.explain(ctx, table)
    }

    /// One rule per leaf, from the leftmost to the rightmost.
    pub fn rules(&self) -> Vec<Rule> {
        rules::rules(self.alone.ensemble())
    }

    /// Model bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::TREE, self)?)
    }

    /// Decodes what [`DecisionTree::encode`] wrote; everything in it is checked.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::TREE, bytes)?)
    }
}
