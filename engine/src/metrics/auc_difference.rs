//! Whether one model is better than another by more than chance, on the same rows.
//!
//! AUC: DeLong, DeLong & Clarke-Pearson (1988), with Obuchowski's (1997) variance where rows come in groups: the rows of
//! one student are not independent, and taking them for it makes every difference look certain. Without groups a row of
//! weight w is w independent rows.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::interval::confidence_z;
use super::{two_sided_p, Interval};
use crate::context::Context;
use crate::data::{check_value, labels};
use crate::error::{EngineError, Result};

/// An estimate with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    /// 0 where nothing varies.
    pub standard_error: f64,
    pub interval: Interval,
}

impl Estimate {
    fn new(value: f64, variance: f64, z: f64) -> Self {
        let standard_error = variance.max(0.0).sqrt();
        Self {
            value,
            standard_error,
            interval: Interval {
                low: value - z * standard_error,
                high: value + z * standard_error,
            },
        }
    }

    /// Probability of an estimate as far from 0 if the true value were 0.
    pub fn p_value(&self) -> f64 {
        match (self.standard_error > 0.0, self.value == 0.0) {
            (true, _) => two_sided_p(self.value / self.standard_error),
            (false, true) => 1.0,
            (false, false) => 0.0,
        }
    }
}

/// Two areas and their difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AucDifference {
    pub a: f64,
    pub b: f64,
    /// a - b.
    pub difference: Estimate,
}

/// Of positive rows, of negative rows, and of what both are in.
type Triple = (f64, f64, f64);

/// What the rows are: truth, weight, and group where they are not independent.
struct Rows<'a> {
    positive: &'a [bool],
    weights: &'a [f64],
    groups: Option<&'a [u64]>,
}

/// The area under the ROC curve of `scores` (n) with its uncertainty at confidence `level`; `None` with fewer than two
/// groups (rows, where there are no groups) with positive or with negative rows. The interval is cut at 0 and 1.
///
/// # Errors
/// [`EngineError::Dimension`], [`EngineError::NonFinite`], [`EngineError::InvalidWeight`],
/// [`EngineError::InvalidParameter`], [`EngineError::Memory`], [`EngineError::Cancelled`].
pub fn auc_with_error(
    ctx: &Context,
    scores: &[f64],
    positive: &[bool],
    weights: &[f64],
    groups: Option<&[u64]>,
    level: f64,
) -> Result<Option<Estimate>> {
    let rows = Rows::new(positive, weights, groups, &[scores])?;
    let z = confidence_z(level)?;
    let _memory = ctx.reserve_for::<f64>(scores.len().saturating_mul(4))?;
    let placements = rows.placements(ctx, scores)?;
    let estimate = rows.estimate(&placements, z);
    Ok(estimate.map(|estimate| Estimate {
        interval: Interval {
            low: estimate.interval.low.max(0.0),
            high: estimate.interval.high.min(1.0),
        },
        ..estimate
    }))
}

/// The difference of the areas under the ROC curves of `a` and `b`, two scores of the same n rows; `None` as in
/// [`auc_with_error`].
///
/// # Errors
/// As [`auc_with_error`].
pub fn auc_difference(
    ctx: &Context,
    a: &[f64],
    b: &[f64],
    positive: &[bool],
    weights: &[f64],
    groups: Option<&[u64]>,
    level: f64,
) -> Result<Option<AucDifference>> {
    let rows = Rows::new(positive, weights, groups, &[a, b])?;
    let z = confidence_z(level)?;
    let _memory = ctx.reserve_for::<f64>(a.len().saturating_mul(6))?;
    let (of_a, of_b) = (rows.placements(ctx, a)?, rows.placements(ctx, b)?);
    let difference: Vec<f64> = of_a.iter().zip(&of_b).map(|(a, b)| a - b).collect();
    Ok(rows.estimate(&difference, z).map(|difference| AucDifference {
        a: rows.mean(&of_a, true),
        b: rows.mean(&of_b, true),
        difference,
    }))
}

/// The mean of `a - b`, two losses of the same n rows; `None` with fewer than two groups (rows, where there are no
/// groups) of positive weight.
///
/// # Errors
/// As [`auc_with_error`].
pub fn mean_difference(
    a: &[f64],
    b: &[f64],
    weights: &[f64],
    groups: Option<&[u64]>,
    level: f64,
) -> Result<Option<Estimate>> {
    let all = vec![true; weights.len()];
    let rows = Rows::new(&all, weights, groups, &[a, b])?;
    let z = confidence_z(level)?;
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let mean = rows.mean(&difference, true);
    let (sums, clusters) = rows.cluster_sums(&difference, |_| mean);
    let total = rows.weight(true);
    if clusters.0 < 2.0 {
        return Ok(None);
    }
    let squares: f64 = sums.iter().map(|(w, x, _)| w * x * x).sum();
    let variance = squares / (total * total) * clusters.0 / (clusters.0 - 1.0);
    Ok(Some(Estimate::new(mean, variance, z)))
}

