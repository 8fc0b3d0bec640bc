//! The threshold from which a row is called positive, chosen on out-of-fold probabilities.

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::metrics::{BinaryCounts, Ranking};
use crate::validate::Refusal;

/// Shares that differ by less than this are equal: sums of weights are rounded.
const EQUAL: f64 = 1e-12;

/// Cost of each outcome per row; a gain is negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostMatrix {
    #[serde(default)]
    pub true_negative: f64,
    pub false_positive: f64,
    pub false_negative: f64,
    #[serde(default)]
    pub true_positive: f64,
}

impl CostMatrix {
    /// Cost of all rows.
    pub fn of(&self, counts: &BinaryCounts) -> f64 {
        self.true_negative * counts.true_negative
            + self.false_positive * counts.false_positive
            + self.false_negative * counts.false_negative
            + self.true_positive * counts.true_positive
    }
}

/// What the threshold is to achieve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "objective", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// The highest precision at a recall of at least `target_recall`.
    Recall { target_recall: f64 },
    /// The highest F1.
    F1,
    /// The lowest cost; calling nothing positive is a candidate too.
    Cost { costs: CostMatrix },
    /// The largest recall - false positive rate.
    Youden,
    /// A given one.
    Fixed { threshold: f64 },
}

impl Default for Objective {
    /// Recall of 97 %.
    fn default() -> Self {
        Self::Recall { target_recall: 0.97 }
    }
}

/// A threshold and its price on the rows that it was chosen on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ThresholdChoice {
    /// Rows of a probability of at least this are called positive. Above every score where nothing is to be.
    pub threshold: f64,
    pub counts: BinaryCounts,
    pub recall: Option<f64>,
    /// `None` where nothing is called positive.
    pub precision: Option<f64>,
    pub false_positive_rate: Option<f64>,
    pub f1: Option<f64>,
    /// Share of the rows called positive.
    pub selection_rate: Option<f64>,
    /// Mean cost per row, for the objective cost.
    pub cost: Option<f64>,
}

