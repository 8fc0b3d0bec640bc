//! Hyperparameters of the logistic regression.

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};

/// Hyperparameters; unknown keys are refused when deserialised, absent ones have the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogisticParams {
    /// Weight of half the squared coefficients against the summed log-loss: scikit-learn's 1 / C. The intercepts are not
    /// penalised. Greater than 0, so that separable classes have finite coefficients.
    pub l2: f64,
    /// Whether the classes are weighted to the same total (scikit-learn's `class_weight="balanced"`).
    pub balanced: bool,
    /// Most Newton steps.
    pub max_iter: usize,
    /// Largest component of the mean loss's gradient, columns standardised, at which the fit ends.
    pub tolerance: f64,
}

impl Default for LogisticParams {
    /// `l2` 1, classes as they are, at most 200 steps, tolerance 1e-10.
    fn default() -> Self {
        Self {
            l2: 1.0,
            balanced: false,
            max_iter: 200,
            tolerance: 1e-10,
        }
    }
}

impl LogisticParams {
    /// Whether the values are in their domains.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        if !(1e-9..=1e9).contains(&self.l2) {
            return Err(EngineError::invalid("l2", "between 1e-9 and 1e9", self.l2));
        }
        if !(1..=100_000).contains(&self.max_iter) {
            return Err(EngineError::invalid("max_iter", "between 1 and 100000", self.max_iter));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(EngineError::invalid(
                "tolerance",
                "finite and at least 0",
                self.tolerance,
            ));
        }
        Ok(())
    }
}
