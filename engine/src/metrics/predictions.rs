//! Predicted probabilities beside the truth, and the scores of both.

use super::{ConfusionMatrix, Ranking};
use crate::context::Context;
use crate::data::labels;
use crate::error::{EngineError, Result};

/// How far the probabilities of a row may be from adding up to 1.
const SUM_TOLERANCE: f64 = 1e-6;

/// Probabilities (row-major, n x classes), true classes and weights of n rows, checked.
#[derive(Debug, Clone, Copy)]
pub struct Predictions<'a> {
    probabilities: &'a [f64],
    n_classes: usize,
    targets: &'a [u32],
    weights: &'a [f64],
}

/// Checks that every row of `probabilities` (row-major) is a distribution over `n_classes` classes.
///
/// # Errors
/// [`EngineError::NonFinite`], [`EngineError::OutOfDomain`], [`EngineError::InvalidParameter`] for a sum that is not 1.
pub fn check_probabilities(probabilities: &[f64], n_classes: usize) -> Result<()> {
    for (row, values) in probabilities.chunks(n_classes.max(1)).enumerate() {
        for (column, found) in values.iter().copied().enumerate() {
            if !found.is_finite() {
                return Err(EngineError::NonFinite { row, column });
            }
            if !(0.0..=1.0).contains(&found) {
                return Err(EngineError::OutOfDomain {
                    row,
                    column,
                    expected: "a probability between 0 and 1",
                    found,
                });
            }
        }
        let sum: f64 = values.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(EngineError::invalid(
                "sum of the probabilities of a row",
                "1",
                format!("{sum} (row {row})"),
            ));
        }
    }
    Ok(())
}

impl<'a> Predictions<'a> {
    /// Takes probabilities and truth.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::InvalidWeight`], [`EngineError::InvalidParameter`] for a class out of
    /// range, and those of [`check_probabilities`].
    pub fn new(probabilities: &'a [f64], n_classes: usize, targets: &'a [u32], weights: &'a [f64]) -> Result<Self> {
        labels::check(targets, n_classes, weights)?;
        let expected = targets.len().saturating_mul(n_classes);
        labels::same("probabilities", expected, probabilities.len())?;
        check_probabilities(probabilities, n_classes)?;
        Ok(Self {
            probabilities,
            n_classes,
            targets,
            weights,
        })
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Probabilities, row-major.
    pub fn probabilities(&self) -> &'a [f64] {
        self.probabilities
    }

    /// True classes.
    pub fn targets(&self) -> &'a [u32] {
        self.targets
    }

    /// Weights.
    pub fn weights(&self) -> &'a [f64] {
        self.weights
    }

    /// The most probable class of each row, the first among equals.
    pub fn predicted(&self) -> Vec<u32> {
        let rows = self.probabilities.chunks_exact(self.n_classes);
        rows.map(most_probable).collect()
    }

    /// -ln p(true class) of each row, p as in [`Predictions::log_loss`]: what [`super::mean_difference`] compares.
    pub fn log_losses(&self) -> Vec<f64> {
        self.losses(log_loss)
    }

    /// Squared error of each row, as in [`Predictions::brier`].
    pub fn squared_errors(&self) -> Vec<f64> {
        self.losses(squared_error)
    }

    /// Mean of -ln p(true class), p at least 2.2e-16 (scikit-learn's `log_loss`); `None` without weight.
    pub fn log_loss(&self) -> Option<f64> {
        self.mean(log_loss)
    }

    /// Mean squared error of the probabilities: of class 1 with two classes, summed over the classes with more
    /// (scikit-learn's `brier_score_loss`); `None` without weight.
    pub fn brier(&self) -> Option<f64> {
        self.mean(squared_error)
    }

    /// The confusion matrix of the most probable classes.
    ///
    /// # Errors
    /// None but by a defect: all is checked.
    pub fn confusion(&self) -> Result<ConfusionMatrix> {
        ConfusionMatrix::new(self.n_classes, self.targets, &self.predicted(), self.weights)
    }

    /// The rows ranked by their probability of `class`.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a class out of range, [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn ranking(&self, ctx: &Context, class: u32) -> Result<Ranking> {
        if class as usize >= self.n_classes {
            let expected = format!("less than {}", self.n_classes);
            return Err(EngineError::invalid("class", expected, class));
        }
        let _memory = ctx.reserve_for::<(f64, bool)>(self.targets.len())?;
        let scores: Vec<f64> = self.of_class(class).collect();
        let positive: Vec<bool> = self.targets.iter().map(|target| *target == class).collect();
        Ranking::new(ctx, &scores, &positive, self.weights)
    }

    /// Probability of `class`, row by row.
    pub fn of_class(&self, class: u32) -> impl Iterator<Item = f64> + 'a {
        self.probabilities
            .iter()
            .skip(class as usize)
            .step_by(self.n_classes)
            .copied()
    }

    /// Area under the ROC curve: of class 1 with two classes, else the mean over the classes, each against the rest
    /// (scikit-learn's `roc_auc_score`, `ovr`, `macro`); `None` where a class has no rows.
    ///
    /// # Errors
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn auc(&self, ctx: &Context) -> Result<Option<f64>> {
        self.mean_over_classes(ctx, Ranking::auc)
    }

    /// Average precision, of class 1 with two classes, else the mean over the classes; `None` where a class has no rows.
    ///
    /// # Errors
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn average_precision(&self, ctx: &Context) -> Result<Option<f64>> {
        self.mean_over_classes(ctx, Ranking::average_precision)
    }

    fn mean_over_classes(&self, ctx: &Context, of: impl Fn(&Ranking) -> Option<f64>) -> Result<Option<f64>> {
        let first = if self.n_classes == 2 { 1 } else { 0 };
        let mut sum = 0.0;
        for class in first..self.n_classes as u32 {
            match of(&self.ranking(ctx, class)?) {
                Some(value) => sum += value,
                None => return Ok(None),
            }
        }
        Ok(Some(sum / (self.n_classes as u32 - first) as f64))
    }

    fn losses(&self, loss: impl Fn(&[f64], usize) -> f64) -> Vec<f64> {
        let rows = self.probabilities.chunks_exact(self.n_classes).zip(self.targets);
        rows.map(|(p, class)| loss(p, *class as usize)).collect()
    }

    fn mean(&self, loss: impl Fn(&[f64], usize) -> f64) -> Option<f64> {
        let rows = self.probabilities.chunks_exact(self.n_classes).zip(self.targets);
        let (mut sum, mut total) = (0.0, 0.0);
        for ((p, class), weight) in rows.zip(self.weights) {
            if *weight > 0.0 {
                sum += weight * loss(p, *class as usize);
                total += weight;
            }
        }
        (total > 0.0).then(|| sum / total)
    }
}

