//! How much the raw columns matter: by gain in the final model, by permutation and by mean |SHAP| on rows that the models of the
//! folds have not seen.

use super::candidate::{Ground, Kept};
use super::combination::Combination;
use super::fitted::Fitted;
use super::member::Member;
use super::model::{ClassifierModel, Parts};
use super::report::ColumnImportance;
use crate::context::Context;
use crate::data::Labels;
use crate::error::{EngineError, Result};
use crate::metrics::most_probable;
use crate::validate::{permutation_importance_of, Fold};

/// Columns permuted at most: those of the largest gain. Fewer where columns are many, each costing a look at all.
const MAX_PERMUTED: usize = 100;
const MAX_PERMUTED_WORK: usize = 100_000;
/// Rows of a fold that are permuted at most.
const MAX_ROWS: usize = 2_000;
/// Permutations of a column in a fold at most; fewer where rows are many.
const MAX_REPEATS: usize = 5;
/// Node visits that explaining the rows of all folds may take, roughly.
const MAX_VISITS: usize = 2_000_000_000;
/// Rows explained per fold at most.
const MAX_EXPLAINED: usize = 500;

/// Share of the gain per raw column, members weighted as the combination does; none where no member splits.
pub(super) fn gains(parts: &Parts) -> Result<Option<Vec<f64>>> {
    let mut sums = vec![0.0; parts.columns.len()];
    let mut known = false;
    for (index, member) in parts.members.iter().enumerate() {
        let weight = match &parts.combination {
            Combination::Vote(vote) => vote.weights().get(index).copied().unwrap_or(0.0),
            _ => 1.0,
        };
        if let Some(importance) = member.model().importance() {
            known = true;
            let own = member.preparation().per_source(&importance.gain_share())?;
            sums.iter_mut().zip(own).for_each(|(sum, gain)| *sum += weight * gain);
        }
    }
    let total: f64 = sums.iter().sum();
    if total > 0.0 {
        sums.iter_mut().for_each(|sum| *sum /= total);
    }
    Ok(known.then_some(sums))
}

/// Sums over the folds.
#[derive(Default)]
struct Measured {
    /// Per column: mean loss of score in each fold with the fold's weight.
    permutation: Vec<Vec<(f64, f64, f64)>>,
    /// Per column: sum of weight x |contribution|.
    shap: Vec<f64>,
    shap_weight: f64,
}

/// One entry per raw column, the most important first. `kept` holds the models of the folds, member by member; without them
/// only gains are known.
pub(super) fn measure(
    ground: &Ground,
    model: &ClassifierModel,
    mut kept: Vec<Kept>,
    seed: u64,
) -> Result<Vec<ColumnImportance>> {
    let parts = &model.parts;
    let gains = gains(parts)?;
    let columns = permuted(parts, gains.as_deref());
    let mut measured = Measured {
        permutation: vec![Vec::new(); parts.columns.len()],
        shap: vec![0.0; parts.columns.len()],
        shap_weight: 0.0,
    };
    for fold in ground.folds.iter() {
        let members: Option<Vec<Member>> = kept.iter_mut().map(|kept| kept.models.pop_front()).collect();
        let Some(members) = members.filter(|members| !members.is_empty()) else {
            break;
        };
        if ground.is_time_up() {
            break;
        }
        let outcome = fold_measures(ground, model, members, fold, &columns, seed, &mut measured);
        match outcome {
            // Importances are worth having, not worth failing for
            Err(EngineError::Memory { .. }) => break,
            other => other?,
        }
    }
    Ok(rows(parts, gains, &columns, measured))
}

/// Positions of the columns to permute: all that the model uses, up to a limit.
fn permuted(parts: &Parts, gains: Option<&[f64]>) -> Vec<usize> {
    let mut columns: Vec<usize> = (0..parts.columns.len()).collect();
    let linear = has_linear(parts);
    if let Some(gains) = gains {
        if !linear {
            columns.retain(|column| gains[*column] > 0.0);
        }
        columns.sort_by(|a, b| gains[*b].total_cmp(&gains[*a]).then(a.cmp(b)));
    }
    columns.truncate((MAX_PERMUTED_WORK / parts.columns.len().max(1)).clamp(10, MAX_PERMUTED));
    columns.sort_unstable();
    columns
}

/// Whether some member asks for every column, whatever the splits of the others do.
fn has_linear(parts: &Parts) -> bool {
    parts
        .members
        .iter()
        .any(|member| matches!(member.model(), Fitted::LogisticRegression(_)))
}

