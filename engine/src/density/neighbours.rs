//! The index that linfa's DBSCAN asks: neighbours by weight, on threads, until cancelled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use linfa::Float;
use linfa_nn::distance::Distance;
use linfa_nn::{BuildError, NearestNeighbour, NearestNeighbourIndex, NnError};
use ndarray::{ArrayBase, ArrayView1, ArrayView2, Data, Ix2};
use rayon::prelude::*;

use crate::context::Context;
use crate::data::WeightedRows;

/// Rows per parallel task.
const TASK_ROWS: usize = 4_096;
/// What linfa is told a core needs; [`Index::within_range`] names so many, or nobody.
pub(super) const NAMED: usize = 2;

/// Shared between the caller and linfa's copies.
#[derive(Debug, Clone)]
pub(super) struct Neighbours {
    pub(super) ctx: Context,
    pub(super) rows: Arc<WeightedRows>,
    pub(super) eps: f64,
    pub(super) min_points: f64,
    /// Which rows were found to be core.
    pub(super) core: Arc<Vec<AtomicBool>>,
    /// Which rows a core has named: linfa has queued them and need not hear of them again.
    pub(super) named: Arc<Vec<AtomicBool>>,
}

impl Neighbours {
    pub(super) fn new(ctx: &Context, rows: Arc<WeightedRows>, eps: f64, min_points: usize) -> Self {
        let flags = || Arc::new((0..rows.n_rows()).map(|_| AtomicBool::new(false)).collect());
        Self {
            ctx: ctx.clone(),
            eps,
            min_points: min_points as f64,
            core: flags(),
            named: flags(),
            rows,
        }
    }

    /// Weight within eps of `point`, the row that equals it, and the rows there that no core has named.
    fn around(&self, point: &[f64]) -> (f64, Option<usize>, Vec<usize>) {
        let (p, limit) = (self.rows.n_features(), self.eps * self.eps);
        let task = |(task, (values, weights)): (usize, (&[f64], &[f64]))| {
            let mut found = (0.0, None, Vec::new());
            if self.ctx.check().is_err() {
                return found;
            }
            for (offset, (row, weight)) in values.chunks_exact(p).zip(weights).enumerate() {
                let distance: f64 = row.iter().zip(point).map(|(x, y)| (x - y) * (x - y)).sum();
                if distance <= limit {
                    let index = task * TASK_ROWS + offset;
                    found.0 += weight;
                    if row == point {
                        found.1 = Some(index);
                    } else if !self.named[index].load(Ordering::Relaxed) {
                        found.2.push(index);
                    }
                }
            }
            found
        };
        let parts: Vec<_> = self.ctx.run(|| {
            let tasks = self.rows.values().par_chunks(TASK_ROWS * p);
            let weights = self.rows.weights().par_chunks(TASK_ROWS);
            tasks.zip(weights).enumerate().map(task).collect()
        });
        let mut all = (0.0, None, Vec::new());
        for (weight, own, near) in parts {
            all.0 += weight;
            all.1 = all.1.or(own);
            all.2.extend(near);
        }
        all
    }
}

impl NearestNeighbour for Neighbours {
    fn from_batch_with_leaf_size<'a, F: Float, DT: Data<Elem = F>, D: 'a + Distance<F>>(
        &self,
        batch: &'a ArrayBase<DT, Ix2>,
        _leaf_size: usize,
        _distance: D,
    ) -> Result<Box<dyn 'a + Send + Sync + NearestNeighbourIndex<F>>, BuildError> {
        Ok(Box::new(Index {
            batch: batch.view(),
            neighbours: self.clone(),
        }))
    }
}

/// What linfa asks: the rows as linfa has them, and the answers.
struct Index<'a, F> {
    batch: ArrayView2<'a, F>,
    neighbours: Neighbours,
}

impl<F: Float> NearestNeighbourIndex<F> for Index<'_, F> {
    /// DBSCAN never asks for it.
    fn k_nearest(&self, _point: ArrayView1<'_, F>, _k: usize) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        Ok(Vec::new())
    }

    /// For a core row: itself [`NAMED`] times, which makes linfa take it for one, and the neighbours that no core has named yet. For
    /// others: nobody. `range` is our own eps.
    fn within_range(&self, point: ArrayView1<'_, F>, _range: F) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        let of = &self.neighbours;
        let point: Vec<f64> = point.iter().map(|x| x.to_f64().unwrap_or(f64::NAN)).collect();
        if point.len() != of.rows.n_features() {
            return Err(NnError::WrongDimension);
        }
        let (weight, own, near) = of.around(&point);
        let own = match own {
            Some(own) if weight >= of.min_points => own,
            _ => return Ok(Vec::new()),
        };
        of.core[own].store(true, Ordering::Relaxed);
        let named = near
            .iter()
            .inspect(|row| of.named[**row].store(true, Ordering::Relaxed));
        let rows = std::iter::repeat_n(&own, NAMED).chain(named);
        Ok(rows.map(|row| (self.batch.row(*row), *row)).collect())
    }
}
