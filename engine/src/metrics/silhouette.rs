//! Mean silhouette of weighted rows, equal to scikit-learn's on the repeated rows.

use std::collections::BTreeSet;

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::n_clusters;
use crate::context::Context;
use crate::data::WeightedRows;
use crate::error::{EngineError, Result};
use crate::random::uniform;

/// When to sample, how much, with which seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilhouetteParams {
    /// Most rows for the exact computation, which takes n^2 p steps.
    pub max_exact_rows: usize,
    /// Rows of the dense table to draw where there are more.
    pub sample_size: usize,
    pub seed: u64,
}

impl Default for SilhouetteParams {
    /// Exact up to 20 000 distinct rows (half a second on four cores), else 20 000 rows of the dense table, seed 0.
    fn default() -> Self {
        Self {
            max_exact_rows: 20_000,
            sample_size: 20_000,
            seed: 0,
        }
    }
}

/// The mean silhouette and what it was computed on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silhouette {
    /// Mean over the dense rows, -1..=1, higher is better.
    pub value: f64,
    /// Size of the sample of the dense table; `None` where the value is exact.
    pub sample_size: Option<usize>,
}

/// Mean silhouette coefficient (Rousseeuw 1987) of `rows` (n x p) with `labels` (n), weights being multiplicities.
///
/// s = (b - a) / max(a, b); a: mean distance to the other rows of the own cluster (a repeated row has distance 0 to
/// its copies and does not count itself), b: smallest mean distance to another cluster. A row alone in its cluster
/// has s = 0. `None` with fewer than two clusters. `rows` should be distinct; repeats are right, but slower.
///
/// Where there are more than `max_exact_rows` rows with weight, a simple random sample of the dense table is drawn
/// without replacement, and its silhouette is computed as that of a table of its own, as with scikit-learn's
/// `sample_size`.
///
/// # Errors
/// [`EngineError::Dimension`], [`EngineError::InvalidParameter`], [`EngineError::Memory`],
/// [`EngineError::Cancelled`].
pub fn silhouette(
    ctx: &Context,
    rows: &WeightedRows,
    labels: &[u32],
    params: &SilhouetteParams,
) -> Result<Option<Silhouette>> {
    if params.sample_size == 0 {
        return Err(EngineError::invalid("sample_size", "at least 1", 0));
    }
    let k = n_clusters(rows, labels)?;
    let positive = rows.weights().iter().filter(|w| **w > 0.0).count();
    let sampled = positive > params.max_exact_rows && rows.total_weight() > params.sample_size as f64;
    let weights = if sampled {
        simple_random(rows.weights(), params.sample_size, params.seed)
    } else {
        rows.weights().to_vec()
    };
    let table = Table::new(ctx, rows, &weights, labels, k)?;
    let value = table.mean_silhouette(ctx)?;
    Ok(value.map(|value| Silhouette {
        value,
        sample_size: sampled.then_some(params.sample_size),
    }))
}

/// How often each row is in a simple random sample, without replacement, of `size` rows of the dense table.
///
/// The dense table is not built: Floyd's algorithm (Bentley & Floyd 1987) draws `size` of its row numbers.
fn simple_random(weights: &[f64], size: usize, seed: u64) -> Vec<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let dense = weights.iter().sum::<f64>() as u64;
    let mut drawn = BTreeSet::new();
    for last in dense.saturating_sub(size as u64)..dense {
        let row = (uniform(&mut rng) * (last + 1) as f64) as u64;
        if !drawn.insert(row.min(last)) {
            drawn.insert(last);
        }
    }
    let mut drawn = drawn.into_iter().peekable();
    let mut passed = 0.0;
    let count = |weight: &f64| {
        passed += weight;
        let mut count = 0.0;
        while drawn.next_if(|row| (*row as f64) < passed).is_some() {
            count += 1.0;
        }
        count
    };
    weights.iter().map(count).collect()
}

/// Rows with weight, grouped by cluster, column-major: the inner loop runs over rows of one cluster.
struct Table {
    n: usize,
    /// One column of n values per feature.
    columns: Vec<f64>,
    weights: Vec<f64>,
    /// Per non-empty cluster: its rows and its weight.
    clusters: Vec<(std::ops::Range<usize>, f64)>,
    _memory: crate::context::Reservation,
}

/// Rows of one parallel task.
const TASK_ROWS: usize = 64;
/// Lanes of the inner loop.
const LANES: usize = 8;

