//! Folds by time: train on what was known, test on what came after.

use super::folds::{Fold, Folds};
use super::Refusal;
use crate::data::Labels;
use crate::error::Result;

/// `windows` folds, the earliest first; the last one tests the last `horizon` periods.
///
/// Periods are numbers: a window is `horizon` numbers wide, whether each has rows or not. Rows in the gap take no part.
pub(super) fn windows(labels: &Labels, horizon: usize, windows: usize, gap: usize) -> Result<Folds> {
    let periods = labels.periods().ok_or(Refusal::Unknown { what: "period" })?;
    let with_weight = || {
        periods
            .iter()
            .zip(labels.weights())
            .filter(|(_, w)| **w > 0.0)
            .map(|(p, _)| i64::from(*p))
    };
    let (first, last) = match (with_weight().min(), with_weight().max()) {
        (Some(first), Some(last)) => (first, last),
        _ => return Err(crate::error::EngineError::EmptyInput { what: "training set" }),
    };
    let found = (last - first + 1) as usize;
    let needed = horizon * windows + gap + 1;
    if found < needed {
        return Err(Refusal::Periods { needed, found }.into());
    }
    let fold = |window: usize| {
        let end = last - (horizon * (windows - 1 - window)) as i64;
        let start = end - horizon as i64 + 1;
        let rows = |wanted: &dyn Fn(i64) -> bool| {
            let numbered = (0u32..).zip(periods);
            numbered
                .filter(|(_, period)| wanted(i64::from(**period)))
                .map(|(row, _)| row)
                .collect()
        };
        Fold {
            train: rows(&|period| period < start - gap as i64),
            test: rows(&|period| (start..=end).contains(&period)),
        }
    };
    Folds::new((0..windows).map(fold).collect())
}
