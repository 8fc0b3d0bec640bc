//! What a classifier predicts for rows that it has not seen, kept so that every question about it can be asked later.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::model::decide;
use crate::codec::{self, Kind};
use crate::context::Context;
use crate::data::labels;
use crate::error::{EngineError, Result};
use crate::metrics::{ConfusionMatrix, Predictions};
use crate::validate::{Metric, MetricSummary, OutOfFold, Scores};

/// A student's part of a row: rows that are equal for many students are kept once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub student: u64,
    /// Number of the row in the table that was trained on.
    pub row: u32,
    pub weight: f32,
}

/// Calibrated predictions out of fold with what is needed to judge them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Evaluation {
    pub(super) classes: Vec<String>,
    pub(super) positive: u32,
    pub(super) threshold: Option<f64>,
    pub(super) out_of_fold: OutOfFold,
    #[serde(default)]
    pub(super) pairs: Option<Vec<Pair>>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    classes: Vec<String>,
    positive: u32,
    threshold: Option<f64>,
    out_of_fold: OutOfFold,
    #[serde(default)]
    pairs: Option<Vec<Pair>>,
}

impl TryFrom<Stored> for Evaluation {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        let evaluation = Self::new(s.classes, s.positive, s.threshold, s.out_of_fold)?;
        match s.pairs {
            Some(pairs) => evaluation.with_pairs(pairs),
            None => Ok(evaluation),
        }
    }
}

impl Evaluation {
    /// Takes predictions of the named classes.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::InvalidParameter`].
    pub fn new(classes: Vec<String>, positive: u32, threshold: Option<f64>, out_of_fold: OutOfFold) -> Result<Self> {
        labels::same("class names", out_of_fold.n_classes(), classes.len())?;
        if positive as usize >= classes.len() {
            let expected = format!("less than {}", classes.len());
            return Err(EngineError::invalid("positive class", expected, positive));
        }
        if let Some(bad) = threshold.filter(|threshold| !(0.0..=2.0).contains(threshold)) {
            return Err(EngineError::invalid("threshold", "between 0 and 1", bad));
        }
        Ok(Self {
            classes,
            positive,
            threshold,
            out_of_fold,
            pairs: None,
        })
    }

    /// With the students behind each row; those of rows that are in no test are dropped.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a weight that is negative or not finite.
    pub fn with_pairs(mut self, mut pairs: Vec<Pair>) -> Result<Self> {
        if let Some(bad) = pairs
            .iter()
            .find(|pair| !(pair.weight >= 0.0 && pair.weight.is_finite()))
        {
            return Err(EngineError::invalid(
                "weight of a student",
                "finite and at least 0",
                bad.weight,
            ));
        }
        let rows = self.out_of_fold.rows();
        pairs.retain(|pair| rows.binary_search(&pair.row).is_ok());
        self.pairs = Some(pairs);
        Ok(self)
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class that threshold, recall and precision speak of.
    pub fn positive(&self) -> u32 {
        self.positive
    }

    /// With two classes, the probability of the positive one from which a row is called so.
    pub fn threshold(&self) -> Option<f64> {
        self.threshold
    }

    /// The predictions.
    pub fn out_of_fold(&self) -> &OutOfFold {
        &self.out_of_fold
    }

    /// The students behind the rows, where they are kept.
    pub fn pairs(&self) -> Option<&[Pair]> {
        self.pairs.as_deref()
    }

    /// What each row is called: by the threshold, else the most probable class.
    pub fn decided(&self) -> Vec<u32> {
        let rows = self.out_of_fold.probabilities().chunks_exact(self.classes.len());
        rows.map(|p| decide(p, Some(self.positive), self.threshold)).collect()
    }

    /// Truth against what rows are called.
    ///
    /// # Errors
    /// None but by a defect: all is checked.
    pub fn confusion_matrix(&self) -> Result<ConfusionMatrix> {
        let found = &self.out_of_fold;
        ConfusionMatrix::new(self.classes.len(), found.targets(), &self.decided(), found.weights())
    }

    /// Every metric: of all predictions together, and over the folds.
    ///
    /// # Errors
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn scores(&self, ctx: &Context) -> Result<Vec<MetricSummary>> {
        summaries(ctx, &self.out_of_fold)
    }

    /// The group (student) of each row, one per row; where students are kept apart, the rows repeated by them: positions of
    /// the rows, students, weights.
    pub(super) fn students(&self) -> Option<(Vec<usize>, Vec<u64>, Vec<f64>)> {
        if let Some(pairs) = &self.pairs {
            let rows = self.out_of_fold.rows();
            let place: HashMap<u32, usize> = rows.iter().enumerate().map(|(at, row)| (*row, at)).collect();
            let found = pairs.iter().filter_map(|pair| Some((*place.get(&pair.row)?, pair)));
            let (mut at, mut students, mut weights) = (Vec::new(), Vec::new(), Vec::new());
            for (position, pair) in found {
                at.push(position);
                students.push(pair.student);
                weights.push(f64::from(pair.weight));
            }
            return Some((at, students, weights));
        }
        let groups = self.out_of_fold.groups()?;
        let all = (0..groups.len()).collect();
        Some((all, groups.to_vec(), self.out_of_fold.weights().to_vec()))
    }

    /// Versioned, checksummed bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::EVALUATION, self)?)
    }

    /// Decodes what [`Evaluation::encode`] wrote; everything in it is checked.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::EVALUATION, bytes)?)
    }
}

/// Every metric of `out_of_fold`: pooled, and over its folds.
pub(super) fn summaries(ctx: &Context, out_of_fold: &OutOfFold) -> Result<Vec<MetricSummary>> {
    let k = out_of_fold.n_classes();
    let _copies = ctx.reserve_for::<f64>(out_of_fold.n_rows().saturating_mul(k + 3))?;
    let pooled = Scores::of(ctx, &out_of_fold.predictions()?)?;
    let mut folds = out_of_fold.folds().to_vec();
    folds.sort_unstable();
    folds.dedup();
    let mut of_folds = Vec::with_capacity(folds.len());
    for fold in folds {
        let rows: Vec<usize> = (0..out_of_fold.n_rows())
            .filter(|row| out_of_fold.folds()[*row] == fold)
            .collect();
        let probabilities: Vec<f64> = rows
            .iter()
            .flat_map(|row| &out_of_fold.probabilities()[row * k..(row + 1) * k])
            .copied()
            .collect();
        let targets: Vec<u32> = rows.iter().map(|row| out_of_fold.targets()[*row]).collect();
        let weights: Vec<f64> = rows.iter().map(|row| out_of_fold.weights()[*row]).collect();
        of_folds.push(Scores::of(
            ctx,
            &Predictions::new(&probabilities, k, &targets, &weights)?,
        )?);
    }
    let summary = |metric: Metric| {
        let values = of_folds.iter().map(|scores| scores.get(metric));
        MetricSummary::new(metric, pooled.get(metric), values)
    };
    Ok(Metric::ALL.into_iter().map(summary).collect())
}
