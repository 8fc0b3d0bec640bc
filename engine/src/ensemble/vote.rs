//! Soft vote: the weighted mean of the members' probabilities, the weights minimising the log-loss.
//!
//! The problem is convex; solved as a mixture (Kim, Carbonetto, Stephens & Anitescu 2020): minimising
//! mean(-ln(q w)) + sum(w) over w >= 0 has its optimum on the simplex, and each Newton step is a small non-negative
//! quadratic programme.

use serde::{Deserialize, Serialize};

use super::{check_candidates, check_members, MAX_MEMBERS};
use crate::context::Context;
use crate::error::{EngineError, Result};
use crate::validate::OutOfFold;

/// Smallest probability of the truth, as in the log-loss.
const SMALLEST: f64 = f64::EPSILON;
const MAX_ITER: usize = 200;

/// Weight of each member; not negative, adding up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Vote {
    weights: Vec<f64>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    weights: Vec<f64>,
}

impl TryFrom<Stored> for Vote {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        Self::new(s.weights)
    }
}

impl Vote {
    /// Takes given weights.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] unless they are not negative and add up to 1.
    pub fn new(weights: Vec<f64>) -> Result<Self> {
        let sum: f64 = weights.iter().sum();
        let valid = weights.iter().all(|w| *w >= 0.0) && (sum - 1.0).abs() < 1e-9;
        if !valid || weights.len() > MAX_MEMBERS {
            return Err(EngineError::invalid(
                "weights of the vote",
                "not negative, adding up to 1",
                format!("{weights:?}"),
            ));
        }
        Ok(Self { weights })
    }

    /// The weights that minimise the log-loss of `candidates`' mixture on their out-of-fold predictions. Among candidates
    /// that add nothing to each other (equal ones), the earlier have the weight.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] unless all predict the same rows, [`EngineError::EmptyInput`] without weight,
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit(ctx: &Context, candidates: &[&OutOfFold]) -> Result<Self> {
        check_candidates(candidates)?;
        let all: Vec<usize> = (0..candidates[0].n_rows()).collect();
        Self::fit_rows(ctx, candidates, &all)
    }

    /// As [`Vote::fit`], on the predictions at positions `rows`.
    pub(super) fn fit_rows(ctx: &Context, candidates: &[&OutOfFold], rows: &[usize]) -> Result<Self> {
        let (m, k) = (candidates.len(), candidates[0].n_classes());
        let weighted: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|row| candidates[0].weights()[*row] > 0.0)
            .collect();
        if weighted.is_empty() {
            return Err(EngineError::EmptyInput {
                what: "set of out-of-fold predictions",
            });
        }
        let _memory = ctx.reserve_for::<f64>(weighted.len().saturating_mul(m + 1))?;
        let total: f64 = weighted.iter().map(|row| candidates[0].weights()[*row]).sum();
        let shares: Vec<f64> = weighted
            .iter()
            .map(|row| candidates[0].weights()[*row] / total)
            .collect();
        // Probability that each member gives the truth, row-major
        let of_truth = |row: &usize| {
            let place = row * k + candidates[0].targets()[*row] as usize;
            candidates
                .iter()
                .map(move |candidate| candidate.probabilities()[place].max(SMALLEST))
        };
        let truth: Vec<f64> = weighted.iter().flat_map(of_truth).collect();
        let problem = Mixture { truth, shares, m };
        Ok(Self {
            weights: problem.minimise(ctx)?,
        })
    }

    /// Weight of each member.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The weighted mean of the members' probabilities (each row-major, n x classes).
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn combine(&self, members: &[&[f64]]) -> Result<Vec<f64>> {
        let length = check_members(self.weights.len(), members)?;
        let mut mean = vec![0.0; length];
        for (weight, member) in self.weights.iter().zip(members).filter(|(weight, _)| **weight > 0.0) {
            mean.iter_mut().zip(*member).for_each(|(mean, p)| *mean += weight * p);
        }
        mean.iter_mut().for_each(|p| *p = p.min(1.0));
        Ok(mean)
    }
}

