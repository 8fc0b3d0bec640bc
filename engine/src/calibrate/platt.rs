//! Platt scaling: a logistic regression of the outcome on the log-odds, towards Platt's (1999) smoothed targets; Newton's
//! method as Lin, Lin & Weng (2007) have it.

use serde::{Deserialize, Serialize};

use crate::data::check_value;
use crate::error::{EngineError, Result};
use crate::linear::{ln_1p_exp, log_odds, sigmoid};
use crate::metrics::Ranking;

const MAX_ITER: usize = 200;
/// Added to the Hessian's diagonal where it is singular.
const RIDGE: f64 = 1e-12;

/// p becomes 1 / (1 + exp(-(slope x log-odds + intercept))); slope at least 0, so that the order of rows stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Platt {
    slope: f64,
    intercept: f64,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    slope: f64,
    intercept: f64,
}

impl TryFrom<Stored> for Platt {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        check_value(s.slope, 0, 0)?;
        check_value(s.intercept, 0, 1)?;
        if s.slope < 0.0 {
            return Err(EngineError::invalid("slope", "at least 0", s.slope));
        }
        Ok(Self {
            slope: s.slope,
            intercept: s.intercept,
        })
    }
}

impl Platt {
    /// Fits on probabilities. A slope that would turn the order of the rows round is 0.
    ///
    /// # Errors
    /// [`EngineError::EmptyInput`] for a ranking without rows.
    pub fn fit(ranking: &Ranking) -> Result<Self> {
        let (positive, negative) = (ranking.positive(), ranking.negative());
        if positive + negative <= 0.0 {
            return Err(EngineError::EmptyInput {
                what: "calibration set",
            });
        }
        let targets = ((positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0));
        // Log-odds, weight, mean target
        let point = |level: &crate::metrics::Level| {
            let weight = level.positive + level.negative;
            let target = (level.positive * targets.0 + level.negative * targets.1) / weight;
            (log_odds(level.score), weight / (positive + negative), target)
        };
        let points: Vec<(f64, f64, f64)> = ranking.levels().iter().map(point).collect();
        let intercept = ((positive + 1.0) / (negative + 1.0)).ln();
        let fitted = newton(&points, intercept, true);
        match fitted.slope >= 0.0 {
            true => Ok(fitted),
            false => Ok(newton(&points, intercept, false)),
        }
    }

    /// The calibrated probability.
    pub fn apply(&self, p: f64) -> f64 {
        sigmoid(self.slope * log_odds(p) + self.intercept)
    }

    /// Factor of the log-odds.
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// Added to the log-odds.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }
}

/// Minimises the weighted cross-entropy; without `sloped`, over the intercept alone.
fn newton(points: &[(f64, f64, f64)], intercept: f64, sloped: bool) -> Platt {
    let loss = |at: Platt| -> f64 {
        let of = |(x, w, t): &(f64, f64, f64)| {
            let z = at.slope * x + at.intercept;
            w * (ln_1p_exp(-z) * t + ln_1p_exp(z) * (1.0 - t))
        };
        points.iter().map(of).sum()
    };
    let mut at = Platt { slope: 0.0, intercept };
    let mut value = loss(at);
    for _ in 0..MAX_ITER {
        let (mut g, mut h) = ([0.0; 2], [RIDGE, 0.0, RIDGE]);
        for (x, w, t) in points {
            let x = if sloped { *x } else { 0.0 };
            let p = sigmoid(at.slope * x + at.intercept);
            let (r, d) = (w * (p - t), w * p * (1.0 - p));
            g = [g[0] + r * x, g[1] + r];
            h = [h[0] + d * x * x, h[1] + d * x, h[2] + d];
        }
        if g[0].abs().max(g[1].abs()) < 1e-13 {
            break;
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step = [
            -(h[2] * g[0] - h[1] * g[1]) / determinant,
            -(h[0] * g[1] - h[1] * g[0]) / determinant,
        ];
        let slope = g[0] * step[0] + g[1] * step[1];
        let mut length = 1.0;
        let next = loop {
            let next = Platt {
                slope: at.slope + length * step[0],
                intercept: at.intercept + length * step[1],
            };
            let there = loss(next);
            if there <= value + 1e-4 * length * slope || (length == 1.0 && -slope < 1e-14) {
                value = there;
                break Some(next);
            }
            length /= 2.0;
            if length < 1e-10 {
                break None;
            }
        };
        match next {
            Some(next) if next != at => at = next,
            _ => break,
        }
    }
    at
}
