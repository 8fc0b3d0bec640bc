//! A fitted model of any algorithm.

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use crate::context::Context;
use crate::error::Result;
use crate::linear::LogisticModel;
use crate::tree::{DecisionTree, Explainer, FeatureTable, GradientBoosting, Importance, RandomForest};
use crate::validate::Classifier;

/// A fitted model of one of the algorithms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitted {
    RandomForest(RandomForest),
    GradientBoosting(GradientBoosting),
    LogisticRegression(LogisticModel),
    DecisionTree(DecisionTree),
}

impl Fitted {
    /// The algorithm it was fitted by.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::RandomForest(_) => Algorithm::RandomForest,
            Self::GradientBoosting(_) => Algorithm::GradientBoosting,
            Self::LogisticRegression(_) => Algorithm::LogisticRegression,
            Self::DecisionTree(_) => Algorithm::DecisionTree,
        }
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        match self {
            Self::RandomForest(model) => model.n_features(),
            Self::GradientBoosting(model) => model.n_features(),
            Self::LogisticRegression(model) => model.n_features(),
            Self::DecisionTree(model) => model.as_forest().n_features(),
        }
    }

    /// Gains and splits, for trees.
    pub fn importance(&self) -> Option<&Importance> {
        match self {
            Self::RandomForest(model) => Some(model.importance()),
            Self::GradientBoosting(model) => Some(model.importance()),
            Self::LogisticRegression(_) => None,
            Self::DecisionTree(model) => Some(model.as_forest().importance()),
        }
    }

    /// Number of nodes of its trees, or of its coefficients.
    pub fn size(&self) -> usize {
        match self {
            Self::RandomForest(model) => model.ensemble().n_nodes(),
            Self::GradientBoosting(model) => model.ensemble().n_nodes(),
            Self::LogisticRegression(model) => model.coefficients().len(),
            Self::DecisionTree(model) => model.as_forest().ensemble().n_nodes(),
        }
    }

    /// Trees of a forest, rounds of boosting.
    pub(super) fn n_trees(&self) -> Option<usize> {
        match self {
            Self::RandomForest(model) => Some(model.ensemble().n_trees()),
            Self::GradientBoosting(model) => Some(model.n_rounds()),
            Self::LogisticRegression(_) => None,
            Self::DecisionTree(_) => Some(1),
        }
    }

    /// What makes many explanations faster, of trees that are not too many.
    pub(super) fn explainer(&self) -> Option<Explainer> {
        match self {
            Self::RandomForest(model) => model.explainer(),
            Self::GradientBoosting(model) => model.explainer(),
            Self::LogisticRegression(_) => None,
            Self::DecisionTree(model) => model.as_forest().explainer(),
        }
    }

    /// What makes explanations of rows that come one at a time faster still.
    pub(super) fn single_row_explainer(&self) -> Option<Explainer> {
        match self {
            Self::RandomForest(model) => model.single_row_explainer(),
            Self::GradientBoosting(model) => model.single_row_explainer(),
            Self::LogisticRegression(_) => None,
            Self::DecisionTree(model) => model.as_forest().single_row_explainer(),
        }
    }

    pub(super) fn single_row_explainer_bytes(&self) -> usize {
        match self {
            Self::RandomForest(model) => Explainer::bytes_of_single_rows(model.ensemble()),
            Self::GradientBoosting(model) => Explainer::bytes_of_single_rows(model.ensemble()),
            Self::LogisticRegression(_) => 0,
            Self::DecisionTree(model) => Explainer::bytes_of_single_rows(model.as_forest().ensemble()),
        }
    }

    pub(super) fn explainer_bytes(&self) -> usize {
        match self {
            Self::RandomForest(model) => Explainer::bytes(model.ensemble()),
            Self::GradientBoosting(model) => Explainer::bytes(model.ensemble()),
            Self::LogisticRegression(_) => 0,
            Self::DecisionTree(model) => Explainer::bytes(model.as_forest().ensemble()),
        }
    }

    /// About the bytes that it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let of_leaf = match self {
            Self::RandomForest(_) | Self::DecisionTree(_) => 8 * self.n_classes(),
            _ => 8,
        };
        self.size().saturating_mul(32 + of_leaf)
    }
}

impl Classifier for Fitted {
    fn n_classes(&self) -> usize {
        match self {
            Self::RandomForest(model) => model.n_classes(),
            Self::GradientBoosting(model) => model.n_classes(),
            Self::LogisticRegression(model) => model.n_classes(),
            Self::DecisionTree(model) => model.as_forest().n_classes(),
        }
    }

    fn predict(&self, ctx: &Context, columns: &[Vec<f64>]) -> Result<Vec<f64>> {
        if let Self::LogisticRegression(model) = self {
            return model.predict(ctx, columns);
        }
        let _copy = reserve_features(ctx, columns)?;
        let table = FeatureTable::from_columns(columns)?;
        let mut probabilities = match self {
            Self::RandomForest(model) => model.predict_probabilities(ctx, &table)?,
            Self::DecisionTree(model) => model.predict_probabilities(ctx, &table)?,
            Self::GradientBoosting(model) => model.predict_probabilities(ctx, &table)?,
            Self::LogisticRegression(_) => Vec::new(),
        };
        // Sums of shares may be rounded beyond 1
        probabilities.iter_mut().for_each(|p| *p = p.clamp(0.0, 1.0));
        Ok(probabilities)
    }
}

/// Memory of the copy that [`FeatureTable::from_columns`] makes.
pub(super) fn reserve_features(ctx: &Context, columns: &[Vec<f64>]) -> Result<crate::context::Reservation> {
    ctx.reserve_for::<f64>(columns.len().saturating_mul(columns.first().map_or(0, Vec::len)))
}
