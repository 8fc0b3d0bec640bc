//! A calibrator of all classes: one curve for two classes, else one per class against the rest, made to add up to 1.

use serde::{Deserialize, Serialize};

use super::{Isotonic, Platt};
use crate::context::Context;
use crate::data::{labels, MAX_CLASSES};
use crate::error::{EngineError, Result};
use crate::metrics::Predictions;

/// Rows between two looks at the cancel flag.
const CHECK_ROWS: usize = 65_536;

/// How probabilities are calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Platt,
    Isotonic,
}

/// A function from probability to probability that keeps the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    Platt(Platt),
    Isotonic(Isotonic),
}

impl Curve {
    /// The calibrated probability.
    pub fn apply(&self, p: f64) -> f64 {
        match self {
            Self::Platt(platt) => platt.apply(p),
            Self::Isotonic(isotonic) => isotonic.apply(p),
        }
    }
}

/// Curves of the classes: of class 1 alone where there are two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Calibrator {
    n_classes: usize,
    curves: Vec<Curve>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    n_classes: usize,
    curves: Vec<Curve>,
}

impl TryFrom<Stored> for Calibrator {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        if !(2..=MAX_CLASSES).contains(&s.n_classes) {
            let expected = format!("between 2 and {MAX_CLASSES}");
            return Err(EngineError::invalid("number of classes", expected, s.n_classes));
        }
        let expected = if s.n_classes == 2 { 1 } else { s.n_classes };
        labels::same("calibration curves", expected, s.curves.len())?;
        Ok(Self {
            n_classes: s.n_classes,
            curves: s.curves,
        })
    }
}

impl Calibrator {
    /// Fits on predictions of rows that the model has not seen.
    ///
    /// # Errors
    /// [`EngineError::EmptyInput`] without weight, [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit(ctx: &Context, method: Method, predictions: &Predictions) -> Result<Self> {
        let n_classes = predictions.n_classes();
        let first = if n_classes == 2 { 1 } else { 0 };
        let curve = |class: usize| {
            let ranking = predictions.ranking(ctx, class as u32)?;
            Ok(match method {
                Method::Platt => Curve::Platt(Platt::fit(&ranking)?),
                Method::Isotonic => Curve::Isotonic(Isotonic::fit(&ranking)?),
            })
        };
        let curves = (first..n_classes).map(curve).collect::<Result<_>>()?;
        Ok(Self { n_classes, curves })
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The curves.
    pub fn curves(&self) -> &[Curve] {
        &self.curves
    }

    /// Calibrates `probabilities` (row-major, n x classes) in place. Where every class of a row comes to 0, all become equal.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Cancelled`].
    pub fn apply(&self, ctx: &Context, probabilities: &mut [f64]) -> Result<()> {
        let k = self.n_classes;
        if !probabilities.len().is_multiple_of(k) {
            return Err(EngineError::Dimension {
                what: "probabilities",
                expected: probabilities.len().div_ceil(k).saturating_mul(k),
                found: probabilities.len(),
            });
        }
        for (row, p) in probabilities.chunks_exact_mut(k).enumerate() {
            if row % CHECK_ROWS == 0 {
                ctx.check()?;
            }
            if let ([first, second], [curve]) = (&mut *p, &self.curves[..]) {
                *second = curve.apply(*second);
                *first = 1.0 - *second;
                continue;
            }
            p.iter_mut()
                .zip(&self.curves)
                .for_each(|(p, curve)| *p = curve.apply(*p));
            let sum: f64 = p.iter().sum();
            match sum > 0.0 {
                true => p.iter_mut().for_each(|p| *p /= sum),
                false => p.fill(1.0 / k as f64),
            }
        }
        Ok(())
    }
}
