//! The candidates: every algorithm asked for, its hyperparameters searched where that was asked for.

use super::algorithm::Algorithm;
use super::candidate::{Candidate, Ground};
use super::learning::Learning;
use super::report::{SearchReport, TriedReport};
use super::training::{SearchKind, SearchRequest, Training};
use crate::error::{EngineError, Result};
use crate::validate::{search, Budget, Domain, Ended, Plan, Space, Value};

/// The candidates that were judged before the time was up, at least one; and the algorithms that were not.
pub(super) fn candidates(training: &Training, ground: &Ground) -> Result<(Vec<Candidate>, Vec<Algorithm>)> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut left_out = Vec::new();
    let mut failure = None;
    for learning in training.learnings()? {
        ground.ctx.check()?;
        if !found.is_empty() && ground.is_time_up() {
            left_out.push(learning.algorithm);
            continue;
        }
        let algorithm = learning.algorithm;
        let learning = learning.for_columns(ground.table.columns().len());
        match one(training, ground, learning, found.is_empty()) {
            Ok(candidate) => found.push(candidate),
            Err(EngineError::Cancelled) if !found.is_empty() && ground.is_time_up() => {
                ground.ctx.check()?;
                left_out.push(algorithm);
            }
            Err(error @ (EngineError::Cancelled | EngineError::Memory { .. } | EngineError::ThreadPool { .. })) => {
                return Err(error)
            }
            Err(error) if training.algorithm.is_single() => return Err(error),
            Err(error) => {
                left_out.push(algorithm);
                failure.get_or_insert(error);
            }
        }
    }
    match (found.is_empty(), failure) {
        (true, Some(error)) => Err(error),
        _ => Ok((found, left_out)),
    }
}

/// Judges one algorithm; the first is judged whatever the time.
fn one(training: &Training, ground: &Ground, learning: Learning, first: bool) -> Result<Candidate> {
    let limited = match (&ground.time_up, first) {
        (Some(flag), false) => Some(ground.ctx.until(flag.clone())),
        _ => None,
    };
    match &training.search {
        None => Candidate::judge(limited.as_ref().unwrap_or(ground.ctx), ground, learning),
        Some(request) => searched(training, ground, &learning, request),
    }
}

fn searched(training: &Training, ground: &Ground, learning: &Learning, request: &SearchRequest) -> Result<Candidate> {
    let plan = Plan {
        first: vec![crate::validate::Candidate::new()],
        space: request.space.clone().unwrap_or_else(|| match request.kind {
            SearchKind::Random => space(learning.algorithm),
            SearchKind::Grid => grid(learning.algorithm),
        }),
        random: request.kind == SearchKind::Random,
        seed: training.seed,
        budget: Budget {
            candidates: request.candidates,
            time_up: ground.time_up.clone(),
        },
        metric: ground.metric,
    };
    let mut best: Option<(f64, Candidate)> = None;
    let found = search(ground.ctx, &plan, |ctx, candidate| {
        let judged = Candidate::judge(ctx, ground, learning.with(candidate)?)?;
        let cross_validation = judged.cross_validation.clone();
        let worth = ground.metric.worth(cross_validation.summary(ground.metric).pooled);
        if best.as_ref().is_none_or(|(most, _)| worth > *most) {
            best = Some((worth, judged));
        }
        Ok(cross_validation)
    })?;
    let (_, mut candidate) = best.ok_or(EngineError::EmptyInput {
        what: "list of candidates",
    })?;
    candidate.search = Some(SearchReport {
        kind: request.kind,
        metric: ground.metric,
        ended: match found.ended {
            Ended::Exhausted => "exhausted",
            Ended::Candidates => "candidates",
            Ended::Time => "time",
        },
        best: found.best,
        tried: found.tried.into_iter().map(TriedReport::new).collect(),
    });
    Ok(candidate)
}

/// What a random search draws from.
fn space(algorithm: Algorithm) -> Space {
    let float = |low: f64, high: f64| Domain::Float { low, high, log: true };
    let plain = |low: f64, high: f64| Domain::Float { low, high, log: false };
    let int = |low: i64, high: i64| Domain::Int { low, high, log: true };
    let named: Vec<(&str, Domain)> = match algorithm {
        Algorithm::GradientBoosting => vec![
            ("learning_rate", float(0.02, 0.2)),
            ("max_leaves", int(4, 63)),
            ("min_leaf", int(3, 200)),
            ("l2", float(0.1, 30.0)),
            ("row_fraction", plain(0.5, 1.0)),
            ("column_fraction", plain(0.3, 1.0)),
        ],
        Algorithm::RandomForest => vec![
            ("min_leaf", int(1, 100)),
            (
                "max_features",
                Domain::Choice(["sqrt", "log2", "all"].map(|t| Value::Text(t.to_owned())).to_vec()),
            ),
        ],
        Algorithm::DecisionTree => vec![("max_depth", int(2, 10)), ("min_leaf", int(5, 300))],
        _ => vec![("l2", float(0.01, 300.0))],
    };
    named
        .into_iter()
        .map(|(name, domain)| (name.to_owned(), domain))
        .collect()
}

/// What a grid search goes through.
fn grid(algorithm: Algorithm) -> Space {
    let ints = |values: &[i64]| Domain::Choice(values.iter().map(|v| Value::Int(*v)).collect());
    let floats = |values: &[f64]| Domain::Choice(values.iter().map(|v| Value::Float(*v)).collect());
    let named: Vec<(&str, Domain)> = match algorithm {
        Algorithm::GradientBoosting => vec![
            ("learning_rate", floats(&[0.03, 0.1])),
            ("max_leaves", ints(&[6, 16, 40])),
            ("min_leaf", ints(&[5, 20, 80])),
        ],
        Algorithm::RandomForest => vec![("min_leaf", ints(&[1, 3, 10, 30]))],
        Algorithm::DecisionTree => vec![("max_depth", ints(&[2, 3, 4, 6, 8])), ("min_leaf", ints(&[5, 20, 100]))],
        _ => vec![("l2", floats(&[0.01, 0.1, 1.0, 10.0, 100.0]))],
    };
    named
        .into_iter()
        .map(|(name, domain)| (name.to_owned(), domain))
        .collect()
}
