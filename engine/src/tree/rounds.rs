//! The rounds of gradient boosting: derivatives, a tree per output, scores, and when to stop.

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::binned::{Binned, Bytes};
use super::boosting::{outputs, probabilities, FittedBoosting, GradientBoosting, ValidationSet};
use super::boosting_params::BoostingValidParams;
use super::bootstrap;
use super::cuts::Cuts;
use super::ensemble::Ensemble;
use super::histogram::{Pair, Scale};
use super::importance::Importance;
use super::node::Tree;
use super::passes::Trees;
use super::shard::{Draw, Shard};
use super::table::TrainingSet;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};
use crate::random::uniform;

/// Rows of the validation set worked on at a time.
const CHUNK: usize = 4_096;
/// Probabilities are kept this far from 0 in the base margins and in the loss.
const TINY: f64 = 1e-15;

impl BoostingValidParams {
    /// Fits a model; with `validation`, it has the rounds up to the lowest log-loss there, and the fit ends when
    /// [`early_stopping`](BoostingValidParams::early_stopping) rounds have brought none lower.
    ///
    /// Without `row_fraction` and `column_fraction` nothing is random: the model does not depend on the order of the
    /// rows, and for weighted rows is the one of the repeated rows.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] for class weights, features or classes of another number, [`EngineError::Memory`],
    /// [`EngineError::Cancelled`].
    pub fn fit(&self, ctx: &Context, set: &TrainingSet, validation: Option<&ValidationSet>) -> Result<FittedBoosting> {
        let class_weights = set.class_weights();
        let factors = self.class_weight().factors(&class_weights)?;
        if let Some(validation) = validation {
            let pairs = [
                (
                    "features",
                    set.features().n_features(),
                    validation.features().n_features(),
                ),
                ("classes", set.n_classes(), validation.n_classes()),
            ];
            for (what, expected, found) in pairs {
                if expected != found {
                    return Err(EngineError::Dimension { what, expected, found });
                }
            }
        }
        let cuts = Cuts::fit(ctx, set.features(), set.weights(), self.max_bins())?;
        let mut binned = Binned::new(ctx, set, &cuts)?;
        binned.merge_equal(ctx)?;
        let most = factors.iter().copied().fold(1.0, f64::max);
        let total: f64 = binned.weights.iter().sum();
        let heaviest = binned.weights.iter().copied().fold(0.0, f64::max);
        let fit = Fit {
            ctx,
            params: self,
            scale: Scale::new(total, most),
            base: base(&class_weights, &factors),
            n_classes: set.n_classes(),
            factors,
            cuts: &cuts,
            binned: &binned,
        };
        let watch = validation
            .map(|set| Watch::new(ctx, set, &cuts, &fit.base))
            .transpose()?;
        let narrow = fit.scale.factor * most * heaviest < <[i32; 2]>::MOST;
        let bins = binned.last_bin.iter().copied().max().map_or(0, usize::from) + 1;
        ctx.run(|| match (narrow, bins) {
            (true, 0..=16) => fit.rounds::<[i32; 2], 16>(watch),
            (true, 17..=64) => fit.rounds::<[i32; 2], 64>(watch),
            (true, _) => fit.rounds::<[i32; 2], 256>(watch),
            (false, 0..=16) => fit.rounds::<[i64; 2], 16>(watch),
            (false, 17..=64) => fit.rounds::<[i64; 2], 64>(watch),
            (false, _) => fit.rounds::<[i64; 2], 256>(watch),
        })
    }
}

/// The margins of the class shares.
fn base(class_weights: &[f64], factors: &[f64]) -> Vec<f64> {
    let weights: Vec<f64> = class_weights.iter().zip(factors).map(|(w, f)| w * f).collect();
    let total: f64 = weights.iter().sum();
    let share = |weight: f64| (weight / total).clamp(TINY, 1.0 - TINY);
    match weights[..] {
        [_] => vec![0.0],
        [_, second] => vec![(share(second) / (1.0 - share(second))).ln()],
        _ => weights.iter().map(|weight| share(*weight).ln()).collect(),
    }
}

struct Fit<'a> {
    ctx: &'a Context,
    params: &'a BoostingValidParams,
    scale: Scale,
    base: Vec<f64>,
    n_classes: usize,
    factors: Vec<f64>,
    cuts: &'a Cuts,
    binned: &'a Binned,
}

