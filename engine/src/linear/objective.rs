//! Mean penalised log-loss of linear margins: value, gradient, curvature.
//!
//! Coefficients are margins x (p + 1), each row ending in its intercept. One margin means two classes (the log-odds of the
//! second), more mean a softmax. Rows are cut into chunks by their number alone and partial sums are added in chunk
//! order: the thread count cannot change the outcome.

use rayon::prelude::*;

use crate::context::{Context, Reservation};
use crate::error::Result;

/// Rows per chunk aimed at.
const CHUNK_ROWS: usize = 2_048;
/// Most numbers in the partial sums of all chunks.
const MAX_PARTIALS: usize = 1 << 22;

/// The fixed part of the problem.
pub(super) struct Objective<'a> {
    /// Standardised values, row-major, n x p.
    values: Vec<f64>,
    p: usize,
    n_margins: usize,
    /// Position of each row's class among the classes fitted, n.
    targets: &'a [u32],
    /// Weights that sum to 1, n.
    weights: Vec<f64>,
    /// Penalty of each feature's squared coefficient, halved by the formula, p.
    penalties: Vec<f64>,
    chunk_rows: usize,
    _memory: Reservation,
}

impl<'a> Objective<'a> {
    pub(super) fn new(
        ctx: &Context,
        values: Vec<f64>,
        n_margins: usize,
        targets: &'a [u32],
        weights: Vec<f64>,
        penalties: Vec<f64>,
    ) -> Result<Self> {
        let (n, p) = (weights.len(), penalties.len());
        let size = n_margins * (p + 1);
        let chunks = n.div_ceil(CHUNK_ROWS).clamp(1, (MAX_PARTIALS / size).max(1));
        let chunk_rows = n.div_ceil(chunks).max(1);
        // Partial sums, the solver's vectors, and a probability per row and margin
        let numbers = size
            .saturating_mul(chunks + 16)
            .saturating_add(n.saturating_mul(n_margins));
        let memory = ctx.reserve_for::<f64>(numbers)?;
        Ok(Self {
            values,
            p,
            n_margins,
            targets,
            weights,
            penalties,
            chunk_rows,
            _memory: memory,
        })
    }

    /// Number of coefficients.
    pub(super) fn size(&self) -> usize {
        self.n_margins * (self.p + 1)
    }

    /// Number of entries of the probabilities: rows x margins.
    pub(super) fn n_probabilities(&self) -> usize {
        self.weights.len() * self.n_margins
    }

    /// Mean loss plus penalty and its gradient at `coefficients`; leaves the probabilities there.
    pub(super) fn gradient(
        &self,
        ctx: &Context,
        coefficients: &[f64],
        probabilities: &mut [f64],
        gradient: &mut [f64],
    ) -> Result<f64> {
        let k = self.n_margins;
        let chunk = |first: usize, probabilities: &mut [f64], sums: &mut [f64]| {
            let mut loss = 0.0;
            let mut residuals = vec![0.0; k];
            for (offset, probabilities) in probabilities.chunks_exact_mut(k).enumerate() {
                let row = first + offset;
                let x = self.row(row);
                self.margins(x, coefficients, probabilities);
                let (weight, target) = (self.weights[row], self.targets[row] as usize);
                loss += weight * to_probabilities(probabilities, target);
                for (margin, (residual, p)) in residuals.iter_mut().zip(probabilities.iter()).enumerate() {
                    let hit = if k == 1 { target == 1 } else { target == margin };
                    *residual = weight * (p - f64::from(u8::from(hit)));
                }
                self.add_outer(&residuals, x, sums);
            }
            loss
        };
        let mut loss = self.reduce(ctx, probabilities, gradient, chunk)?;
        for (coefficients, gradient) in self.by_margin(coefficients).zip(gradient.chunks_exact_mut(self.p + 1)) {
            for ((penalty, c), g) in self.penalties.iter().zip(coefficients).zip(gradient) {
                loss += penalty * c * c / 2.0;
                *g += penalty * c;
            }
        }
        Ok(loss)
    }

    /// The Hessian at `probabilities` times `direction`.
    pub(super) fn curvature(
        &self,
        ctx: &Context,
        probabilities: &mut [f64],
        direction: &[f64],
        product: &mut [f64],
    ) -> Result<()> {
        let k = self.n_margins;
        let chunk = |first: usize, probabilities: &mut [f64], sums: &mut [f64]| {
            let mut margins = vec![0.0; k];
            for (offset, p) in probabilities.chunks_exact(k).enumerate() {
                let (row, x) = (first + offset, self.row(first + offset));
                self.margins(x, direction, &mut margins);
                let mean: f64 = match k {
                    1 => p[0] * margins[0],
                    _ => p.iter().zip(&margins).map(|(p, m)| p * m).sum(),
                };
                for (margin, p) in margins.iter_mut().zip(p) {
                    *margin = self.weights[row] * p * (*margin - mean);
                }
                self.add_outer(&margins, x, sums);
            }
            0.0
        };
        self.reduce(ctx, probabilities, product, chunk)?;
        for (direction, product) in self.by_margin(direction).zip(product.chunks_exact_mut(self.p + 1)) {
            for ((penalty, d), h) in self.penalties.iter().zip(direction).zip(product) {
                *h += penalty * d;
            }
        }
        Ok(())
    }

