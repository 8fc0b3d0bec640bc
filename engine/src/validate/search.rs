//! Search of hyperparameters, grid or random, within a budget.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::scores::{Metric, MetricSummary};
use super::space::{self, Candidate, Space, MAX_CANDIDATES};
use super::CrossValidation;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// How much a search may cost.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Most candidates tried.
    pub candidates: usize,
    /// Raised from outside when the time is up: the candidate under way is given up, unless it is the first.
    pub time_up: Option<Arc<AtomicBool>>,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every combination was tried.
    Exhausted,
    /// So many candidates as asked for.
    Candidates,
    /// The time was up.
    Time,
}

/// A candidate and its score over the folds.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    pub candidate: Candidate,
    /// The metric searched by, or why the candidate could not be evaluated.
    pub outcome: std::result::Result<MetricSummary, String>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// In the order in which they were tried.
    pub tried: Vec<Tried>,
    /// Position of the best in `tried`: best pooled score, the earliest among equals.
    pub best: usize,
    pub cross_validation: CrossValidation,
    pub ended: Ended,
}

/// What to search, how, and for what.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tried before all others: defaults, so that a search is never worse than none.
    pub first: Vec<Candidate>,
    pub space: Space,
    /// Candidates drawn at random, no combination twice, rather than all combinations in order.
    pub random: bool,
    pub seed: u64,
    pub budget: Budget,
    pub metric: Metric,
}

/// Tries candidates and keeps the one with the best pooled score.
///
/// `evaluate` cross-validates a candidate on the context that it is given. A candidate that fails is reported and passed
/// over, unless the failure is the context's (memory, cancel) or none succeeds.
///
/// # Errors
/// [`EngineError::InvalidParameter`] for an empty budget or a bad space, [`EngineError::Memory`],
/// [`EngineError::Cancelled`], and the first candidate's error where none could be evaluated.
pub fn search(
    ctx: &Context,
    plan: &Plan,
    mut evaluate: impl FnMut(&Context, &Candidate) -> Result<CrossValidation>,
) -> Result<Search> {
    let (budget, metric) = (&plan.budget, plan.metric);
    if !(1..=MAX_CANDIDATES).contains(&budget.candidates) {
        let expected = format!("between 1 and {MAX_CANDIDATES}");
        return Err(EngineError::invalid("candidates", expected, budget.candidates));
    }
    let (candidates, mut ended) = candidates(plan)?;
    let limited = budget.time_up.as_ref().map(|flag| ctx.until(Arc::clone(flag)));
    let time_is_up = || budget.time_up.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
    let mut tried: Vec<Tried> = Vec::new();
    let mut best: Option<(usize, f64, CrossValidation)> = None;
    let mut failure = None;
    for candidate in candidates {
        ctx.check()?;
        if best.is_some() && time_is_up() {
            ended = Ended::Time;
            break;
        }
        let within = limited.as_ref().filter(|_| best.is_some()).unwrap_or(ctx);
        let outcome = match evaluate(within, &candidate) {
            Ok(cross_validation) => {
                let summary = cross_validation.summary(metric);
                let worth = metric.worth(summary.pooled);
                if best.as_ref().is_none_or(|(_, most, _)| worth > *most) {
                    best = Some((tried.len(), worth, cross_validation));
                }
                Ok(summary)
            }
            Err(EngineError::Cancelled) if best.is_some() && time_is_up() => {
                ctx.check()?;
                ended = Ended::Time;
                break;
            }
            Err(error @ (EngineError::Cancelled | EngineError::Memory { .. } | EngineError::ThreadPool { .. })) => {
                return Err(error)
            }
            Err(error) => {
                let reason = error.to_string();
                failure.get_or_insert(error);
                Err(reason)
            }
        };
        tried.push(Tried { candidate, outcome });
    }
    match best {
        Some((best, _, cross_validation)) => Ok(Search {
            tried,
            best,
            cross_validation,
            ended,
        }),
        None => Err(failure.unwrap_or(EngineError::EmptyInput {
            what: "list of candidates",
        })),
    }
}

/// The candidates to try, distinct, and why there are no more of them.
fn candidates(plan: &Plan) -> Result<(Vec<Candidate>, Ended)> {
    let most = plan.budget.candidates;
    let mut seen = HashSet::new();
    // Values hold floats, which have no hash; their text is exact
    let mut is_new = |candidate: &Candidate| seen.insert(format!("{candidate:?}"));
    let mut list: Vec<Candidate> = plan
        .first
        .iter()
        .filter(|candidate| is_new(candidate))
        .cloned()
        .collect();
    if plan.random {
        space::check(&plan.space)?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
        // A small space runs out of new combinations
        let mut misses = 0;
        while list.len() <= most && misses < 200 {
            let candidate = space::draw(&plan.space, &mut rng);
            if is_new(&candidate) {
                list.push(candidate);
                misses = 0;
            } else {
                misses += 1;
            }
        }
    } else {
        let combinations = space::grid(&plan.space)?;
        list.extend(combinations.into_iter().filter(|candidate| is_new(candidate)));
    }
    let ended = if list.len() > most {
        Ended::Candidates
    } else {
        Ended::Exhausted
    };
    list.truncate(most);
    Ok((list, ended))
}