impl Fit<'_> {
    fn rounds<G: Pair, const W: usize>(&self, mut watch: Option<Watch>) -> Result<FittedBoosting> {
        let (params, ctx, outputs) = (self.params, self.ctx, outputs(self.n_classes));
        let (n, p) = (self.binned.n_rows(), self.binned.n_features());
        let per_row = Shard::<G>::BYTES_PER_ROW + 2 * p + outputs * 16;
        let _rows = ctx.reserve(n.saturating_mul(per_row))?;
        let shards = Shard::<G>::cut(self.binned, &self.base);
        let mut grower = Trees::<G, W>::new(ctx, params, shards, &self.binned.last_bin, self.scale)?;
        let mut model = ctx.reserve(0)?;
        let (mut trees, mut gains) = (Vec::new(), Vec::new());
        let present: Vec<bool> = (0..self.n_classes as u32)
            .map(|class| self.binned.labels.contains(&class))
            .collect();
        let pointless = p == 0 || present.iter().filter(|present| **present).count() < 2;
        let rounds = if pointless { 0 } else { params.rounds() };
        ctx.expect_work(rounds as u64);
        for round in 0..rounds {
            if outputs > 1 {
                grower.each_shard(Shard::update_shares)?;
            }
            let mut importance = Importance::new(p);
            for (output, present) in present.iter().enumerate().take(outputs) {
                if outputs > 1 && !present {
                    // A class that never occurs stays where its base margin puts it.
                    trees.push(constant());
                    continue;
                }
                let number = (round * outputs + output) as u64;
                let draw = (params.row_fraction() < 1.0).then(|| Draw {
                    key: bootstrap::key(params.seed(), round as u64),
                    part: params.row_fraction(),
                });
                grower.chosen = self.columns(p, number);
                let differentiate = |shard: &mut Shard<G>| shard.differentiate(output, self.scale, &self.factors, draw);
                let (tree, values) = grower.grow(differentiate, &mut importance)?;
                grower.each_shard(|shard| shard.advance(output, &values, &tree))?;
                model.grow(tree.bytes())?;
                trees.push(tree);
            }
            gains.push(importance);
            ctx.work_done(1);
            if let Some(watch) = &mut watch {
                watch.advance(ctx, &trees[round * outputs..], self.n_classes)?;
                if params.early_stopping() > 0 && watch.rounds_since_best() >= params.early_stopping() {
                    break;
                }
            }
        }
        let kept = watch
            .as_ref()
            .map_or(gains.len(), |watch| watch.best_round.min(gains.len()));
        trees.truncate(kept * outputs);
        let mut importance = Importance::new(p);
        gains[..kept].iter().for_each(|gains| importance.add(gains, 1.0));
        let varying = &self.binned.bytes.features;
        let ensemble = Ensemble::assemble(self.cuts, varying, trees, outputs, 1, importance);
        Ok(FittedBoosting {
            model: GradientBoosting::from_ensemble(ensemble, self.base.clone(), self.n_classes)?,
            validation_loss: watch.map_or_else(Vec::new, |watch| watch.losses),
        })
    }

    /// The features that a tree sees, ascending, where not all.
    fn columns(&self, p: usize, tree: u64) -> Option<Vec<u32>> {
        let part = self.params.column_fraction();
        if part >= 1.0 {
            return None;
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(bootstrap::key(self.params.seed() ^ 0x636f_6c73, tree));
        let count = ((part * p as f64).round() as usize).clamp(1, p);
        let mut features: Vec<u32> = (0..p as u32).collect();
        for at in 0..count {
            features.swap(at, at + (uniform(&mut rng) * (p - at) as f64) as usize);
        }
        features.truncate(count);
        features.sort_unstable();
        Some(features)
    }
}

fn constant() -> Tree {
    Tree {
        nodes: vec![super::node::Node::leaf(0)],
        cover: vec![0.0],
        values: vec![0.0],
    }
}

/// The validation set as the rounds go by.
struct Watch {
    bytes: Bytes,
    labels: Vec<u32>,
    weights: Vec<f64>,
    /// n x outputs
    margins: Vec<f64>,
    losses: Vec<f64>,
    best_round: usize,
    best: f64,
    _memory: Reservation,
}

impl Watch {
    fn new(ctx: &Context, set: &ValidationSet, cuts: &Cuts, base: &[f64]) -> Result<Self> {
        let n = set.weights().len();
        let memory = ctx.reserve_for::<f64>(n.saturating_mul(base.len() + 2))?;
        let mut watch = Self {
            bytes: Bytes::new(ctx, set.features(), cuts, None)?,
            labels: set.labels().to_vec(),
            weights: set.weights().to_vec(),
            margins: base.iter().copied().cycle().take(n * base.len()).collect(),
            losses: Vec::new(),
            best_round: 0,
            best: f64::INFINITY,
            _memory: memory,
        };
        // The base margins alone: no tree may be better than any.
        watch.best = watch.loss(set.n_classes());
        Ok(watch)
    }

    /// Adds a round's trees.
    fn advance(&mut self, ctx: &Context, trees: &[Tree], n_classes: usize) -> Result<()> {
        let (outputs, p) = (trees.len(), self.bytes.features.len());
        let bytes = &self.bytes.rows;
        let chunk = |(chunk, margins): (usize, &mut [f64])| {
            ctx.check()?;
            for (at, margins) in margins.chunks_exact_mut(outputs).enumerate() {
                let row = chunk * CHUNK + at;
                for (margin, tree) in margins.iter_mut().zip(trees) {
                    *margin += tree.values[tree.leaf_of(&bytes[row * p..(row + 1) * p])];
                }
            }
            Ok::<(), EngineError>(())
        };
        self.margins
            .par_chunks_mut(CHUNK * outputs)
            .enumerate()
            .try_for_each(chunk)?;
        let loss = self.loss(n_classes);
        self.losses.push(loss);
        if loss < self.best {
            self.best = loss;
            self.best_round = self.losses.len();
        }
        Ok(())
    }

    fn rounds_since_best(&self) -> usize {
        self.losses.len() - self.best_round
    }

    /// Mean log-loss, weighted.
    fn loss(&self, n_classes: usize) -> f64 {
        let outputs = outputs(n_classes);
        let part = |(chunk, margins): (usize, &[f64])| {
            let shares = probabilities(margins.to_vec(), n_classes);
            let rows = shares.chunks_exact(n_classes).enumerate();
            let of_row = |(at, shares): (usize, &[f64])| {
                let row = chunk * CHUNK + at;
                -shares[self.labels[row] as usize].max(TINY).ln() * self.weights[row]
            };
            rows.map(of_row).sum()
        };
        // Parts of a fixed size, added up in order.
        let parts: Vec<f64> = self.margins.par_chunks(CHUNK * outputs).enumerate().map(part).collect();
        parts.iter().sum::<f64>() / self.weights.iter().sum::<f64>()
    }
}