fn fold_measures(
    ground: &Ground,
    model: &ClassifierModel,
    members: Vec<Member>,
    fold: &Fold,
    columns: &[usize],
    seed: u64,
    measured: &mut Measured,
) -> Result<()> {
    let ctx = ground.ctx;
    let of_fold = ClassifierModel::new(Parts {
        members,
        calibrator: None,
        histograms: Vec::new(),
        score_histograms: Vec::new(),
        ..model.parts.clone()
    })?;
    let rows = sample(&fold.test, MAX_ROWS);
    let _part = ctx.reserve_for::<f64>(rows.len().saturating_mul(ground.table.columns().len() + 2))?;
    let (table, labels) = (ground.table.select(ctx, &rows)?, ground.labels.select(&rows)?);
    let weight: f64 = labels.weights().iter().sum();
    let repeats = (MAX_ROWS / rows.len().max(1)).clamp(1, MAX_REPEATS);
    let losses = permutation_importance_of(ctx, &table, columns, &labels, ground.metric, repeats, seed, |table| {
        of_fold.predict_raw(ctx, table)
    })?;
    for (column, loss) in columns.iter().zip(losses.into_iter().flatten()) {
        measured.permutation[*column].push((loss.mean, loss.sd, weight));
    }
    explain_some(ctx, &of_fold, ground, &rows, &labels, measured)
}

/// Adds the contributions to the class that each of some rows is called.
fn explain_some(
    ctx: &Context,
    model: &ClassifierModel,
    ground: &Ground,
    rows: &[u32],
    labels: &Labels,
    measured: &mut Measured,
) -> Result<()> {
    let size: usize = model.parts.members.iter().map(|member| member.model().size()).sum();
    let visits = size.saturating_mul(8).max(1);
    let most = (MAX_VISITS / ground.folds.len().max(1) / visits).clamp(16, MAX_EXPLAINED);
    let positions = sample(&(0..rows.len() as u32).collect::<Vec<_>>(), most);
    let chosen: Vec<u32> = positions.iter().map(|position| rows[*position as usize]).collect();
    let table = ground.table.select(ctx, &chosen)?;
    let k = model.classes().len();
    let probabilities = model.predict_raw(ctx, &table)?;
    let classes: Vec<u32> = probabilities.chunks_exact(k).map(most_probable).collect();
    let found = model.explain(ctx, &table, &classes)?;
    for (row, position) in positions.iter().enumerate() {
        let weight = labels.weights()[*position as usize];
        measured.shap_weight += weight;
        measured
            .shap
            .iter_mut()
            .zip(found.of(row))
            .for_each(|(sum, value)| *sum += weight * value.abs());
    }
    Ok(())
}

/// At most so many of `rows`, evenly spread.
fn sample(rows: &[u32], most: usize) -> Vec<u32> {
    if rows.len() <= most {
        return rows.to_vec();
    }
    (0..most).map(|at| rows[at * rows.len() / most]).collect()
}

fn rows(parts: &Parts, gains: Option<Vec<f64>>, permuted: &[usize], measured: Measured) -> Vec<ColumnImportance> {
    let any = measured.permutation.iter().any(|folds| !folds.is_empty());
    let row = |(index, column): (usize, &super::columns::ModelColumn)| {
        let folds = &measured.permutation[index];
        let weight: f64 = folds.iter().map(|(_, _, weight)| weight).sum();
        let mean = folds.iter().map(|(mean, _, weight)| mean * weight).sum::<f64>() / weight;
        let sd = match folds.len() {
            0 | 1 => folds.first().map(|(_, sd, _)| *sd),
            n => {
                let squares = folds.iter().map(|(m, _, _)| (m - mean) * (m - mean)).sum::<f64>();
                Some((squares / (n - 1) as f64).sqrt())
            }
        };
        // A column that no split asks for loses nothing
        let unused = any
            && !has_linear(parts)
            && gains.as_ref().is_some_and(|gains| gains[index] == 0.0)
            && !permuted.contains(&index);
        ColumnImportance {
            feature: column.name.clone(),
            gain: gains.as_ref().map(|gains| gains[index]),
            permutation: if folds.is_empty() {
                unused.then_some(0.0)
            } else {
                Some(mean)
            },
            permutation_sd: if folds.is_empty() { unused.then_some(0.0) } else { sd },
            mean_abs_shap: (measured.shap_weight > 0.0).then(|| measured.shap[index] / measured.shap_weight),
        }
    };
    let mut found: Vec<ColumnImportance> = parts.columns.iter().enumerate().map(row).collect();
    let key = |row: &ColumnImportance| row.mean_abs_shap.or(row.gain).unwrap_or(0.0);
    found.sort_by(|a, b| key(b).total_cmp(&key(a)).then_with(|| a.feature.cmp(&b.feature)));
    found
}
