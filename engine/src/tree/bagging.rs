//! Trees of classes, many at a time: what a forest and a single tree have in common.

use rayon::prelude::*;

use super::binned::{Binned, NOWHERE};
use super::bootstrap;
use super::classify::{Ground, Grower};
use super::cuts::Cuts;
use super::ensemble::Ensemble;
use super::gini::{Binary, Criterion, Many};
use super::importance::Importance;
use super::node::Tree;
use super::params::{ClassWeight, MaxFeatures};
use super::sample::{Sample, Tag, Units};
use super::table::TrainingSet;
use crate::context::{Context, Reservation};
use crate::error::Result;

/// Rows whose out-of-bag predictions are computed at a time.
const OOB_ROWS: usize = 256;

/// What to grow.
pub(crate) struct Plan<'a> {
    pub(crate) trees: usize,
    pub(crate) bootstrap: bool,
    pub(crate) out_of_bag: bool,
    /// Features tried per split, of all that the table has.
    pub(crate) max_features: MaxFeatures,
    pub(crate) max_depth: usize,
    pub(crate) min_leaf: f64,
    pub(crate) min_gain: f64,
    pub(crate) max_bins: usize,
    pub(crate) class_weight: &'a ClassWeight,
    pub(crate) seed: u64,
}

/// The trees, and where asked for the out-of-bag probabilities, n x classes: NaN for rows that are in every sample.
pub(crate) struct Grown {
    pub(crate) ensemble: Ensemble,
    pub(crate) out_of_bag: Option<Vec<f64>>,
}

type Result3 = Result<(Tree, Importance, Reservation)>;

