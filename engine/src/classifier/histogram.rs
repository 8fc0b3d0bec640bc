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

/// Upper ends of bins of about equal weight; a value that fills several bins has one.
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
    let largest = known.last().map_or(0.0, |(x, _)| *x);
    let mut edges: Vec<f64> = Vec::new();
    let (mut below, mut next) = (0.0, 1);
    for same in known.chunk_by(|a, b| a.0 == b.0) {
        below += same.iter().map(|(_, weight)| weight).sum::<f64>();
        let value = same[0].0;
        if next < MAX_BINS && value < largest && below * MAX_BINS as f64 >= total * next as f64 {
            edges.push(value);
            while next < MAX_BINS && below * MAX_BINS as f64 >= total * next as f64 {
                next += 1;
            }
        }
    }
    edges
}