impl Table {
    fn new(ctx: &Context, rows: &WeightedRows, weights: &[f64], labels: &[u32], k: usize) -> Result<Self> {
        let mut order: Vec<usize> = (0..rows.n_rows()).filter(|row| weights[*row] > 0.0).collect();
        order.sort_by_key(|row| labels[*row]);
        let (n, p) = (order.len(), rows.n_features());
        let memory = ctx.reserve_for::<f64>(n.saturating_mul(p + 1))?;
        let columns = (0..p)
            .flat_map(|column| order.iter().map(move |row| rows.row(*row)[column]))
            .collect();
        let mut clusters = Vec::new();
        let mut start = 0;
        for label in 0..k as u32 {
            let end = start + order[start..].partition_point(|row| labels[*row] <= label);
            if end > start {
                clusters.push((start..end, order[start..end].iter().map(|row| weights[*row]).sum()));
            }
            start = end;
        }
        let weights = order.iter().map(|row| weights[*row]).collect();
        Ok(Self {
            n,
            columns,
            weights,
            clusters,
            _memory: memory,
        })
    }

    fn mean_silhouette(&self, ctx: &Context) -> Result<Option<f64>> {
        if self.clusters.len() < 2 {
            return Ok(None);
        }
        let arch = pulp::Arch::new();
        let tasks: Vec<usize> = (0..self.n).step_by(TASK_ROWS).collect();
        let sums: Vec<f64> = ctx.run(|| {
            let task = |first: &usize| {
                ctx.check()?;
                Ok(arch.dispatch(TaskSum {
                    table: self,
                    rows: *first..self.n.min(first + TASK_ROWS),
                }))
            };
            tasks.par_iter().map(task).collect::<Result<_>>()
        })?;
        Ok(Some(sums.iter().sum::<f64>() / self.weights.iter().sum::<f64>()))
    }

    /// Weighted sum of the distances of `row` to the rows of `range`.
    #[inline(always)]
    fn distance_sum(&self, row: usize, range: &std::ops::Range<usize>) -> f64 {
        let mut sums = [0.0; LANES];
        let mut start = range.start;
        while start < range.end {
            let width = LANES.min(range.end - start);
            let mut squares = [0.0; LANES];
            for column in self.columns.chunks_exact(self.n) {
                let x = column[row];
                if let Some(others) = column.get(start..start + LANES) {
                    for l in 0..LANES {
                        squares[l] += (others[l] - x) * (others[l] - x);
                    }
                } else {
                    for (square, other) in squares.iter_mut().zip(&column[start..start + width]) {
                        *square += (other - x) * (other - x);
                    }
                }
            }
            // Lanes beyond the cluster belong to the next one.
            let mut weights = [0.0; LANES];
            weights[..width].copy_from_slice(&self.weights[start..start + width]);
            for l in 0..LANES {
                sums[l] += weights[l] * squares[l].sqrt();
            }
            start += LANES;
        }
        sums.iter().sum()
    }
}

struct TaskSum<'a> {
    table: &'a Table,
    rows: std::ops::Range<usize>,
}