    /// The Hessian's diagonal at `probabilities`.
    pub(super) fn diagonal(&self, ctx: &Context, probabilities: &mut [f64], diagonal: &mut [f64]) -> Result<()> {
        let k = self.n_margins;
        let chunk = |first: usize, probabilities: &mut [f64], sums: &mut [f64]| {
            for (offset, p) in probabilities.chunks_exact(k).enumerate() {
                let (row, x) = (first + offset, self.row(first + offset));
                for (p, sums) in p.iter().zip(sums.chunks_exact_mut(self.p + 1)) {
                    let h = self.weights[row] * p * (1.0 - p);
                    sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += h * x * x);
                    sums[self.p] += h;
                }
            }
            0.0
        };
        self.reduce(ctx, probabilities, diagonal, chunk)?;
        for diagonal in diagonal.chunks_exact_mut(self.p + 1) {
            for (penalty, d) in self.penalties.iter().zip(diagonal) {
                *d += penalty;
            }
        }
        Ok(())
    }

    /// Runs `chunk` over all chunks; sums its results, and its sums into `total`.
    fn reduce(
        &self,
        ctx: &Context,
        probabilities: &mut [f64],
        total: &mut [f64],
        chunk: impl Fn(usize, &mut [f64], &mut [f64]) -> f64 + Sync,
    ) -> Result<f64> {
        let size = self.size();
        let parts: Vec<(f64, Vec<f64>)> = ctx.run(|| {
            let chunks = probabilities
                .par_chunks_mut(self.chunk_rows * self.n_margins)
                .enumerate();
            let of_chunk = |(index, probabilities): (usize, &mut [f64])| {
                ctx.check()?;
                let mut sums = vec![0.0; size];
                let loss = chunk(index * self.chunk_rows, probabilities, &mut sums);
                Ok((loss, sums))
            };
            chunks.map(of_chunk).collect::<Result<_>>()
        })?;
        total.fill(0.0);
        let mut loss = 0.0;
        for (part, sums) in parts {
            loss += part;
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        Ok(loss)
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.p..(row + 1) * self.p]
    }

    fn by_margin<'b>(&self, coefficients: &'b [f64]) -> std::slice::ChunksExact<'b, f64> {
        coefficients.chunks_exact(self.p + 1)
    }

    fn margins(&self, x: &[f64], coefficients: &[f64], margins: &mut [f64]) {
        for (margin, c) in margins.iter_mut().zip(self.by_margin(coefficients)) {
            *margin = c[self.p] + x.iter().zip(c).map(|(x, c)| x * c).sum::<f64>();
        }
    }

    /// Adds `factors` x (x, 1) to `sums`.
    fn add_outer(&self, factors: &[f64], x: &[f64], sums: &mut [f64]) {
        for (factor, sums) in factors.iter().zip(sums.chunks_exact_mut(self.p + 1)) {
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
            sums[self.p] += factor;
        }
    }
}

/// Turns margins into probabilities (of the second class where there is one margin) and gives -ln p(target).
fn to_probabilities(margins: &mut [f64], target: usize) -> f64 {
    if let [z] = margins {
        let towards = if target == 1 { *z } else { -*z };
        *z = sigmoid(*z);
        return ln_1p_exp(-towards);
    }
    let own = margins[target];
    own_log_sum(margins) - own
}

/// Softmax in place; gives the logarithm of the sum of the exponentials.
fn own_log_sum(margins: &mut [f64]) -> f64 {
    let largest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    margins.iter_mut().for_each(|z| *z = (*z - largest).exp());
    let sum: f64 = margins.iter().sum();
    margins.iter_mut().for_each(|z| *z /= sum);
    largest + sum.ln()
}

/// Softmax in place.
pub(super) fn softmax(margins: &mut [f64]) {
    own_log_sum(margins);
}

/// 1 / (1 + exp(-z)), without overflow.
pub(crate) fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}

/// ln(1 + exp z), without overflow.
pub(crate) fn ln_1p_exp(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// Probabilities nearer to 0 or 1 are taken to be this far: a forest's 0 is not certainty, and must not weigh like it.
const NEAREST: f64 = 1e-6;

/// ln p, p at least 1e-6.
pub(crate) fn bounded_ln(p: f64) -> f64 {
    p.clamp(NEAREST, 1.0).ln()
}

/// ln(p / (1 - p)), p between 1e-6 and 1 - 1e-6.
pub(crate) fn log_odds(p: f64) -> f64 {
    let p = p.clamp(NEAREST, 1.0 - NEAREST);
    (p / (1.0 - p)).ln()
}
