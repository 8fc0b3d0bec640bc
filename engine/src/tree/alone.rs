//! SHAP values of a row by itself; [`super::shap`] has the formula.
//!
//! Rows among many share what the edges of a tree do in every case. For one row that is more memory to read than arithmetic to do: here
//! nothing is prepared but shares, the whole tree is gone through once, and only what this row needs is computed. That is one division for
//! each split whose feature the row has passed so far: below a split that it has failed at, another split at that feature only shares out
//! the weight, and all features that it fails at above a leaf have the same factor, 1 - t. The sums are those of [`super::edges`] in another
//! order, so that their last bits differ.

use super::edges::{Edges, Lanes, Points, LANES};
use super::node::Tree;

/// A split whatever the row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    /// Its node, and the left one of its children, which the right one follows.
    node: u32,
    child: u32,
    slot: u32,
    cut: u32,
    /// The node below the last split at the same feature; 0, the root, where there is none.
    before: u32,
    /// Share of the weight that passes all splits at the feature down to there, and down to each child.
    share_before: f64,
    shares: [f64; 2],
}

/// A tree prepared for rows that are explained one at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paths {
    /// Parents first.
    splits: Vec<Split>,
    /// The node of each leaf.
    leaves: Vec<u32>,
    points: Vec<Points>,
}

/// Buffers of a thread.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Which child of each split the row goes to.
    right: Vec<bool>,
    /// By node: does the row pass all splits so far at the feature of the split above?
    passes: Vec<bool>,
    /// 1 / factor of that feature, where it does.
    inverse: Vec<Lanes>,
    products: Vec<Lanes>,
    sums: Vec<Lanes>,
}

impl Buffers {
    fn fit(&mut self, nodes: usize) {
        if self.passes.len() < nodes {
            self.right.resize(nodes, false);
            self.passes.resize(nodes, true);
            self.inverse.resize(nodes, [1.0; LANES]);
            self.products.resize(nodes, [1.0; LANES]);
            self.sums.resize(nodes, [0.0; LANES]);
        }
    }
}

impl Paths {
    /// At most the bytes that the one of `tree` takes.
    pub(super) fn most_bytes(tree: &Tree) -> usize {
        // half of the nodes are splits, half are leaves; a batch of points is for eight features of a path
        let of_node = (size_of::<Split>() + size_of::<u32>() + size_of::<Points>() / 8).div_ceil(2);
        size_of::<Self>() + size_of::<Points>() + (tree.nodes.len() + 1) * of_node
    }

    pub(super) fn new(tree: &Tree, width: usize) -> Self {
        let edges = Edges::new(tree, width);
        let mut paths = Self {
            splits: Vec::with_capacity(tree.n_leaves() - 1),
            leaves: vec![0; tree.n_leaves()],
            points: edges.points().to_vec(),
        };
        for (index, node) in tree.nodes.iter().enumerate() {
            if node.is_leaf() {
                paths.leaves[node.child as usize] = index as u32;
                continue;
            }
            let below = |right: usize| edges.of(node.child as usize + right);
            paths.splits.push(Split {
                node: index as u32,
                child: node.child,
                slot: node.slot,
                cut: node.cut,
                before: below(0).before,
                share_before: edges.of(below(0).before as usize).share,
                shares: [below(0).share, below(1).share],
            });
        }
        paths
    }

    /// How often each node is visited.
    pub(super) fn visits(&self) -> usize {
        self.points.len()
    }

    /// Adds what each feature contributes to each output from `first` on to `out`, outputs x features, for the row of `codes` (see
    /// [`super::ensemble::Coder`]). The lanes of a number of `out` are still to be added up. `tree` and `width` are those that this was made of.
    #[inline(always)]
    pub(super) fn add(
        &self,
        tree: &Tree,
        (width, first): (usize, usize),
        codes: &[u32],
        buffers: &mut Buffers,
        out: &mut [Lanes],
    ) {
        buffers.fit(tree.nodes.len());
        self.go(codes, buffers);
        let features = out.len() / (width - first);
        for points in &self.points {
            self.down(points, buffers);
            for (output, out) in (first..width).zip(out.chunks_exact_mut(features)) {
                for (leaf, node) in self.leaves.iter().enumerate() {
                    let (value, product) = (tree.values[leaf * width + output], buffers.products[*node as usize]);
                    buffers.sums[*node as usize] = product.map(|product| product * value);
                }
                self.up(points, buffers, out);
            }
        }
    }

