//! The lists of a tree ensemble operator as trees; everything in them is checked.

use std::collections::{BTreeMap, HashMap};

use super::attributes::Attributes;
use crate::context::Context;
use crate::error::Result;
use crate::onnx::error::OnnxError;
use crate::onnx::single::reach;
use crate::tree::TreeNode;

/// Nodes between two looks at the cancel flag.
const CHECK_NODES: usize = 1 << 16;
/// About what a node takes while it is read and becomes one of ours, but for the numbers of its leaf.
const NODE_BYTES: usize = 512;
/// Bytes of a number of a leaf: in one list of all, in its own, and in the trees that these become.
const VALUE_BYTES: usize = 24;

/// Trees whose leaves hold a number per class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trees {
    /// The first node of each is its root.
    pub trees: Vec<Vec<TreeNode>>,
    /// Numbers per leaf.
    pub width: usize,
    /// Added to the sums, `width` or none.
    pub base: Vec<f64>,
}

/// How an operator calls its lists.
pub(super) struct Names {
    pub trees: &'static str,
    pub nodes: &'static str,
    pub ids: &'static str,
    pub weights: &'static str,
}

/// What the operator says of its leaves.
pub(super) struct Leaves<'a> {
    trees: &'a [i64],
    nodes: &'a [i64],
    pub ids: &'a [i64],
    weights: &'a [f32],
}

impl<'a> Leaves<'a> {
    /// Takes the four lists.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] unless they are of one length and the weights finite.
    pub(super) fn of(attributes: &Attributes<'a>, names: &Names) -> Result<Self, OnnxError> {
        let leaves = Self {
            trees: attributes.ints(names.trees),
            nodes: attributes.ints(names.nodes),
            ids: attributes.ints(names.ids),
            weights: attributes.floats(names.weights),
        };
        let n = leaves.ids.len();
        if [leaves.trees.len(), leaves.nodes.len(), leaves.weights.len()] != [n; 3] {
            return Err(OnnxError::damaged("the lists of the leaves differ in length"));
        }
        if leaves.weights.iter().any(|weight| !weight.is_finite()) {
            return Err(OnnxError::damaged("a leaf that is not a finite number"));
        }
        Ok(leaves)
    }
}

/// Reads the trees. Leaf weights go to the place that `place` gives their class, of `width`; `single`: the operator
/// compares in 32 bits.
///
/// # Errors
/// [`OnnxError::Damaged`], [`OnnxError::Unsupported`] for splits by equality,
/// [`EngineError::Memory`](crate::error::EngineError::Memory),
/// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
pub(super) fn read(
    ctx: &Context,
    attributes: &Attributes,
    leaves: &Leaves,
    width: usize,
    place: impl Fn(i64) -> Option<usize>,
    single: bool,
) -> Result<Vec<Vec<TreeNode>>> {
    let nodes = Nodes::of(attributes)?;
    let n = nodes.ids.len();
    let _memory = ctx.reserve(n.saturating_mul(NODE_BYTES.saturating_add(width.saturating_mul(VALUE_BYTES))))?;
    let mut rows: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    let mut index = HashMap::with_capacity(n);
    for (row, key) in nodes.trees.iter().copied().zip(nodes.ids.iter().copied()).enumerate() {
        if row % CHECK_NODES == 0 {
            ctx.check()?;
        }
        if index.insert(key, row).is_some() {
            return Err(OnnxError::damaged(format!("node {} of tree {} occurs twice", key.1, key.0)).into());
        }
        rows.entry(key.0).or_default().push(row);
    }
    let mut values = vec![0.0; n.saturating_mul(width)];
    for (entry, id) in leaves.ids.iter().enumerate() {
        if entry % CHECK_NODES == 0 {
            ctx.check()?;
        }
        let row = index.get(&(leaves.trees[entry], leaves.nodes[entry])).copied();
        let row = row.filter(|row| nodes.modes[*row].as_ref() == b"LEAF");
        match (row, place(*id)) {
            (Some(row), Some(place)) => values[row * width + place] += f64::from(leaves.weights[entry]),
            _ => return Err(OnnxError::damaged("a leaf weight of a leaf or a class that is not there").into()),
        }
    }
    let mut trees = Vec::with_capacity(rows.len());
    for (tree, rows) in rows {
        ctx.check()?;
        trees.push(nodes.tree(tree, rows, &index, &values, width, single)?);
    }
    Ok(trees)
}

