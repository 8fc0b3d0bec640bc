//! Exact Shapley values of a linear margin.
//!
//! For a linear function the interventional Shapley value of a feature is coefficient x (value - mean), whatever the
//! dependence between features (Lundberg & Lee 2017, corollary 1), against the mean of the training rows.

use super::LogisticModel;
use crate::context::Context;
use crate::data::labels;
use crate::error::{EngineError, Result};

/// Contributions to the margin of a class: its log-odds where two classes were fitted, else its softmax score.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearExplanation {
    /// Margin of the mean row.
    pub base: f64,
    /// Row-major, n x p; base + a row's sum is its margin.
    pub contributions: Vec<f64>,
}

impl LogisticModel {
    /// Explains the margin of `class` for `columns` (p columns of n values).
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a class that was not fitted, and as [`LogisticModel::predict`].
    pub fn explain(&self, ctx: &Context, columns: &[Vec<f64>], class: u32) -> Result<LinearExplanation> {
        let n = self.check_input(columns)?;
        let p = self.n_features();
        let (sign, coefficients, intercept) = self.margin_of(class)?;
        let _memory = ctx.reserve_for::<f64>(n.saturating_mul(p))?;
        let mut contributions = vec![0.0; n * p];
        for (index, column) in columns.iter().enumerate() {
            ctx.check()?;
            let (c, mean) = (sign * coefficients[index], self.means()[index]);
            let places = contributions[index..].iter_mut().step_by(p);
            places.zip(column).for_each(|(place, x)| *place = c * (x - mean));
        }
        let at_mean: f64 = coefficients.iter().zip(self.means()).map(|(c, mean)| c * mean).sum();
        Ok(LinearExplanation {
            base: sign * (intercept + at_mean),
            contributions,
        })
    }

    /// Explains the margin of `class` for one row (p).
    ///
    /// # Errors
    /// As [`LogisticModel::explain`].
    pub fn explain_row(&self, row: &[f64], class: u32) -> Result<LinearExplanation> {
        labels::same("features", self.n_features(), row.len())?;
        for (column, value) in row.iter().enumerate() {
            crate::data::check_value(*value, 0, column)?;
        }
        let (sign, coefficients, intercept) = self.margin_of(class)?;
        let terms = || coefficients.iter().zip(self.means());
        Ok(LinearExplanation {
            base: sign * (intercept + terms().map(|(c, mean)| c * mean).sum::<f64>()),
            contributions: terms().zip(row).map(|((c, mean), x)| sign * c * (x - mean)).collect(),
        })
    }

    /// Sign, coefficients (p) and intercept of the margin of `class`.
    fn margin_of(&self, class: u32) -> Result<(f64, &[f64], f64)> {
        let fitted = || EngineError::invalid("class", format!("one of {:?}", self.classes()), class);
        let position = self.classes().binary_search(&class).map_err(|_| fitted())?;
        let (margin, sign) = match (self.intercepts().len(), position) {
            (1, 0) => (0, -1.0),
            (1, _) => (0, 1.0),
            _ => (position, 1.0),
        };
        let p = self.n_features();
        let coefficients = &self.coefficients()[margin * p..(margin + 1) * p];
        Ok((sign, coefficients, self.intercepts()[margin]))
    }
}