impl pulp::WithSimd for TaskSum<'_> {
    type Output = f64;

    /// Weighted sum of the silhouettes of some rows.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> f64 {
        let table = self.table;
        let mut total = 0.0;
        for row in self.rows {
            let (mut a, mut b, mut alone) = (0.0, f64::INFINITY, false);
            for (range, weight) in &table.clusters {
                let sum = table.distance_sum(row, range);
                if range.contains(&row) {
                    alone = *weight <= 1.0;
                    a = sum / (weight - 1.0);
                } else if sum / weight < b {
                    b = sum / weight;
                }
            }
            let largest = if a > b { a } else { b };
            if !alone && largest > 0.0 {
                total += table.weights[row] * (b - a) / largest;
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, on the repeated rows, without any cleverness.
    fn by_definition(rows: &WeightedRows, labels: &[u32]) -> f64 {
        let mut dense: Vec<(&[f64], u32)> = Vec::new();
        for ((row, weight), label) in rows.iter().zip(labels) {
            dense.extend(std::iter::repeat_n((row, *label), weight as usize));
        }
        let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
        let k = labels.iter().max().unwrap() + 1;
        let mut total = 0.0;
        for (i, (row, own)) in dense.iter().enumerate() {
            let mean = |label: u32| {
                let others: Vec<f64> = (0..dense.len())
                    .filter(|j| *j != i && dense[*j].1 == label)
                    .map(|j| distance(row, dense[j].0))
                    .collect();
                (!others.is_empty()).then(|| others.iter().sum::<f64>() / others.len() as f64)
            };
            let b = (0..k)
                .filter(|l| l != own)
                .filter_map(mean)
                .fold(f64::INFINITY, f64::min);
            if let Some(a) = mean(*own) {
                total += if a.max(b) > 0.0 { (b - a) / a.max(b) } else { 0.0 };
            }
        }
        total / dense.len() as f64
    }

    #[test]
    fn equals_the_definition_on_repeated_rows() {
        let ctx = Context::builder().threads(2).build().unwrap();
        let values: Vec<f64> = (0..90).map(|i| ((i * 37 + i * i * 11) % 23) as f64 * 0.5).collect();
        let weights: Vec<f64> = (0..30).map(|i| (i % 5) as f64).collect();
        let labels: Vec<u32> = (0..30).map(|i| (i * 7 / 10) % 4).collect();
        let rows = WeightedRows::new(values, 3, weights).unwrap();
        let found = silhouette(&ctx, &rows, &labels, &SilhouetteParams::default())
            .unwrap()
            .unwrap();
        approx::assert_relative_eq!(found.value, by_definition(&rows, &labels), max_relative = 1e-12);
        assert_eq!((found.sample_size, ctx.in_use()), (None, 0));
    }

    #[test]
    fn a_row_alone_in_its_cluster_counts_zero() {
        // clusters {0, 0} with s = 1 and {5} with s = 0
        let ctx = Context::builder().build().unwrap();
        let rows = WeightedRows::new(vec![0.0, 5.0], 1, vec![2.0, 1.0]).unwrap();
        let found = silhouette(&ctx, &rows, &[0, 1], &SilhouetteParams::default())
            .unwrap()
            .unwrap();
        approx::assert_relative_eq!(found.value, 2.0 / 3.0, max_relative = 1e-15);
    }

    #[test]
    fn one_cluster_has_no_silhouette_and_empty_clusters_do_not_count() {
        let ctx = Context::builder().build().unwrap();
        let rows = WeightedRows::new(vec![0.0, 5.0], 1, vec![2.0, 0.0]).unwrap();
        assert_eq!(
            silhouette(&ctx, &rows, &[0, 1], &SilhouetteParams::default()).unwrap(),
            None
        );
    }

    #[test]
    fn simple_random_sample_has_the_size_and_never_more_copies_than_the_row() {
        let weights: Vec<f64> = (0..1000).map(|i| (i % 7) as f64).collect();
        for (seed, size) in [1, 500, 2000, 2990].into_iter().enumerate() {
            let counts = simple_random(&weights, size, seed as u64);
            assert_eq!(counts.iter().sum::<f64>(), size as f64);
            assert!(counts.iter().zip(&weights).all(|(c, w)| c <= w));
        }
    }

    #[test]
    fn simple_random_sample_draws_rows_by_their_weight() {
        let weights = [1.0, 90_000.0, 9_000.0, 999.0];
        let counts = simple_random(&weights, 10_000, 3);
        // hypergeometric: means 9000, 900, 100; four standard deviations are 114, 108 and 38
        assert!(
            (counts[1] - 9000.0).abs() < 114.0 && (counts[2] - 900.0).abs() < 108.0,
            "{counts:?}"
        );
        assert!((counts[3] - 99.9).abs() < 38.0, "{counts:?}");
    }

    #[test]
    fn sampled_value_is_near_the_exact_one() {
        let ctx = Context::builder().threads(4).build().unwrap();
        let values: Vec<f64> = (0..4000)
            .map(|i| (i % 2 * 4) as f64 + ((i * 7919) % 1009) as f64 / 500.0)
            .collect();
        let labels: Vec<u32> = (0..4000).map(|i| i % 2).collect();
        let rows = WeightedRows::unweighted(values, 1).unwrap();
        let exact = silhouette(&ctx, &rows, &labels, &SilhouetteParams::default())
            .unwrap()
            .unwrap();
        let params = SilhouetteParams {
            max_exact_rows: 100,
            sample_size: 1000,
            seed: 7,
        };
        let sampled = silhouette(&ctx, &rows, &labels, &params).unwrap().unwrap();
        assert_eq!(sampled.sample_size, Some(1000));
        assert!((sampled.value - exact.value).abs() < 0.01, "{sampled:?} {exact:?}");
        assert_ne!(sampled.value, exact.value);
    }
}