/// The lists of the nodes, of one length.
struct Nodes<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    features: &'a [i64],
    thresholds: &'a [f32],
    modes: &'a [prost::bytes::Bytes],
    yes: &'a [i64],
    no: &'a [i64],
    /// Empty: a missing value never goes to the true side.
    missing_yes: &'a [i64],
    /// Empty where they say nothing.
    covers: &'a [f32],
}

impl<'a> Nodes<'a> {
    fn of(attributes: &Attributes<'a>) -> Result<Self, OnnxError> {
        attributes.refuse(&[
            "nodes_values_as_tensor",
            "class_weights_as_tensor",
            "target_weights_as_tensor",
        ])?;
        attributes.refuse(&["base_values_as_tensor", "nodes_hitrates_as_tensor"])?;
        let mut nodes = Self {
            trees: attributes.ints("nodes_treeids"),
            ids: attributes.ints("nodes_nodeids"),
            features: attributes.ints("nodes_featureids"),
            thresholds: attributes.floats("nodes_values"),
            modes: attributes.strings("nodes_modes"),
            yes: attributes.ints("nodes_truenodeids"),
            no: attributes.ints("nodes_falsenodeids"),
            missing_yes: attributes.ints("nodes_missing_value_tracks_true"),
            covers: attributes.floats("nodes_hitrates"),
        };
        let n = nodes.ids.len();
        let lengths = [
            nodes.trees.len(),
            nodes.features.len(),
            nodes.thresholds.len(),
            nodes.modes.len(),
            nodes.yes.len(),
            nodes.no.len(),
        ];
        let optional = |length: usize| length == 0 || length == n;
        if n == 0 || lengths != [n; 6] || !optional(nodes.missing_yes.len()) || !optional(nodes.covers.len()) {
            return Err(OnnxError::damaged(
                "the lists of the nodes are empty or differ in length",
            ));
        }
        // Most writers set them all to 1.
        let told = nodes.covers.iter().all(|cover| cover.is_finite() && *cover >= 0.0);
        if !told || nodes.covers.iter().all(|cover| *cover == nodes.covers[0]) {
            nodes.covers = &[];
        }
        Ok(nodes)
    }

    fn tree(
        &self,
        tree: i64,
        mut rows: Vec<usize>,
        index: &HashMap<(i64, i64), usize>,
        values: &[f64],
        width: usize,
        single: bool,
    ) -> Result<Vec<TreeNode>, OnnxError> {
        let find = |id: i64| {
            let found = index.get(&(tree, id)).copied();
            found.ok_or_else(|| OnnxError::damaged(format!("tree {tree} has no node {id}")))
        };
        let is_leaf = |row: usize| self.modes[row].as_ref() == b"LEAF";
        let mut children = std::collections::HashSet::new();
        for row in rows.iter().copied().filter(|row| !is_leaf(*row)) {
            children.extend([find(self.yes[row])?, find(self.no[row])?]);
        }
        let roots: Vec<usize> = (0..rows.len()).filter(|at| !children.contains(&rows[*at])).collect();
        let [root] = roots[..] else {
            return Err(OnnxError::damaged(format!("tree {tree} has {} roots", roots.len())));
        };
        rows.swap(0, root);
        let number: HashMap<usize, usize> = rows.iter().enumerate().map(|(number, row)| (*row, number)).collect();
        let child = |id: i64| Ok(number.get(&find(id)?).copied().unwrap_or(0));
        let node = |row: &usize| {
            let cover = self.covers.get(*row).map_or(0.0, |cover| f64::from(*cover));
            if is_leaf(*row) {
                let values = values[row * width..(row + 1) * width].to_vec();
                return Ok(TreeNode::Leaf { values, cover });
            }
            let side = self.side(*row, single)?;
            let (yes, no) = (child(self.yes[*row])?, child(self.no[*row])?);
            let (left, right) = if side.yes_left { (yes, no) } else { (no, yes) };
            let feature = usize::try_from(self.features[*row]);
            Ok(TreeNode::Split {
                feature: feature.map_err(|_| OnnxError::damaged("a feature with a negative number"))?,
                threshold: side.threshold,
                missing_left: side.yes_left == self.missing_yes.get(*row).is_some_and(|tracks| *tracks != 0),
                left,
                right,
                cover,
            })
        };
        let nodes = rows.iter().map(node).collect::<Result<Vec<_>, OnnxError>>()?;
        Ok(match self.covers {
            [] => nodes,
            _ if adds_up(&nodes) => nodes,
            _ => without_covers(nodes),
        })
    }

