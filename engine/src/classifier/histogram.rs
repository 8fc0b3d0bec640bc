//! What the values of a column look like, in bins that other rows can be counted into.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::data::{check_value, labels, Column, Table, Values};
use crate::error::{EngineError, Result};

/// Most bins of a column, those of missing values and of other levels not counted.
pub const MAX_BINS: usize = 20;

/// How values are put into bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// Ascending upper ends, each included; the last bin has none.
    Numeric { edges: Vec<f64> },
    /// One bin per level, and one for all others.
    Levels { levels: Vec<String> },
}

/// Shares of the weight by bin; the last one is that of missing values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    pub name: String,
    pub bins: Bins,
    pub shares: Vec<f64>,
}

impl Histogram {
    /// Of at most 20 bins of about equal weight, or of the 20 heaviest levels.
    pub fn of(name: &str, values: &Values, weights: &[f64]) -> Result<Self> {
        let bins = match values {
            Values::Numeric(values) => Bins::Numeric {
                edges: quantiles(values, weights),
            },
            Values::Category { levels, codes } => {
                let mut of_level = vec![0.0; levels.len()];
                for (code, weight) in codes.iter().zip(weights) {
                    if let Some(sum) = of_level.get_mut(*code as usize) {
                        *sum += weight;
                    }
                }
                let mut order: Vec<usize> = (0..levels.len()).filter(|level| of_level[*level] > 0.0).collect();
                order.sort_by(|a, b| {
                    of_level[*b]
                        .total_cmp(&of_level[*a])
                        .then_with(|| levels[*a].cmp(&levels[*b]))
                });
                order.truncate(MAX_BINS);
                Bins::Levels {
                    levels: order.iter().map(|level| levels[*level].clone()).collect(),
                }
            }
        };
        let mut histogram = Self {
            name: name.to_owned(),
            bins,
            shares: Vec::new(),
        };
        let counts = histogram.count(values, weights)?;
        let total: f64 = counts.iter().sum();
        histogram.shares = counts
            .iter()
            .map(|count| if total > 0.0 { count / total } else { 0.0 })
            .collect();
        Ok(histogram)
    }

