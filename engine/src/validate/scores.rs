//! The scores of predictions, per fold and over all.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Result;
use crate::metrics::Predictions;

/// A score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    LogLoss,
    Brier,
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    Auc,
    AveragePrecision,
}

impl Metric {
    /// All, in the order of [`Scores`].
    pub const ALL: [Metric; 7] = [
        Self::LogLoss,
        Self::Brier,
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::MacroF1,
        Self::Auc,
        Self::AveragePrecision,
    ];

    /// Name, as serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::MacroF1 => "macro_f1",
            Self::Auc => "auc",
            Self::AveragePrecision => "average_precision",
        }
    }

    /// False for losses.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::LogLoss | Self::Brier)
    }

    /// Its value; `None` where it is not defined (a class without rows, no weight).
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory),
    /// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
    pub fn of(self, ctx: &Context, predictions: &Predictions) -> Result<Option<f64>> {
        Ok(match self {
            Self::LogLoss => predictions.log_loss(),
            Self::Brier => predictions.brier(),
            Self::Accuracy => predictions.confusion()?.accuracy(),
            Self::BalancedAccuracy => predictions.confusion()?.balanced_accuracy(),
            Self::MacroF1 => predictions.confusion()?.macro_f1(),
            Self::Auc => predictions.auc(ctx)?,
            Self::AveragePrecision => predictions.average_precision(ctx)?,
        })
    }

    /// `value` turned so that higher is better; an undefined one is the worst.
    pub(crate) fn worth(self, value: Option<f64>) -> f64 {
        match (value, self.higher_is_better()) {
            (None, _) => f64::NEG_INFINITY,
            (Some(value), true) => value,
            (Some(value), false) => -value,
        }
    }
}

/// One value per metric, in the order of [`Metric::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores([Option<f64>; 7]);

impl Scores {
    /// All scores of `predictions`.
    ///
    /// # Errors
    /// As [`Metric::of`].
    pub fn of(ctx: &Context, predictions: &Predictions) -> Result<Self> {
        let mut scores = [None; 7];
        for (score, metric) in scores.iter_mut().zip(Metric::ALL) {
            *score = metric.of(ctx, predictions)?;
        }
        Ok(Self(scores))
    }

    /// The value of `metric`.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.0[metric as usize]
    }
}

/// A metric over the folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    pub metric: Metric,
    /// Of all out-of-fold predictions together.
    pub pooled: Option<f64>,
    /// Mean over the folds where it is defined.
    pub mean: Option<f64>,
    /// Sample standard deviation over these folds; `None` with fewer than two.
    pub sd: Option<f64>,
    /// Folds where it is defined.
    pub folds: usize,
}

impl MetricSummary {
    pub(crate) fn new(metric: Metric, pooled: Option<f64>, of_folds: impl Iterator<Item = Option<f64>>) -> Self {
        let values: Vec<f64> = of_folds.flatten().collect();
        let n = values.len() as f64;
        let mean = (n > 0.0).then(|| values.iter().sum::<f64>() / n);
        let sd = mean.filter(|_| n > 1.0).map(|mean| {
            let squares = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
            (squares / (n - 1.0)).sqrt()
        });
        Self {
            metric,
            pooled,
            mean,
            sd,
            folds: values.len(),
        }
    }
}