impl Plan<'_> {
    pub(crate) fn grow(&self, ctx: &Context, set: &TrainingSet) -> Result<Grown> {
        let factors = self.class_weight.factors(&set.class_weights())?;
        let cuts = Cuts::fit(ctx, set.features(), set.weights(), self.max_bins)?;
        let mut binned = Binned::new(ctx, set, &cuts)?;
        binned.merge_equal(ctx)?;
        let units = Units::new(&binned.weights, &factors, self.bootstrap);
        let classes = set.n_classes();
        ctx.expect_work(self.trees as u64);
        let binary = classes <= 2;
        let grown = match (binary, units.compact) {
            (true, true) => self.trees(
                ctx,
                set,
                &binned,
                &units,
                || Grower::<u32, _>::new(Binary::<u64>::new()),
            ),
            (true, false) => self.trees(ctx, set, &binned, &units, || {
                Grower::<u64, _>::new(Binary::<u128>::new())
            }),
            (false, true) => self.trees(ctx, set, &binned, &units, || {
                Grower::<u32, _>::new(Many::new(classes, units.class_bits))
            }),
            (false, false) => self.trees(ctx, set, &binned, &units, || {
                Grower::<u64, _>::new(Many::new(classes, units.class_bits))
            }),
        }?;
        let mut importance = Importance::new(binned.n_features());
        let (mut trees, mut held) = (Vec::with_capacity(grown.len()), Vec::with_capacity(grown.len()));
        for (mut tree, gains, memory) in grown {
            if classes == 1 {
                // Two classes are counted; of one there is only the first.
                tree.values = tree.values.into_iter().step_by(2).collect();
            }
            importance.add(&gains, 1.0 / self.trees as f64);
            trees.push(tree);
            held.push(memory);
        }
        let varying = binned.bytes.features.clone();
        let out_of_bag = match self.out_of_bag {
            true => Some(self.out_of_bag(ctx, set, &binned, &trees)?),
            false => None,
        };
        let mut ensemble = Ensemble::assemble(&cuts, &varying, trees, classes, classes, importance);
        if let Some(rows) = out_of_bag {
            let (ensemble, rows) = self.outsiders(ctx, set, ensemble, rows)?;
            return Ok(Grown {
                ensemble,
                out_of_bag: Some(rows),
            });
        }
        ensemble.trees.shrink_to_fit();
        Ok(Grown {
            ensemble,
            out_of_bag: None,
        })
    }

    fn trees<T: Tag, C: Criterion<T>>(
        &self,
        ctx: &Context,
        set: &TrainingSet,
        binned: &Binned,
        units: &Units,
        grower: impl Fn() -> Grower<T, C> + Sync + Send,
    ) -> Result<Vec<(Tree, Importance, Reservation)>> {
        let (n, p) = (binned.n_rows(), binned.n_features());
        let at_once = ctx.threads().min(self.trees);
        let per_thread = n.saturating_mul(2 * size_of::<Sample<T>>() + 8).saturating_add(p * 4);
        let _samples = ctx.reserve(per_thread.saturating_mul(at_once))?;
        let (columns, _columns) = binned.columns(ctx)?;
        let ground = Ground {
            ctx,
            columns: &columns,
            n_rows: n,
            last_bin: &binned.last_bin,
            max_depth: self.max_depth,
            least: (self.min_leaf / units.unit).ceil().clamp(1.0, 1e18) as u64,
            min_gain: self.min_gain,
            tries: self.max_features.of(set.features().n_features()),
            unit: units.unit,
        };
        let one = |grower: &mut Grower<T, C>, tree: usize| -> Result3 {
            let key = bootstrap::key(self.seed, tree as u64);
            grower.samples.clear();
            for (row, (label, weight)) in binned.labels.iter().zip(&binned.weights).enumerate() {
                if row % 65_536 == 0 {
                    ctx.check()?;
                }
                let drawn = if self.bootstrap {
                    bootstrap::poisson(key, row as u64, *weight)
                } else {
                    *weight
                };
                let weight = units.of(drawn, *label);
                if weight > 0 {
                    let tag = T::new(*label, weight, units.class_bits);
                    grower.samples.push(Sample { row: row as u32, tag });
                }
            }
            if grower.samples.is_empty() {
                // Hardly any rows, and none drawn: the heaviest stands for all.
                grower.samples.push(heaviest(binned, units));
            }
            let (tree, importance) = grower.grow(&ground, key)?;
            let memory = ctx.reserve(tree.bytes())?;
            ctx.work_done(1);
            Ok((tree, importance, memory))
        };
        ctx.run(|| {
            let trees = (0..self.trees).into_par_iter().with_max_len(1);
            trees.map_init(grower, |grower, tree| one(grower, tree)).collect()
        })
    }

    /// For each training row the mean over the trees that did not see it; of a row that stands for several copies, the
    /// mean over the copies, had each been drawn by itself.
    fn out_of_bag(&self, ctx: &Context, set: &TrainingSet, binned: &Binned, trees: &[Tree]) -> Result<Vec<f64>> {
        let (n, k, p) = (binned.n_rows(), set.n_classes(), binned.n_features());
        let _memory = ctx.reserve_for::<f64>(n.saturating_mul(k))?;
        let mut means = vec![0.0; n * k];
        let block = |(block, means): (usize, &mut [f64])| {
            let mut seen = [0.0; OOB_ROWS];
            for (number, tree) in trees.iter().enumerate() {
                ctx.check()?;
                let key = bootstrap::key(self.seed, number as u64);
                for (at, mean) in means.chunks_exact_mut(k).enumerate() {
                    let row = block * OOB_ROWS + at;
                    let left_out = left_out(
                        binned.weights[row],
                        bootstrap::poisson(key, row as u64, binned.weights[row]),
                    );
                    if left_out > 0.0 {
                        let leaf = tree.leaf_of(&binned.bytes.rows[row * p..(row + 1) * p]);
                        let values = &tree.values[leaf * k..(leaf + 1) * k];
                        mean.iter_mut().zip(values).for_each(|(to, v)| *to += left_out * v);
                        seen[at] += left_out;
                    }
                }
            }
            for (mean, seen) in means.chunks_exact_mut(k).zip(seen) {
                // 0 / 0: a row that no tree left out has no prediction
                mean.iter_mut().for_each(|mean| *mean /= seen);
            }
            Ok::<(), crate::error::EngineError>(())
        };
        ctx.run(|| means.par_chunks_mut(OOB_ROWS * k).enumerate().try_for_each(block))?;
        Ok(means).map(|means: Vec<f64>| {
            let mut rows = vec![f64::NAN; binned.place.len() * k];
            for (row, place) in rows.chunks_exact_mut(k).zip(&binned.place) {
                if *place != NOWHERE {
                    row.copy_from_slice(&means[*place as usize * k..][..k]);
                }
            }
            rows
        })
    }

    /// Rows of weight 0 are in no sample: all trees predict them.
    fn outsiders(
        &self,
        ctx: &Context,
        set: &TrainingSet,
        ensemble: Ensemble,
        mut rows: Vec<f64>,
    ) -> Result<(Ensemble, Vec<f64>)> {
        let k = set.n_classes();
        let outside: Vec<usize> = (0..set.weights().len())
            .filter(|row| set.weights()[*row] == 0.0)
            .collect();
        if !outside.is_empty() {
            let sums = ensemble.sums(ctx, &set.features().select(&outside)?)?;
            for (row, sums) in outside.iter().zip(sums.chunks_exact(k)) {
                let values = rows[row * k..(row + 1) * k].iter_mut().zip(sums);
                values.for_each(|(to, sum)| *to = sum / self.trees as f64);
            }
        }
        Ok((ensemble, rows))
    }
}

/// Of `weight` copies, how many are expected to be left out when `drawn` were drawn with replacement.
fn left_out(weight: f64, drawn: f64) -> f64 {
    if drawn == 0.0 {
        weight
    } else if weight > 1.0 {
        weight * (1.0 - 1.0 / weight).powf(drawn)
    } else {
        0.0
    }
}

fn heaviest<T: Tag>(binned: &Binned, units: &Units) -> Sample<T> {
    let by_weight = |a: &(usize, &f64), b: &(usize, &f64)| a.1.total_cmp(b.1).then(b.0.cmp(&a.0));
    let row = binned
        .weights
        .iter()
        .enumerate()
        .max_by(by_weight)
        .map_or(0, |(row, _)| row);
    let label = binned.labels[row];
    Sample {
        row: row as u32,
        tag: T::new(label, units.of(binned.weights[row], label).max(1), units.class_bits),
    }
}
