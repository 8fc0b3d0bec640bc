//! Cross-validation: recipe and model fitted inside each fold.

use rayon::prelude::*;

use super::learner::{Classifier, Learner, Prepared};
use super::out_of_fold::OutOfFold;
use super::scores::{Metric, MetricSummary, Scores};
use super::{Fold, Folds};
use crate::context::{Context, Reservation};
use crate::data::{labels, Labels, Preparation, Table};
use crate::error::{EngineError, Result};

/// Folds judged at a time, or as many as there are threads: a fit alone has much to do that only one of them does.
const SIDE_BY_SIDE: usize = 8;
/// Fold of a row that is in no test.
const UNTESTED: u32 = u32::MAX;

/// How one fold went.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldReport {
    pub train_rows: usize,
    pub test_rows: usize,
    pub train_weight: f64,
    pub test_weight: f64,
    pub scores: Scores,
}

/// Out-of-fold predictions and scores.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidation {
    pub out_of_fold: OutOfFold,
    pub folds: Vec<FoldReport>,
    /// Of all out-of-fold predictions together.
    pub pooled: Scores,
}

impl CrossValidation {
    /// A metric over the folds.
    pub fn summary(&self, metric: Metric) -> MetricSummary {
        let of_folds = self.folds.iter().map(|fold| fold.scores.get(metric));
        MetricSummary::new(metric, self.pooled.get(metric), of_folds)
    }
}

/// What a visitor of a fold sees: the model, and the rows it has not seen.
#[derive(Debug)]
pub struct FoldView<'a, M> {
    pub fold: usize,
    pub prepared: &'a Prepared<M>,
    pub test: &'a Table,
    pub test_labels: &'a Labels,
}

/// What is known of a fold once its model has seen the rows that it is tested on.
struct Judged<M> {
    fold: usize,
    prepared: Prepared<M>,
    test: Table,
    test_labels: Labels,
    part: OutOfFold,
    report: FoldReport,
    _parts: Reservation,
}

/// What all folds share.
struct Ground<'a, L> {
    ctx: &'a Context,
    preparation: &'a Preparation,
    learner: &'a L,
    table: &'a Table,
    labels: &'a Labels,
}

impl<L: Learner> Ground<'_, L> {
    fn judge(&self, index: usize, fold: &Fold) -> Result<Judged<L::Model>> {
        let (ctx, table, labels) = (self.ctx, self.table, self.labels);
        ctx.check()?;
        let (n, k) = (labels.n_rows(), labels.n_classes());
        let parts = ctx.reserve_for::<f64>(n.saturating_mul(table.columns().len() + 4))?;
        let train_labels = labels.select(&fold.train)?;
        let train = table.select(ctx, &fold.train)?;
        let prepared = Prepared::fit(ctx, self.preparation, self.learner, &train, &train_labels)?;
        let (test, test_labels) = (table.select(ctx, &fold.test)?, labels.select(&fold.test)?);
        labels::same("classes", k, prepared.model.n_classes())?;
        let probabilities = prepared.predict(ctx, &test)?;
        labels::same("probabilities", fold.test.len().saturating_mul(k), probabilities.len())?;
        let part = OutOfFold::new(
            k,
            probabilities,
            test_labels.targets().to_vec(),
            test_labels.weights().to_vec(),
            vec![index as u32; fold.test.len()],
        )?;
        let report = FoldReport {
            train_rows: fold.train.len(),
            test_rows: fold.test.len(),
            train_weight: train_labels.weights().iter().sum(),
            test_weight: test_labels.weights().iter().sum(),
            scores: Scores::of(ctx, &part.predictions()?)?,
        };
        ctx.work_done(1);
        Ok(Judged {
            fold: index,
            prepared,
            test,
            test_labels,
            part,
            report,
            _parts: parts,
        })
    }
}

