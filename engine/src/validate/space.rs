//! What a search of hyperparameters chooses from.

use std::collections::BTreeMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::random::{below, uniform};

/// Most candidates of a grid or a random search.
pub const MAX_CANDIDATES: usize = 10_000;

/// A value of a hyperparameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// Hyperparameters by name; serialises to the map an algorithm's parameters are deserialised from.
pub type Candidate = BTreeMap<String, Value>;

/// The values a hyperparameter may take. `log`: drawn evenly by order of magnitude.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Domain {
    Choice(Vec<Value>),
    Int {
        low: i64,
        high: i64,
        #[serde(default)]
        log: bool,
    },
    Float {
        low: f64,
        high: f64,
        #[serde(default)]
        log: bool,
    },
}

/// Domains by name of the hyperparameter.
pub type Space = BTreeMap<String, Domain>;

/// All combinations of a space of choices, the last name varying fastest.
///
/// # Errors
/// [`EngineError::InvalidParameter`] for a domain that is no choice, an empty one, or more than [`MAX_CANDIDATES`].
pub(super) fn grid(space: &Space) -> Result<Vec<Candidate>> {
    check(space)?;
    let mut candidates = vec![Candidate::new()];
    for (name, domain) in space {
        let Domain::Choice(values) = domain else {
            let found = format!("a range ({name})");
            return Err(EngineError::invalid("domain in a grid search", "a choice", found));
        };
        if candidates.len().saturating_mul(values.len()) > MAX_CANDIDATES {
            let expected = format!("at most {MAX_CANDIDATES}");
            return Err(EngineError::invalid("combinations of a grid", expected, "more"));
        }
        let extended = |candidate: &Candidate| {
            let with = |value: &Value| {
                let mut candidate = candidate.clone();
                candidate.insert(name.clone(), value.clone());
                candidate
            };
            values.iter().map(with).collect::<Vec<_>>()
        };
        candidates = candidates.iter().flat_map(extended).collect();
    }
    Ok(candidates)
}

/// One combination at random.
pub(super) fn draw(space: &Space, rng: &mut Xoshiro256PlusPlus) -> Candidate {
    let of = |domain: &Domain| match domain {
        Domain::Choice(values) => values[below(rng, values.len())].clone(),
        Domain::Float { low, high, log } => Value::Float(between(*low, *high, *log, uniform(rng))),
        Domain::Int { low, high, log: false } => {
            let span = (*high as f64 - *low as f64) + 1.0;
            Value::Int((*low + (uniform(rng) * span) as i64).min(*high))
        }
        Domain::Int { low, high, log: true } => {
            // Every integer has the stretch from itself to the next
            let drawn = between(*low as f64, *high as f64 + 1.0, true, uniform(rng));
            Value::Int((drawn as i64).clamp(*low, *high))
        }
    };
    let mut of = of;
    space.iter().map(|(name, domain)| (name.clone(), of(domain))).collect()
}

fn between(low: f64, high: f64, log: bool, u: f64) -> f64 {
    let drawn = match log {
        true => (low.ln() + u * (high.ln() - low.ln())).exp(),
        false => low + u * (high - low),
    };
    drawn.clamp(low, high)
}

/// Whether every domain has values.
///
/// # Errors
/// [`EngineError::InvalidParameter`].
pub(super) fn check(space: &Space) -> Result<()> {
    const LARGEST: f64 = 9e15; // integers up to here are exact as f64
    for (name, domain) in space {
        let (low, high, log) = match domain {
            Domain::Choice(values) if values.is_empty() => {
                let found = format!("none ({name})");
                return Err(EngineError::invalid("choices", "at least one", found));
            }
            Domain::Choice(_) => continue,
            Domain::Int { low, high, log } => (*low as f64, *high as f64, *log),
            Domain::Float { low, high, log } => (*low, *high, *log),
        };
        let ordered = low <= high && low.abs() <= LARGEST && high.abs() <= LARGEST;
        if !ordered || (log && low <= 0.0) {
            return Err(EngineError::invalid(
                "range",
                "low to high, within 9e15, above 0 where log",
                format!("{low} to {high} ({name})"),
            ));
        }
    }
    Ok(())
}
