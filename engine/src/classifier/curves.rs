//! The evaluation as rows: confusion matrix, ROC and precision-recall curve, calibration.

use serde::Serialize;

use super::evaluation::Evaluation;
use crate::context::Context;
use crate::error::Result;
use crate::metrics::{reliability, Bins};

/// A cell of the confusion matrix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ConfusionRow {
    /// True class.
    pub actual: u32,
    /// What rows are called.
    pub predicted: u32,
    pub weight: f64,
    /// Share of the weight of the true class; none where it has none.
    pub share: Option<f64>,
}

/// A point of the ROC curve: rows of a probability of at least `threshold` are called positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RocRow {
    pub threshold: f64,
    pub false_positive_rate: f64,
    pub true_positive_rate: f64,
}

/// A point of the precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrRow {
    pub threshold: f64,
    pub precision: f64,
    pub recall: f64,
}

/// A bin of probabilities and what happened to its rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BinRow {
    pub from: f64,
    pub to: f64,
    pub weight: f64,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of the rows that are of the class, with its 95 % interval.
    pub observed: f64,
    pub low: f64,
    pub high: f64,
}

impl Evaluation {
    /// Every cell, true class by true class.
    ///
    /// # Errors
    /// None but by a defect: all is checked.
    pub fn confusion(&self) -> Result<Vec<ConfusionRow>> {
        let matrix = self.confusion_matrix()?;
        let k = self.classes.len();
        let row = |actual: usize| {
            let total: f64 = (0..k).map(|predicted| matrix.cell(actual, predicted)).sum();
            let matrix = &matrix;
            (0..k).map(move |predicted| {
                let weight = matrix.cell(actual, predicted);
                ConfusionRow {
                    actual: actual as u32,
                    predicted: predicted as u32,
                    weight,
                    share: (total > 0.0).then(|| weight / total),
                }
            })
        };
        Ok((0..k).flat_map(row).collect())
    }

    /// The ROC curve of `class` against the rest, from nobody called positive to everybody.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`](crate::error::EngineError::InvalidParameter) for a class out of range,
    /// [`EngineError::Memory`](crate::error::EngineError::Memory),
    /// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
    pub fn roc(&self, ctx: &Context, class: u32) -> Result<Vec<RocRow>> {
        let points = self.out_of_fold.predictions()?.ranking(ctx, class)?.roc_curve();
        let row = |point: crate::metrics::RocPoint| RocRow {
            threshold: point.threshold,
            false_positive_rate: point.false_positive_rate,
            true_positive_rate: point.true_positive_rate,
        };
        Ok(points.into_iter().map(row).collect())
    }

    /// The precision-recall curve of `class` against the rest.
    ///
    /// # Errors
    /// As [`Evaluation::roc`].
    pub fn pr(&self, ctx: &Context, class: u32) -> Result<Vec<PrRow>> {
        let points = self.out_of_fold.predictions()?.ranking(ctx, class)?.pr_curve();
        let row = |point: crate::metrics::PrPoint| PrRow {
            threshold: point.threshold,
            precision: point.precision,
            recall: point.recall,
        };
        Ok(points.into_iter().map(row).collect())
    }

    /// Probability of `class` against what happened, in at most `bins` bins of equal weight.
    ///
    /// # Errors
    /// As [`Evaluation::roc`]; [`EngineError::InvalidParameter`](crate::error::EngineError::InvalidParameter) for a number of
    /// bins outside 1..=1000.
    pub fn calibration(&self, ctx: &Context, class: u32, bins: usize) -> Result<Vec<BinRow>> {
        let ranking = self.out_of_fold.predictions()?.ranking(ctx, class)?;
        let found = reliability(&ranking, Bins::Quantile(bins))?;
        let row = |bin: crate::metrics::ReliabilityBin| BinRow {
            from: bin.scores.low,
            to: bin.scores.high,
            weight: bin.weight,
            predicted: bin.predicted,
            observed: bin.observed,
            low: bin.interval.low,
            high: bin.interval.high,
        };
        Ok(found.map_or_else(Vec::new, |found| found.bins.into_iter().map(row).collect()))
    }
}
