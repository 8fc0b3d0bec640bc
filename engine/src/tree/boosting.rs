//! Gradient boosting (Friedman 2001) with second-order gains (Chen & Guestrin 2016) and leaf-wise growth (Ke et al.
//! 2017), for two classes with the logistic loss and for more with the softmax.

use serde::{Deserialize, Serialize};

use super::ensemble::Ensemble;
use super::importance::Importance;
use super::shap::{self, Explainer, Explanation};
use super::storage::StoredEnsemble;
use super::table::{FeatureTable, TrainingSet};
use crate::codec::{self, Kind};
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Trees whose sums are margins: of two classes the log-odds of the second, of more one margin each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredBoosting", into = "StoredBoosting")]
pub struct GradientBoosting {
    ensemble: Ensemble,
    base: Vec<f64>,
    n_classes: usize,
}

#[derive(Serialize, Deserialize)]
struct StoredBoosting {
    ensemble: StoredEnsemble,
    base: Vec<f64>,
    n_classes: usize,
}

impl From<GradientBoosting> for StoredBoosting {
    fn from(model: GradientBoosting) -> Self {
        Self {
            ensemble: model.ensemble.into(),
            base: model.base,
            n_classes: model.n_classes,
        }
    }
}

impl TryFrom<StoredBoosting> for GradientBoosting {
    type Error = EngineError;

    fn try_from(stored: StoredBoosting) -> Result<Self> {
        Self::from_ensemble(stored.ensemble.try_into()?, stored.base, stored.n_classes)
    }
}

/// A fitted model and how the fit went.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedBoosting {
    pub model: GradientBoosting,
    /// Mean log-loss of the validation set after each round, if there was one; the model has the rounds up to the
    /// lowest.
    pub validation_loss: Vec<f64>,
}

/// Number of margins for so many classes.
pub(crate) fn outputs(n_classes: usize) -> usize {
    if n_classes <= 2 {
        1
    } else {
        n_classes
    }
}

impl GradientBoosting {
    /// A model of given trees and base margins: one output for up to two classes, else one per class.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when the numbers of outputs, base margins and classes do not fit together,
    /// [`EngineError::InvalidParameter`] for a base margin that is not finite.
    pub fn from_ensemble(ensemble: Ensemble, base: Vec<f64>, n_classes: usize) -> Result<Self> {
        super::params::within("number of classes", n_classes, 1, super::table::MAX_CLASSES)?;
        let expected = outputs(n_classes);
        for (what, found) in [("outputs", ensemble.outputs), ("base margins", base.len())] {
            if found != expected {
                return Err(EngineError::Dimension { what, expected, found });
            }
        }
        if let Some(bad) = base.iter().find(|margin| !margin.is_finite()) {
            return Err(EngineError::invalid("base margin", "finite", bad));
        }
        Ok(Self {
            ensemble,
            base,
            n_classes,
        })
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.ensemble.n_features()
    }

    /// Number of rounds.
    pub fn n_rounds(&self) -> usize {
        self.ensemble.n_trees() / self.base.len()
    }

    /// The trees.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// The margins before the first tree, one per output.
    pub fn base(&self) -> &[f64] {
        &self.base
    }

    /// Gain and number of splits per feature.
    pub fn importance(&self) -> &Importance {
        &self.ensemble.importance
    }

    /// Margins, n x outputs, row-major: log-odds of class 1, or one margin per class before the softmax.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn predict_margins(&self, ctx: &Context, table: &FeatureTable) -> Result<Vec<f64>> {
        let mut sums = self.ensemble.sums(ctx, table)?;
        for row in sums.chunks_exact_mut(self.base.len()) {
            row.iter_mut().zip(&self.base).for_each(|(sum, base)| *sum += base);
        }
        Ok(sums)
    }

    /// Probabilities, n x classes, row-major.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn predict_probabilities(&self, ctx: &Context, table: &FeatureTable) -> Result<Vec<f64>> {
        let margins = self.predict_margins(ctx, table)?;
        Ok(probabilities(margins, self.n_classes))
    }

    /// Exact SHAP values of the margins; see [`Explanation`].
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

    /// As [`GradientBoosting::explain`], with what [`GradientBoosting::explainer`] made of this very model.
    ///
    /// # Errors
    /// As [`GradientBoosting::explain`].
    pub fn explain_with(
        &self,
        ctx: &Context,
        explainer: Option<&Explainer>,
        table: &FeatureTable,
    ) -> Result<Explanation> {
        shap::explain(ctx, &self.ensemble, explainer, table, 1.0, &self.base)
    }

    /// Model bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::BOOSTING, self)?)
    }

    /// Decodes what [`GradientBoosting::encode`] wrote; everything in it is checked.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::BOOSTING, bytes)?)
    }
}

/// The probability of class 1 for log-odds.
pub(crate) fn logistic(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// From margins, n x outputs, to probabilities, n x classes.
pub(crate) fn probabilities(mut margins: Vec<f64>, n_classes: usize) -> Vec<f64> {
    match n_classes {
        1 => vec![1.0; margins.len()],
        2 => margins
            .into_iter()
            .flat_map(|margin| [logistic(-margin), logistic(margin)])
            .collect(),
        _ => {
            for row in margins.chunks_exact_mut(n_classes) {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                row.iter_mut().for_each(|margin| *margin = (*margin - most).exp());
                let total: f64 = row.iter().sum();
                row.iter_mut().for_each(|share| *share /= total);
            }
            margins
        }
    }
}

/// A validation set is made of rows, classes and weights as a training set is.
pub type ValidationSet<'a> = TrainingSet<'a>;
