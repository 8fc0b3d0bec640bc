//! The canonical form of weighted rows: distinct, sorted, without zero weights.
//!
//! Everything computed from the canonical form is a function of the dense multiset of rows alone: it cannot depend on
//! row order, on how multiplicities were split, or on the number of threads. Method: sample sort (splitters from an
//! even sample, one bucket per task), so that the cancel flag is seen between buckets.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::WeightedRows;
use crate::context::Context;
use crate::error::Result;

/// Rows per bucket aimed at: sorted in a few milliseconds.
const BUCKET_ROWS: usize = 16_384;
/// Sample drawn per splitter; more makes the buckets more even.
const OVERSAMPLING: usize = 16;
/// Rows between two looks at the cancel flag in the sequential passes.
const CHECK_ROWS: usize = 65_536;

/// The first feature, as an integer that sorts like the float, in front of the row it belongs to: most comparisons
/// end there, without touching the table.
#[derive(Clone, Copy)]
struct Key {
    first: u64,
    row: usize,
}

impl WeightedRows {
    /// The distinct rows in lexicographic order with the sums of their weights; rows of weight zero are left out.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled) and
    /// [`EngineError::Memory`](crate::error::EngineError::Memory) (while it runs: 32 bytes per row and two copies of the
    /// rows; the result is not reserved for).
    pub fn distinct(&self, ctx: &Context) -> Result<WeightedRows> {
        let p = self.n_features();
        let _keys = ctx.reserve_for::<Key>(self.n_rows().saturating_mul(2))?;
        let _copies = ctx.reserve_for::<f64>(self.n_rows().saturating_mul(p + 1).saturating_mul(2))?;
        let merged: Vec<(Vec<f64>, Vec<f64>)> = ctx.run(|| {
            let merge = |mut bucket: Vec<Key>| {
                ctx.check()?;
                Ok(self.merge(&mut bucket))
            };
            self.buckets(ctx)?.into_par_iter().map(merge).collect::<Result<_>>()
        })?;
        let rows = merged.iter().map(|(_, weights)| weights.len()).sum();
        let mut values: Vec<f64> = Vec::with_capacity(rows * p);
        let mut weights: Vec<f64> = Vec::with_capacity(rows);
        for (bucket_values, bucket_weights) in merged {
            values.extend(bucket_values);
            weights.extend(bucket_weights);
        }
        Ok(WeightedRows::from_checked(values, p, weights))
    }

    /// Distributes the rows with a positive weight: buckets in ascending order, equal rows in the same one.
    fn buckets(&self, ctx: &Context) -> Result<Vec<Vec<Key>>> {
        let mut keys = Vec::with_capacity(self.n_rows());
        for (row, (values, weight)) in self.iter().enumerate() {
            if row % CHECK_ROWS == 0 {
                ctx.check()?;
            }
            if weight > 0.0 {
                keys.push(Key {
                    first: sortable(values[0]),
                    row,
                });
            }
        }
        if keys.len() <= BUCKET_ROWS {
            return Ok(vec![keys]);
        }
        let splitters = self.splitters(&keys);
        let mut buckets: Vec<Vec<Key>> = vec![Vec::new(); splitters.len() + 1];
        for some in keys.chunks(CHECK_ROWS) {
            ctx.check()?;
            let home = |key: &Key| splitters.partition_point(|s| self.compare(s, key) == Ordering::Less);
            let homes: Vec<usize> = some.par_iter().map(home).collect();
            for (key, home) in some.iter().zip(homes) {
                buckets[home].push(*key);
            }
        }
        Ok(buckets)
    }

    fn splitters(&self, keys: &[Key]) -> Vec<Key> {
        let wanted = keys.len() / BUCKET_ROWS;
        let stride = (keys.len() / (wanted * OVERSAMPLING)).max(1);
        let mut sample: Vec<Key> = keys.iter().step_by(stride).copied().collect();
        sample.sort_unstable_by(|a, b| self.compare(a, b));
        sample.into_iter().skip(OVERSAMPLING).step_by(OVERSAMPLING).collect()
    }

