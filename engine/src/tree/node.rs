//! One tree, flat: 12 bytes per node beside what only explanation needs.

use crate::error::{EngineError, Result};

/// Deepest tree grown or accepted, in splits on a path.
pub const MAX_DEPTH: usize = 512;

/// The cut of a leaf; no rank of a split is as high.
pub(crate) const LEAF: u32 = u32::MAX;

/// A split or a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// 2 x feature, plus 1 where missing values go right; 0 in a leaf.
    pub(crate) slot: u32,
    /// Ranks up to this one go left; [`LEAF`] in a leaf.
    pub(crate) cut: u32,
    /// The left child, which the right one follows; in a leaf its number among the leaves.
    pub(crate) child: u32,
}

impl Node {
    pub(crate) fn leaf(number: usize) -> Self {
        Self {
            slot: 0,
            cut: LEAF,
            child: number as u32,
        }
    }

    pub(crate) fn split(feature: u32, cut: u32, missing_left: bool, child: usize) -> Self {
        Self {
            slot: feature * 2 + u32::from(!missing_left),
            cut,
            child: child as u32,
        }
    }

    pub(crate) fn is_leaf(self) -> bool {
        self.cut == LEAF
    }

    pub(crate) fn feature(self) -> usize {
        self.slot as usize / 2
    }

    pub(crate) fn missing_left(self) -> bool {
        self.slot.is_multiple_of(2)
    }

    /// Whether a bin (0 = missing) goes left.
    #[inline(always)]
    pub(crate) fn takes_left(self, bin: u8) -> bool {
        let rank = if self.missing_left() {
            bin.saturating_sub(1)
        } else {
            bin.wrapping_sub(1)
        };
        u32::from(rank) <= self.cut
    }
}

/// Guarantees (checked by [`Tree::check`] on everything that was not grown here): node 0 is the root, every other node
/// is the child of exactly one node before it, leaves are numbered 0.. without gaps, no path is longer than
/// [`MAX_DEPTH`], covers are finite and not negative, values finite.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// Weight of the training rows that reached each node.
    pub(crate) cover: Vec<f64>,
    /// leaves x width
    pub(crate) values: Vec<f64>,
}

impl Tree {
    pub(crate) fn n_leaves(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    pub(crate) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + (self.cover.capacity() + self.values.capacity()) * 8
    }

    /// The leaf of a binned row.
    #[inline]
    pub(crate) fn leaf_of(&self, row: &[u8]) -> usize {
        let mut node = self.nodes[0];
        while !node.is_leaf() {
            let right = !node.takes_left(row[node.feature()]);
            node = self.nodes[node.child as usize + usize::from(right)];
        }
        node.child as usize
    }

