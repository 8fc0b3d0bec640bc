//! Trees in and out: what ONNX export reads, and what imported forests are made of.

use super::cuts::Cuts;
use super::ensemble::Ensemble;
use super::importance::Importance;
use super::node::{Node, Tree, MAX_DEPTH};
use super::params::within;
use super::table::{MAX_CLASSES, MAX_FEATURES};
use crate::error::{EngineError, Result};

/// A node of a tree, children by their number; node 0 is the root.
#[derive(Debug, Clone, PartialEq)]
pub enum TreeNode {
    Split {
        feature: usize,
        /// Rows with value <= threshold go left. `f64::MAX`: all rows that have a value.
        threshold: f64,
        missing_left: bool,
        left: usize,
        right: usize,
        cover: f64,
    },
    Leaf {
        /// One per output, or a single one; see [`Ensemble::from_trees`].
        values: Vec<f64>,
        cover: f64,
    },
}

impl Ensemble {
    /// Builds an ensemble from the nodes of its trees, in any order, and checks everything.
    ///
    /// Every leaf has `width` values: as many as there are outputs, or 1 where tree t adds to output t modulo
    /// `outputs`. The gains of the splits are not known and count as 0.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for nodes that are no tree (a node out of range, reached twice or not at all, a
    /// path longer than [`MAX_DEPTH`]), thresholds, values or covers that are not finite, a feature out of range;
    /// [`EngineError::Dimension`] for leaves of another width.
    pub fn from_trees(n_features: usize, outputs: usize, width: usize, trees: &[Vec<TreeNode>]) -> Result<Self> {
        within("number of features", n_features, 1, MAX_FEATURES)?;
        within("number of outputs", outputs, 1, MAX_CLASSES)?;
        let mut tables = vec![Vec::new(); n_features];
        for node in trees.iter().flatten() {
            if let TreeNode::Split { feature, threshold, .. } = node {
                let Some(table) = tables.get_mut(*feature) else {
                    let expected = format!("less than {n_features}");
                    return Err(EngineError::invalid("feature of a split", expected, feature));
                };
                if !threshold.is_finite() {
                    return Err(EngineError::invalid("threshold", "finite", threshold));
                }
                table.push(*threshold + 0.0);
            }
        }
        for table in &mut tables {
            table.sort_unstable_by(f64::total_cmp);
            table.dedup();
        }
        let mut importance = Importance::new(n_features);
        let trees = trees
            .iter()
            .map(|nodes| flatten(nodes, width, &tables, &mut importance));
        let ensemble = Self {
            trees: trees.collect::<Result<_>>()?,
            cuts: Cuts::from_tables(tables),
            outputs,
            width,
            importance,
        };
        ensemble.check()?;
        Ok(ensemble)
    }

    /// The nodes of one tree; empty when there is no such tree.
    pub fn nodes(&self, tree: usize) -> Vec<TreeNode> {
        let Some(tree) = self.trees.get(tree) else {
            return Vec::new();
        };
        let view = |(node, cover): (&Node, &f64)| {
            let child = node.child as usize;
            if node.is_leaf() {
                return TreeNode::Leaf {
                    values: tree.values[child * self.width..(child + 1) * self.width].to_vec(),
                    cover: *cover,
                };
            }
            TreeNode::Split {
                feature: node.feature(),
                threshold: self.cuts.of(node.feature())[node.cut as usize],
                missing_left: node.missing_left(),
                left: child,
                right: child + 1,
                cover: *cover,
            }
        };
        tree.nodes.iter().zip(&tree.cover).map(view).collect()
    }

    /// Values per leaf: the number of outputs, or 1.
    pub fn leaf_width(&self) -> usize {
        self.width
    }
}

/// Puts siblings next to each other, after their parent.
fn flatten(nodes: &[TreeNode], width: usize, tables: &[Vec<f64>], importance: &mut Importance) -> Result<Tree> {
    let bad = |expected: &str, found: usize| EngineError::invalid("tree", expected, found);
    let mut tree = Tree::default();
    let mut reached = vec![false; nodes.len()];
    tree.nodes.push(Node::leaf(0));
    tree.cover.push(0.0);
    let (mut leaves, mut open) = (0, vec![(0usize, 0usize, 0usize)]);
    while let Some((from, to, depth)) = open.pop() {
        let node = nodes.get(from).ok_or_else(|| bad("children that exist", from))?;
        if std::mem::replace(&mut reached[from], true) {
            return Err(bad("every node to have one parent", from));
        }
        match node {
            TreeNode::Leaf { values, cover } => {
                if values.len() != width {
                    return Err(EngineError::Dimension {
                        what: "values in a leaf",
                        expected: width,
                        found: values.len(),
                    });
                }
                tree.nodes[to] = Node::leaf(leaves);
                tree.cover[to] = *cover;
                tree.values.extend_from_slice(values);
                leaves += 1;
            }
            TreeNode::Split {
                feature,
                threshold,
                missing_left,
                left,
                right,
                cover,
            } => {
                if depth >= MAX_DEPTH {
                    return Err(bad("at most 512 splits on a path", depth + 1));
                }
                let cut = super::cuts::rank(&tables[*feature], *threshold);
                let child = tree.nodes.len();
                tree.nodes[to] = Node::split(*feature as u32, cut, *missing_left, child);
                tree.cover[to] = *cover;
                tree.nodes.extend([Node::leaf(0); 2]);
                tree.cover.extend([0.0; 2]);
                importance.splits[*feature] += 1;
                open.push((*right, child + 1, depth + 1));
                open.push((*left, child, depth + 1));
            }
        }
    }
    match reached.iter().position(|reached| !reached) {
        Some(lost) => Err(bad("every node to be reached from the root", lost)),
        None => Ok(tree),
    }
}
