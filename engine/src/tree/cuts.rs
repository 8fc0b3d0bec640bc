//! Where the values of each feature are cut: weighted quantiles, or between all values where there are few.
//!
//! A value's rank is the number of cuts below it; a split sends a row left when its rank is at most the split's, which
//! is the same as `value <= cuts[rank]`. Cuts depend on the order of the values only, and lie halfway between two
//! values that occur, on a number that an f32 can hold where there is one (so that ONNX, which stores f32, agrees).

use rayon::prelude::*;

use super::table::FeatureTable;
use crate::context::Context;
use crate::error::Result;

/// Rows sorted at a time: what passes between two looks at the cancel flag.
const SORT_ROWS: usize = 1 << 18;

/// Above every value: the cut that separates all values from the missing ones.
pub(crate) const ABOVE_ALL: f64 = f64::MAX;

/// Ascending finite cuts of each feature.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cuts {
    tables: Vec<Vec<f64>>,
}

impl Cuts {
    /// At most `max_bins` bins per feature, which are `max_bins` - 1 cuts, and [`ABOVE_ALL`] where values are missing.
    /// Rows of weight 0 are not looked at.
    pub(crate) fn fit(ctx: &Context, table: &FeatureTable, weights: &[f64], max_bins: usize) -> Result<Self> {
        let at_once = ctx.threads().min(table.n_features());
        let _memory = ctx.reserve_for::<(f64, f64)>(table.n_rows().saturating_mul(at_once).saturating_mul(2))?;
        let unit = weights.iter().all(|w| *w == 1.0);
        let fit = |feature: usize| {
            let column = table.column(feature);
            let (values, missing) = distinct(ctx, column, (!unit).then_some(weights))?;
            let mut cuts = quantile_cuts(&values, max_bins);
            if missing && !values.is_empty() {
                cuts.push(ABOVE_ALL);
            }
            Ok(cuts)
        };
        let tables = ctx.run(|| (0..table.n_features()).into_par_iter().map(fit).collect::<Result<_>>())?;
        Ok(Self { tables })
    }

    pub(crate) fn from_tables(tables: Vec<Vec<f64>>) -> Self {
        Self { tables }
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.tables.len()
    }

    /// The cuts of one feature, ascending.
    pub fn of(&self, feature: usize) -> &[f64] {
        self.tables.get(feature).map_or(&[], Vec::as_slice)
    }
}

/// The number of cuts below `value`, which is not NaN.
#[inline]
pub(crate) fn rank(cuts: &[f64], value: f64) -> u32 {
    cuts.partition_point(|cut| *cut < value) as u32
}

/// The values that occur, ascending, with their weights; and whether some are missing.
fn distinct(ctx: &Context, column: &[f64], weights: Option<&[f64]>) -> Result<(Vec<(f64, f64)>, bool)> {
    let mut missing = false;
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut plain = Vec::new();
    for start in (0..column.len()).step_by(SORT_ROWS) {
        ctx.check()?;
        let values = &column[start..column.len().min(start + SORT_ROWS)];
        let mut run: Vec<(f64, f64)> = Vec::new();
        match weights {
            None => {
                plain.clear();
                plain.extend(values.iter().filter(|x| !x.is_nan()).map(|x| x + 0.0));
                missing |= plain.len() < values.len();
                plain.sort_unstable_by(f64::total_cmp);
                for &value in &plain {
                    match run.last_mut() {
                        Some(last) if last.0 == value => last.1 += 1.0,
                        _ => run.push((value, 1.0)),
                    }
                }
            }
            Some(weights) => {
                let pairs = values.iter().zip(&weights[start..]).filter(|(_, w)| **w > 0.0);
                let mut sorted = Vec::with_capacity(values.len());
                for (x, w) in pairs {
                    if x.is_nan() {
                        missing = true;
                    } else {
                        sorted.push((x + 0.0, *w));
                    }
                }
                // By weight too, so that the sums do not depend on the order of the rows.
                sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
                for (value, weight) in sorted {
                    match run.last_mut() {
                        Some(last) if last.0 == value => last.1 += weight,
                        _ => run.push((value, weight)),
                    }
                }
            }
        }
        runs.push(run);
    }
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        for pair in runs.chunks(2) {
            merged.push(match pair {
                [a, b] => merge(ctx, a, b)?,
                rest => rest[0].clone(),
            });
        }
        runs = merged;
    }
    Ok((runs.pop().unwrap_or_default(), missing))
}

fn merge(ctx: &Context, a: &[(f64, f64)], b: &[(f64, f64)]) -> Result<Vec<(f64, f64)>> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if out.len() % SORT_ROWS == 0 {
            ctx.check()?;
        }
        if a[i].0 < b[j].0 {
            out.push(a[i]);
            i += 1;
        } else if b[j].0 < a[i].0 {
            out.push(b[j]);
            j += 1;
        } else {
            out.push((a[i].0, a[i].1 + b[j].1));
            i += 1;
            j += 1;
        }
    }
    out.extend_from_slice(&a[i..]);
    out.extend_from_slice(&b[j..]);
    Ok(out)
}