impl Objective {
    /// Whether the parameters are in their domains.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::Recall { target_recall } if !(target_recall > 0.0 && target_recall <= 1.0) => {
                let expected = "above 0 and at most 1";
                Err(EngineError::invalid("target_recall", expected, target_recall))
            }
            Self::Fixed { threshold } if !(0.0..=1.0).contains(&threshold) => {
                Err(EngineError::invalid("threshold", "between 0 and 1", threshold))
            }
            Self::Cost { costs } => {
                let all = [
                    costs.true_negative,
                    costs.false_positive,
                    costs.false_negative,
                    costs.true_positive,
                ];
                if let Some(bad) = all.iter().find(|cost| cost.is_nan() || cost.abs() > 1e12) {
                    return Err(EngineError::invalid("cost", "finite, at most 1e12", bad));
                }
                if costs.false_positive <= costs.true_negative || costs.false_negative <= costs.true_positive {
                    return Err(EngineError::invalid(
                        "cost of an error",
                        "greater than that of the right decision",
                        format!("{costs:?}"),
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Chooses the threshold for rows ranked by their probability; among equally good ones the highest, which bothers the
    /// fewest students.
    ///
    /// Thresholds are scores that occur. A recall of up to 1 can always be had, at worst by calling every row positive.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`]; but for a fixed threshold, [`EngineError::Refusal`] without both classes
    /// (class 1 being the positive rows); [`EngineError::EmptyInput`] without rows.
    pub fn choose(&self, ranking: &Ranking) -> Result<ThresholdChoice> {
        self.check()?;
        if let Self::Fixed { threshold } = *self {
            return Ok(ThresholdChoice::new(threshold, ranking.counts_at(threshold), None));
        }
        match (ranking.positive() > 0.0, ranking.negative() > 0.0) {
            (true, true) => {}
            (false, false) => return Err(EngineError::EmptyInput { what: "set of rows" }),
            (true, false) => return Err(Refusal::OneClass { class: 1 }.into()),
            (false, true) => return Err(Refusal::OneClass { class: 0 }.into()),
        }
        let costs = match self {
            Self::Cost { costs } => Some(costs),
            _ => None,
        };
        let nothing = costs.and(ranking.levels().first()).map(|level| {
            let above = level.score.next_up();
            (above, ranking.counts_at(above))
        });
        let levels = ranking.levels().iter().map(|level| level.score);
        let mut best: Option<(f64, f64, BinaryCounts)> = None;
        for (threshold, counts) in nothing.into_iter().chain(levels.zip(ranking.counts())) {
            let Some(worth) = self.worth(&counts) else { continue };
            if best
                .as_ref()
                .is_none_or(|(most, ..)| worth > *most + EQUAL * most.abs().max(1.0))
            {
                best = Some((worth, threshold, counts));
            }
        }
        let (_, threshold, counts) = best.ok_or(EngineError::EmptyInput { what: "set of rows" })?;
        Ok(ThresholdChoice::new(threshold, counts, costs))
    }

    /// What a decision is worth, higher is better; `None` where it does not meet the target.
    fn worth(&self, counts: &BinaryCounts) -> Option<f64> {
        let recall = counts.recall()?;
        match self {
            Self::Recall { target_recall } => {
                (recall >= target_recall - EQUAL).then(|| counts.precision().unwrap_or(0.0))
            }
            Self::F1 => counts.f1(),
            Self::Cost { costs } => Some(-costs.of(counts) / counts.total()),
            Self::Youden => Some(recall - counts.false_positive_rate()?),
            Self::Fixed { .. } => None,
        }
    }
}

impl ThresholdChoice {
    fn new(threshold: f64, counts: BinaryCounts, costs: Option<&CostMatrix>) -> Self {
        Self {
            threshold,
            recall: counts.recall(),
            precision: counts.precision(),
            false_positive_rate: counts.false_positive_rate(),
            f1: counts.f1(),
            selection_rate: counts.selection_rate(),
            cost: costs
                .filter(|_| counts.total() > 0.0)
                .map(|costs| costs.of(&counts) / counts.total()),
            counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;

    fn ranking(scores: &[f64], positive: &[u8]) -> Ranking {
        let ctx = Context::builder().build().unwrap();
        let positive: Vec<bool> = positive.iter().map(|p| *p == 1).collect();
        Ranking::new(&ctx, scores, &positive, &vec![1.0; scores.len()]).unwrap()
    }

    #[test]
    fn lower_threshold_of_the_same_precision_is_not_preferred() {
        let r = ranking(&[0.9, 0.8, 0.7, 0.6], &[1, 0, 1, 0]);
        let choice = Objective::Recall { target_recall: 1.0 }.choose(&r).unwrap();
        assert_eq!((choice.threshold, choice.precision), (0.7, Some(2.0 / 3.0)));
        let choice = Objective::Recall { target_recall: 0.5 }.choose(&r).unwrap();
        assert_eq!((choice.threshold, choice.precision), (0.9, Some(1.0)));
    }

    #[test]
    fn equal_scores_are_all_called_positive() {
        let r = ranking(&[0.3; 4], &[1, 0, 1, 0]);
        for objective in [Objective::default(), Objective::F1, Objective::Youden] {
            let choice = objective.choose(&r).unwrap();
            assert_eq!(
                (choice.threshold, choice.recall, choice.selection_rate),
                (0.3, Some(1.0), Some(1.0))
            );
        }
    }

    #[test]
    fn expensive_alarms_call_nobody() {
        let costs = CostMatrix {
            true_negative: 0.0,
            false_positive: 100.0,
            false_negative: 1.0,
            true_positive: 0.0,
        };
        let r = ranking(&[0.9, 0.8, 0.7, 1.0], &[1, 0, 1, 0]);
        let choice = Objective::Cost { costs }.choose(&r).unwrap();
        assert!(choice.threshold > 1.0);
        assert_eq!(
            (choice.selection_rate, choice.precision, choice.cost),
            (Some(0.0), None, Some(0.5))
        );
    }

    #[test]
    fn one_class_is_refused_but_for_a_fixed_threshold() {
        let r = ranking(&[0.9, 0.8], &[0, 0]);
        assert!(matches!(
            Objective::F1.choose(&r),
            Err(EngineError::Refusal(Refusal::OneClass { class: 0 }))
        ));
        let choice = Objective::Fixed { threshold: 0.85 }.choose(&r).unwrap();
        assert_eq!(
            (choice.recall, choice.precision, choice.threshold),
            (None, Some(0.0), 0.85)
        );
    }

    #[test]
    fn parameters_out_of_their_domain_are_refused() {
        for objective in [
            Objective::Recall { target_recall: 0.0 },
            Objective::Recall {
                target_recall: f64::NAN,
            },
            Objective::Fixed { threshold: 1.5 },
            Objective::Cost {
                costs: CostMatrix {
                    true_negative: 1.0,
                    false_positive: 1.0,
                    false_negative: 5.0,
                    true_positive: 0.0,
                },
            },
        ] {
            assert!(
                matches!(objective.check(), Err(EngineError::InvalidParameter { .. })),
                "{objective:?}"
            );
        }
    }
}
