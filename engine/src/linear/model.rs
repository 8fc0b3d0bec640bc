//! The fitted model: coefficients, and probabilities from them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fit::check_columns;
use super::objective::{sigmoid, softmax};
use crate::codec::{self, Kind};
use crate::context::Context;
use crate::data::{check_value, labels, MAX_CLASSES};
use crate::error::{EngineError, Result};

/// Rows per parallel task.
const TASK_ROWS: usize = 4_096;

/// Coefficients of a logistic regression.
///
/// One margin where two classes were fitted (the log-odds of the second), else one per class fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct LogisticModel {
    n_classes: usize,
    /// The classes fitted, ascending, at least two.
    classes: Vec<u32>,
    /// Margins x p.
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    /// Weighted mean of each feature in training, p.
    means: Vec<f64>,
    iterations: usize,
    converged: bool,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    n_classes: usize,
    classes: Vec<u32>,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    means: Vec<f64>,
    iterations: usize,
    converged: bool,
}

impl TryFrom<Stored> for LogisticModel {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        Self::new(
            s.n_classes,
            s.classes,
            s.coefficients,
            s.intercepts,
            s.means,
            s.iterations,
            s.converged,
        )
    }
}

impl LogisticModel {
    /// Takes the parts, checked.
    pub(super) fn new(
        n_classes: usize,
        classes: Vec<u32>,
        coefficients: Vec<f64>,
        intercepts: Vec<f64>,
        means: Vec<f64>,
        iterations: usize,
        converged: bool,
    ) -> Result<Self> {
        let ascending = classes.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = classes.last().is_some_and(|last| (*last as usize) < n_classes);
        if n_classes > MAX_CLASSES || classes.len() < 2 || !ascending || !in_range {
            return Err(EngineError::invalid(
                "classes",
                format!("at least two, ascending, less than {n_classes}, at most {MAX_CLASSES}"),
                format!("{classes:?}"),
            ));
        }
        let n_margins = if classes.len() == 2 { 1 } else { classes.len() };
        let p = means.len();
        labels::same("intercepts", n_margins, intercepts.len())?;
        labels::same("coefficients", n_margins.saturating_mul(p), coefficients.len())?;
        if p == 0 {
            return Err(EngineError::invalid("features", "at least one", "none"));
        }
        for (index, value) in coefficients.iter().chain(&intercepts).chain(&means).enumerate() {
            check_value(*value, index / p, index % p)?;
        }
        Ok(Self {
            n_classes,
            classes,
            coefficients,
            intercepts,
            means,
            iterations,
            converged,
        })
    }

    /// A model of `n_classes` classes whose coefficients (margins x p, row-major; one margin where there are two classes) are
    /// known; `means` (p) are the features of the row that explanations compare with.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`], [`EngineError::Dimension`], [`EngineError::NonFinite`],
    /// [`EngineError::OutOfDomain`].
    pub fn from_coefficients(
        n_classes: usize,
        coefficients: Vec<f64>,
        intercepts: Vec<f64>,
        means: Vec<f64>,
    ) -> Result<Self> {
        let classes = (0..n_classes.min(MAX_CLASSES + 1) as u32).collect();
        Self::new(n_classes, classes, coefficients, intercepts, means, 0, true)
    }

    /// Number of classes, fitted or not.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The classes fitted, ascending.
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// Number of features, p.
    pub fn n_features(&self) -> usize {
        self.means.len()
    }

    /// Coefficients, margins x p, row-major.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// Intercepts, one per margin.
    pub fn intercepts(&self) -> &[f64] {
        &self.intercepts
    }

    /// Weighted mean of each feature in training, p.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Newton steps taken.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Whether the gradient vanished, rather than the steps running out.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// Probabilities of `columns` (p columns of n values), row-major, n x classes.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`], [`EngineError::OutOfDomain`], [`EngineError::Memory`],
    /// [`EngineError::Cancelled`].
    pub fn predict(&self, ctx: &Context, columns: &[Vec<f64>]) -> Result<Vec<f64>> {
        let n = self.check_input(columns)?;
        let _memory = ctx.reserve_for::<f64>(n.saturating_mul(self.n_classes))?;
        let mut out = vec![0.0; n * self.n_classes];
        let n_margins = self.intercepts.len();
        ctx.run(|| {
            let tasks = out.par_chunks_mut(TASK_ROWS * self.n_classes).enumerate();
            tasks.try_for_each(|(task, out)| {
                ctx.check()?;
                let first = task * TASK_ROWS;
                let rows = first..first + out.len() / self.n_classes;
                let mut margins = self.intercepts.repeat(rows.len());
                for (index, column) in columns.iter().enumerate() {
                    for (x, margins) in column[rows.clone()].iter().zip(margins.chunks_exact_mut(n_margins)) {
                        let of_margins = self.coefficients[index..].iter().step_by(self.means.len());
                        margins
                            .iter_mut()
                            .zip(of_margins)
                            .for_each(|(margin, c)| *margin += c * x);
                    }
                }
                for (out, margins) in out
                    .chunks_exact_mut(self.n_classes)
                    .zip(margins.chunks_exact_mut(n_margins))
                {
                    self.fill(margins, out);
                }
                Ok::<(), EngineError>(())
            })
        })?;
        Ok(out)
    }

    /// Turns one row's margins into probabilities of all classes.
    fn fill(&self, margins: &mut [f64], out: &mut [f64]) {
        if let ([z], [first, second]) = (&*margins, &self.classes[..]) {
            out[*first as usize] = sigmoid(-z);
            out[*second as usize] = sigmoid(*z);
            return;
        }
        softmax(margins);
        for (class, p) in self.classes.iter().zip(margins) {
            out[*class as usize] = *p;
        }
    }

    /// Checks `columns` against the model and gives their length.
    pub(super) fn check_input(&self, columns: &[Vec<f64>]) -> Result<usize> {
        labels::same("features", self.n_features(), columns.len())?;
        let n = columns.first().map_or(0, Vec::len);
        check_columns(columns, n)?;
        Ok(n)
    }

    /// Versioned, checksummed bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::LOGISTIC, self)?)
    }

    /// The model in `bytes`, checked for consistency.
    ///
    /// # Errors
    /// [`EngineError::Codec`] for foreign, truncated, corrupted or inconsistent bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::LOGISTIC, bytes)?)
    }
}
