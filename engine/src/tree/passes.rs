//! The two kinds of passes that growing boosted trees consists of: over the shards, and over the features.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::boosting_params::BoostingValidParams;
use super::histogram::{search, Cells, Pair, Scale, Split, Sums, Terms};
use super::shard::Shard;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Additions that are worth a thread.
const TASK: usize = 1 << 15;
/// Cells whose search is worth sharing.
const SEARCH: usize = 1 << 11;
/// Most bytes of histograms kept for subtraction; beyond, both children are counted.
const KEPT: usize = 1 << 28;

pub(crate) type Hist<const W: usize> = Vec<Cells<W>>;

pub(crate) struct Trees<'a, G, const W: usize> {
    pub(crate) ctx: &'a Context,
    pub(crate) params: &'a BoostingValidParams,
    pub(crate) shards: Vec<Mutex<Shard<G>>>,
    /// Highest bin of each varying feature.
    pub(crate) last_bin: &'a [u8],
    pub(crate) scale: Scale,
    /// Features that this tree sees, where not all.
    pub(crate) chosen: Option<Vec<u32>>,
    /// A histogram for each thread.
    pub(crate) workers: Vec<Hist<W>>,
    /// Histograms that nobody needs now.
    pub(crate) free: Vec<Hist<W>>,
    memory: Reservation,
    keep: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a, G: Pair, const W: usize> Trees<'a, G, W> {
    /// # Errors
    /// [`EngineError::Memory`].
    pub(crate) fn new(
        ctx: &'a Context,
        params: &'a BoostingValidParams,
        shards: Vec<Shard<G>>,
        last_bin: &'a [u8],
        scale: Scale,
    ) -> Result<Self> {
        let threads = ctx.threads().min(shards.len().max(1));
        let kept = last_bin
            .len()
            .saturating_mul(size_of::<Cells<W>>())
            .saturating_mul(params.max_leaves());
        let mut trees = Self {
            ctx,
            params,
            shards: shards.into_iter().map(Mutex::new).collect(),
            last_bin,
            scale,
            chosen: None,
            workers: Vec::new(),
            free: Vec::new(),
            memory: ctx.reserve(0)?,
            keep: kept <= KEPT,
        };
        for _ in 0..threads {
            let hist = trees.histogram()?;
            trees.workers.push(hist);
        }
        Ok(trees)
    }

    fn histogram(&mut self) -> Result<Hist<W>> {
        if let Some(hist) = self.free.pop() {
            return Ok(hist);
        }
        let p = self.last_bin.len();
        self.memory.grow(p.saturating_mul(size_of::<Cells<W>>()))?;
        Ok(vec![[[0; 2]; W]; p])
    }

    /// Runs `work` on every shard.
    pub(crate) fn each_shard(&self, work: impl Fn(&mut Shard<G>) + Sync) -> Result<()> {
        self.shards.par_iter().try_for_each(|shard| {
            self.ctx.check()?;
            work(&mut lock(shard));
            Ok::<(), EngineError>(())
        })
    }

    /// Number of features that the tree sees.
    pub(crate) fn width(&self) -> usize {
        self.chosen.as_ref().map_or(self.last_bin.len(), Vec::len)
    }

    /// Runs `work` on every shard, on as many threads as `additions` are worth, each with a cleared histogram, and adds
    /// up what it returns, in the order of the shards. Afterwards the first returned number of workers hold the sums.
    pub(crate) fn pass(
        &mut self,
        additions: usize,
        work: impl Fn(&mut Shard<G>, &mut [Cells<W>]) -> (usize, f64) + Sync,
    ) -> Result<(usize, (usize, f64))> {
        let tasks = (additions / TASK).clamp(1, self.workers.len());
        let width = self.width();
        let (ctx, shards, next) = (self.ctx, &self.shards, AtomicUsize::new(0));
        let run = |hist: &mut Hist<W>| -> Result<Vec<(usize, (usize, f64))>> {
            let hist = &mut hist[..width];
            hist.fill([[0; 2]; W]);
            let mut found = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(shard) = shards.get(at) else {
                    return Ok(found);
                };
                ctx.check()?;
                found.push((at, work(&mut lock(shard), hist)));
            }
        };
        let workers = &mut self.workers[..tasks];
        let mut found: Vec<(usize, (usize, f64))> = if tasks == 1 {
            run(&mut workers[0])?
        } else {
            let parts: Vec<Vec<_>> = workers.par_iter_mut().with_max_len(1).map(run).collect::<Result<_>>()?;
            parts.into_iter().flatten().collect()
        };
        found.sort_unstable_by_key(|(at, _)| *at);
        let add = |(rows, weight): (usize, f64), (_, (r, w)): (usize, (usize, f64))| (rows + r, weight + w);
        Ok((tasks, found.into_iter().fold((0, 0.0), add)))
    }

    /// Adds the workers' histograms up and searches; where `parent` is given, turns it into the sibling and searches
    /// that too.
    pub(crate) fn collect(
        &mut self,
        tasks: usize,
        parent: Option<&mut Hist<W>>,
        own: (Sums, Option<Terms>),
        sibling: (Sums, Option<Terms>),
    ) -> Result<(Hist<W>, Option<Split>, Option<Split>)> {
        let spare = self.histogram()?;
        let mut hist = std::mem::replace(&mut self.workers[0], spare);
        let width = self.width();
        let others: Vec<&Hist<W>> = self.workers[1..tasks].iter().collect();
        let last_bin = |at: usize| match &self.chosen {
            Some(chosen) => self.last_bin[chosen[at] as usize],
            None => self.last_bin[at],
        };
        let one = |at: usize, cells: &mut Cells<W>, parent: Option<&mut Cells<W>>| {
            let last = last_bin(at);
            let used = usize::from(last) + 1;
            for other in &others {
                for (to, from) in cells.iter_mut().zip(&other[at]).take(used) {
                    *to = [to[0] + from[0], to[1] + from[1]];
                }
            }
            let found = |cells: &[Sums], (sums, terms): &(Sums, Option<Terms>)| {
                terms
                    .as_ref()
                    .and_then(|terms| search(&cells[..used], last, *sums, terms, at as u32))
            };
            let first = found(&cells[..], &own);
            let second = parent.and_then(|parent| {
                for (to, from) in parent.iter_mut().zip(cells.iter()).take(used) {
                    *to = [to[0] - from[0], to[1] - from[1]];
                }
                found(&parent[..], &sibling)
            });
            (first, second)
        };
        let shared = width * W >= SEARCH && self.workers.len() > 1;
        let cells = &mut hist[..width];
        let found: Vec<(Option<Split>, Option<Split>)> = match (parent, shared) {
            (Some(parent), true) => {
                let both = cells.par_iter_mut().zip(parent[..width].par_iter_mut()).enumerate();
                both.map(|(at, (cells, parent))| one(at, cells, Some(parent))).collect()
            }
            (Some(parent), false) => {
                let both = cells.iter_mut().zip(&mut parent[..width]).enumerate();
                both.map(|(at, (cells, parent))| one(at, cells, Some(parent))).collect()
            }
            (None, true) => cells
                .par_iter_mut()
                .enumerate()
                .map(|(at, c)| one(at, c, None))
                .collect(),
            (None, false) => cells.iter_mut().enumerate().map(|(at, c)| one(at, c, None)).collect(),
        };
        let better = |best: Option<Split>, found: Option<Split>| match (best, found) {
            (Some(best), Some(found)) if found.gain > best.gain => Some(found),
            (None, found) => found,
            (best, _) => best,
        };
        let first = found.iter().fold(None, |best, (found, _)| better(best, *found));
        let second = found.iter().fold(None, |best, (_, found)| better(best, *found));
        Ok((hist, first, second))
    }

    /// Keeps a histogram for its node's children, where there is room for that.
    pub(crate) fn kept(&mut self, hist: Hist<W>) -> Option<Hist<W>> {
        if self.keep {
            return Some(hist);
        }
        self.free.push(hist);
        None
    }
}
