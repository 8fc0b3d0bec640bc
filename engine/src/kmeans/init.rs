//! k-means++ seeding, plain and greedy, weighted, of several starts at once.
//!
//! All starts go through a chunk while it is in cache. Each start has its own generator of random numbers, and potentials
//! are reduced in chunk order: the thread count cannot change the outcome.

use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::blocks::{Blocks, CHUNK};
use super::kernel::{self, Seed};
use crate::context::Context;
use crate::error::{EngineError, Result};
use crate::random::uniform;

/// One start in the making.
struct Seeding {
    rng: Xoshiro256PlusPlus,
    /// Rows chosen so far.
    chosen: Vec<usize>,
    /// Squared distance to the nearest chosen row but the last one, per padded row.
    closest: Vec<f64>,
    /// Per chunk, the weighted sum of squared distances to the nearest chosen row, the last one included.
    masses: Vec<f64>,
    /// Rows that compete in this round.
    candidates: Vec<usize>,
    /// What `masses` would become with each candidate, n_chunks x candidates.
    potentials: Vec<f64>,
}

/// Chooses `k` of the rows as centroids (k x p) for each of `seeds`; `blocks` must hold more than k distinct rows.
///
/// `trials` candidates are drawn per step and the one that leaves the lowest potential is kept (the first among
/// equals); 1 is plain k-means++.
pub(crate) fn plus_plus(
    ctx: &Context,
    blocks: &Blocks,
    k: usize,
    trials: usize,
    seeds: &[u64],
) -> Result<Vec<Vec<f64>>> {
    let chunks = blocks.padded().div_ceil(CHUNK);
    let values = blocks
        .padded()
        .saturating_add(chunks.saturating_mul(trials + 1))
        .saturating_mul(seeds.len());
    let _memory = ctx.reserve_for::<f64>(values)?;
    let chunk_weights: Vec<f64> = blocks.chunks().map(|(_, weights)| weights.iter().sum()).collect();
    let mut starts: Vec<Seeding> = seeds
        .iter()
        .map(|seed| Seeding::new(blocks, &chunk_weights, *seed))
        .collect();
    pass(ctx, blocks, &mut starts)?;
    for round in 1..k {
        ctx.run(|| {
            starts.par_iter_mut().try_for_each(|start| {
                ctx.check()?;
                start.keep_best();
                start.draw_candidates(blocks, trials);
                Ok::<(), EngineError>(())
            })
        })?;
        if trials > 1 || round + 1 < k {
            pass(ctx, blocks, &mut starts)?;
        }
    }
    for start in &mut starts {
        start.keep_best();
    }
    Ok(starts.iter().map(|start| start.centroids(blocks)).collect())
}

impl Seeding {
    /// Draws the first centroid by weight; it is the only candidate of the first pass.
    fn new(blocks: &Blocks, chunk_weights: &[f64], seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let drawn = draw(&mut rng, chunk_weights, |chunk| blocks.chunk(chunk).1.to_vec());
        Self {
            rng,
            chosen: Vec::new(),
            closest: vec![f64::INFINITY; blocks.padded()],
            masses: vec![0.0; chunk_weights.len()],
            candidates: vec![drawn.unwrap_or(0)],
            potentials: vec![0.0; chunk_weights.len()],
        }
    }

    /// Draws the next candidates by weight x squared distance.
    fn draw_candidates(&mut self, blocks: &Blocks, trials: usize) {
        self.candidates.clear();
        let last = self.last(blocks);
        // of the chunk drawn from last: few rows are in few chunks, and those are drawn from again and again
        let mut known: (usize, Vec<f64>) = (usize::MAX, Vec::new());
        for _ in 0..trials {
            let drawn = draw(&mut self.rng, &self.masses, |chunk| {
                if known.0 == chunk {
                    return known.1.clone();
                }
                let mut row = vec![0.0; blocks.p()];
                let first = chunk * CHUNK;
                let weights = blocks.chunk(chunk).1;
                let mass = |(offset, weight): (usize, &f64)| {
                    blocks.copy_row(first + offset, &mut row);
                    let distance = kernel::squared_distance(&row, &last);
                    weight * self.closest[first + offset].min(distance)
                };
                known = (chunk, weights.iter().enumerate().map(mass).collect());
                known.1.clone()
            });
            // No mass left although rows are: their squared distances underflowed. Any unchosen row will do.
            let unchosen = || (0..blocks.n()).find(|row| !self.chosen.contains(row));
            self.candidates.push(drawn.or_else(unchosen).unwrap_or(0));
        }
        self.potentials = vec![0.0; self.masses.len() * trials];
    }

