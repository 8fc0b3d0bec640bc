//! Fitting: linfa's DBSCAN over our index.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use linfa::prelude::Transformer;
use linfa::ParamGuard;
use linfa_clustering::Dbscan;
use linfa_nn::distance::L2Dist;
use ndarray::{Array1, Array2};

use super::model::DensityModel;
use super::neighbours::{Neighbours, NAMED};
use super::params::{DensityParams, MAX_DISTINCT, MAX_FOUND};
use crate::context::Context;
use crate::data::WeightedRows;
use crate::error::{EngineError, Result};
use crate::linfa_calls::guarded;

const ALGORITHM: &str = "dbscan";

impl DensityParams {
    /// Fits on `rows` in canonical form ([`WeightedRows::distinct`]).
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`], [`EngineError::EmptyInput`], [`EngineError::Limit`] beyond [`MAX_DISTINCT`] rows or
    /// [`MAX_FOUND`] clusters, [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit(&self, ctx: &Context, rows: &WeightedRows) -> Result<DensityModel> {
        self.check()?;
        let (n, p) = (rows.n_rows(), rows.n_features());
        if n == 0 {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        within("distinct rows", n, MAX_DISTINCT)?;
        let min_points = self.resolved(p, rows.total_weight());
        // two copies of the rows and the core rows; per row: linfa's views, queues and memberships, our flags
        let _memory = ctx.reserve(n.saturating_mul((3 * p + 32) * size_of::<f64>()))?;
        let index = Neighbours::new(ctx, Arc::new(rows.clone()), self.eps, min_points);
        let core = Arc::clone(&index.core);
        let records = Array2::from_shape_vec((n, p), rows.values().to_vec()).map_err(|e| EngineError::NoSolution {
            algorithm: ALGORITHM,
            reason: e.to_string(),
        })?;
        let params = Dbscan::params_with(NAMED, L2Dist, index).tolerance(self.eps);
        let found: Array1<Option<usize>> = guarded(ALGORITHM, || {
            let params = params.check_ref()?;
            Ok::<_, linfa_clustering::DbscanParamsError>(params.transform(&records))
        })?;
        ctx.check()?;

        let clusters = found.iter().flatten().max().map_or(0, |last| last + 1);
        within("clusters", clusters, MAX_FOUND)?;
        let mut values = Vec::new();
        let mut labels = Vec::new();
        for ((row, cluster), core) in rows.iter().map(|(row, _)| row).zip(found).zip(core.iter()) {
            if let (Some(cluster), true) = (cluster, core.load(Ordering::Relaxed)) {
                values.extend_from_slice(row);
                labels.push(cluster as u32);
            }
        }
        DensityModel::new(p, self.eps, min_points, clusters, values, labels)
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<()> {
    match found <= limit {
        true => Ok(()),
        false => Err(EngineError::Limit {
            algorithm: ALGORITHM,
            what,
            limit,
            found,
        }),
    }
}