    /// Checks what was not grown here. `cuts` says how many cuts a feature has.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] with what is wrong.
    pub(crate) fn check(&self, width: usize, n_features: usize, cuts: impl Fn(usize) -> usize) -> Result<()> {
        let bad = |expected: &str, found: &dyn std::fmt::Display| EngineError::invalid("tree", expected, found);
        let n = self.nodes.len();
        if n.is_multiple_of(2) || n >= LEAF as usize {
            return Err(bad("an odd number of nodes", &n));
        }
        if self.cover.len() != n || self.values.len() != self.n_leaves().saturating_mul(width) {
            return Err(bad("a cover per node and values per leaf", &self.values.len()));
        }
        if let Some(cover) = self.cover.iter().find(|c| !(c.is_finite() && **c >= 0.0)) {
            return Err(bad("finite covers, at least 0", cover));
        }
        if let Some(value) = self.values.iter().find(|v| !v.is_finite()) {
            return Err(bad("finite leaf values", value));
        }
        // Children follow their parent, so one pass meets every parent first.
        const UNSEEN: u16 = u16::MAX;
        let (mut depth, mut leaves) = (vec![UNSEEN; n], vec![false; self.n_leaves()]);
        depth[0] = 0;
        for (index, node) in self.nodes.iter().enumerate() {
            if depth[index] == UNSEEN {
                return Err(bad("every node to be reached from a node before it", &index));
            }
            if node.is_leaf() {
                match leaves.get_mut(node.child as usize) {
                    Some(seen) if !*seen && node.slot == 0 => *seen = true,
                    _ => {
                        return Err(bad(
                            "every leaf to have a number of its own and nothing else",
                            &node.child,
                        ))
                    }
                }
                continue;
            }
            let child = node.child as usize;
            if child <= index || child + 1 >= n || depth[child] != UNSEEN || depth[child + 1] != UNSEEN {
                return Err(bad("children after their parent, and of one parent", &child));
            }
            if node.feature() >= n_features || node.cut as usize >= cuts(node.feature()) {
                return Err(bad("splits at a feature and a cut that exist", &node.feature()));
            }
            if usize::from(depth[index]) >= MAX_DEPTH {
                return Err(bad("at most 512 splits on a path", &(depth[index] + 1)));
            }
            depth[child] = depth[index] + 1;
            depth[child + 1] = depth[index] + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump() -> Tree {
        Tree {
            nodes: vec![Node::split(1, 0, true, 1), Node::leaf(1), Node::leaf(0)],
            cover: vec![3.0, 1.0, 2.0],
            values: vec![0.25, 0.75],
        }
    }

    #[test]
    fn a_bin_goes_where_its_rank_says_and_a_missing_value_where_it_was_learned() {
        for (missing_left, expected) in [(true, [true, true, true, false]), (false, [false, true, true, false])] {
            let node = Node::split(0, 1, missing_left, 1);
            assert_eq!([0, 1, 2, 3].map(|bin| node.takes_left(bin)), expected);
            // the last cut of a feature with missing values: all values left
            assert!(Node::split(0, 254, missing_left, 1).takes_left(255));
        }
        assert_eq!(stump().leaf_of(&[9, 1]), 1);
        assert_eq!(stump().leaf_of(&[9, 2]), 0);
    }

    #[test]
    fn a_tree_that_is_none_is_refused() {
        let check = |change: fn(&mut Tree)| {
            let mut tree = stump();
            change(&mut tree);
            tree.check(1, 2, |_| 1)
        };
        assert!(check(|_| ()).is_ok());
        let faults: [fn(&mut Tree); 11] = [
            |t| t.nodes[2].slot = 9,
            |t| t.nodes[0].child = 0,
            |t| t.nodes[0].child = 2,
            |t| t.nodes[0].slot = 4,
            |t| t.nodes[0].cut = 1,
            |t| t.nodes[1].child = 0,
            |t| t.nodes[1].child = 7,
            |t| t.cover[1] = f64::NAN,
            |t| t.values[0] = f64::INFINITY,
            |t| t.nodes.clear(),
            |t| t.nodes.extend([Node::leaf(2), Node::leaf(3)]),
        ];
        for (index, fault) in faults.into_iter().enumerate() {
            assert!(check(fault).is_err(), "{index}");
        }
    }

    #[test]
    fn a_path_beyond_the_limit_is_refused() {
        let mut tree = Tree::default();
        for depth in 0..=MAX_DEPTH {
            tree.nodes.push(Node::split(0, 0, true, 2 * depth + 1));
            tree.nodes.push(Node::leaf(depth));
        }
        tree.nodes.push(Node::leaf(MAX_DEPTH + 1));
        // the left child is the leaf, the right one the next split
        let n = tree.nodes.len();
        tree.nodes.swap(0, 0);
        for index in 1..n - 1 {
            let depth = (index - 1) / 2;
            tree.nodes[index] = if index % 2 == 1 {
                Node::leaf(depth)
            } else {
                Node::split(0, 0, true, index + 1)
            };
        }
        tree.cover = vec![1.0; n];
        tree.values = vec![0.0; n / 2 + 1];
        assert!(tree.check(1, 1, |_| 1).is_err());
        // one level less is accepted
        tree.nodes.truncate(n - 2);
        tree.nodes[n - 3] = Node::leaf(MAX_DEPTH);
        tree.cover.truncate(n - 2);
        tree.values.pop();
        tree.check(1, 1, |_| 1).unwrap();
    }
}