    /// Sorts a bucket and adds up the weights of equal rows, lightest first: in one order, whatever the input's.
    fn merge(&self, bucket: &mut [Key]) -> (Vec<f64>, Vec<f64>) {
        let weight = |key: &Key| self.weights()[key.row];
        bucket.sort_unstable_by(|a, b| self.compare(a, b).then_with(|| weight(a).total_cmp(&weight(b))));
        let mut values: Vec<f64> = Vec::with_capacity(bucket.len() * self.n_features());
        let mut weights: Vec<f64> = Vec::with_capacity(bucket.len());
        for key in bucket.iter() {
            let row = self.row(key.row);
            match weights.last_mut() {
                Some(sum) if values.ends_with(row) => *sum += weight(key),
                _ => {
                    values.extend_from_slice(row);
                    weights.push(weight(key));
                }
            }
        }
        (values, weights)
    }

    /// Lexicographic order of two rows.
    fn compare(&self, a: &Key, b: &Key) -> Ordering {
        a.first.cmp(&b.first).then_with(|| {
            let pairs = self.row(a.row).iter().zip(self.row(b.row));
            pairs
                .map(|(x, y)| x.total_cmp(y))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        })
    }
}

/// Maps a float to an integer of the same order (the map behind `f64::total_cmp`).
fn sortable(value: f64) -> u64 {
    let bits = value.to_bits();
    bits ^ (((bits as i64 >> 63) as u64) | (1 << 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn scrambled(n: usize, modulus: u64) -> WeightedRows {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) % modulus
        };
        let values: Vec<f64> = (0..n * 2).map(|_| next() as f64 - 3.0).collect();
        let weights: Vec<f64> = (0..n).map(|_| next() as f64).collect();
        WeightedRows::new(values, 2, weights).unwrap()
    }

    #[test]
    fn distinct_rows_and_weights_equal_a_tree_map_count_across_buckets() {
        let rows = scrambled(120_000, 300);
        let mut expected: BTreeMap<(i64, i64), f64> = BTreeMap::new();
        for (row, weight) in rows.iter().filter(|(_, w)| *w > 0.0) {
            *expected.entry((row[0] as i64, row[1] as i64)).or_default() += weight;
        }
        let ctx = Context::builder().threads(3).build().unwrap();
        let found = rows.distinct(&ctx).unwrap();
        let found: Vec<((i64, i64), f64)> = found.iter().map(|(r, w)| ((r[0] as i64, r[1] as i64), w)).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        assert_eq!(ctx.in_use(), 0);
    }

    #[test]
    fn weights_are_summed_in_one_order_whatever_the_rows_order() {
        // three rows, 30 000 times each, with weights whose sum depends on the order of addition
        let weight = |i: usize| 1.0 / (1.0 + (i * 7919 % 10_007) as f64);
        let table = |order: &dyn Fn(usize) -> usize| {
            let values = (0..90_000).map(|i| (order(i) % 3) as f64).collect();
            WeightedRows::new(values, 1, (0..90_000).map(|i| weight(order(i))).collect()).unwrap()
        };
        let ctx = Context::builder().threads(2).build().unwrap();
        let forwards = table(&|i| i).distinct(&ctx).unwrap();
        assert_eq!(forwards.n_rows(), 3);
        assert_eq!(forwards, table(&|i| 89_999 - i).distinct(&ctx).unwrap());
        assert_eq!(forwards, table(&|i| i * 7_001 % 90_000).distinct(&ctx).unwrap());
    }

    #[test]
    fn sortable_keeps_the_order_of_floats() {
        let ordered = [-1e100, -2.5, -1.0, -1e-300, 0.0, 5e-324, 1.0, 7.0, 1e100];
        assert!(ordered.windows(2).all(|w| sortable(w[0]) < sortable(w[1])));
    }

    #[test]
    fn cancelled_before_the_sort_is_an_error() {
        let ctx = Context::builder().build().unwrap();
        ctx.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(
            scrambled(10, 5).distinct(&ctx),
            Err(crate::error::EngineError::Cancelled)
        ));
    }
}
