//! The dense cube as distinct vectors with their counts, from its stored rows.
//!
//! Stored rows are counted as they are. Rows in which nothing happened are not stored; how many there are is arithmetic:
//! dense rows - stored rows, for each number of assignments that a member may have, which is all that tells them apart.

use std::collections::BTreeMap;

use super::{VectorSet, WeightedRows};
use crate::context::{Context, Reservation};
use crate::cube::memory::grow;
use crate::error::{EngineError, Result};

/// Values that are converted between two looks at the cancel flag.
const CHECK_VALUES: usize = 1 << 16;

/// Dense and stored rows of members with the same number of assignments.
#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    dense: i64,
    stored: i64,
}

/// A number of assignments of the client at hand, see [`DenseCounts::universe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Universe(usize);

/// Counts the rows of one client after the other.
#[derive(Debug)]
pub struct DenseCounts {
    vectors: VectorSet,
    /// Per vector.
    counts: Vec<i64>,
    /// Which feature is the number of assignments, if any is.
    assigned: Option<usize>,
    universes: BTreeMap<i64, usize>,
    rows: Vec<Rows>,
    reservation: Reservation,
}

impl DenseCounts {
    /// Of vectors of `p` features, of which feature `assigned` is the number of assignments.
    ///
    /// # Errors
    /// [`EngineError::Memory`], [`EngineError::InvalidParameter`] for no features.
    pub fn new(ctx: &Context, p: usize, assigned: Option<usize>) -> Result<Self> {
        if p == 0 {
            return Err(EngineError::invalid("n_features", "at least 1", 0));
        }
        Ok(Self {
            vectors: VectorSet::new(ctx, p)?,
            counts: Vec::new(),
            assigned: assigned.filter(|feature| *feature < p),
            universes: BTreeMap::new(),
            rows: Vec::new(),
            reservation: ctx.reserve(0)?,
        })
    }

    /// The members of the client that have `assigned` assignments.
    pub fn universe(&mut self, assigned: i64) -> Universe {
        let next = self.universes.len();
        let place = *self.universes.entry(assigned).or_insert(next);
        if place == self.rows.len() {
            self.rows.push(Rows::default());
        }
        Universe(place)
    }

    /// Adds dense rows: what those members have over all periods, stored or not.
    pub fn dense(&mut self, universe: Universe, rows: i64) {
        self.rows[universe.0].dense += rows;
    }

    /// Adds a stored row.
    ///
    /// # Errors
    /// [`EngineError::Memory`].
    #[inline]
    pub fn stored(&mut self, universe: Universe, vector: &[i64]) -> Result<()> {
        self.rows[universe.0].stored += 1;
        self.count(vector, 1)
    }

    #[inline]
    fn count(&mut self, vector: &[i64], rows: i64) -> Result<()> {
        let number = self.vectors.insert(vector)?;
        if number == self.counts.len() {
            grow(&mut self.counts, 1, &mut self.reservation)?;
            self.counts.push(0);
        }
        self.counts[number] += rows;
        Ok(())
    }

    /// Counts the client's rows in which nothing happened; `dense_rows`: all of its rows, of whatever members.
    ///
    /// # Errors
    /// [`EngineError::Memory`].
    pub fn end_client(&mut self, dense_rows: i64) -> Result<()> {
        let known: i64 = self.rows.iter().map(|rows| rows.dense).sum();
        let without = self.universe(0);
        self.dense(without, dense_rows - known);
        let mut zero = vec![0; self.vectors.width()];
        for (assigned, place) in std::mem::take(&mut self.universes) {
            let Rows { dense, stored } = self.rows[place];
            // a structure that is newer than the cells may leave less than none
            if dense > stored {
                if let Some(feature) = self.assigned {
                    zero[feature] = assigned;
                }
                self.count(&zero, dense - stored)?;
            }
        }
        self.rows.clear();
        Ok(())
    }

    /// Number of distinct vectors.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The vectors in lexicographic order with their counts.
    ///
    /// # Errors
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn finish(self, ctx: &Context) -> Result<WeightedRows> {
        let _copy = ctx.reserve_for::<f64>(self.vectors.values().len() + self.counts.len())?;
        let mut values = Vec::with_capacity(self.vectors.values().len());
        for chunk in self.vectors.values().chunks(CHECK_VALUES) {
            ctx.check()?;
            values.extend(chunk.iter().map(|value| *value as f64));
        }
        let counts = self.counts.iter().map(|count| *count as f64).collect();
        WeightedRows::new(values, self.vectors.width(), counts)?.distinct(ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(counts: DenseCounts) -> Vec<(Vec<f64>, f64)> {
        let ctx = Context::builder().build().unwrap();
        let rows = counts.finish(&ctx).unwrap();
        rows.iter().map(|(row, count)| (row.to_vec(), count)).collect()
    }

    #[test]
    fn rows_without_activity_are_the_rest_of_each_number_of_assignments() {
        let ctx = Context::builder().build().unwrap();
        let mut counts = DenseCounts::new(&ctx, 2, Some(1)).unwrap();
        // 10 periods: two members with 3 assignments, one with 5, two with none
        for assigned in [3, 5, 3] {
            let universe = counts.universe(assigned);
            counts.dense(universe, 10);
        }
        for (posts, assigned) in [(1, 3), (1, 3), (2, 5), (7, 0)] {
            let universe = counts.universe(assigned);
            counts.stored(universe, &[posts, assigned]).unwrap();
        }
        counts.end_client(50).unwrap();
        let expected = [
            (vec![0.0, 0.0], 19.0),
            (vec![0.0, 3.0], 18.0),
            (vec![0.0, 5.0], 9.0),
            (vec![1.0, 3.0], 2.0),
            (vec![2.0, 5.0], 1.0),
            (vec![7.0, 0.0], 1.0),
        ];
        assert_eq!(found(counts), expected);
    }

    #[test]
    fn clients_add_up_and_do_not_share_their_members() {
        let ctx = Context::builder().build().unwrap();
        let mut counts = DenseCounts::new(&ctx, 1, None).unwrap();
        for (posts, dense) in [(4, 10), (0, 5)] {
            let universe = counts.universe(posts);
            counts.dense(universe, 2);
            counts.stored(universe, &[posts]).unwrap();
            counts.end_client(dense).unwrap();
        }
        assert_eq!(found(counts), [(vec![0.0], 9.0 + 5.0), (vec![4.0], 1.0)]);
    }

    #[test]
    fn more_stored_than_dense_rows_are_no_negative_count() {
        let ctx = Context::builder().build().unwrap();
        let mut counts = DenseCounts::new(&ctx, 1, None).unwrap();
        for assigned in [0, 0, 6, 6] {
            let universe = counts.universe(assigned);
            counts.stored(universe, &[9]).unwrap();
        }
        counts.end_client(1).unwrap();
        assert_eq!(found(counts), [(vec![9.0], 4.0)]);
    }
}