impl<'a> Rows<'a> {
    fn new(positive: &'a [bool], weights: &'a [f64], groups: Option<&'a [u64]>, values: &[&[f64]]) -> Result<Self> {
        labels::same("labels", weights.len(), positive.len())?;
        labels::check_weights(weights)?;
        if let Some(groups) = groups {
            labels::same("groups", weights.len(), groups.len())?;
        }
        for values in values {
            labels::same("scores", weights.len(), values.len())?;
            for (row, value) in values.iter().enumerate() {
                check_value(*value, row, 0)?;
            }
        }
        if weights.iter().all(|w| *w == 0.0) {
            return Err(EngineError::EmptyInput { what: "set of rows" });
        }
        Ok(Self {
            positive,
            weights,
            groups,
        })
    }

    fn weight(&self, class: bool) -> f64 {
        let of_class = self.positive.iter().zip(self.weights).filter(|(p, _)| **p == class);
        of_class.map(|(_, w)| w).sum()
    }

    fn mean(&self, values: &[f64], class: bool) -> f64 {
        let of_class = self
            .positive
            .iter()
            .zip(self.weights)
            .zip(values)
            .filter(|((p, _), _)| **p == class);
        of_class.map(|((_, w), x)| w * x).sum::<f64>() / self.weight(class)
    }