    /// Chooses the candidate with the lowest potential.
    fn keep_best(&mut self) {
        let trials = self.candidates.len();
        let total = |t: usize| self.potentials.iter().skip(t).step_by(trials).sum::<f64>();
        let (mut best, mut lowest) = (0, f64::INFINITY);
        for t in 0..trials {
            let potential = total(t);
            if potential < lowest {
                (best, lowest) = (t, potential);
            }
        }
        self.chosen.push(self.candidates[best]);
        self.masses = self.potentials.iter().skip(best).step_by(trials).copied().collect();
    }

    /// The row chosen last; in the first pass, where none is, the one that will be.
    fn last(&self, blocks: &Blocks) -> Vec<f64> {
        let mut row = vec![0.0; blocks.p()];
        let index = self.chosen.last().or(self.candidates.first()).copied().unwrap_or(0);
        blocks.copy_row(index, &mut row);
        row
    }

    fn centroids(&self, blocks: &Blocks) -> Vec<f64> {
        let mut centroids = vec![0.0; self.chosen.len() * blocks.p()];
        for (row, out) in self.chosen.iter().zip(centroids.chunks_exact_mut(blocks.p())) {
            blocks.copy_row(*row, out);
        }
        centroids
    }
}

/// Runs [`Seed`] over all chunks for all starts.
fn pass(ctx: &Context, blocks: &Blocks, starts: &mut [Seeding]) -> Result<()> {
    let arch = kernel::arch();
    let p = blocks.p();
    let rows: Vec<(Vec<f64>, Vec<f64>)> = starts
        .iter()
        .map(|start| {
            let mut candidates = vec![0.0; start.candidates.len() * p];
            for (row, out) in start.candidates.iter().zip(candidates.chunks_exact_mut(p)) {
                blocks.copy_row(*row, out);
            }
            (start.last(blocks), candidates)
        })
        .collect();
    let mut parts: Vec<_> = starts
        .iter_mut()
        .zip(&rows)
        .map(|(start, rows)| {
            let trials = start.candidates.len();
            (
                start.closest.chunks_mut(CHUNK).zip(start.potentials.chunks_mut(trials)),
                rows,
            )
        })
        .collect();
    let mut tasks = Vec::with_capacity(blocks.padded().div_ceil(CHUNK) * parts.len());
    for (values, weights) in blocks.chunks() {
        for (part, (chosen, candidates)) in &mut parts {
            if let Some((closest, potentials)) = part.next() {
                tasks.push(Seed {
                    values,
                    weights,
                    p,
                    chosen,
                    closest,
                    candidates,
                    potentials,
                });
            }
        }
    }
    ctx.run(|| {
        tasks.into_par_iter().try_for_each(|task| {
            ctx.check()?;
            arch.dispatch(task);
            Ok::<(), EngineError>(())
        })
    })
}

/// Draws an index with probability proportional to its mass: first a chunk, then a row of it. `None` without mass.
fn draw(
    rng: &mut Xoshiro256PlusPlus,
    chunk_masses: &[f64],
    row_masses: impl FnOnce(usize) -> Vec<f64>,
) -> Option<usize> {
    let chunk = pick(uniform(rng), chunk_masses)?;
    let row = pick(uniform(rng), &row_masses(chunk))?;
    Some(chunk * CHUNK + row)
}

/// The index where the running sum of `masses` passes `fraction` of their total; never one without mass.
fn pick(fraction: f64, masses: &[f64]) -> Option<usize> {
    let mut left = fraction * masses.iter().sum::<f64>();
    let mut last = None;
    for (index, &mass) in masses.iter().enumerate().filter(|m| *m.1 > 0.0) {
        last = Some(index);
        if left < mass {
            break;
        }
        left -= mass;
    }
    last
}

/// Seeds of `n` starts; those of fewer starts are a prefix.
pub(crate) fn start_seeds(seed: u64, n: usize) -> Vec<u64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..n).map(|_| rng.next_u64()).collect()
}
