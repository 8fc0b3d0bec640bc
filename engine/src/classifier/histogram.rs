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
    Numeric {
        edges: Vec<f64>,
        /// Those of the edges that are tenths, by number; none of models that were made before these were kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenths: Option<Vec<u32>>,
    },
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
            Values::Numeric(values) => quantiles(values, weights),
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
            (Bins::Numeric { edges, .. }, Values::Numeric(values)) => {
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
            Bins::Numeric { edges, .. } => edges.len() + 1,
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
        if let Bins::Numeric { edges, tenths } = &self.bins {
            let tenths = tenths.as_deref().unwrap_or_default();
            if tenths.windows(2).any(|pair| pair[0] >= pair[1]) || tenths.iter().any(|at| *at as usize >= edges.len()) {
                return Err(EngineError::invalid(
                    "tenths of a histogram",
                    "ascending edges",
                    "others",
                ));
            }
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

/// Bins as `numpy.histogram` has them over the twentieths of the weight, `numpy.unique(numpy.quantile(values, numpy.linspace(0, 1, 21)))`: each
/// begins at its quantile, which belongs to it, so that a heavy value begins a bin. It ends just below the next one, and unlike numpy's the first and
/// last have no end: what lies outside of the values is counted with them, and a heavy highest value has a bin of its own.
fn quantiles(values: &[f64], weights: &[f64]) -> Bins {
    let sorted = Sorted::new(values, weights);
    let (mut starts, mut tenths): (Vec<f64>, Vec<u32>) = (Vec::new(), Vec::new());
    let lowest = sorted.values.first().map_or(f64::INFINITY, |(value, _)| *value);
    for part in 1..MAX_BINS {
        let start = sorted.quantile(part);
        if start <= lowest || sorted.values.is_empty() {
            continue;
        }
        if starts.last().is_none_or(|last| *last < start) {
            starts.push(start);
        }
        let place = (starts.len() - 1) as u32;
        if part % 2 == 0 && tenths.last() != Some(&place) {
            tenths.push(place);
        }
    }
    Bins::Numeric {
        edges: starts.into_iter().map(f64::next_down).collect(),
        tenths: Some(tenths),
    }
}

/// Values that are known, ascending, each with the weight up to it.
struct Sorted {
    values: Vec<(f64, f64)>,
    /// Every weight is a number of repeats.
    repeats: bool,
}

impl Sorted {
    fn new(values: &[f64], weights: &[f64]) -> Self {
        let known = values.iter().copied().zip(weights.iter().copied());
        let mut values: Vec<(f64, f64)> = known
            .filter(|(x, weight)| !x.is_nan() && *weight > 0.0)
            .map(|(x, weight)| (x + 0.0, weight))
            .collect();
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let repeats = values.iter().all(|(_, weight)| weight.fract() == 0.0);
        let mut sum = 0.0;
        for (_, weight) in &mut values {
            sum += *weight;
            *weight = sum;
        }
        Self { values, repeats }
    }

    /// The value with so much of the weight below it.
    fn at(&self, below: f64) -> f64 {
        let place = self.values.partition_point(|(_, upto)| *upto <= below);
        self.values
            .get(place)
            .or(self.values.last())
            .map_or(f64::NAN, |(value, _)| *value)
    }

    /// Of so many twentieths; of repeated values between the two next to it, as numpy has it.
    fn quantile(&self, part: usize) -> f64 {
        let total = self.values.last().map_or(0.0, |(_, upto)| *upto);
        let position = |total: f64| total * part as f64 / MAX_BINS as f64;
        if !self.repeats {
            return self.at(position(total));
        }
        let position = position(total - 1.0);
        let (low, high) = (self.at(position.floor()), self.at(position.floor() + 1.0));
        let (apart, share) = (high - low, position.fract());
        if !apart.is_finite() {
            return low / 2.0 + high / 2.0;
        }
        let between = if share < 0.5 {
            low + apart * share
        } else {
            high - apart * (1.0 - share)
        };
        between.clamp(low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(values: &[f64], weights: &[f64]) -> (Vec<f64>, Vec<u32>) {
        match quantiles(values, weights) {
            Bins::Numeric { edges, tenths } => (edges.into_iter().map(f64::next_up).collect(), tenths.unwrap()),
            Bins::Levels { .. } => unreachable!(),
        }
    }

    /// By hand: the position of twentieth k among n values is (n - 1) k / 20.
    #[test]
    fn heavy_values_begin_bins_and_even_ones_fill_them_evenly() {
        // 1 x 2, 97 x 5, 2 x 8: the quantiles are all 5, so that what is below it has a bin, and what is above has none of its own
        let values: Vec<f64> = std::iter::once(2.0).chain([5.0; 97]).chain([8.0; 2]).collect();
        assert_eq!(starts(&values, &[1.0; 100]), (vec![5.0], vec![0]));
        // the same by weight, as a number of repeats
        assert_eq!(starts(&[8.0, 5.0, 2.0], &[2.0, 97.0, 1.0]), (vec![5.0], vec![0]));
        // two of 40 to a bin, which begins 1.95 after the one before
        let even: Vec<f64> = (0..40).map(f64::from).collect();
        let (found, tenths) = starts(&even, &[1.0; 40]);
        let expected = (1..20).map(|k| 1.95 * f64::from(k));
        assert!(found.len() == 19 && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(tenths, [1, 3, 5, 7, 9, 11, 13, 15, 17]);
        // of shares of the weight too: a value begins where so much is below it
        let (found, _) = starts(&even, &[0.25; 40]);
        assert_eq!(found, (1..20).map(|k| 2.0 * f64::from(k)).collect::<Vec<_>>());
        // a heavy highest value has a bin of its own, a heavy lowest one the first
        assert_eq!(starts(&[0.0, 1.0], &[90.0, 910.0]).0, [1.0]);
        assert_eq!(starts(&[f64::NAN, 7.0], &[1.0, 1.0]), (vec![], vec![]));
        assert_eq!(starts(&[-f64::MAX, f64::MAX], &[1.0, 1.0]).0, [0.0]);
    }

    /// A score in steps, later to two digits: a step begins its bin, so that 7.52 is in that of 7.5, and 6.27 in the one before that of 6.3, as
    /// everybody counts them who takes `numpy.histogram`.
    #[test]
    fn a_value_is_in_the_bin_that_begins_at_or_before_it() {
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
        let histogram = Histogram::of("ips", &Values::Numeric(values.clone()), &vec![1.0; values.len()]).unwrap();
        let bin = |x: f64| {
            let counts = histogram.count(&Values::Numeric(vec![x]), &[1.0]).unwrap();
            counts.iter().position(|count| *count > 0.0).unwrap()
        };
        let bins = [4.4, 4.99, 5.0, 5.02, 5.6, 6.27, 6.3, 6.9, 7.49, 7.5, 7.52, 8.1, 8.14].map(bin);
        assert_eq!(bins, [0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6]);
        assert_eq!((bin(-1.0), bin(100.0), bin(f64::NAN)), (0, 6, 7));
    }

    /// What was stored before bins began at their quantiles has no tenths, and is counted as it was.
    #[test]
    fn histograms_of_before_are_read() {
        let old = serde_json::json!({"name": "x", "bins": {"numeric": {"edges": [1.5, 2.5]}}, "shares": [0.25, 0.5, 0.25, 0.0]});
        let old: Histogram = serde_json::from_value(old).unwrap();
        old.check().unwrap();
        assert_eq!(
            old.bins,
            Bins::Numeric {
                edges: vec![1.5, 2.5],
                tenths: None
            }
        );
        let counts = old
            .count(&Values::Numeric(vec![1.0, 1.5, 2.0, 3.0]), &[1.0; 4])
            .unwrap();
        assert_eq!(counts, [2.0, 1.0, 1.0, 0.0]);
        let mut bad = old;
        bad.bins = Bins::Numeric {
            edges: vec![1.5, 2.5],
            tenths: Some(vec![2]),
        };
        assert!(bad.check().is_err());
    }
}
