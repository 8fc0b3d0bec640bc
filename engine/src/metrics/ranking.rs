//! Scores in falling order with ties merged: what ROC, precision-recall and thresholds are read from.

use rayon::prelude::*;

use super::confusion::BinaryCounts;
use crate::context::Context;
use crate::data::{check_value, labels};
use crate::error::Result;

/// All rows of one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    pub score: f64,
    /// Weight of the positive rows.
    pub positive: f64,
    /// Weight of the negative rows.
    pub negative: f64,
}

/// A point of the ROC curve: rows with a score of at least `threshold` are called positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    pub threshold: f64,
    pub false_positive_rate: f64,
    pub true_positive_rate: f64,
}

/// A point of the precision-recall curve: rows with a score of at least `threshold` are called positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrPoint {
    pub threshold: f64,
    pub precision: f64,
    pub recall: f64,
}

/// The levels, highest score first, and the total weights. Rows of weight zero are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    levels: Vec<Level>,
    positive: f64,
    negative: f64,
}

impl Ranking {
    /// Ranks n rows by score.
    ///
    /// # Errors
    /// [`EngineError::Dimension`](crate::error::EngineError::Dimension),
    /// [`EngineError::NonFinite`](crate::error::EngineError::NonFinite),
    /// [`EngineError::InvalidWeight`](crate::error::EngineError::InvalidWeight),
    /// [`EngineError::Memory`](crate::error::EngineError::Memory),
    /// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
    pub fn new(ctx: &Context, scores: &[f64], positive: &[bool], weights: &[f64]) -> Result<Self> {
        labels::same("labels", scores.len(), positive.len())?;
        labels::same("weights", scores.len(), weights.len())?;
        labels::check_weights(weights)?;
        for (row, score) in scores.iter().enumerate() {
            check_value(*score, row, 0)?;
        }
        ctx.check()?;
        let _memory = ctx.reserve_for::<(f64, f64, bool)>(scores.len().saturating_mul(3))?;
        let rows = scores.iter().zip(positive).zip(weights);
        let mut rows: Vec<(f64, f64, bool)> = rows
            .filter(|(_, weight)| **weight > 0.0)
            .map(|((score, positive), weight)| (score + 0.0, *weight, *positive))
            .collect();
        ctx.run(|| rows.par_sort_by(|a, b| b.0.total_cmp(&a.0)));
        ctx.check()?;
        let mut ranking = Self {
            levels: Vec::new(),
            positive: 0.0,
            negative: 0.0,
        };
        for tied in rows.chunk_by(|a, b| a.0 == b.0) {
            let sum = |class: bool| tied.iter().filter(|row| row.2 == class).map(|row| row.1).sum::<f64>() + 0.0;
            let level = Level {
                score: tied[0].0,
                positive: sum(true),
                negative: sum(false),
            };
            ranking.positive += level.positive;
            ranking.negative += level.negative;
            ranking.levels.push(level);
        }
        Ok(ranking)
    }

    /// The levels, highest score first.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Weight of the positive rows.
    pub fn positive(&self) -> f64 {
        self.positive
    }

    /// Weight of the negative rows.
    pub fn negative(&self) -> f64 {
        self.negative
    }

    /// Probability that a positive row scores higher than a negative one, a tie counting half; `None` without both.
    pub fn auc(&self) -> Option<f64> {
        if self.positive <= 0.0 || self.negative <= 0.0 {
            return None;
        }
        let (mut above, mut area) = (0.0, 0.0);
        for level in &self.levels {
            area += level.negative * (above + level.positive / 2.0);
            above += level.positive;
        }
        Some((area / (self.positive * self.negative)).clamp(0.0, 1.0))
    }

    /// Sum over the levels of precision x gain in recall (scikit-learn's); `None` without positive rows.
    pub fn average_precision(&self) -> Option<f64> {
        let counts = (self.positive > 0.0).then(|| self.counts())?;
        let part = |(counts, level): (BinaryCounts, &Level)| {
            counts.precision().unwrap_or(0.0) * level.positive / self.positive
        };
        Some(counts.zip(&self.levels).map(part).sum::<f64>().clamp(0.0, 1.0))
    }

    /// From (0, 0), whose threshold is infinite, to (1, 1), one point per level; empty without both classes.
    pub fn roc_curve(&self) -> Vec<RocPoint> {
        if self.positive <= 0.0 || self.negative <= 0.0 {
            return Vec::new();
        }
        let start = RocPoint {
            threshold: f64::INFINITY,
            false_positive_rate: 0.0,
            true_positive_rate: 0.0,
        };
        let point = |(counts, level): (BinaryCounts, &Level)| RocPoint {
            threshold: level.score,
            false_positive_rate: counts.false_positive_rate().unwrap_or(0.0),
            true_positive_rate: counts.recall().unwrap_or(0.0),
        };
        std::iter::once(start)
            .chain(self.counts().zip(&self.levels).map(point))
            .collect()
    }