struct Mixture {
    /// Row-major, n x m, positive.
    truth: Vec<f64>,
    shares: Vec<f64>,
    m: usize,
}

impl Mixture {
    fn loss(&self, w: &[f64]) -> f64 {
        let rows = self.truth.chunks_exact(self.m).zip(&self.shares);
        let mixed = |q: &[f64]| q.iter().zip(w).map(|(q, w)| q * w).sum::<f64>();
        rows.map(|(q, share)| -share * mixed(q).max(f64::MIN_POSITIVE).ln())
            .sum::<f64>()
            + w.iter().sum::<f64>()
    }

    /// Gradient and Hessian (row-major) at `w`.
    fn derivatives(&self, w: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let m = self.m;
        let (mut gradient, mut hessian) = (vec![1.0; m], vec![0.0; m * m]);
        for (q, share) in self.truth.chunks_exact(m).zip(&self.shares) {
            let mixed = q.iter().zip(w).map(|(q, w)| q * w).sum::<f64>().max(f64::MIN_POSITIVE);
            for i in 0..m {
                let scaled = share * q[i] / mixed;
                gradient[i] -= scaled;
                for j in 0..=i {
                    hessian[i * m + j] += scaled * (q[j] / mixed);
                }
            }
        }
        for i in 0..m {
            for j in 0..i {
                hessian[j * m + i] = hessian[i * m + j];
            }
            // Equal members make it singular
            hessian[i * m + i] *= 1.0 + 1e-10;
        }
        (gradient, hessian)
    }

    fn minimise(&self, ctx: &Context) -> Result<Vec<f64>> {
        let m = self.m;
        let mut w = vec![1.0 / m as f64; m];
        let mut loss = self.loss(&w);
        for _ in 0..MAX_ITER {
            ctx.check()?;
            let (gradient, hessian) = self.derivatives(&w);
            let unsatisfied = |(w, g): (&f64, &f64)| if *w > 0.0 { g.abs() } else { (-g).max(0.0) };
            if w.iter().zip(&gradient).map(unsatisfied).fold(0.0, f64::max) < 1e-9 {
                break;
            }
            let target = quadratic(&w, &gradient, &hessian);
            let slope: f64 = (0..m).map(|i| gradient[i] * (target[i] - w[i])).sum();
            let mut length = 1.0;
            let next = loop {
                let next: Vec<f64> = w.iter().zip(&target).map(|(w, t)| w + length * (t - w)).collect();
                let there = self.loss(&next);
                if there <= loss + 1e-4 * length * slope {
                    break Some((next, there));
                }
                length /= 2.0;
                if length < 1e-10 {
                    break None;
                }
            };
            match next {
                Some((next, there)) => {
                    let gain = loss - there;
                    (w, loss) = (next, there);
                    if gain <= 1e-15 * loss.abs() {
                        break;
                    }
                }
                None => break,
            }
        }
        // What rounding has left of a weight of zero
        w.iter_mut().for_each(|w| *w = if *w < 1e-6 { 0.0 } else { *w });
        let sum: f64 = w.iter().sum();
        Ok(w.iter().map(|w| w / sum).collect())
    }
}

/// Minimises gradient (t - w) + (t - w) hessian (t - w) / 2 over t >= 0, coordinate by coordinate.
fn quadratic(w: &[f64], gradient: &[f64], hessian: &[f64]) -> Vec<f64> {
    let m = w.len();
    let mut target = w.to_vec();
    let mut slope = gradient.to_vec();
    for _ in 0..2_000 {
        let mut moved = 0.0f64;
        for i in 0..m {
            let curvature = hessian[i * m + i].max(f64::MIN_POSITIVE);
            let next = (target[i] - slope[i] / curvature).max(0.0);
            let step = next - target[i];
            if step != 0.0 {
                target[i] = next;
                (0..m).for_each(|j| slope[j] += step * hessian[i * m + j]);
                moved = moved.max(step.abs());
            }
        }
        if moved < 1e-14 {
            break;
        }
    }
    target
}
