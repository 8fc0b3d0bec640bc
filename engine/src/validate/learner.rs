//! What cross-validation, search and ensembles need of an algorithm.

use crate::context::Context;
use crate::data::{FittedPreparation, Labels, Matrix, Preparation, Table};
use crate::error::Result;
use crate::linear::{LogisticModel, LogisticParams};

/// An algorithm with its hyperparameters.
pub trait Learner: Sync {
    type Model: Classifier;

    /// Fits on p columns of n values, NaN being missing, and the labels of the n rows (groups and periods among them, for
    /// algorithms that split their rows themselves).
    ///
    /// # Errors
    /// The algorithm's.
    fn fit(&self, ctx: &Context, columns: &[Vec<f64>], labels: &Labels) -> Result<Self::Model>;
}

/// A fitted model.
pub trait Classifier: Send + Sync {
    /// Number of classes.
    fn n_classes(&self) -> usize;

    /// Probabilities of p columns of n values, row-major, n x classes.
    ///
    /// # Errors
    /// The algorithm's.
    fn predict(&self, ctx: &Context, columns: &[Vec<f64>]) -> Result<Vec<f64>>;
}

impl<C: Classifier + ?Sized> Classifier for Box<C> {
    fn n_classes(&self) -> usize {
        (**self).n_classes()
    }

    fn predict(&self, ctx: &Context, columns: &[Vec<f64>]) -> Result<Vec<f64>> {
        (**self).predict(ctx, columns)
    }
}

impl Learner for LogisticParams {
    type Model = LogisticModel;

    fn fit(&self, ctx: &Context, columns: &[Vec<f64>], labels: &Labels) -> Result<LogisticModel> {
        LogisticParams::fit(self, ctx, columns, labels)
    }
}

impl Classifier for LogisticModel {
    fn n_classes(&self) -> usize {
        LogisticModel::n_classes(self)
    }

    fn predict(&self, ctx: &Context, columns: &[Vec<f64>]) -> Result<Vec<f64>> {
        LogisticModel::predict(self, ctx, columns)
    }
}

/// A model with the recipe that its columns come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared<M> {
    pub preparation: FittedPreparation,
    pub model: M,
}

impl<M: Classifier> Prepared<M> {
    /// Fits recipe and model on the same rows.
    ///
    /// # Errors
    /// Those of [`Preparation::fit`] and of the algorithm.
    pub fn fit<L: Learner<Model = M>>(
        ctx: &Context,
        preparation: &Preparation,
        learner: &L,
        table: &Table,
        labels: &Labels,
    ) -> Result<Self> {
        let (preparation, matrix) = preparation.fit(ctx, table, labels)?;
        let _columns = reserve(ctx, &matrix)?;
        let model = learner.fit(ctx, &matrix.columns, labels)?;
        Ok(Self { preparation, model })
    }

    /// Probabilities of the rows of `table`, row-major, n x classes.
    ///
    /// # Errors
    /// Those of [`FittedPreparation::transform`] and of the model.
    pub fn predict(&self, ctx: &Context, table: &Table) -> Result<Vec<f64>> {
        let matrix = self.preparation.transform(ctx, table)?;
        let _columns = reserve(ctx, &matrix)?;
        self.model.predict(ctx, &matrix.columns)
    }
}

fn reserve(ctx: &Context, matrix: &Matrix) -> Result<crate::context::Reservation> {
    ctx.reserve_for::<f64>(matrix.columns.len().saturating_mul(matrix.n_rows()))
}
