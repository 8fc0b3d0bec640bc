//! Isotonic regression: the non-decreasing step function nearest to the outcomes (pool adjacent violators, Barlow et al.
//! 1972), joined by straight lines and constant outside, as scikit-learn's with `out_of_bounds="clip"`.

use serde::{Deserialize, Serialize};

use crate::data::check_value;
use crate::error::{EngineError, Result};
use crate::metrics::Ranking;

/// A non-decreasing function given by points: scores ascending, values between 0 and 1; at least one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Isotonic {
    scores: Vec<f64>,
    values: Vec<f64>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    scores: Vec<f64>,
    values: Vec<f64>,
}

impl TryFrom<Stored> for Isotonic {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        crate::data::labels::same("values", s.scores.len(), s.values.len())?;
        for (row, (score, value)) in s.scores.iter().zip(&s.values).enumerate() {
            check_value(*score, row, 0)?;
            check_value(*value, row, 1)?;
        }
        let ascending = s.scores.windows(2).all(|pair| pair[0] < pair[1]);
        let monotone = s.values.windows(2).all(|pair| pair[0] <= pair[1]);
        let shares = s.values.iter().all(|value| (0.0..=1.0).contains(value));
        if s.scores.is_empty() || !ascending || !monotone || !shares {
            return Err(EngineError::invalid(
                "isotonic function",
                "points of ascending scores and non-decreasing values between 0 and 1",
                "others",
            ));
        }
        Ok(Self {
            scores: s.scores,
            values: s.values,
        })
    }
}

/// Neighbouring levels of one value.
struct Block {
    positive: f64,
    weight: f64,
    first: f64,
    last: f64,
}

impl Block {
    fn value(&self) -> f64 {
        self.positive / self.weight
    }
}

impl Isotonic {
    /// Fits the share of positive rows on the score.
    ///
    /// # Errors
    /// [`EngineError::EmptyInput`] for a ranking without rows.
    pub fn fit(ranking: &Ranking) -> Result<Self> {
        let mut blocks: Vec<Block> = Vec::new();
        for level in ranking.levels().iter().rev() {
            let mut block = Block {
                positive: level.positive,
                weight: level.positive + level.negative,
                first: level.score,
                last: level.score,
            };
            while let Some(before) = blocks.pop_if(|before| before.value() >= block.value()) {
                block.positive += before.positive;
                block.weight += before.weight;
                block.first = before.first;
            }
            blocks.push(block);
        }
        if blocks.is_empty() {
            return Err(EngineError::EmptyInput {
                what: "calibration set",
            });
        }
        let (mut scores, mut values) = (Vec::new(), Vec::new());
        for block in blocks {
            let value = block.value().clamp(0.0, 1.0);
            scores.push(block.first);
            values.push(value);
            if block.last > block.first {
                scores.push(block.last);
                values.push(value);
            }
        }
        Ok(Self { scores, values })
    }

    /// The value at `score`: between two points on the line, outside the nearest point's.
    pub fn apply(&self, score: f64) -> f64 {
        let above = self.scores.partition_point(|known| *known <= score);
        let (Some(low), true) = (above.checked_sub(1), above < self.scores.len()) else {
            let end = if above == 0 {
                self.values.first()
            } else {
                self.values.last()
            };
            return end.copied().unwrap_or(0.0);
        };
        let (x0, x1) = (self.scores[low], self.scores[above]);
        let (y0, y1) = (self.values[low], self.values[above]);
        (y0 + (y1 - y0) * ((score - x0) / (x1 - x0))).clamp(y0, y1)
    }

    /// The points: scores and values.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.scores.iter().copied().zip(self.values.iter().copied())
    }
}
