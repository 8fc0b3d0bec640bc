//! Grows one classification tree, depth first, from a sample of the binned rows.

use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::gini::{Best, Criterion, Feature};
use super::importance::Importance;
use super::node::{Node, Tree};
use super::sample::{Sample, Tag};
use crate::context::Context;
use crate::error::Result;

/// What all trees of a model share.
pub(crate) struct Ground<'a> {
    pub(crate) ctx: &'a Context,
    /// The bins of one varying feature after the other, n each.
    pub(crate) columns: &'a [u8],
    pub(crate) n_rows: usize,
    /// Highest bin of each varying feature.
    pub(crate) last_bin: &'a [u8],
    pub(crate) max_depth: usize,
    /// Least units of a leaf.
    pub(crate) least: u64,
    /// Least gain of a split, as a part of the root's weight.
    pub(crate) min_gain: f64,
    /// Features tried per split.
    pub(crate) tries: usize,
    /// Weight of a unit.
    pub(crate) unit: f64,
}

/// Buffers of a thread, used for one tree after the other.
pub(crate) struct Grower<T, C> {
    pub(crate) samples: Vec<Sample<T>>,
    spare: Vec<Sample<T>>,
    /// Features: those known not to vary in the node, those drawn, those not drawn.
    order: Vec<u32>,
    criterion: C,
}

/// A node whose samples are samples[start..end].
struct Open {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    /// How many of the features in `order` do not vary in the parent.
    constant: usize,
}

impl<T: Tag, C: Criterion<T>> Grower<T, C> {
    pub(crate) fn new(criterion: C) -> Self {
        Self {
            samples: Vec::new(),
            spare: Vec::new(),
            order: Vec::new(),
            criterion,
        }
    }

    /// Grows a tree from `self.samples` (at least one).
    pub(crate) fn grow(&mut self, ground: &Ground, seed: u64) -> Result<(Tree, Importance)> {
        let p = ground.last_bin.len();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        self.order.clear();
        self.order.extend(0..p as u32);
        self.spare
            .resize(self.samples.len().max(self.spare.len()), Sample::default());
        let mut importance = Importance::new(p);
        let (mut tree, mut leaves, mut root_weight) = (Tree::default(), 0, 0.0);
        tree.nodes.push(Node::leaf(0));
        tree.cover.push(0.0);
        let mut open = vec![Open {
            node: 0,
            start: 0,
            end: self.samples.len(),
            depth: 0,
            constant: 0,
        }];
        while let Some(mut task) = open.pop() {
            ground.ctx.check()?;
            self.criterion.open(&self.samples[task.start..task.end]);
            let weight = self.criterion.weight();
            tree.cover[task.node] = weight as f64 * ground.unit;
            if task.node == 0 {
                root_weight = weight as f64;
            }
            let splittable = !self.criterion.is_pure() && task.depth < ground.max_depth && weight >= 2 * ground.least;
            let best = if splittable {
                self.best(ground, &mut task, &mut rng)?
            } else {
                Best::NONE
            };
            let gain = (best.score - self.criterion.score()) / root_weight;
            if best.score == f64::NEG_INFINITY || gain < ground.min_gain {
                tree.nodes[task.node] = Node::leaf(leaves);
                leaves += 1;
                self.criterion.distribution(&mut tree.values);
                continue;
            }
            importance.count(best.feature as usize, gain);
            let child = tree.nodes.len();
            let node = Node::split(best.feature, best.cut, best.missing_left, child);
            tree.nodes[task.node] = node;
            tree.nodes.extend([Node::leaf(0); 2]);
            tree.cover.extend([0.0; 2]);
            let middle = self.partition(ground, &task, node);
            for (node, start, end) in [(child + 1, middle, task.end), (child, task.start, middle)] {
                open.push(Open {
                    node,
                    start,
                    end,
                    depth: task.depth + 1,
                    constant: task.constant,
                });
            }
        }
        tree.nodes.shrink_to_fit();
        tree.cover.shrink_to_fit();
        tree.values.shrink_to_fit();
        Ok((tree, importance))
    }

    /// The best cut of features drawn without replacement, until enough of them vary.
    ///
    /// What is known not to vary in a node stays in front of `order` for all nodes below it: the draws there only move
    /// features behind.
    fn best(&mut self, ground: &Ground, task: &mut Open, rng: &mut Xoshiro256PlusPlus) -> Result<Best> {
        let p = self.order.len();
        let all = ground.tries >= p;
        let samples = &self.samples[task.start..task.end];
        let mut best = Best::NONE;
        let (mut at, mut varying) = (task.constant, 0);
        while at < p && varying < ground.tries {
            if !all {
                // 64 random bits times the range: the bias is below p / 2^64
                let range = (p - at) as u128;
                let drawn = at + ((u128::from(rng.next_u64()) * range) >> 64) as usize;
                self.order.swap(at, drawn);
            }
            let number = self.order[at];
            if samples.len() * (at + 1) > 1 << 20 {
                ground.ctx.check()?;
            }
            let feature = Feature {
                number,
                column: &ground.columns[number as usize * ground.n_rows..][..ground.n_rows],
                last_bin: ground.last_bin[number as usize],
            };
            if self.criterion.search(feature, samples, ground.least, &mut best) {
                varying += 1;
            } else {
                self.order.swap(at, task.constant);
                task.constant += 1;
            }
            at += 1;
        }
        Ok(best)
    }

    /// Moves the samples that go left to the front, keeping their order; returns where the others begin.
    fn partition(&mut self, ground: &Ground, task: &Open, node: Node) -> usize {
        let column = &ground.columns[node.feature() * ground.n_rows..][..ground.n_rows];
        let samples = &mut self.samples[task.start..task.end];
        let spare = &mut self.spare[..samples.len()];
        let (mut left, mut right) = (0, 0);
        for at in 0..samples.len() {
            let sample = samples[at];
            let goes_left = node.takes_left(column[sample.row as usize]);
            samples[left] = sample;
            spare[right] = sample;
            left += usize::from(goes_left);
            right += usize::from(!goes_left);
        }
        samples[left..].copy_from_slice(&spare[..right]);
        task.start + left
    }
}
