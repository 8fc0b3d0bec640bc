//! What the raw columns of one row add to a member's outputs, and the same on another scale.
//!
//! Contributions to log-odds become contributions to a probability by the factor (p - p0) / (m - m0): on the straight way from the
//! base margin to the row's, that is the mean slope of the logistic function, so each column keeps its share. With more classes
//! the probability of one depends on the margins of all; its mean slopes along the same way are integrals (integrated gradients,
//! Sundararajan, Taly & Yan 2017), whose sum is p - p0 again.

use crate::linear::{bounded_ln, log_odds, sigmoid};
use crate::tree::gauss_legendre;

/// What the outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// One output: the log-odds of class 1.
    LogOdds,
    /// One per class, before the softmax.
    Margins,
    /// One per class.
    Probabilities,
}

/// Contributions of p columns to every output of a row; base + sum = score, output by output.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) space: Space,
    pub(super) base: Vec<f64>,
    pub(super) score: Vec<f64>,
    /// Outputs x p.
    pub(super) values: Vec<f64>,
}

/// Contributions to one number.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) base: f64,
    pub(super) score: f64,
    pub(super) values: Vec<f64>,
}

/// The nodes of the integrals over the way from base to row.
pub(super) struct Way(Vec<(f64, f64)>);

impl Way {
    /// 32 nodes: margins 40 apart are integrated to 1e-9.
    pub(super) fn new() -> Self {
        Self(gauss_legendre(32))
    }
}

impl Effects {
    pub(super) fn n_columns(&self) -> usize {
        self.values.len() / self.base.len().max(1)
    }

    /// Contributions to output `output`.
    pub(super) fn of(&self, output: usize) -> &[f64] {
        let p = self.n_columns();
        &self.values[output * p..(output + 1) * p]
    }

    /// On the scale that the outputs have: log-odds or margin of `class`, or its probability.
    pub(super) fn own_scale(&self, class: usize) -> Effect {
        let (output, sign) = match (self.space, class) {
            (Space::LogOdds, 0) => (0, -1.0),
            (Space::LogOdds, _) => (0, 1.0),
            _ => (class, 1.0),
        };
        Effect {
            base: sign * self.base[output],
            score: sign * self.score[output],
            values: self.of(output).iter().map(|value| sign * value).collect(),
        }
    }

    /// As contributions to the probability of `class`.
    pub(super) fn to_probability(&self, class: usize, way: &Way) -> Effect {
        match self.space {
            Space::Probabilities => self.own_scale(class),
            Space::LogOdds => {
                let margin = self.own_scale(class);
                let (base, score) = (sigmoid(margin.base), sigmoid(margin.score));
                let slope = quotient(margin.base, margin.score, base, score, base * (1.0 - base));
                settled(base, score, margin.values.iter().map(|value| slope * value).collect())
            }
            Space::Margins => {
                let (base, score) = (softmax(&self.base)[class], softmax(&self.score)[class]);
                let mut values = vec![0.0; self.n_columns()];
                for (output, slope) in self.slopes(class, way).into_iter().enumerate() {
                    values
                        .iter_mut()
                        .zip(self.of(output))
                        .for_each(|(sum, value)| *sum += slope * value);
                }
                settled(base, score, values)
            }
        }
    }

    /// Mean slopes of the probability of `class` in every margin, on the way from base to score.
    fn slopes(&self, class: usize, way: &Way) -> Vec<f64> {
        let mut slopes = vec![0.0; self.base.len()];
        for (t, weight) in &way.0 {
            let between = |(base, score): (&f64, &f64)| base + t * (score - base);
            let margins: Vec<f64> = self.base.iter().zip(&self.score).map(between).collect();
            let p = softmax(&margins);
            for (output, slope) in slopes.iter_mut().enumerate() {
                let own = if output == class { 1.0 } else { 0.0 };
                *slope += weight * p[class] * (own - p[output]);
            }
        }
        slopes
    }

    /// As contributions to what a stack takes from a member: the log-odds of class 1, or of every class the logarithm of its
    /// probability, centred.
    pub(super) fn to_inputs(&self, n_classes: usize) -> Vec<Effect> {
        if n_classes == 2 {
            return vec![self.to_log_odds()];
        }
        let p = self.n_columns();
        let (mut base, mut score) = (Vec::new(), Vec::new());
        let mut values = Vec::with_capacity(self.values.len());
        let (from, to) = match self.space {
            Space::Margins | Space::LogOdds => (softmax(&self.base), softmax(&self.score)),
            Space::Probabilities => (self.base.clone(), self.score.clone()),
        };
        for output in 0..n_classes {
            base.push(bounded_ln(from[output]));
            score.push(bounded_ln(to[output]));
            let slope = match self.space {
                Space::Probabilities => {
                    let at = 1.0 / from[output].max(1e-6);
                    quotient(from[output], to[output], base[output], score[output], at)
                }
                _ => 1.0,
            };
            values.extend(self.of(output).iter().map(|value| slope * value));
        }
        for column in 0..p {
            let mean = values[column..].iter().step_by(p).sum::<f64>() / n_classes as f64;
            values[column..].iter_mut().step_by(p).for_each(|value| *value -= mean);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / n_classes as f64;
        let (base_mean, score_mean) = (mean(&base), mean(&score));
        let rows = values.chunks_exact(p).enumerate();
        let of = |(output, values): (usize, &[f64])| {
            settled(base[output] - base_mean, score[output] - score_mean, values.to_vec())
        };
        rows.map(of).collect()
    }

    fn to_log_odds(&self) -> Effect {
        let Effect { base, score, values } = self.own_scale(1);
        let (from, to, at) = match self.space {
            Space::Probabilities => {
                let p = base.clamp(1e-6, 1.0 - 1e-6);
                (log_odds(base), log_odds(score), 1.0 / (p * (1.0 - p)))
            }
            // The stack sees probabilities no nearer to 0 and 1 than log_odds() lets them be
            _ => (log_odds(sigmoid(base)), log_odds(sigmoid(score)), 1.0),
        };
        let slope = quotient(base, score, from, to, at);
        settled(from, to, values.iter().map(|value| slope * value).collect())
    }
}

/// (to - from) / (x1 - x0); `at` where x has not moved.
fn quotient(x0: f64, x1: f64, from: f64, to: f64, at: f64) -> f64 {
    let moved = x1 - x0;
    match moved.abs() > 1e-9 {
        true => (to - from) / moved,
        false => at,
    }
}

/// Contributions that add up to score - base: what is left by rounding, bounds and the quadrature is shared out by size.
fn settled(base: f64, score: f64, mut values: Vec<f64>) -> Effect {
    let rest = score - base - values.iter().sum::<f64>();
    let size: f64 = values.iter().map(|value| value.abs()).sum();
    if rest != 0.0 && size > 0.0 {
        values
            .iter_mut()
            .for_each(|value| *value += rest * (value.abs() / size));
    }
    Effect { base, score, values }
}

fn softmax(margins: &[f64]) -> Vec<f64> {
    let most = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut shares: Vec<f64> = margins.iter().map(|margin| (margin - most).exp()).collect();
    let total: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= total);
    shares
}
