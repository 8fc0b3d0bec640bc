//! Lloyd's iterations of several starts in lockstep: each chunk is read once per iteration for all of them.
//!
//! A start is finished when no label changes, or when its centroids move less than the tolerance, or at the limit of
//! iterations. In every case its labels, weights and inertia are then those of its final centroids.

use rayon::prelude::*;

use super::blocks::{Blocks, CHUNK};
use super::kernel::{self, Assign, Partial};
use super::relocate::fill_empty_clusters;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// When to stop.
pub(crate) struct Stop {
    pub(crate) max_iter: usize,
    /// Bound of the sum of squared centroid shifts.
    pub(crate) shift: f64,
}

/// One start, running or finished.
pub(crate) struct Start {
    /// k x p
    pub(crate) centroids: Vec<f64>,
    /// Per padded row.
    pub(crate) labels: Vec<u32>,
    /// Weight per cluster.
    pub(crate) weights: Vec<f64>,
    pub(crate) inertia: f64,
    pub(crate) iterations: usize,
    pub(crate) converged: bool,
    sums: Vec<f64>,
    partials: Vec<f64>,
    state: State,
}

#[derive(PartialEq, Clone, Copy)]
enum State {
    /// Goes on.
    Running,
    /// The centroids are final, the labels still those of the ones before.
    Stopped,
    /// All consistent.
    Finished,
}

/// Runs `centroids` (per start, k x p) to the end.
///
/// # Errors
/// [`EngineError::Cancelled`], [`EngineError::Memory`].
pub(crate) fn run(
    ctx: &Context,
    blocks: &Blocks,
    k: usize,
    centroids: Vec<Vec<f64>>,
    stop: &Stop,
) -> Result<Vec<Start>> {
    let stride = Partial::len(k, blocks.p());
    let chunks = blocks.padded().div_ceil(CHUNK);
    let _labels = ctx.reserve_for::<u32>(blocks.padded().saturating_mul(centroids.len()))?;
    let _partials = ctx.reserve_for::<f64>(chunks.saturating_mul(stride).saturating_mul(centroids.len()))?;
    let mut starts: Vec<Start> = centroids
        .into_iter()
        .map(|centroids| Start {
            sums: vec![0.0; centroids.len()],
            centroids,
            labels: vec![u32::MAX; blocks.padded()],
            weights: vec![0.0; k],
            inertia: 0.0,
            iterations: 0,
            converged: false,
            partials: vec![0.0; chunks * stride],
            state: State::Running,
        })
        .collect();
    ctx.expect_work(starts.len() as u64);
    while starts.iter().any(|start| start.state != State::Finished) {
        assign(ctx, blocks, k, &mut starts)?;
        for start in starts.iter_mut().filter(|start| start.state != State::Finished) {
            start.step(ctx, blocks, k, stop)?;
        }
    }
    Ok(starts)
}

/// Labels all rows for all unfinished starts, leaving the sums of each chunk in `partials`.
fn assign(ctx: &Context, blocks: &Blocks, k: usize, starts: &mut [Start]) -> Result<()> {
    let (arch, p) = (kernel::arch(), blocks.p());
    let stride = Partial::len(k, p);
    let mut parts: Vec<_> = starts
        .iter_mut()
        .filter(|start| start.state != State::Finished)
        .map(|start| {
            (
                start
                    .labels
                    .chunks_mut(CHUNK)
                    .zip(start.partials.chunks_exact_mut(stride)),
                &start.centroids,
            )
        })
        .collect();
    let mut tasks = Vec::with_capacity(blocks.padded().div_ceil(CHUNK) * parts.len());
    for (values, weights) in blocks.chunks() {
        for (part, centroids) in &mut parts {
            if let Some((labels, partial)) = part.next() {
                let partial = Partial::split(partial, k, p);
                tasks.push(Assign {
                    values,
                    weights,
                    p,
                    centroids,
                    labels,
                    partial,
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

impl Start {
    /// What follows an assignment: reduce, decide, move the centroids.
    fn step(&mut self, ctx: &Context, blocks: &Blocks, k: usize, stop: &Stop) -> Result<()> {
        let changed = self.reduce(k, blocks.p());
        if self.state == State::Stopped {
            return self.finish(ctx);
        }
        self.iterations += 1;
        if changed == 0.0 {
            self.converged = true;
            return self.finish(ctx);
        }
        fill_empty_clusters(
            ctx,
            blocks,
            &self.labels,
            &self.centroids,
            &mut self.sums,
            &mut self.weights,
        )?;
        let mut shift = 0.0;
        let means = self.sums.chunks_exact(blocks.p()).zip(&self.weights);
        for (centroid, (sum, weight)) in self.centroids.chunks_exact_mut(blocks.p()).zip(means) {
            // A cluster without weight (there was no row left to give it) stays where it is.
            if *weight > 0.0 {
                for (c, s) in centroid.iter_mut().zip(sum) {
                    let mean = s / weight;
                    shift += (mean - *c) * (mean - *c);
                    *c = mean;
                }
            }
        }
        if shift <= stop.shift {
            self.converged = true;
            self.state = State::Stopped;
        } else if self.iterations >= stop.max_iter {
            self.state = State::Stopped;
        }
        Ok(())
    }

    /// Adds up the chunks in order; returns how many labels changed.
    fn reduce(&mut self, k: usize, p: usize) -> f64 {
        self.sums.fill(0.0);
        self.weights.fill(0.0);
        self.inertia = 0.0;
        let mut changed = 0.0;
        for partial in self.partials.chunks_exact_mut(Partial::len(k, p)) {
            let partial = Partial::split(partial, k, p);
            add(&mut self.sums, partial.sums);
            add(&mut self.weights, partial.weights);
            self.inertia += partial.totals[0];
            changed += partial.totals[1];
        }
        changed
    }

    fn finish(&mut self, ctx: &Context) -> Result<()> {
        self.state = State::Finished;
        ctx.work_done(1);
        Ok(())
    }
}

fn add(to: &mut [f64], from: &[f64]) {
    for (t, f) in to.iter_mut().zip(from) {
        *t += f;
    }
}
