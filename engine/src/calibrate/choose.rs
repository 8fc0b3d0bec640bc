//! Whether to calibrate, and how: what lowers the Brier score of rows that the calibration has not seen.

use super::{Calibrator, Method};
use crate::context::Context;
use crate::error::{EngineError, Result};
use crate::metrics::Predictions;
use crate::validate::{cross_fit, OutOfFold};

/// The choice and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationChoice {
    /// Fitted on all out-of-fold predictions; `None`: the probabilities are best as they are.
    pub calibrator: Option<(Method, Calibrator)>,
    /// Brier score as it was.
    pub brier_before: f64,
    /// Brier score of each method on folds that it was not fitted on; empty with a single fold, which cannot tell.
    pub brier_after: Vec<(Method, f64)>,
    /// The predictions, calibrated by the chosen method fitted on the other folds: what thresholds are chosen on.
    pub out_of_fold: OutOfFold,
}

/// Compares the Brier score as it is with those after Platt scaling and isotonic regression, each fitted on the other
/// folds' predictions, and keeps the lowest; what is simpler among equals.
///
/// # Errors
/// [`EngineError::EmptyInput`] without weight, [`EngineError::Memory`], [`EngineError::Cancelled`].
pub fn choose_calibration(ctx: &Context, out_of_fold: &OutOfFold) -> Result<CalibrationChoice> {
    let empty = EngineError::EmptyInput {
        what: "calibration set",
    };
    let brier_before = out_of_fold.predictions()?.brier().ok_or(empty)?;
    let _copies = ctx.reserve_for::<f64>(out_of_fold.probabilities().len().saturating_mul(3))?;
    let mut choice = CalibrationChoice {
        calibrator: None,
        brier_before,
        brier_after: Vec::new(),
        out_of_fold: out_of_fold.clone(),
    };
    let (mut lowest, mut best) = (brier_before, None);
    for method in [Method::Platt, Method::Isotonic] {
        let Some(probabilities) = out_of_their_fold(ctx, method, out_of_fold)? else {
            return Ok(choice);
        };
        let calibrated = out_of_fold.with_probabilities(probabilities)?;
        let brier = calibrated.predictions()?.brier().unwrap_or(f64::INFINITY);
        choice.brier_after.push((method, brier));
        if brier < lowest {
            (lowest, best) = (brier, Some(method));
            choice.out_of_fold = calibrated;
        }
    }
    if let Some(method) = best {
        choice.calibrator = Some((method, Calibrator::fit(ctx, method, &out_of_fold.predictions()?)?));
    }
    Ok(choice)
}

/// Each fold's probabilities calibrated by the others.
fn out_of_their_fold(ctx: &Context, method: Method, out_of_fold: &OutOfFold) -> Result<Option<Vec<f64>>> {
    let k = out_of_fold.n_classes();
    let take = |rows: &[usize]| -> Vec<f64> {
        let row = |row: &usize| &out_of_fold.probabilities()[row * k..(row + 1) * k];
        rows.iter().flat_map(row).copied().collect()
    };
    cross_fit(
        out_of_fold,
        |outside| {
            let probabilities = take(outside);
            let targets: Vec<u32> = outside.iter().map(|row| out_of_fold.targets()[*row]).collect();
            let weights: Vec<f64> = outside.iter().map(|row| out_of_fold.weights()[*row]).collect();
            Calibrator::fit(ctx, method, &Predictions::new(&probabilities, k, &targets, &weights)?)
        },
        |calibrator, inside| {
            let mut probabilities = take(inside);
            calibrator.apply(ctx, &mut probabilities)?;
            Ok(probabilities)
        },
    )
}
