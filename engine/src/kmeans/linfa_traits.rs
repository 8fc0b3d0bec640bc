//! linfa's `Fit` and `Predict`, for callers who come from linfa. The extension uses
//! [`KMeansValidParams::fit_rows`] and [`KMeansModel::predict_rows`], which take a context and return errors.

use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, ArrayBase, Data, Ix2};

use super::kernel::squared_distance;
use super::model::KMeansModel;
use super::params::KMeansValidParams;
use crate::context::Context;
use crate::data::WeightedRows;
use crate::error::EngineError;

impl<D: Data<Elem = f64>, T> Fit<ArrayBase<D, Ix2>, T, EngineError> for KMeansValidParams {
    type Object = KMeansModel;

    /// Fits on the records (n x p), weighted by the dataset's weights where it has them, on one thread and without a
    /// memory limit.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<KMeansModel, EngineError> {
        let records = dataset.records();
        let values: Vec<f64> = records.iter().copied().collect();
        let weights = match dataset.weights() {
            Some(weights) => weights.iter().map(|w| f64::from(*w)).collect(),
            None => vec![1.0; records.nrows()],
        };
        let rows = WeightedRows::new(values, records.ncols(), weights)?;
        let ctx = Context::builder().build()?;
        self.fit_distinct(&ctx, &rows.distinct(&ctx)?)
    }
}

impl<D: Data<Elem = f64>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>> for KMeansModel {
    /// Writes the nearest cluster of each record into `y`.
    ///
    /// # Panics
    /// When the lengths differ, as linfa's own models do: the trait has no way to return an error.
    fn predict_inplace<'a>(&'a self, x: &'a ArrayBase<D, Ix2>, y: &mut Array1<usize>) {
        assert_eq!(
            x.nrows(),
            y.len(),
            "the number of records must match the number of targets"
        );
        assert_eq!(
            x.ncols(),
            self.n_features(),
            "the number of features must match the model's"
        );
        let mut row = vec![0.0; x.ncols()];
        for (record, target) in x.rows().into_iter().zip(y.iter_mut()) {
            row.iter_mut().zip(record).for_each(|(to, from)| *to = *from);
            let mut best = (f64::INFINITY, 0);
            for (cluster, centroid) in self.centroid_values().chunks_exact(row.len()).enumerate() {
                let distance = squared_distance(&row, centroid);
                if distance < best.0 {
                    best = (distance, cluster);
                }
            }
            *target = best.1;
        }
    }

    fn default_target(&self, x: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(x.nrows())
    }
}