    /// One per column of `table`.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub(super) fn of_table(ctx: &Context, table: &Table, weights: &[f64]) -> Result<Vec<Self>> {
        let at_once = ctx.threads().min(table.columns().len());
        let _sorted = ctx.reserve_for::<(f64, f64)>(table.n_rows().saturating_mul(at_once))?;
        let of = |column: &Column| {
            ctx.check()?;
            Self::of(&column.name, &column.values, weights)
        };
        ctx.run(|| table.columns().par_iter().map(of).collect())
    }

    /// Weight of `values` in each bin, the missing ones last: comparable with [`Histogram::shares`].
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Column`] for values of another kind.
    pub fn count(&self, values: &Values, weights: &[f64]) -> Result<Vec<f64>> {
        let mut counts = vec![0.0; self.n_bins() + 1];
        let last = counts.len() - 1;
        match (&self.bins, values) {
            (Bins::Numeric { edges }, Values::Numeric(values)) => {
                labels::same("weights", values.len(), weights.len())?;
                for (x, weight) in values.iter().zip(weights) {
                    let bin = if x.is_nan() {
                        last
                    } else {
                        edges.partition_point(|edge| edge < x)
                    };
                    counts[bin] += weight;
                }
            }
            (Bins::Levels { levels }, Values::Category { levels: found, codes }) => {
                labels::same("weights", codes.len(), weights.len())?;
                let place: Vec<usize> = found
                    .iter()
                    .map(|level| levels.iter().position(|known| known == level).unwrap_or(levels.len()))
                    .collect();
                for (code, weight) in codes.iter().zip(weights) {
                    counts[place.get(*code as usize).copied().unwrap_or(last)] += weight;
                }
            }
            (bins, values) => {
                return Err(EngineError::Column {
                    name: self.name.clone(),
                    expected: match bins {
                        Bins::Numeric { .. } => "numeric",
                        Bins::Levels { .. } => "categorical",
                    },
                    found: values.kind(),
                })
            }
        }
        Ok(counts)
    }

    /// Number of bins without that of missing values.
    pub fn n_bins(&self) -> usize {
        match &self.bins {
            Bins::Numeric { edges } => edges.len() + 1,
            Bins::Levels { levels } => levels.len() + 1,
        }
    }

    /// Share of the missing values.
    pub fn missing_share(&self) -> f64 {
        self.shares.last().copied().unwrap_or(0.0)
    }

    /// Whether what was stored can be trusted.
    pub(super) fn check(&self) -> Result<()> {
        labels::same("shares of a histogram", self.n_bins() + 1, self.shares.len())?;
        labels::check_weights(&self.shares)?;
        if let Bins::Numeric { edges } = &self.bins {
            for (row, edge) in edges.iter().enumerate() {
                check_value(*edge, row, 0)?;
            }
            if edges.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(EngineError::invalid("edges of a histogram", "ascending", "others"));
            }
        }
        Ok(())
    }
}

/// Upper ends of bins of about equal weight. A value on both sides of a quantile begins a bin: together with what is measured a little more
/// finely later it is one, though it fill several. Bins end half-way to the next value, where the next one begins.
fn quantiles(values: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut known: Vec<(f64, f64)> = values
        .iter()
        .copied()
        .zip(weights.iter().copied())
        .filter(|(x, weight)| !x.is_nan() && *weight > 0.0)
        .map(|(x, weight)| (x + 0.0, weight))
        .collect();
    known.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = known.iter().map(|(_, weight)| weight).sum();
    let mut edges: Vec<f64> = Vec::new();
    let (mut below, mut next) = (0.0, 1);
    let mut previous: Option<f64> = None;
    for same in known.chunk_by(|a, b| a.0 == b.0) {
        let value = same[0].0;
        let with = below + same.iter().map(|(_, weight)| weight).sum::<f64>();
        // quantiles at the end of the values before, then those inside of this one
        let reached = |weight: f64, next: usize| {
            next < MAX_BINS && weight * MAX_BINS as f64 >= total * next as f64 * (1.0 - 1e-12)
        };
        let inside = |next: usize| next < MAX_BINS && with * MAX_BINS as f64 > total * next as f64 * (1.0 + 1e-12);
        if reached(below, next) || inside(next) {
            edges.extend(previous.map(|previous| between(previous, value)));
        }
        while reached(below, next) || inside(next) {
            next += 1;
        }
        below = with;
        previous = Some(value);
    }
    edges
}

/// Just below the middle, and below `high` also where there is no number between the two.
fn between(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    middle.next_down().max(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_values_begin_bins_and_even_ones_fill_them_evenly() {
        let near = |edges: &[f64], expected: &[f64]| {
            assert_eq!(edges.len(), expected.len(), "{edges:?}");
            edges
                .iter()
                .zip(expected)
                .for_each(|(a, b)| assert!((a - b).abs() < 1e-9, "{edges:?}"));
        };
        // 1 x 2, 97 x 5, 2 x 8: the quantiles are all 5, so that what is below it has a bin, and what is above has none of its own
        let values: Vec<f64> = std::iter::once(2.0).chain([5.0; 97]).chain([8.0; 2]).collect();
        near(&quantiles(&values, &[1.0; 100]), &[3.5]);
        // two of 40 to a bin
        let even: Vec<f64> = (0..40).map(f64::from).collect();
        let expected: Vec<f64> = (1..20).map(|i| 2.0 * f64::from(i) - 0.5).collect();
        near(&quantiles(&even, &[1.0; 40]), &expected);
        assert_eq!(quantiles(&[f64::NAN, 7.0], &[1.0, 1.0]), [] as [f64; 0]);
        assert!(between(1.0, 1.0f64.next_up()) < 1.0f64.next_up());
    }

    /// A score in steps, later to two digits: 7.5 and 7.52 are one bin, though 7.5 fills eleven of twenty and another value follows it.
    #[test]
    fn a_value_measured_more_finely_stays_in_its_bin() {
        let steps = [
            (4.4, 22),
            (5.0, 87),
            (5.6, 103),
            (6.3, 45),
            (6.9, 50),
            (7.5, 501),
            (8.1, 52),
        ];
        let values: Vec<f64> = steps.iter().flat_map(|(x, n)| std::iter::repeat_n(*x, *n)).collect();
        let edges = quantiles(&values, &vec![1.0; values.len()]);
        let bin = |x: f64| edges.partition_point(|edge| *edge < x);
        for (early, late) in [(7.5, 7.52), (5.0, 5.02), (6.3, 6.27), (8.1, 8.14)] {
            assert_eq!(bin(early), bin(late), "{edges:?}");
        }
        assert!(bin(7.5) < bin(8.1) && bin(6.9) < bin(7.5), "{edges:?}");
    }
}