    /// Per row, the share of the other class that it is on the right side of, a tie counting half.
    fn placements(&self, ctx: &Context, scores: &[f64]) -> Result<Vec<f64>> {
        ctx.check()?;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        ctx.run(|| order.par_sort_by(|a, b| scores[*a].total_cmp(&scores[*b])));
        ctx.check()?;
        let (positive, negative) = (self.weight(true), self.weight(false));
        let (mut positive_below, mut negative_below) = (0.0, 0.0);
        let mut placements = vec![0.0; scores.len()];
        for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
            let weight = |class: bool| -> f64 {
                let of_class = tied.iter().filter(|row| self.positive[**row] == class);
                of_class.map(|row| self.weights[*row]).sum()
            };
            let (here_positive, here_negative) = (weight(true), weight(false));
            for row in tied {
                placements[*row] = if self.positive[*row] {
                    (negative_below + here_negative / 2.0) / negative
                } else {
                    1.0 - (positive_below + here_positive / 2.0) / positive
                };
            }
            positive_below += here_positive;
            negative_below += here_negative;
        }
        Ok(placements)
    }

    /// Per cluster its multiplicity and the sums of value - centre over its positive and its negative rows; and how many
    /// clusters have positive, negative, any rows.
    fn cluster_sums(&self, values: &[f64], centre: impl Fn(bool) -> f64) -> (Vec<Triple>, Triple) {
        let rows = self.positive.iter().zip(self.weights).zip(values).enumerate();
        let rows = rows.filter(|(_, ((_, w), _))| **w > 0.0);
        let mut counts = (0.0, 0.0, 0.0);
        let sums = match self.groups {
            None => rows
                .map(|(_, ((positive, w), x))| {
                    let x = x - centre(*positive);
                    counts.2 += w;
                    match positive {
                        true => {
                            counts.0 += w;
                            (*w, x, 0.0)
                        }
                        false => {
                            counts.1 += w;
                            (*w, 0.0, x)
                        }
                    }
                })
                .collect(),
            Some(groups) => {
                let mut clusters: BTreeMap<u64, [Option<f64>; 2]> = BTreeMap::new();
                for (row, ((positive, w), x)) in rows {
                    let sum = &mut clusters.entry(groups[row]).or_default()[usize::from(!*positive)];
                    *sum = Some(sum.unwrap_or(0.0) + w * (x - centre(*positive)));
                }
                let has = |class: usize| clusters.values().filter(|sums| sums[class].is_some()).count() as f64;
                counts = (has(0), has(1), clusters.len() as f64);
                let sums = clusters.values();
                sums.map(|sums| (1.0, sums[0].unwrap_or(0.0), sums[1].unwrap_or(0.0)))
                    .collect()
            }
        };
        (sums, counts)
    }

    /// The area (or difference of areas) that `placements` mean, and its variance over clusters.
    fn estimate(&self, placements: &[f64], z: f64) -> Option<Estimate> {
        let (m, n) = (self.weight(true), self.weight(false));
        if m <= 0.0 || n <= 0.0 {
            return None;
        }
        let value = self.mean(placements, true);
        // Both means are the area; each side is centred by its own, so that rounding leaves no bias
        let of_negative = self.mean(placements, false);
        let (sums, (with_positive, with_negative, clusters)) =
            self.cluster_sums(placements, |positive| if positive { value } else { of_negative });
        if with_positive < 2.0 || with_negative < 2.0 {
            return None;
        }
        let (mut s10, mut s01, mut s11) = (0.0, 0.0, 0.0);
        for (w, x, y) in sums {
            s10 += w * x * x;
            s01 += w * y * y;
            s11 += w * x * y;
        }
        let corrected = |sum: f64, n: f64| sum * n / (n - 1.0);
        let variance = corrected(s10, with_positive) / (m * m)
            + corrected(s01, with_negative) / (n * n)
            + 2.0 * corrected(s11, clusters) / (m * n);
        Some(Estimate::new(value, variance, z))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ctx() -> Context {
        Context::builder().build().unwrap()
    }

    #[test]
    fn delong_by_hand() {
        // positives 3, 2; negatives 2, 1: placements of positives 1, .75; of negatives .75, 1
        let estimate = auc_with_error(
            &ctx(),
            &[3., 2., 2., 1.],
            &[true, true, false, false],
            &[1.0; 4],
            None,
            0.95,
        );
        let estimate = estimate.unwrap().unwrap();
        assert_eq!(estimate.value, 0.875);
        let variance = 2.0 * 0.125f64.powi(2) / 2.0 * 2.0; // s10 / 2 + s01 / 2, s = 2 * .125^2
        approx::assert_relative_eq!(estimate.standard_error, variance.sqrt(), max_relative = 1e-12);
        assert_eq!(estimate.interval.high, 1.0);
    }

    #[test]
    fn same_scores_do_not_differ() {
        let scores = [0.1, 0.5, 0.4, 0.9, 0.3];
        let positive = [false, true, false, true, true];
        let found = auc_difference(&ctx(), &scores, &scores, &positive, &[1.0; 5], None, 0.95);
        let found = found.unwrap().unwrap();
        assert_eq!((found.difference.value, found.difference.p_value()), (0.0, 1.0));
    }

    #[test]
    fn copies_of_a_student_s_rows_add_no_certainty() {
        let scores = [0.1, 0.5, 0.4, 0.9, 0.3, 0.6];
        let positive = [false, true, false, true, true, false];
        let groups: Vec<u64> = (0..6).collect();
        let twice = |x: &[f64]| x.iter().chain(x).copied().collect::<Vec<_>>();
        let once = auc_with_error(&ctx(), &scores, &positive, &[1.0; 6], Some(&groups), 0.95);
        let positive2: Vec<bool> = positive.iter().chain(&positive).copied().collect();
        let groups2: Vec<u64> = groups.iter().chain(&groups).copied().collect();
        let copied = auc_with_error(&ctx(), &twice(&scores), &positive2, &[1.0; 12], Some(&groups2), 0.95);
        let (once, copied) = (once.unwrap().unwrap(), copied.unwrap().unwrap());
        approx::assert_relative_eq!(once.standard_error, copied.standard_error, max_relative = 1e-12);
        let alone = auc_with_error(&ctx(), &scores, &positive, &[1.0; 6], None, 0.95)
            .unwrap()
            .unwrap();
        approx::assert_relative_eq!(once.standard_error, alone.standard_error, max_relative = 1e-12);
    }

    #[test]
    fn too_little_to_tell_is_none() {
        let one = auc_with_error(&ctx(), &[0.1, 0.2, 0.3], &[true, false, false], &[1.0; 3], None, 0.95);
        assert_eq!(one.unwrap(), None);
        assert!(auc_with_error(&ctx(), &[0.1], &[true], &[0.0], None, 0.95).is_err());
        assert_eq!(mean_difference(&[1.0], &[0.0], &[1.0], None, 0.95).unwrap(), None);
    }

    #[test]
    fn mean_difference_is_the_paired_standard_error() {
        // differences 1, 2, 6: mean 3, sd sqrt(7), weights as counts
        let found = mean_difference(&[1., 2., 6.], &[0.; 3], &[1.0; 3], None, 0.95)
            .unwrap()
            .unwrap();
        approx::assert_relative_eq!(found.standard_error, (7f64 / 3.0).sqrt(), max_relative = 1e-12);
        let weighted = mean_difference(&[1., 2.], &[0.; 2], &[3.0, 1.0], None, 0.95)
            .unwrap()
            .unwrap();
        let repeated = mean_difference(&[1., 1., 1., 2.], &[0.; 4], &[1.0; 4], None, 0.95)
            .unwrap()
            .unwrap();
        approx::assert_relative_eq!(weighted.standard_error, repeated.standard_error, max_relative = 1e-12);
    }
}
