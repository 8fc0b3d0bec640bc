//! The choice among models and their ensembles, by scores that none of them was fitted on.

use super::stack::take;
use super::{check_candidates, Stack, Vote};
use crate::context::Context;
use crate::error::{EngineError, Result};
use crate::linear::LogisticParams;
use crate::validate::{cross_fit, Metric, OutOfFold};

/// What was on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// The candidate at this position.
    Single(usize),
    /// The soft vote of all.
    Vote,
    /// The stack of all.
    Stack,
}

/// What was chosen; the combiners are fitted on all out-of-fold predictions.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick {
    Single(usize),
    Vote(Vote),
    Stack(Stack),
}

/// The choice and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct EnsembleChoice {
    pub pick: Pick,
    /// Every offer's score, in the order of the offers.
    pub scores: Vec<(Offer, Option<f64>)>,
    /// Predictions of the choice; an ensemble's are by combiners fitted on the other folds.
    pub out_of_fold: OutOfFold,
}

/// Scores `offers` on the out-of-fold predictions of `candidates` and takes the best, the earliest among equals.
///
/// Vote and stack are judged on folds that their weights were not fitted on; with a single fold they cannot be judged and are
/// passed over where anything else is on offer.
///
/// # Errors
/// [`EngineError::InvalidParameter`] for no offer or candidates of different rows, those of [`Vote::fit`] and
/// [`Stack::fit`].
pub fn choose_ensemble(
    ctx: &Context,
    candidates: &[&OutOfFold],
    offers: &[Offer],
    stack: &LogisticParams,
    metric: Metric,
) -> Result<EnsembleChoice> {
    check_candidates(candidates)?;
    let mut best: Option<(f64, Offer, OutOfFold)> = None;
    let mut scores = Vec::new();
    for offer in offers {
        ctx.check()?;
        let Some(out_of_fold) = judged(ctx, candidates, *offer, stack)? else {
            scores.push((*offer, None));
            continue;
        };
        let score = metric.of(ctx, &out_of_fold.predictions()?)?;
        scores.push((*offer, score));
        let worth = metric.worth(score);
        if best.as_ref().is_none_or(|(most, ..)| worth > *most) {
            best = Some((worth, *offer, out_of_fold));
        }
    }
    let Some((_, offer, out_of_fold)) = best else {
        return Err(EngineError::invalid(
            "offers",
            "at least one that can be judged",
            "none",
        ));
    };
    let pick = match offer {
        Offer::Single(position) => Pick::Single(position),
        Offer::Vote => Pick::Vote(Vote::fit(ctx, candidates)?),
        Offer::Stack => Pick::Stack(Stack::fit(ctx, stack, candidates)?),
    };
    Ok(EnsembleChoice {
        pick,
        scores,
        out_of_fold,
    })
}

/// The predictions that `offer` is judged by; `None` where it cannot be.
fn judged(
    ctx: &Context,
    candidates: &[&OutOfFold],
    offer: Offer,
    params: &LogisticParams,
) -> Result<Option<OutOfFold>> {
    let members = |rows: &[usize]| -> Vec<Vec<f64>> { candidates.iter().map(|c| take(c, rows)).collect() };
    fn slices(members: &[Vec<f64>]) -> Vec<&[f64]> {
        members.iter().map(Vec::as_slice).collect()
    }
    let first = candidates[0];
    let probabilities = match offer {
        Offer::Single(position) => {
            let candidate = candidates.get(position).ok_or_else(|| {
                let expected = format!("less than {}", candidates.len());
                EngineError::invalid("position of a candidate", expected, position)
            })?;
            return Ok(Some((*candidate).clone()));
        }
        Offer::Vote => cross_fit(
            first,
            |outside| Vote::fit_rows(ctx, candidates, outside),
            |vote, inside| vote.combine(&slices(&members(inside))),
        )?,
        Offer::Stack => cross_fit(
            first,
            |outside| Stack::fit_rows(ctx, params, candidates, outside),
            |stack, inside| stack.combine(ctx, &slices(&members(inside))),
        )?,
    };
    probabilities
        .map(|probabilities| first.with_probabilities(probabilities))
        .transpose()
}
