//! Stacking (Wolpert 1992): a logistic regression on the members' out-of-fold log-odds.

use serde::{Deserialize, Serialize};

use super::{check_candidates, check_members};
use crate::context::Context;
use crate::data::{labels, Labels};
use crate::error::{EngineError, Result};
use crate::linear::{bounded_ln, log_odds, LogisticModel, LogisticParams};
use crate::validate::OutOfFold;

/// A logistic regression over its members: one input per member (log-odds of class 1) with two classes, else one per
/// member and class (logarithm of the probability, centred over the classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Stack {
    members: usize,
    model: LogisticModel,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    members: usize,
    model: LogisticModel,
}

impl TryFrom<Stored> for Stack {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        let expected = s.members.saturating_mul(inputs_per_member(s.model.n_classes()));
        labels::same("features", expected, s.model.n_features())?;
        Ok(Self {
            members: s.members,
            model: s.model,
        })
    }
}

fn inputs_per_member(n_classes: usize) -> usize {
    if n_classes == 2 {
        1
    } else {
        n_classes
    }
}

impl Stack {
    /// Fits on the candidates' out-of-fold predictions.
    ///
    /// # Errors
    /// Those of [`LogisticParams::fit`]; [`EngineError::InvalidParameter`] unless all predict the same rows.
    pub fn fit(ctx: &Context, params: &LogisticParams, candidates: &[&OutOfFold]) -> Result<Self> {
        check_candidates(candidates)?;
        let all: Vec<usize> = (0..candidates[0].n_rows()).collect();
        Self::fit_rows(ctx, params, candidates, &all)
    }

    /// As [`Stack::fit`], on the predictions at positions `rows`.
    pub(super) fn fit_rows(
        ctx: &Context,
        params: &LogisticParams,
        candidates: &[&OutOfFold],
        rows: &[usize],
    ) -> Result<Self> {
        let (m, k) = (candidates.len(), candidates[0].n_classes());
        let _inputs = ctx.reserve_for::<f64>(rows.len().saturating_mul(m * (inputs_per_member(k) + k)))?;
        let members: Vec<Vec<f64>> = candidates.iter().map(|candidate| take(candidate, rows)).collect();
        let members: Vec<&[f64]> = members.iter().map(Vec::as_slice).collect();
        let targets = rows.iter().map(|row| candidates[0].targets()[*row]).collect();
        let weights = rows.iter().map(|row| candidates[0].weights()[*row]).collect();
        let labels = Labels::new(targets, k, weights)?;
        let model = params.fit(ctx, &inputs(&members, k), &labels)?;
        Ok(Self { members: m, model })
    }

    /// Number of members.
    pub fn n_members(&self) -> usize {
        self.members
    }

    /// The regression over the members.
    pub fn model(&self) -> &LogisticModel {
        &self.model
    }

    /// Probabilities from those of the members (each row-major, n x classes).
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn combine(&self, ctx: &Context, members: &[&[f64]]) -> Result<Vec<f64>> {
        let length = check_members(self.members, members)?;
        let _inputs = ctx.reserve_for::<f64>(length.saturating_mul(members.len()))?;
        self.model.predict(ctx, &inputs(members, self.model.n_classes()))
    }
}

/// The rows of a candidate's probabilities.
pub(super) fn take(candidate: &OutOfFold, rows: &[usize]) -> Vec<f64> {
    let k = candidate.n_classes();
    let row = |row: &usize| &candidate.probabilities()[row * k..(row + 1) * k];
    rows.iter().flat_map(row).copied().collect()
}

fn inputs(members: &[&[f64]], k: usize) -> Vec<Vec<f64>> {
    let of_member = |member: &&[f64]| -> Vec<Vec<f64>> {
        if k == 2 {
            return vec![member.chunks_exact(2).map(|p| log_odds(p[1])).collect()];
        }
        let mut columns = vec![Vec::with_capacity(member.len() / k); k];
        for p in member.chunks_exact(k) {
            let mean = p.iter().map(|p| bounded_ln(*p)).sum::<f64>() / k as f64;
            columns
                .iter_mut()
                .zip(p)
                .for_each(|(column, p)| column.push(bounded_ln(*p) - mean));
        }
        columns
    };
    members.iter().flat_map(of_member).collect()
}