    /// One point per level, recall growing to 1; empty without positive rows.
    pub fn pr_curve(&self) -> Vec<PrPoint> {
        if self.positive <= 0.0 {
            return Vec::new();
        }
        let point = |(counts, level): (BinaryCounts, &Level)| PrPoint {
            threshold: level.score,
            precision: counts.precision().unwrap_or(0.0),
            recall: counts.recall().unwrap_or(0.0),
        };
        self.counts().zip(&self.levels).map(point).collect()
    }

    /// What calling every row of each level and above positive comes to, level by level.
    pub fn counts(&self) -> impl Iterator<Item = BinaryCounts> + '_ {
        let (mut positive, mut negative) = (0.0, 0.0);
        let last = self.levels.len().wrapping_sub(1);
        self.levels.iter().enumerate().map(move |(index, level)| {
            positive += level.positive;
            negative += level.negative;
            // The last level has all rows: no rounding may say that some are left
            self.counts_of(
                if index == last { self.positive } else { positive },
                if index == last { self.negative } else { negative },
            )
        })
    }

    /// What calling the rows of a score of at least `threshold` positive comes to.
    pub fn counts_at(&self, threshold: f64) -> BinaryCounts {
        let above = self.levels.partition_point(|level| level.score >= threshold);
        let counts = above.checked_sub(1).and_then(|last| self.counts().nth(last));
        counts.unwrap_or_else(|| self.counts_of(0.0, 0.0))
    }

    fn counts_of(&self, true_positive: f64, false_positive: f64) -> BinaryCounts {
        BinaryCounts {
            true_positive,
            false_positive,
            false_negative: (self.positive - true_positive).max(0.0),
            true_negative: (self.negative - false_positive).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(scores: &[f64], positive: &[u8], weights: &[f64]) -> Ranking {
        let ctx = Context::builder().build().unwrap();
        let positive: Vec<bool> = positive.iter().map(|p| *p == 1).collect();
        Ranking::new(&ctx, scores, &positive, weights).unwrap()
    }

    #[test]
    fn ties_at_score_zero_count_half() {
        // linfa 0.8.1 loses the point (0, 0) here and says 0.6
        let ranking = ranking(&[0.0, 0.0, 0.0, 0.5, 0.9, 0.0], &[0, 0, 1, 1, 1, 0], &[1.0; 6]);
        assert_eq!(ranking.auc(), Some((2.0 + 0.5) / 3.0));
    }

    #[test]
    fn all_scores_equal_is_one_half_and_prevalence() {
        let ranking = ranking(&[0.3; 4], &[0, 1, 0, 0], &[1.0, 2.0, 1.0, 1.0]);
        assert_eq!((ranking.auc(), ranking.average_precision()), (Some(0.5), Some(0.4)));
        assert_eq!(ranking.roc_curve().len(), 2);
        assert_eq!(ranking.pr_curve().len(), 1);
    }

    #[test]
    fn one_class_and_no_weight_have_no_area() {
        assert_eq!(ranking(&[0.1, 0.2], &[1, 1], &[1.0; 2]).auc(), None);
        assert_eq!(ranking(&[0.1, 0.2], &[0, 0], &[1.0; 2]).average_precision(), None);
        assert_eq!(ranking(&[0.1, 0.2], &[0, 1], &[1.0, 0.0]).auc(), None);
        assert!(ranking(&[], &[], &[]).roc_curve().is_empty());
    }

    #[test]
    fn nan_and_negative_weight_are_errors() {
        let ctx = Context::builder().build().unwrap();
        assert!(Ranking::new(&ctx, &[f64::NAN], &[true], &[1.0]).is_err());
        assert!(Ranking::new(&ctx, &[0.1], &[true], &[-1.0]).is_err());
        assert!(Ranking::new(&ctx, &[0.1], &[true], &[]).is_err());
    }

    #[test]
    fn counts_at_a_threshold_include_the_equal_score() {
        let ranking = ranking(&[0.9, 0.5, 0.5, 0.1], &[1, 0, 1, 1], &[1.0; 4]);
        let at = |t: f64| {
            let c = ranking.counts_at(t);
            (c.true_positive, c.false_positive, c.false_negative, c.true_negative)
        };
        assert_eq!(at(0.5), (2.0, 1.0, 1.0, 0.0));
        assert_eq!(at(0.51), (1.0, 0.0, 2.0, 1.0));
        assert_eq!(at(2.0), (0.0, 0.0, 3.0, 1.0));
        assert_eq!(at(-1.0), (3.0, 1.0, 0.0, 0.0));
    }
}
