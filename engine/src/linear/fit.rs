//! Fitting: rows with weight, classes present, columns standardised, and back.

use super::newton;
use super::objective::Objective;
use super::{LogisticModel, LogisticParams};
use crate::context::Context;
use crate::data::{check_value, labels, Labels};
use crate::error::{EngineError, Result};
use crate::validate::Refusal;

impl LogisticParams {
    /// Fits on `columns` (p columns of n values) and `labels` (n). Classes without weight get probability 0.
    ///
    /// # Errors
    /// [`EngineError::Refusal`] with fewer than two classes, [`EngineError::NonFinite`] for a missing value,
    /// [`EngineError::OutOfDomain`], [`EngineError::Dimension`], [`EngineError::InvalidParameter`],
    /// [`EngineError::EmptyInput`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit(&self, ctx: &Context, columns: &[Vec<f64>], labels: &Labels) -> Result<LogisticModel> {
        self.check()?;
        check_columns(columns, labels.n_rows())?;
        let of_class = labels.class_weights();
        let classes: Vec<u32> = (0..labels.n_classes() as u32)
            .filter(|class| of_class[*class as usize] > 0.0)
            .collect();
        match classes[..] {
            [] => return Err(EngineError::EmptyInput { what: "training set" }),
            [class] => return Err(Refusal::OneClass { class }.into()),
            _ => {}
        }
        let p = columns.len();
        let rows: Vec<u32> = (0..labels.n_rows() as u32)
            .filter(|row| labels.weights()[*row as usize] > 0.0)
            .collect();
        let _copy = ctx.reserve_for::<f64>(rows.len().saturating_mul(p + 4))?;
        let all_weights = match self.balanced {
            true => labels.balanced_weights(),
            false => labels.weights().to_vec(),
        };
        let total: f64 = rows.iter().map(|row| all_weights[*row as usize]).sum();
        if total < 1e-9 {
            return Err(EngineError::invalid("total weight", "at least 1e-9", total));
        }
        let weights: Vec<f64> = rows.iter().map(|row| all_weights[*row as usize] / total).collect();
        let position = |row: &u32| {
            let class = labels.targets()[*row as usize];
            classes.partition_point(|known| *known < class) as u32
        };
        let targets: Vec<u32> = rows.iter().map(position).collect();

        let mut values = vec![0.0; rows.len() * p];
        let mut moments = Vec::with_capacity(p);
        for (index, column) in columns.iter().enumerate() {
            ctx.check()?;
            let (mean, sd) = moments_of(column, &rows, &weights);
            let scale = if sd > 0.0 { sd } else { 1.0 };
            for (place, row) in values[index..].iter_mut().step_by(p).zip(&rows) {
                *place = if sd > 0.0 {
                    (column[*row as usize] - mean) / scale
                } else {
                    0.0
                };
            }
            moments.push((mean, scale));
        }
        let n_margins = if classes.len() == 2 { 1 } else { classes.len() };
        let penalties = moments
            .iter()
            .map(|(_, scale)| self.l2 / total / scale / scale)
            .collect();
        let objective = Objective::new(ctx, values, n_margins, &targets, weights, penalties)?;
        let descent = newton::minimise(ctx, &objective, self.max_iter, self.tolerance)?;

        let (mut coefficients, mut intercepts) = (Vec::new(), Vec::new());
        for of_margin in descent.coefficients.chunks_exact(p + 1) {
            let own = of_margin.iter().zip(&moments).map(|(c, (_, scale))| c / scale);
            coefficients.extend(own);
            let shift = of_margin
                .iter()
                .zip(&moments)
                .map(|(c, (mean, scale))| c * (mean / scale));
            intercepts.push(of_margin[p] - shift.sum::<f64>());
        }
        if n_margins > 1 {
            // Only differences between margins count: the convention is that they add up to zero
            centre(&mut intercepts, 1);
            centre(&mut coefficients, p);
        }
        let means = moments.iter().map(|(mean, _)| *mean).collect();
        LogisticModel::new(
            labels.n_classes(),
            classes,
            coefficients,
            intercepts,
            means,
            descent.iterations,
            descent.converged,
        )
    }
}

/// Subtracts from each of `p` columns of a row-major matrix its mean.
fn centre(values: &mut [f64], p: usize) {
    let n = values.len() / p;
    for column in 0..p {
        let mean = values[column..].iter().step_by(p).sum::<f64>() / n as f64;
        values[column..].iter_mut().step_by(p).for_each(|x| *x -= mean);
    }
}

/// Weighted mean and population standard deviation; the weights sum to 1. A constant has none, whatever rounding says.
fn moments_of(column: &[f64], rows: &[u32], weights: &[f64]) -> (f64, f64) {
    let values = || rows.iter().map(|row| column[*row as usize]).zip(weights);
    let first = rows.first().map_or(0.0, |row| column[*row as usize]);
    if values().all(|(x, _)| x == first) {
        return (first, 0.0);
    }
    let rough = values().map(|(x, w)| w * x).sum::<f64>();
    let mean = rough + values().map(|(x, w)| w * (x - rough)).sum::<f64>();
    let variance = values().map(|(x, w)| w * (x - mean) * (x - mean)).sum::<f64>();
    (mean, variance.sqrt())
}

/// Checks p >= 1 columns of n finite values.
pub(super) fn check_columns(columns: &[Vec<f64>], n: usize) -> Result<()> {
    if columns.is_empty() {
        return Err(EngineError::invalid("features", "at least one", "none"));
    }
    for (index, column) in columns.iter().enumerate() {
        labels::same("values in a column", n, column.len())?;
        for (row, value) in column.iter().enumerate() {
            check_value(*value, row, index)?;
        }
    }
    Ok(())
}
