//! Several models as one: a soft vote, or a logistic regression on top of them, both from out-of-fold predictions.

mod choose;
mod stack;
mod vote;

pub use choose::{choose_ensemble, EnsembleChoice, Offer, Pick};
pub use stack::Stack;
pub use vote::Vote;

use crate::data::labels;
use crate::error::{EngineError, Result};
use crate::validate::OutOfFold;

/// Most models of an ensemble.
pub const MAX_MEMBERS: usize = 100;

/// Checks that `members` (each row-major, n x classes) are as many as expected and of one length; gives that length.
fn check_members(expected: usize, members: &[&[f64]]) -> Result<usize> {
    labels::same("members of the ensemble", expected, members.len())?;
    let length = members.first().map_or(0, |member| member.len());
    for member in members {
        labels::same("probabilities", length, member.len())?;
    }
    Ok(length)
}

/// Checks that there are members, and that they predict the same rows.
fn check_candidates(candidates: &[&OutOfFold]) -> Result<()> {
    if !(1..=MAX_MEMBERS).contains(&candidates.len()) {
        let expected = format!("between 1 and {MAX_MEMBERS}");
        return Err(EngineError::invalid(
            "members of the ensemble",
            expected,
            candidates.len(),
        ));
    }
    candidates
        .iter()
        .try_for_each(|candidate| candidates[0].check_same_rows(candidate))
}
