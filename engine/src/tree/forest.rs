//! Random forests (Breiman 2001) of histogram trees.

use serde::{Deserialize, Serialize};

use super::bagging::Plan;
use super::ensemble::Ensemble;
use super::forest_params::ForestValidParams;
use super::importance::Importance;
use super::shap::{self, Explainer, Explanation};
use super::storage::StoredEnsemble;
use super::table::{FeatureTable, TrainingSet};
use crate::codec::{self, Kind};
use crate::context::Context;
use crate::error::{EngineError, Result};

/// The mean of its trees' class shares.
///
/// Guarantees: the leaf values of every tree are finite; for a forest fitted here, those of a leaf add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredForest", into = "StoredForest")]
pub struct RandomForest {
    ensemble: Ensemble,
}

#[derive(Serialize, Deserialize)]
struct StoredForest {
    ensemble: StoredEnsemble,
}

impl From<RandomForest> for StoredForest {
    fn from(forest: RandomForest) -> Self {
        Self {
            ensemble: forest.ensemble.into(),
        }
    }
}

impl TryFrom<StoredForest> for RandomForest {
    type Error = EngineError;

    fn try_from(stored: StoredForest) -> Result<Self> {
        Self::from_ensemble(stored.ensemble.try_into()?)
    }
}

/// A fitted forest, and what it says about its training rows without having seen them.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedForest {
    pub model: RandomForest,
    /// Probabilities of each training row from the trees whose samples it is not in, n x classes, row-major; NaN for a
    /// row in every sample; none unless asked for.
    pub out_of_bag: Option<Vec<f64>>,
}

impl ForestValidParams {
    /// Fits a forest.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] for class weights of another number, [`EngineError::Memory`],
    /// [`EngineError::Cancelled`].
    pub fn fit(&self, ctx: &Context, set: &TrainingSet) -> Result<FittedForest> {
        let plan = Plan {
            trees: self.trees(),
            bootstrap: self.bootstrap(),
            out_of_bag: self.out_of_bag(),
            max_features: self.max_features(),
            max_depth: self.max_depth(),
            min_leaf: self.min_leaf(),
            min_gain: self.min_gain(),
            max_bins: self.max_bins(),
            class_weight: self.class_weight(),
            seed: self.seed(),
        };
        let grown = plan.grow(ctx, set)?;
        Ok(FittedForest {
            model: RandomForest {
                ensemble: grown.ensemble,
            },
            out_of_bag: grown.out_of_bag,
        })
    }
}

impl RandomForest {
    /// A forest of given trees, whose leaves hold the shares of all classes.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] when there is no tree, or leaves speak of one class only.
    pub fn from_ensemble(ensemble: Ensemble) -> Result<Self> {
        if ensemble.n_trees() == 0 || ensemble.width != ensemble.outputs {
            return Err(EngineError::invalid(
                "forest",
                "at least one tree, with a value per class in each leaf",
                format!("{} trees with {} values", ensemble.n_trees(), ensemble.width),
            ));
        }
        Ok(Self { ensemble })
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.ensemble.outputs
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.ensemble.n_features()
    }

    /// The trees.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// Gain and number of splits per feature.
    pub fn importance(&self) -> &Importance {
        &self.ensemble.importance
    }

    /// Probabilities, n x classes, row-major.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn predict_probabilities(&self, ctx: &Context, table: &FeatureTable) -> Result<Vec<f64>> {
        let mut sums = self.ensemble.sums(ctx, table)?;
        let trees = self.ensemble.n_trees() as f64;
        sums.iter_mut().for_each(|sum| *sum /= trees);
        Ok(sums)
    }

    /// Exact SHAP values of the probabilities; see [`Explanation`].
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn explain(&self, ctx: &Context, table: &FeatureTable) -> Result<Explanation> {
        self.explain_with(ctx, None, table)
    }

    /// What makes many explanations faster; none of a model that is too large for it.
    pub fn explainer(&self) -> Option<Explainer> {
        Explainer::new(&self.ensemble)
    }

    /// What makes explanations of rows that come one at a time faster still; see [`Explainer`].
    pub fn single_row_explainer(&self) -> Option<Explainer> {
        Explainer::of_single_rows(&self.ensemble)
    }

    /// As [`RandomForest::explain`], with what [`RandomForest::explainer`] made of this very model.
    ///
    /// # Errors
    /// As [`RandomForest::explain`].
    pub fn explain_with(
        &self,
        ctx: &Context,
        explainer: Option<&Explainer>,
        table: &FeatureTable,
    ) -> Result<Explanation> {
        let factor = 1.0 / self.ensemble.n_trees() as f64;
        let offset = vec![0.0; self.n_classes()];
        shap::explain(ctx, &self.ensemble, explainer, table, factor, &offset)
    }

    /// Model bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::FOREST, self)?)
    }

    /// Decodes what [`RandomForest::encode`] wrote; everything in it is checked.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::FOREST, bytes)?)
    }
}
