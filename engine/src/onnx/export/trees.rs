//! Trees as the operator TreeEnsembleClassifier.
//!
//! Two classes always have a weight each: of leaves that speak of one class only, runtimes guess by the signs of all
//! weights whether they hold probabilities or log-odds.

use prost::bytes::Bytes;

use super::columns::Columns;
use super::graph::{floats, ints, string, strings, Builder, Value};
use crate::context::Context;
use crate::error::Result;
use crate::onnx::single::at_most;
use crate::tree::{Ensemble, GradientBoosting, RandomForest, TreeNode};

/// About what a node takes on its way into the file.
const NODE_BYTES: usize = 256;

/// Shares of the classes, n x k.
pub(super) fn forest(ctx: &Context, builder: &mut Builder, columns: &Columns, forest: &RandomForest) -> Result<Value> {
    let ensemble = forest.ensemble();
    let (trees, k) = (ensemble.n_trees() as f64, forest.n_classes());
    let weights = |_: usize, values: &[f64], add: &mut dyn FnMut(usize, f64)| {
        values
            .iter()
            .enumerate()
            .for_each(|(class, value)| add(class, value / trees));
    };
    write(ctx, builder, columns, ensemble, k, "NONE", weights)
}

/// Margins of the classes, n x k (of two classes, the log-odds of each), or with `transform` their probabilities.
pub(super) fn boosting(
    ctx: &Context,
    builder: &mut Builder,
    columns: &Columns,
    model: &GradientBoosting,
    transform: bool,
) -> Result<Value> {
    let ensemble = model.ensemble();
    let (k, outputs) = (model.n_classes(), model.base().len());
    if ensemble.n_trees() == 0 {
        return constant(builder, columns, model, transform);
    }
    let wide = ensemble.leaf_width() == outputs;
    let weights = |tree: usize, values: &[f64], add: &mut dyn FnMut(usize, f64)| {
        for (at, value) in values.iter().enumerate() {
            let output = if wide { at } else { tree % outputs };
            // The first tree of each output carries its base margin.
            let first = if wide { tree == 0 } else { tree < outputs };
            let margin = value + if first { model.base()[output] } else { 0.0 };
            if outputs == 1 {
                add(0, -margin);
                add(1, margin);
            } else {
                add(output, margin);
            }
        }
    };
    let post = match (transform, outputs) {
        (false, _) => "NONE",
        (true, 1) => "LOGISTIC",
        (true, _) => "SOFTMAX",
    };
    write(ctx, builder, columns, ensemble, k, post, weights)
}

/// Boosting that stopped before its first tree.
fn constant(builder: &mut Builder, columns: &Columns, model: &GradientBoosting, transform: bool) -> Result<Value> {
    let base = model.base();
    let margins: Vec<f64> = if base.len() == 1 {
        vec![-base[0], base[0]]
    } else {
        base.to_vec()
    };
    // Whatever the row, but as many rows
    let first = builder.columns(&columns.value, &[0]);
    let missing = builder.op("IsNaN", &[&first.name], Vec::new());
    let numbers = Value {
        name: builder.op("Cast", &[&missing], vec![super::graph::int("to", 1)]),
        width: 1,
    };
    let margins = builder.affine(&numbers, vec![0.0; margins.len()], &margins);
    Ok(match (transform, base.len()) {
        (false, _) => margins,
        (true, 1) => builder.each("Sigmoid", &margins),
        (true, _) => builder.each("Softmax", &margins),
    })
}

/// The lists of the operator, an entry per node or per weight.
#[derive(Default)]
struct Lists {
    trees: Vec<i64>,
    ids: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    modes: Vec<Bytes>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing_yes: Vec<i64>,
    covers: Vec<f32>,
    leaf_trees: Vec<i64>,
    leaf_ids: Vec<i64>,
    leaf_classes: Vec<i64>,
    leaf_weights: Vec<f32>,
}

fn write(
    ctx: &Context,
    builder: &mut Builder,
    columns: &Columns,
    ensemble: &Ensemble,
    k: usize,
    post: &str,
    weights: impl Fn(usize, &[f64], &mut dyn FnMut(usize, f64)),
) -> Result<Value> {
    let mut lists = Lists::default();
    for tree in 0..ensemble.n_trees() {
        ctx.check()?;
        for (id, node) in ensemble.nodes(tree).iter().enumerate() {
            lists.node(tree, id, node, columns);
            if let TreeNode::Leaf { values, .. } = node {
                weights(tree, values, &mut |class, weight| {
                    lists.leaf_trees.push(tree as i64);
                    lists.leaf_ids.push(id as i64);
                    lists.leaf_classes.push(class as i64);
                    lists.leaf_weights.push(weight as f32);
                });
            }
        }
    }
    let name = builder.ml(
        "TreeEnsembleClassifier",
        &[&columns.value.name],
        2,
        lists.attributes(k, post),
    );
    Ok(Value { name, width: k })
}

/// Memory that writing takes.
pub(super) fn bytes(ensemble: &Ensemble) -> usize {
    let per_leaf = ensemble.leaf_width().saturating_mul(32);
    ensemble.n_nodes().saturating_mul(NODE_BYTES.saturating_add(per_leaf))
}

impl Lists {
    fn node(&mut self, tree: usize, id: usize, node: &TreeNode, columns: &Columns) {
        self.trees.push(tree as i64);
        self.ids.push(id as i64);
        let (feature, threshold, mode, yes, no, missing_yes, cover) = match node {
            TreeNode::Leaf { cover, .. } => (0, 0.0, "LEAF", 0, 0, false, *cover),
            TreeNode::Split {
                feature,
                threshold,
                missing_left,
                left,
                right,
                cover,
            } => {
                let place = columns.places[*feature];
                (
                    place,
                    at_most(*threshold),
                    "BRANCH_LEQ",
                    *left,
                    *right,
                    *missing_left,
                    *cover,
                )
            }
        };
        self.features.push(feature as i64);
        self.thresholds.push(threshold.min(f32::MAX));
        self.modes.push(Bytes::from_static(mode.as_bytes()));
        self.yes.push(yes as i64);
        self.no.push(no as i64);
        self.missing_yes.push(i64::from(missing_yes));
        self.covers.push(cover as f32);
    }

    fn attributes(self, k: usize, post: &str) -> Vec<crate::onnx::message::Attribute> {
        vec![
            ints("nodes_treeids", self.trees),
            ints("nodes_nodeids", self.ids),
            ints("nodes_featureids", self.features),
            floats("nodes_values", self.thresholds),
            floats("nodes_hitrates", self.covers),
            strings("nodes_modes", self.modes),
            ints("nodes_truenodeids", self.yes),
            ints("nodes_falsenodeids", self.no),
            ints("nodes_missing_value_tracks_true", self.missing_yes),
            ints("class_treeids", self.leaf_trees),
            ints("class_nodeids", self.leaf_ids),
            ints("class_ids", self.leaf_classes),
            floats("class_weights", self.leaf_weights),
            ints("classlabels_int64s", (0..k as i64).collect()),
            string("post_transform", post),
        ]
    }
}