    /// Which way the row goes.
    #[inline(always)]
    fn go(&self, codes: &[u32], buffers: &mut Buffers) {
        buffers.passes[0] = true;
        for (split, right) in self.splits.iter().zip(&mut buffers.right) {
            *right = codes[split.slot as usize] > split.cut;
            let passes = buffers.passes[split.before as usize];
            buffers.passes[split.child as usize] = passes && !*right;
            buffers.passes[split.child as usize + 1] = passes && *right;
        }
    }

    /// The products of the factors, from the root to the leaves.
    #[inline(always)]
    fn down(&self, points: &Points, buffers: &mut Buffers) {
        let Buffers {
            right,
            passes,
            inverse,
            products,
            ..
        } = buffers;
        let (places, rests) = (points.map(|(t, _)| t), points.map(|(t, _)| 1.0 - t));
        (inverse[0], products[0]) = ([1.0; LANES], [1.0; LANES]);
        for (split, right) in self.splits.iter().zip(right) {
            let above = products[split.node as usize];
            let (hot, cold) = split.sides(*right);
            if !passes[split.before as usize] {
                for (node, side) in [hot, cold] {
                    let ratio = if split.share_before > 0.0 {
                        split.shares[side] / split.share_before
                    } else {
                        0.0
                    };
                    products[node] = above.map(|product| product * ratio);
                }
                continue;
            }
            let before = inverse[split.before as usize];
            let (passed, failed) = (split.shares[hot.1], split.shares[cold.1]);
            let (mut inverted, mut goes, mut stays) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                let others = above[lane] * before[lane];
                let factor = places[lane] + passed * rests[lane];
                inverted[lane] = 1.0 / factor;
                goes[lane] = others * factor;
                stays[lane] = others * (failed * rests[lane]);
            }
            inverse[hot.0] = inverted;
            products[hot.0] = goes;
            products[cold.0] = stays;
        }
    }

    /// The sums over leaves, from these to the root, and what each split does with them.
    #[inline(always)]
    fn up(&self, points: &Points, buffers: &mut Buffers, out: &mut [Lanes]) {
        let Buffers {
            right,
            passes,
            inverse,
            sums,
            ..
        } = buffers;
        let (weights, opposites) = (points.map(|(_, weight)| weight), points.map(|(t, _)| 1.0 / (1.0 - t)));
        for (split, right) in self.splits.iter().zip(right).rev() {
            let (hot, cold) = split.sides(*right);
            let (passed, failed) = (sums[hot.0], sums[cold.0]);
            let mut both = [0.0; LANES];
            for lane in 0..LANES {
                both[lane] = passed[lane] + failed[lane];
            }
            sums[split.node as usize] = both;
            if !passes[split.before as usize] {
                continue;
            }
            let (now, before) = (inverse[hot.0], inverse[split.before as usize]);
            let (gain, gain_before) = (1.0 - split.shares[hot.1], 1.0 - split.share_before);
            let out = &mut out[split.slot as usize / 2];
            for lane in 0..LANES {
                let found = passed[lane] * (gain * now[lane])
                    - failed[lane] * opposites[lane]
                    - both[lane] * (gain_before * before[lane]);
                out[lane] += weights[lane] * found;
            }
        }
    }
}

impl Split {
    /// Node and side of the child that the row goes to, and of the other.
    #[inline(always)]
    fn sides(&self, right: bool) -> ((usize, usize), (usize, usize)) {
        let (child, right) = (self.child as usize, usize::from(right));
        ((child + right, right), (child + 1 - right, 1 - right))
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::Node;
    use super::*;

    /// Splits at one feature after the other; right children are leaves.
    fn chain(splits: usize) -> Tree {
        let split = |at: usize| Node::split(at as u32, 0, true, 2 * at + 1);
        let n = 2 * splits + 1;
        // a split's left child is the next split, its sibling a leaf
        let node = |at: usize| match at.div_ceil(2) {
            next if at % 2 == at.min(1) && next < splits => split(next),
            next if at % 2 == at.min(1) => Node::leaf(next),
            next => Node::leaf(next - 1),
        };
        Tree {
            nodes: (0..n).map(node).collect(),
            cover: vec![1.0; n],
            values: vec![0.0; splits + 1],
        }
    }

    /// What is said to be the most is what memory is asked for, and what decides whether a model is kept.
    #[test]
    fn no_tree_takes_more_than_is_said() {
        for splits in [0, 1, 2, 8, 9, 100, 511] {
            let tree = chain(splits);
            tree.check(1, 512, |_| 1).unwrap();
            let paths = Paths::new(&tree, 1);
            let held = size_of::<Paths>()
                + paths.splits.capacity() * size_of::<Split>()
                + paths.leaves.capacity() * size_of::<u32>()
                + paths.points.capacity() * size_of::<Points>();
            assert!(held <= Paths::most_bytes(&tree), "{splits}: {held}");
        }
    }
}