/// Cuts into at most `max_bins` bins of about equal weight; a value as heavy as a bin has one of its own.
fn quantile_cuts(values: &[(f64, f64)], max_bins: usize) -> Vec<f64> {
    let between = |i: usize| between(values[i].0, values[i + 1].0);
    let last = values.len().saturating_sub(1);
    if values.len() <= max_bins {
        return (0..last).map(between).collect();
    }
    let total: f64 = values.iter().map(|v| v.1).sum();
    let heavy = |weight: f64| weight >= total / max_bins as f64;
    let (mut bins, mut rest) = (max_bins, total);
    for (_, weight) in values.iter().filter(|v| heavy(v.1)) {
        bins -= 1;
        rest -= weight;
    }
    let mut cuts = Vec::with_capacity(max_bins - 1);
    let mut filled = 0.0;
    for i in 0..last {
        if cuts.len() == max_bins - 1 {
            break;
        }
        let alone = heavy(values[i].1);
        let target = rest / bins.max(1) as f64;
        filled += values[i].1;
        let next_alone = heavy(values[i + 1].1);
        if alone || filled >= target || (next_alone && filled >= 0.5 * target) {
            cuts.push(between(i));
            if !alone {
                // The rest of the light values share the rest of the bins.
                rest -= filled;
                bins = bins.saturating_sub(1);
            }
            filled = 0.0;
        }
    }
    cuts
}

/// A number c with a <= c < b, for a < b.
fn between(a: f64, b: f64) -> f64 {
    let middle = a / 2.0 + b / 2.0;
    let coarse = f64::from(middle as f32);
    if a <= coarse && coarse < b {
        coarse
    } else if a <= middle && middle < b {
        middle
    } else {
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(column: &[f64], weights: &[f64], max_bins: usize) -> Vec<f64> {
        let ctx = Context::builder().build().unwrap();
        let table = FeatureTable::from_columns(&[column]).unwrap();
        Cuts::fit(&ctx, &table, weights, max_bins).unwrap().of(0).to_vec()
    }

    #[test]
    fn few_values_are_all_told_apart_and_missing_ones_too() {
        let column = [3.0, 1.0, f64::NAN, 1.0, -2.0];
        assert_eq!(cuts(&column, &[1.0; 5], 255), [-0.5, 2.0, ABOVE_ALL]);
        // a row of weight 0 is not there
        assert_eq!(cuts(&column, &[0.0, 1.0, 0.0, 1.0, 1.0], 255), [-0.5]);
        assert!(cuts(&[f64::NAN; 3], &[1.0; 3], 255).is_empty());
        assert!(cuts(&[4.0; 3], &[1.0; 3], 255).is_empty());
    }

    #[test]
    fn bins_of_many_values_weigh_about_the_same_and_a_heavy_value_is_alone() {
        let mut column: Vec<f64> = (0..1000).map(f64::from).collect();
        column.extend([500.0; 1000]);
        let found = cuts(&column, &vec![1.0; 2000], 21);
        assert!(found.len() <= 20 && found.len() >= 18, "{found:?}");
        assert!(found.contains(&499.5) && found.contains(&500.5), "{found:?}");
        let mut weight = vec![0.0; found.len() + 1];
        column.iter().for_each(|x| weight[rank(&found, *x) as usize] += 1.0);
        weight.sort_by(f64::total_cmp);
        assert!(weight[0] >= 25.0 && weight[weight.len() - 2] <= 110.0, "{weight:?}");
    }

    #[test]
    fn weighted_rows_have_the_cuts_of_repeated_rows() {
        let column: Vec<f64> = (0..700).map(|i| f64::from(i * 37 % 701)).collect();
        let weights: Vec<f64> = (0..700).map(|i| f64::from(i % 4)).collect();
        let repeated: Vec<f64> = column
            .iter()
            .zip(&weights)
            .flat_map(|(x, w)| std::iter::repeat_n(*x, *w as usize))
            .collect();
        let expected = cuts(&repeated, &vec![1.0; repeated.len()], 32);
        assert_eq!(cuts(&column, &weights, 32), expected);
    }

    #[test]
    fn a_cut_lies_between_its_neighbours_also_where_nothing_fits_between() {
        let next = 1.0f64.next_up();
        for (a, b) in [
            (1.0, next),
            (-f64::MAX, f64::MAX),
            (0.1, 0.3),
            (1e300, 1.1e300),
            (0.0, 5e-324),
        ] {
            let cut = between(a, b);
            assert!(a <= cut && cut < b, "{a} {cut} {b}");
        }
    }

    #[test]
    fn columns_longer_than_a_sorted_run_are_merged() {
        let n = SORT_ROWS * 2 + 5;
        let column: Vec<f64> = (0..n).map(|i| (i % 7) as f64).collect();
        assert_eq!(cuts(&column, &vec![1.0; n], 255), [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
    }
}
