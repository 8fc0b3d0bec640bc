//! Predictions of rows by models that have not seen them, and what may be fitted on these without cheating.

use serde::{Deserialize, Serialize};

use crate::data::labels;
use crate::error::{EngineError, Result};
use crate::metrics::{check_probabilities, Predictions};

/// Out-of-fold predictions of m rows, with all that metrics, thresholds, calibration and ensembles need.
///
/// Guarantees: all parts have m entries, in the order of `rows`; probabilities are distributions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct OutOfFold {
    rows: Vec<u32>,
    folds: Vec<u32>,
    n_classes: usize,
    probabilities: Vec<f64>,
    targets: Vec<u32>,
    weights: Vec<f64>,
    groups: Option<Vec<u64>>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    rows: Vec<u32>,
    folds: Vec<u32>,
    n_classes: usize,
    probabilities: Vec<f64>,
    targets: Vec<u32>,
    weights: Vec<f64>,
    groups: Option<Vec<u64>>,
}

impl TryFrom<Stored> for OutOfFold {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        let m = s.rows.len();
        let out_of_fold = Self::new(s.n_classes, s.probabilities, s.targets, s.weights, s.folds)?;
        labels::same("row numbers", out_of_fold.n_rows(), m)?;
        match s.groups {
            Some(groups) => Self {
                rows: s.rows,
                ..out_of_fold
            }
            .with_groups(groups),
            None => Ok(Self {
                rows: s.rows,
                ..out_of_fold
            }),
        }
    }
}

impl OutOfFold {
    /// Takes m predictions (m x classes) with truth, weight and the fold each row was tested in.
    ///
    /// # Errors
    /// Those of [`Predictions::new`]; [`EngineError::Dimension`].
    pub fn new(
        n_classes: usize,
        probabilities: Vec<f64>,
        targets: Vec<u32>,
        weights: Vec<f64>,
        folds: Vec<u32>,
    ) -> Result<Self> {
        Predictions::new(&probabilities, n_classes, &targets, &weights)?;
        labels::same("fold numbers", targets.len(), folds.len())?;
        Ok(Self {
            rows: (0..targets.len() as u32).collect(),
            folds,
            n_classes,
            probabilities,
            targets,
            weights,
            groups: None,
        })
    }

    /// With the group of each row.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn with_groups(mut self, groups: Vec<u64>) -> Result<Self> {
        labels::same("groups", self.n_rows(), groups.len())?;
        self.groups = Some(groups);
        Ok(self)
    }

    /// Without groups: for those that only kept rows together while fitting.
    pub(crate) fn without_groups(mut self) -> Self {
        self.groups = None;
        self
    }

    pub(super) fn with_rows(mut self, rows: Vec<u32>) -> Result<Self> {
        labels::same("row numbers", self.n_rows(), rows.len())?;
        self.rows = rows;
        Ok(self)
    }

    /// The same rows with other probabilities (m x classes): calibrated, voted.
    ///
    /// # Errors
    /// Those of [`check_probabilities`]; [`EngineError::Dimension`].
    pub fn with_probabilities(&self, probabilities: Vec<f64>) -> Result<Self> {
        labels::same("probabilities", self.probabilities.len(), probabilities.len())?;
        check_probabilities(&probabilities, self.n_classes)?;
        Ok(Self {
            probabilities,
            ..self.clone()
        })
    }

    /// Probabilities and truth, for metrics.
    ///
    /// # Errors
    /// None but by a defect: all is checked.
    pub fn predictions(&self) -> Result<Predictions<'_>> {
        Predictions::new(&self.probabilities, self.n_classes, &self.targets, &self.weights)
    }

    /// Number of rows, m.
    pub fn n_rows(&self) -> usize {
        self.targets.len()
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Number of each row in the table that was split, ascending.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Fold each row was tested in.
    pub fn folds(&self) -> &[u32] {
        &self.folds
    }

    /// Probabilities, row-major, m x classes.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// True classes.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Weights.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Groups, where known.
    pub fn groups(&self) -> Option<&[u64]> {
        self.groups.as_deref()
    }

    /// Whether `other` predicts the same rows, in the same folds, of the same truth.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check_same_rows(&self, other: &Self) -> Result<()> {
        let same = self.rows == other.rows
            && self.folds == other.folds
            && self.targets == other.targets
            && self.weights == other.weights
            && self.n_classes == other.n_classes;
        match same {
            true => Ok(()),
            false => Err(EngineError::invalid(
                "out-of-fold predictions",
                "of the same rows and folds",
                "of others",
            )),
        }
    }
}

/// Fits something on the predictions outside each fold and applies it to those inside: probabilities (m x classes) that
/// are out of fold in what was fitted too. `None` with fewer than two folds: a single test has no other rows.
///
/// `fit` is given the positions outside the fold, `apply` what it made and the positions inside, and gives their
/// probabilities, row-major.
///
/// # Errors
/// Those of `fit` and `apply`; [`EngineError::Dimension`].
pub fn cross_fit<T>(
    out_of_fold: &OutOfFold,
    mut fit: impl FnMut(&[usize]) -> Result<T>,
    mut apply: impl FnMut(&T, &[usize]) -> Result<Vec<f64>>,
) -> Result<Option<Vec<f64>>> {
    let mut folds = out_of_fold.folds.clone();
    folds.sort_unstable();
    folds.dedup();
    if folds.len() < 2 {
        return Ok(None);
    }
    let k = out_of_fold.n_classes;
    let mut probabilities = vec![0.0; out_of_fold.probabilities.len()];
    for fold in folds {
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..out_of_fold.n_rows()).partition(|row| out_of_fold.folds[*row] == fold);
        let fitted = fit(&outside)?;
        let predicted = apply(&fitted, &inside)?;
        labels::same("probabilities", inside.len() * k, predicted.len())?;
        for (row, p) in inside.iter().zip(predicted.chunks_exact(k)) {
            probabilities[row * k..(row + 1) * k].copy_from_slice(p);
        }
    }
    Ok(Some(probabilities))
}
