//! linfa's `Fit` and `Predict`, for callers who come from linfa: one thread, no memory limit, the most probable class.
//! The extension uses the models' own methods, which take a context and return errors and probabilities.

use linfa::dataset::{AsTargets, DatasetBase};
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, ArrayBase, Data, Ix1, Ix2};

use super::boosting::GradientBoosting;
use super::boosting_params::BoostingValidParams;
use super::decision::{DecisionTree, TreeValidParams};
use super::forest::RandomForest;
use super::forest_params::ForestValidParams;
use super::table::{FeatureTable, TrainingSet};
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Turns a dataset whose targets are classes, counted from 0, into a training set.
fn with_set<D, T, R>(
    dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    fit: impl FnOnce(&Context, &TrainingSet) -> Result<R>,
) -> Result<R>
where
    D: Data<Elem = f64>,
    T: AsTargets<Elem = usize, Ix = Ix1>,
{
    let table = table(dataset.records())?;
    let targets = dataset.targets().as_targets();
    let labels: Vec<u32> = targets
        .iter()
        .map(|target| u32::try_from(*target).unwrap_or(u32::MAX))
        .collect();
    let n_classes = targets.iter().max().map_or(1, |most| most.saturating_add(1)).max(2);
    let weights = match dataset.weights() {
        Some(weights) => weights.iter().map(|w| f64::from(*w)).collect(),
        None => vec![1.0; labels.len()],
    };
    let set = TrainingSet::new(&table, &labels, n_classes, &weights)?;
    fit(&Context::builder().build()?, &set)
}

fn table<D: Data<Elem = f64>>(records: &ArrayBase<D, Ix2>) -> Result<FeatureTable> {
    let columns: Vec<Vec<f64>> = records.columns().into_iter().map(|column| column.to_vec()).collect();
    FeatureTable::from_columns(&columns)
}

/// Writes the most probable class of each row, the first of equals.
fn classes(probabilities: &[f64], n_classes: usize, y: &mut Array1<usize>) {
    for (row, class) in probabilities.chunks_exact(n_classes).zip(y) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        *class = row.iter().position(|p| *p == most).unwrap_or(0);
    }
}

macro_rules! traits {
    ($params:ty, $model:ty, $fit:expr, $n_classes:expr) => {
        impl<D, T> Fit<ArrayBase<D, Ix2>, T, EngineError> for $params
        where
            D: Data<Elem = f64>,
            T: AsTargets<Elem = usize, Ix = Ix1>,
        {
            type Object = $model;

            fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<$model> {
                with_set(dataset, |ctx, set| $fit(self, ctx, set))
            }
        }

        impl<D: Data<Elem = f64>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>> for $model {
            /// # Panics
            /// When the lengths differ or a record is infinite: the trait has no way to return an error.
            fn predict_inplace<'a>(&'a self, x: &'a ArrayBase<D, Ix2>, y: &mut Array1<usize>) {
                assert_eq!(
                    x.nrows(),
                    y.len(),
                    "the number of records must match the number of targets"
                );
                let found = Context::builder()
                    .build()
                    .and_then(|ctx| self.predict_probabilities(&ctx, &table(x)?));
                match found {
                    Ok(probabilities) => classes(&probabilities, $n_classes(self), y),
                    Err(error) => panic!("{error}"),
                }
            }

            fn default_target(&self, x: &ArrayBase<D, Ix2>) -> Array1<usize> {
                Array1::zeros(x.nrows())
            }
        }
    };
}

traits!(
    ForestValidParams,
    RandomForest,
    |params: &ForestValidParams, ctx: &Context, set: &TrainingSet| Ok(params.fit(ctx, set)?.model),
    RandomForest::n_classes
);
traits!(
    BoostingValidParams,
    GradientBoosting,
    |params: &BoostingValidParams, ctx: &Context, set: &TrainingSet| Ok(params.fit(ctx, set, None)?.model),
    GradientBoosting::n_classes
);
traits!(
    TreeValidParams,
    DecisionTree,
    |params: &TreeValidParams, ctx: &Context, set: &TrainingSet| params.fit(ctx, set),
    |tree: &DecisionTree| tree.as_forest().n_classes()
);

#[cfg(test)]
mod tests {
    use linfa::prelude::*;
    use ndarray::{array, Array1};

    use super::super::{BoostingParams, ForestParams, TreeParams};

    #[test]
    fn the_traits_of_linfa_fit_and_predict() {
        let records = array![
            [0.0, 5.0],
            [1.0, 5.0],
            [2.0, f64::NAN],
            [3.0, 4.0],
            [4.0, 4.0],
            [5.0, 4.0]
        ];
        let dataset = Dataset::new(records.clone(), array![0, 0, 0, 1, 1, 1]);
        let expected: Array1<usize> = array![0, 0, 0, 1, 1, 1];
        let tree = TreeParams::new(3).check().unwrap();
        assert_eq!(Fit::fit(&tree, &dataset).unwrap().predict(&records), expected);
        let forest = ForestParams::new(40).check().unwrap();
        assert_eq!(Fit::fit(&forest, &dataset).unwrap().predict(&records), expected);
        let boosting = BoostingParams::new(10).min_leaf(1.0).check().unwrap();
        assert_eq!(Fit::fit(&boosting, &dataset).unwrap().predict(&records), expected);
    }
}
