//! Grows the trees of gradient boosting: the most promising leaf first, or level by level.
//!
//! Each split is one pass over the shards (rows move to their side, the lighter side is counted) and one over the
//! features (partial histograms add up, the sibling's is the parent's less it, both are searched).

use super::boosting_params::Growth;
use super::histogram::{Pair, Split, Sums, Terms};
use super::importance::Importance;
use super::node::{Node, Tree};
use super::passes::{Hist, Trees};
use super::shard::Shard;
use crate::error::{EngineError, Result};

/// A leaf that may be split.
struct Open<const W: usize> {
    /// Number among the leaves, in the shards.
    leaf: usize,
    node: usize,
    depth: usize,
    sums: Sums,
    rows: usize,
    weight: f64,
    hist: Option<Hist<W>>,
    best: Option<Split>,
}

impl<G: Pair, const W: usize> Trees<'_, G, W> {
    /// Counts and searches a leaf by itself.
    fn search_leaf(
        &mut self,
        leaf: usize,
        rows: usize,
        sums: Sums,
        terms: Option<Terms>,
    ) -> Result<(Option<Hist<W>>, Option<Split>)> {
        let chosen = self.chosen.clone();
        let (tasks, _) = self.pass(rows * self.width(), |shard, hist| {
            shard.count(leaf, chosen.as_deref(), hist);
            (0, 0.0)
        })?;
        let (hist, best, _) = self.collect(tasks, None, (sums, terms), ([0; 2], None))?;
        Ok((self.kept(hist), best))
    }

    /// What a split of a node has to satisfy, or none when it cannot be split.
    fn terms(&self, depth: usize, sums: Sums, weight: f64) -> Option<Terms> {
        let params = self.params;
        // A side's weight is estimated by its share of the second derivatives.
        let by_weight = params.min_leaf() * sums[1] as f64 / weight.max(f64::MIN_POSITIVE);
        let least = by_weight
            .max(params.min_child_weight() * self.scale.factor)
            .ceil()
            .max(1.0);
        let room = depth < params.max_depth() && weight > 0.0 && sums[1] as f64 >= 2.0 * least;
        room.then(|| Terms {
            l2: params.l2() * self.scale.factor,
            least: least as i64,
            min_gain: params.min_gain() * self.scale.factor,
        })
    }

    /// Grows a tree on the derivatives that the shards hold after `prepare`, which puts their rows into leaf 0; the value
    /// of each leaf includes the learning rate. Returns the values by leaf of the shards too.
    pub(crate) fn grow(
        &mut self,
        prepare: impl Fn(&mut Shard<G>) + Sync,
        importance: &mut Importance,
    ) -> Result<(Tree, Vec<f64>)> {
        let chosen = self.chosen.clone();
        let chosen = chosen.as_deref();
        let (tasks, (rows, weight)) = self.pass(usize::MAX, |shard, hist| {
            prepare(shard);
            shard.count(0, chosen, hist);
            shard.size(0)
        })?;
        let sums = self.workers[..tasks]
            .iter()
            .map(|hist| hist[0])
            .fold([0; 2], |sums: Sums, cells| {
                cells
                    .iter()
                    .fold(sums, |sums, cell| [sums[0] + cell[0], sums[1] + cell[1]])
            });
        let terms = self.terms(0, sums, weight);
        let (hist, best, _) = self.collect(tasks, None, (sums, terms), ([0; 2], None))?;
        let hist = self.kept(hist);
        let mut tree = Tree::default();
        tree.nodes.push(Node::leaf(0));
        let mut open = vec![Open {
            leaf: 0,
            node: 0,
            depth: 0,
            sums,
            rows,
            weight,
            hist,
            best,
        }];
        while open.len() < self.params.max_leaves() {
            self.ctx.check()?;
            let Some(at) = self.next(&open) else { break };
            let last = open.len() + 1 == self.params.max_leaves();
            let parent = open.swap_remove(at);
            let children = self.split(parent, &mut tree, open.len() + 1, last, importance)?;
            open.extend(children);
        }
        Ok(self.finish(tree, open))
    }

    /// The leaf to split next: the one that gains most, or that of the lowest level; of equals the first.
    fn next(&self, open: &[Open<W>]) -> Option<usize> {
        let candidates = open
            .iter()
            .enumerate()
            .filter_map(|(at, leaf)| Some((at, leaf, leaf.best?)));
        let best = candidates.max_by(|(_, a, x), (_, b, y)| {
            let by_level = match self.params.growth() {
                Growth::LeafWise => std::cmp::Ordering::Equal,
                Growth::DepthWise => b.depth.cmp(&a.depth),
            };
            by_level.then(x.gain.total_cmp(&y.gain)).then(b.node.cmp(&a.node))
        });
        best.map(|(at, _, _)| at)
    }

    /// Splits a leaf in two; `last` when no other split follows.
    fn split(
        &mut self,
        mut parent: Open<W>,
        tree: &mut Tree,
        new_leaf: usize,
        last: bool,
        importance: &mut Importance,
    ) -> Result<[Open<W>; 2]> {
        let Some(split) = parent.best else {
            return Err(EngineError::EmptyInput { what: "split" });
        };
        let chosen = self.chosen.clone();
        let chosen = chosen.as_deref();
        let feature = chosen.map_or(split.feature, |chosen| chosen[split.feature as usize]);
        importance.count(feature as usize, split.gain / self.scale.factor);
        let child = tree.nodes.len();
        let node = Node::split(feature, split.cut, split.missing_left, child);
        tree.nodes[parent.node] = node;
        tree.nodes.extend([Node::leaf(0); 2]);
        let right = [parent.sums[0] - split.left[0], parent.sums[1] - split.left[1]];
        let depth = parent.depth + 1;
        let sums = [split.left, right];
        // The lighter side is counted; second derivatives stand for rows until the rows have moved.
        let light = usize::from(right[1] < split.left[1]);
        let leaf_of = [parent.leaf, new_leaf];
        let searched = !last && depth < self.params.max_depth();
        let subtract = searched && parent.hist.is_some();
        let (tasks, (rows, weight)) = self.pass(parent.rows * (self.width() / 2 + 4), |shard, hist| {
            let left = shard.split(parent.leaf, node);
            if subtract {
                shard.count(leaf_of[light], chosen, hist);
            }
            left
        })?;
        let sizes = [(rows, weight), (parent.rows - rows, parent.weight - weight)];
        let terms = [0, 1].map(|side| {
            if searched {
                self.terms(depth, sums[side], sizes[side].1)
            } else {
                None
            }
        });
        let mut hists = [None, None];
        let mut bests = [None, None];
        let mut above = parent.hist.take();
        if !subtract {
            for side in [0, 1] {
                if terms[side].is_some() {
                    (hists[side], bests[side]) =
                        self.search_leaf(leaf_of[side], sizes[side].0, sums[side], terms[side])?;
                }
            }
        } else if terms.iter().any(Option::is_some) {
            let heavy = 1 - light;
            let (hist, first, second) = self.collect(
                tasks,
                above.as_mut(),
                (sums[light], terms[light]),
                (sums[heavy], terms[heavy]),
            )?;
            bests[light] = first;
            bests[heavy] = second;
            hists[light] = Some(hist);
            hists[heavy] = above.take();
        }
        self.free.extend(above);
        let mut side = |at: usize| {
            if bests[at].is_none() {
                self.free.extend(hists[at].take());
            }
            Open {
                leaf: leaf_of[at],
                node: child + at,
                depth,
                sums: sums[at],
                rows: sizes[at].0,
                weight: sizes[at].1,
                hist: hists[at].take(),
                best: bests[at],
            }
        };
        Ok([side(0), side(1)])
    }

    /// Values, numbers and covers of the leaves.
    fn finish(&mut self, mut tree: Tree, mut open: Vec<Open<W>>) -> (Tree, Vec<f64>) {
        tree.cover = vec![0.0; tree.nodes.len()];
        let mut by_leaf = vec![0.0; open.len()];
        open.sort_unstable_by_key(|leaf| leaf.node);
        let l2 = self.params.l2() * self.scale.factor;
        for (number, leaf) in open.into_iter().enumerate() {
            self.free.extend(leaf.hist);
            let [g, h] = leaf.sums.map(|sum| sum as f64);
            let value = if h + l2 > 0.0 {
                -g / (h + l2) * self.params.learning_rate()
            } else {
                0.0
            };
            tree.nodes[leaf.node] = Node::leaf(number);
            tree.cover[leaf.node] = leaf.weight.max(0.0);
            tree.values.push(value);
            by_leaf[leaf.leaf] = value;
        }
        for index in (0..tree.nodes.len()).rev() {
            let node = tree.nodes[index];
            if !node.is_leaf() {
                tree.cover[index] = tree.cover[node.child as usize] + tree.cover[node.child as usize + 1];
            }
        }
        (tree, by_leaf)
    }
}
