//! Parameters shared by the tree models, and their checks.

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};

/// Most trees, or rounds of boosting.
pub const MAX_TREES: usize = 10_000;

/// How much the classes count, on top of the rows' weights.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// All the same.
    #[default]
    Equal,
    /// Inversely to their total weight, so that each class weighs the same.
    Balanced,
    /// One factor per class.
    Given(Vec<f64>),
}

impl ClassWeight {
    /// A factor per class; 0 for a balanced class without rows.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when not as many are given as there are classes.
    pub fn factors(&self, class_weights: &[f64]) -> Result<Vec<f64>> {
        match self {
            Self::Equal => Ok(vec![1.0; class_weights.len()]),
            Self::Balanced => {
                let present = class_weights.iter().filter(|w| **w > 0.0).count() as f64;
                let total: f64 = class_weights.iter().sum();
                let factor = |w: &f64| if *w > 0.0 { total / (present * w) } else { 0.0 };
                Ok(class_weights.iter().map(factor).collect())
            }
            Self::Given(factors) if factors.len() == class_weights.len() => Ok(factors.clone()),
            Self::Given(factors) => Err(EngineError::Dimension {
                what: "class weights",
                expected: class_weights.len(),
                found: factors.len(),
            }),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let Self::Given(factors) = self else {
            return Ok(());
        };
        match factors.iter().find(|f| !(**f > 0.0 && **f <= 1e6)) {
            Some(bad) => Err(EngineError::invalid("class weight", "above 0 and at most 1e6", bad)),
            None => Ok(()),
        }
    }
}

/// How many features are tried at a split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFeatures {
    /// The integer part of the square root of p.
    Sqrt,
    /// The integer part of the binary logarithm of p.
    Log2,
    All,
    /// This many, at most p.
    Count(usize),
    /// This part of p.
    Fraction(f64),
}

impl MaxFeatures {
    /// Of `p` features, at least 1.
    pub fn of(self, p: usize) -> usize {
        let count = match self {
            Self::Sqrt => p.isqrt(),
            Self::Log2 => p.max(1).ilog2() as usize,
            Self::All => p,
            Self::Count(count) => count,
            Self::Fraction(part) => (part * p as f64) as usize,
        };
        count.clamp(1, p.max(1))
    }

    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Count(0) => Err(EngineError::invalid("max_features", "at least 1", 0)),
            Self::Fraction(part) if !(part > 0.0 && part <= 1.0) => Err(EngineError::invalid(
                "max_features",
                "a fraction above 0 and at most 1",
                part,
            )),
            _ => Ok(()),
        }
    }
}

pub(crate) fn within(name: &'static str, found: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(EngineError::invalid(name, format!("between {least} and {most}"), found))
    }
}

pub(crate) fn at_least_zero(name: &'static str, found: f64) -> Result<()> {
    if found >= 0.0 && found.is_finite() {
        Ok(())
    } else {
        Err(EngineError::invalid(name, "finite and at least 0", found))
    }
}

pub(crate) fn fraction(name: &'static str, found: f64) -> Result<()> {
    if found > 0.0 && found <= 1.0 {
        Ok(())
    } else {
        Err(EngineError::invalid(name, "above 0 and at most 1", found))
    }
}