/// The class of the largest probability, the first among equals.
pub(crate) fn most_probable(probabilities: &[f64]) -> u32 {
    let mut best = 0;
    for (class, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = class;
        }
    }
    best as u32
}

/// -ln of the probability of `class`, kept away from 0 and 1 by 2.2e-16.
fn log_loss(p: &[f64], class: usize) -> f64 {
    -p[class].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// (p - truth)^2 of class 1 with two classes, else its sum over the classes.
fn squared_error(p: &[f64], class: usize) -> f64 {
    let error = |(c, p): (usize, &f64)| {
        let e = p - f64::from(u8::from(c == class));
        e * e
    };
    let first = usize::from(p.len() == 2);
    p.iter().enumerate().skip(first).map(error).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_that_are_none_are_refused() {
        let check = |p: &[f64]| Predictions::new(p, 2, &[0], &[1.0]).map(|_| ());
        assert!(check(&[0.4, 0.6]).is_ok());
        assert!(matches!(check(&[f64::NAN, 0.6]), Err(EngineError::NonFinite { .. })));
        assert!(matches!(check(&[-0.1, 1.1]), Err(EngineError::OutOfDomain { .. })));
        assert!(matches!(check(&[0.4, 0.5]), Err(EngineError::InvalidParameter { .. })));
        assert!(matches!(check(&[0.4]), Err(EngineError::Dimension { .. })));
    }

    #[test]
    fn certain_and_wrong_is_a_large_loss_not_an_infinite_one() {
        let p = Predictions::new(&[1.0, 0.0], 2, &[1], &[1.0]).unwrap();
        approx::assert_relative_eq!(p.log_loss().unwrap(), -f64::EPSILON.ln(), max_relative = 1e-12);
        assert_eq!(p.brier(), Some(1.0));
    }

    #[test]
    fn losses_of_the_rows_average_to_the_scores() {
        let p = Predictions::new(&[0.7, 0.3, 0.2, 0.8], 2, &[1, 1], &[1.0, 3.0]).unwrap();
        let mean = |losses: Vec<f64>| (losses[0] + 3.0 * losses[1]) / 4.0;
        approx::assert_relative_eq!(mean(p.log_losses()), p.log_loss().unwrap(), max_relative = 1e-14);
        approx::assert_relative_eq!(mean(p.squared_errors()), p.brier().unwrap(), max_relative = 1e-14);
        approx::assert_relative_eq!(p.brier().unwrap(), (0.49 + 3.0 * 0.04) / 4.0, max_relative = 1e-14);
    }

    #[test]
    fn without_weight_there_is_no_score() {
        let ctx = Context::builder().build().unwrap();
        let p = Predictions::new(&[1.0, 0.0], 2, &[1], &[0.0]).unwrap();
        assert_eq!((p.log_loss(), p.brier(), p.auc(&ctx).unwrap()), (None, None, None));
    }
}
