//! What an imported classifier's explanations compare with: rows of one's own.

use crate::classifier::{ClassifierModel, Fitted, Member, Parts};
use crate::context::Context;
use crate::data::Table;
use crate::error::Result;
use crate::linear::LogisticModel;
use crate::tree::{DecisionTree, FeatureTable, GradientBoosting, RandomForest};

/// The same classifier, explained against the rows of `table`, which count as often as `weights` says: the nodes of its
/// trees cover the rows that reach them, and coefficients are weighed from the rows' means. Predictions do not change.
///
/// # Errors
/// As [`ClassifierModel::predict`]; [`EngineError::Dimension`](crate::error::EngineError::Dimension) for another number of
/// weights, [`EngineError::InvalidWeight`](crate::error::EngineError::InvalidWeight).
pub fn recount(ctx: &Context, model: &ClassifierModel, table: &Table, weights: &[f64]) -> Result<ClassifierModel> {
    let of_member = |member: &Member| {
        let matrix = member.preparation().transform(ctx, table)?;
        let cells = matrix.columns.len().saturating_mul(matrix.n_rows());
        let _memory = ctx.reserve_for::<f64>(cells.saturating_mul(2))?;
        let rows = FeatureTable::from_columns(&matrix.columns)?;
        let fitted = match member.model() {
            Fitted::RandomForest(model) => {
                let ensemble = model.ensemble().recounted(ctx, &rows, weights)?;
                Fitted::RandomForest(RandomForest::from_ensemble(ensemble)?)
            }
            Fitted::DecisionTree(model) => {
                let ensemble = model.as_forest().ensemble().recounted(ctx, &rows, weights)?;
                Fitted::DecisionTree(DecisionTree::from_ensemble(ensemble)?)
            }
            Fitted::GradientBoosting(model) => {
                let ensemble = model.ensemble().recounted(ctx, &rows, weights)?;
                let base = model.base().to_vec();
                Fitted::GradientBoosting(GradientBoosting::from_ensemble(ensemble, base, model.n_classes())?)
            }
            Fitted::LogisticRegression(model) => Fitted::LogisticRegression(LogisticModel::from_coefficients(
                model.n_classes(),
                model.coefficients().to_vec(),
                model.intercepts().to_vec(),
                means(&matrix.columns, weights)?,
            )?),
        };
        Member::new(member.preparation().clone(), fitted)
    };
    ClassifierModel::new(Parts {
        columns: model.columns().to_vec(),
        classes: model.classes().to_vec(),
        positive: model.positive(),
        threshold: model.threshold(),
        members: model.members().iter().map(of_member).collect::<Result<_>>()?,
        combination: model.combination().clone(),
        calibrator: model.calibrator().cloned(),
        histograms: model.histograms().to_vec(),
        score_histograms: model.score_histograms().to_vec(),
    })
}

/// Weighted mean of each column over the rows that have a value, 0 where none has.
fn means(columns: &[Vec<f64>], weights: &[f64]) -> Result<Vec<f64>> {
    let n = columns.first().map_or(0, Vec::len);
    crate::data::labels::same("weights", n, weights.len())?;
    let mean = |column: &Vec<f64>| {
        let known = || column.iter().zip(weights).filter(|(x, _)| !x.is_nan());
        let total: f64 = known().map(|(_, w)| w).sum();
        let sum: f64 = known().map(|(x, w)| x * w).sum();
        if total > 0.0 {
            sum / total
        } else {
            0.0
        }
    };
    Ok(columns.iter().map(mean).collect())
}