    /// Every comparison as `<=`.
    fn side(&self, row: usize, single: bool) -> Result<Side, OnnxError> {
        let (strict, yes_left) = match self.modes[row].as_ref() {
            b"BRANCH_LEQ" => (false, true),
            b"BRANCH_LT" => (true, true),
            b"BRANCH_GT" => (false, false),
            b"BRANCH_GTE" => (true, false),
            other => {
                let mode = String::from_utf8_lossy(other).into_owned();
                return Err(OnnxError::unsupported(format!("splits of the kind {mode:?}")));
            }
        };
        let threshold = self.thresholds[row];
        if threshold.is_nan() {
            return Err(OnnxError::damaged("a threshold that is not a number"));
        }
        let wide = f64::from(threshold).clamp(-f64::MAX, f64::MAX);
        let threshold = match (single, strict) {
            (true, _) => reach(threshold, strict),
            (false, true) => wide.next_down().max(-f64::MAX),
            (false, false) => wide,
        };
        Ok(Side { threshold, yes_left })
    }
}

/// `value <= threshold` goes to the true child, or to the false one.
struct Side {
    threshold: f64,
    yes_left: bool,
}

fn cover_of(node: &TreeNode) -> f64 {
    match node {
        TreeNode::Split { cover, .. } | TreeNode::Leaf { cover, .. } => *cover,
    }
}

/// Whether every split's cover is that of its children.
fn adds_up(nodes: &[TreeNode]) -> bool {
    nodes.iter().all(|node| match node {
        TreeNode::Leaf { .. } => true,
        TreeNode::Split { left, right, cover, .. } => {
            let sum = cover_of(&nodes[*left]) + cover_of(&nodes[*right]);
            (sum - cover).abs() <= 1e-3 * cover.max(1.0)
        }
    })
}

fn without_covers(mut nodes: Vec<TreeNode>) -> Vec<TreeNode> {
    for node in &mut nodes {
        match node {
            TreeNode::Split { cover, .. } | TreeNode::Leaf { cover, .. } => *cover = 0.0,
        }
    }
    nodes
}

/// Gives the trees of which it is not known how many rows reached each node covers: a split sends half to each side.
/// Trees that have covers keep them.
pub(super) fn fill_covers(trees: &mut [Vec<TreeNode>]) {
    for nodes in trees {
        if nodes.iter().any(|node| cover_of(node) > 0.0) {
            continue;
        }
        let (mut open, mut met) = (vec![(0usize, 1.0f64)], 0);
        while let Some((at, share)) = open.pop() {
            met += 1;
            // What is no tree is refused later.
            if met > nodes.len() {
                break;
            }
            match nodes.get_mut(at) {
                Some(TreeNode::Leaf { cover, .. }) => *cover = share,
                Some(TreeNode::Split { left, right, cover, .. }) => {
                    *cover = share;
                    open.extend([(*left, share / 2.0), (*right, share / 2.0)]);
                }
                None => {}
            }
        }
    }
}