/// Cross-validates `preparation` and `learner` over `folds`.
///
/// A fold's recipe and model see the training rows of this fold and nothing else. `visit` is called once per fold, for
/// what is to be measured on unseen rows besides (importances, contributions), in their order. One unit of progress per fold.
/// Folds are judged side by side; what is found depends neither on that nor on the number of threads.
///
/// # Errors
/// [`EngineError::Refusal`] (see [`Folds::check`]), those of the recipe, the algorithm and `visit`,
/// [`EngineError::Dimension`] when table and labels differ or a model predicts another number of classes,
/// [`EngineError::Memory`], [`EngineError::Cancelled`].
pub fn cross_validate<L: Learner>(
    ctx: &Context,
    preparation: &Preparation,
    learner: &L,
    table: &Table,
    labels: &Labels,
    folds: &Folds,
    mut visit: impl FnMut(&FoldView<L::Model>) -> Result<()>,
) -> Result<CrossValidation> {
    labels::same("labels", table.n_rows(), labels.n_rows())?;
    folds.check(labels)?;
    ctx.expect_work(folds.len() as u64);
    let (n, k) = (labels.n_rows(), labels.n_classes());
    let _result = ctx.reserve_for::<f64>(n.saturating_mul(2 * k + 2))?;
    let mut predicted = vec![0.0; n * k];
    let mut fold_of = vec![UNTESTED; n];
    let mut reports = Vec::with_capacity(folds.len());
    let ground = Ground {
        ctx,
        preparation,
        learner,
        table,
        labels,
    };
    let mut take = |fold: &Fold, judged: Judged<L::Model>| {
        for (row, p) in fold.test.iter().zip(judged.part.probabilities().chunks_exact(k)) {
            let row = *row as usize;
            if fold_of[row] != UNTESTED {
                let expected = "tested in one fold at most";
                return Err(EngineError::invalid("row", expected, format!("{row} in two")));
            }
            fold_of[row] = judged.fold as u32;
            predicted[row * k..(row + 1) * k].copy_from_slice(p);
        }
        reports.push(judged.report);
        visit(&FoldView {
            fold: judged.fold,
            prepared: &judged.prepared,
            test: &judged.test,
            test_labels: &judged.test_labels,
        })
    };
    let numbered: Vec<(usize, &Fold)> = folds.iter().enumerate().collect();
    for some in numbered.chunks(ctx.threads().max(SIDE_BY_SIDE)) {
        let judge = |(index, fold): &(usize, &Fold)| ground.judge(*index, fold);
        let together: Vec<Result<_>> = ctx.run(|| some.par_iter().map(judge).collect());
        // of several errors that of the first fold, whoever was first
        match together.into_iter().collect::<Result<Vec<_>>>() {
            Ok(all) => some
                .iter()
                .zip(all)
                .try_for_each(|((_, fold), judged)| take(fold, judged))?,
            // not for all at a time
            Err(EngineError::Memory { .. }) => some.iter().try_for_each(|one| take(one.1, judge(one)?))?,
            Err(error) => return Err(error),
        }
    }
    let rows: Vec<u32> = (0..n as u32).filter(|row| fold_of[*row as usize] != UNTESTED).collect();
    let of_row = |row: &u32| &predicted[*row as usize * k..(*row as usize + 1) * k];
    let of_rows = labels.select(&rows)?;
    let out_of_fold = OutOfFold::new(
        k,
        rows.iter().flat_map(of_row).copied().collect(),
        of_rows.targets().to_vec(),
        of_rows.weights().to_vec(),
        rows.iter().map(|row| fold_of[*row as usize]).collect(),
    )?;
    let out_of_fold = out_of_fold.with_rows(rows)?;
    let out_of_fold = match of_rows.groups() {
        Some(groups) => out_of_fold.with_groups(groups.to_vec())?,
        None => out_of_fold,
    };
    Ok(CrossValidation {
        pooled: Scores::of(ctx, &out_of_fold.predictions()?)?,
        out_of_fold,
        folds: reports,
    })
}

/// The final model: recipe and model fitted on all rows.
///
/// # Errors
/// As [`Prepared::fit`].
pub fn fit_all<L: Learner>(
    ctx: &Context,
    preparation: &Preparation,
    learner: &L,
    table: &Table,
    labels: &Labels,
) -> Result<Prepared<L::Model>> {
    Prepared::fit(ctx, preparation, learner, table, labels)
}
