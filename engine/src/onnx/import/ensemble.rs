//! What the sums over the trees mean: probabilities, log-odds, or margins before a softmax.
//!
//! The standard leaves open what leaves of one class say of two; onnxruntime's reading is taken: they speak of the second.

use super::attributes::Attributes;
use super::trees::{self, Leaves, Names, Trees};
use crate::classifier::Fitted;
use crate::context::Context;
use crate::error::Result;
use crate::onnx::error::OnnxError;
use crate::tree::{DecisionTree, Ensemble, GradientBoosting, RandomForest, TreeNode, MAX_CLASSES};

/// How far sums of numbers of 32 bits may be from 1.
const ROUNDING: f64 = 1e-3;

/// From sums to probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// They are probabilities.
    None,
    Logistic,
    Softmax,
}

impl Link {
    pub(super) fn named(name: &str) -> Result<Self, OnnxError> {
        match name {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            other => Err(OnnxError::unsupported(format!("scores transformed by {other:?}"))),
        }
    }
}

/// Reads a TreeEnsembleClassifier: its model and the names of its classes.
pub(super) fn classifier(
    ctx: &Context,
    attributes: &Attributes,
    p: usize,
    single: bool,
) -> Result<(Fitted, Vec<String>)> {
    let labels = attributes.labels("classlabels_strings", "classlabels_int64s")?;
    let k = labels.len();
    check_classes(k)?;
    let names = Names {
        trees: "class_treeids",
        nodes: "class_nodeids",
        ids: "class_ids",
        weights: "class_weights",
    };
    let leaves = Leaves::of(attributes, &names)?;
    let link = Link::named(&attributes.string("post_transform", "NONE"))?;
    let base = base(attributes)?;
    let one_class = k == 2 && leaves.ids.windows(2).all(|pair| pair[0] == pair[1]);
    let width = if one_class { 1 } else { k };
    let place = |id: i64| {
        let id = usize::try_from(id).ok().filter(|id| *id < k)?;
        Some(if one_class { 0 } else { id })
    };
    let base = match (one_class, &base[..]) {
        (_, []) => vec![0.0; width],
        (true, [only] | [_, only]) => vec![*only],
        (false, base) if k > 2 && base.len() == k => base.to_vec(),
        _ => return Err(OnnxError::unsupported("base values whose classes are not clear").into()),
    };
    let trees = trees::read(ctx, attributes, &leaves, width, place, single)?;
    let fitted = fitted(ctx, Trees { trees, width, base }, link, p)?;
    Ok((fitted, labels))
}

/// Reads a TreeEnsembleRegressor and how its sums are transformed.
pub(super) fn regressor(ctx: &Context, attributes: &Attributes, single: bool) -> Result<(Trees, Link)> {
    let names = Names {
        trees: "target_treeids",
        nodes: "target_nodeids",
        ids: "target_ids",
        weights: "target_weights",
    };
    let width = usize::try_from(attributes.int("n_targets", 1)).unwrap_or(0);
    if !(1..=MAX_CLASSES).contains(&width) {
        return Err(OnnxError::unsupported(format!("a regression of {width} numbers")).into());
    }
    let leaves = Leaves::of(attributes, &names)?;
    let link = Link::named(&attributes.string("post_transform", "NONE"))?;
    let base = match (base(attributes)?, width) {
        (base, _) if base.is_empty() => vec![0.0; width],
        (base, width) if base.len() == width => base,
        _ => return Err(OnnxError::damaged("as many base values as there are scores").into()),
    };
    let place = |id: i64| usize::try_from(id).ok().filter(|id| *id < width);
    let mut trees = trees::read(ctx, attributes, &leaves, width, place, single)?;
    match attributes.string("aggregate_function", "SUM").as_str() {
        "SUM" => {}
        "AVERAGE" => {
            let share = 1.0 / trees.len() as f64;
            each_leaf(&mut trees, |values| values.iter_mut().for_each(|value| *value *= share));
        }
        other => return Err(OnnxError::unsupported(format!("trees put together by {other:?}")).into()),
    }
    Ok((Trees { trees, width, base }, link))
}

fn base(attributes: &Attributes) -> Result<Vec<f64>, OnnxError> {
    let base: Vec<f64> = attributes
        .floats("base_values")
        .iter()
        .map(|base| f64::from(*base))
        .collect();
    match base.iter().all(|base| base.is_finite()) {
        true => Ok(base),
        false => Err(OnnxError::damaged("a base value that is not a finite number")),
    }
}

pub(super) fn check_classes(k: usize) -> Result<(), OnnxError> {
    match k {
        2..=MAX_CLASSES => Ok(()),
        _ => Err(OnnxError::unsupported(format!(
            "between 2 and {MAX_CLASSES} classes expected, found {k}"
        ))),
    }
}

fn each_leaf(trees: &mut [Vec<TreeNode>], mut change: impl FnMut(&mut Vec<f64>)) {
    for node in trees.iter_mut().flatten() {
        if let TreeNode::Leaf { values, .. } = node {
            change(values);
        }
    }
}

fn leaves(tree: &[TreeNode]) -> impl Iterator<Item = &[f64]> {
    tree.iter().filter_map(|node| match node {
        TreeNode::Leaf { values, .. } => Some(&values[..]),
        TreeNode::Split { .. } => None,
    })
}

/// The model of these sums. One number per leaf speaks of the second of two classes.
pub(super) fn fitted(ctx: &Context, mut trees: Trees, link: Link, p: usize) -> Result<Fitted> {
    ctx.check()?;
    trees::fill_covers(&mut trees.trees);
    match (link, trees.width) {
        (Link::None, 1) => forest(shares_of_two(trees)?, p),
        (Link::None, _) => forest(trees, p),
        (Link::Logistic, 1) => boosting(trees, p, 2),
        (Link::Logistic, 2) => boosting(log_odds(trees, true)?, p, 2),
        (Link::Softmax, 2) => boosting(log_odds(trees, false)?, p, 2),
        (Link::Softmax, k) if k > 2 => boosting(by_class(trees), p, k),
        (Link::Softmax, _) => Err(OnnxError::unsupported("a softmax of one score").into()),
        (Link::Logistic, _) => Err(one_against_rest().into()),
    }
}

pub(super) fn one_against_rest() -> OnnxError {
    OnnxError::unsupported("more than two classes, each against the rest")
}

/// A share per class instead of the second one's.
fn shares_of_two(mut trees: Trees) -> Result<Trees, OnnxError> {
    let (n, base) = (trees.trees.len() as f64, trees.base[0]);
    let most = |tree: &Vec<TreeNode>| leaves(tree).map(|values| values[0]).fold(0.0, f64::max);
    let negative = trees
        .trees
        .iter()
        .flat_map(|tree| leaves(tree))
        .any(|values| values[0] < 0.0);
    if negative || base < 0.0 || base + trees.trees.iter().map(most).sum::<f64>() > 1.0 + ROUNDING {
        return Err(no_probabilities());
    }
    each_leaf(&mut trees.trees, |values| {
        let share = values[0] + base / n;
        *values = vec![1.0 / n - share, share];
    });
    Ok(Trees {
        width: 2,
        base: vec![0.0; 2],
        ..trees
    })
}

fn no_probabilities() -> OnnxError {
    OnnxError::unsupported("scores that are neither probabilities nor transformed to such")
}

/// The second class' number; `mirrored`: the first one's must be its opposite, otherwise the difference counts.
fn log_odds(mut trees: Trees, mirrored: bool) -> Result<Trees, OnnxError> {
    let fits = |values: &[f64]| (values[0] + values[1]).abs() <= 1e-6 * values[1].abs().max(1e-30);
    if mirrored && !(trees.trees.iter().flat_map(|tree| leaves(tree)).all(fits) && fits(&trees.base)) {
        return Err(one_against_rest());
    }
    let odds = |values: &[f64]| if mirrored { values[1] } else { values[1] - values[0] };
    each_leaf(&mut trees.trees, |values| *values = vec![odds(values)]);
    Ok(Trees {
        width: 1,
        base: vec![odds(&trees.base)],
        ..trees
    })
}

/// With one class per tree, and as many trees of each: one number per leaf, the classes taking turns.
fn by_class(mut trees: Trees) -> Trees {
    let k = trees.width;
    let class_of = |tree: &Vec<TreeNode>| {
        let mut classes = leaves(tree).flat_map(|values| (0..k).filter(|class| values[*class] != 0.0));
        let first = classes.next()?;
        classes.all(|class| class == first).then_some(first)
    };
    let classes: Option<Vec<usize>> = trees.trees.iter().map(class_of).collect();
    let Some(classes) = classes else { return trees };
    let mut queues: Vec<Vec<usize>> = vec![Vec::new(); k];
    classes
        .iter()
        .enumerate()
        .for_each(|(tree, class)| queues[*class].push(tree));
    if queues.iter().any(|queue| queue.len() != queues[0].len()) {
        return trees;
    }
    let order = (0..trees.trees.len()).map(|place| queues[place % k][place / k]);
    let turns: Vec<Vec<TreeNode>> = order.map(|tree| std::mem::take(&mut trees.trees[tree])).collect();
    trees.trees = turns;
    for (turn, tree) in trees.trees.iter_mut().enumerate() {
        each_leaf(std::slice::from_mut(tree), |values| *values = vec![values[turn % k]]);
    }
    trees.width = 1;
    trees
}

fn boosting(trees: Trees, p: usize, n_classes: usize) -> Result<Fitted> {
    let outputs = trees.base.len();
    let ensemble = Ensemble::from_trees(p, outputs, trees.width, &trees.trees)?;
    Ok(Fitted::GradientBoosting(GradientBoosting::from_ensemble(
        ensemble, trees.base, n_classes,
    )?))
}

/// Checks that every tree hands out a part of 1, whatever the leaf, and makes that its share of the mean.
fn forest(mut trees: Trees, p: usize) -> Result<Fitted> {
    let (n, k) = (trees.trees.len() as f64, trees.width);
    if let Some(first) = trees.trees.first_mut() {
        let base = trees.base.clone();
        let add = |values: &mut Vec<f64>| values.iter_mut().zip(&base).for_each(|(value, base)| *value += base);
        each_leaf(std::slice::from_mut(first), add);
    }
    let mut total = 0.0;
    for tree in &trees.trees {
        let sums = || leaves(tree).map(|values| values.iter().sum::<f64>());
        let part = sums().next().unwrap_or(0.0);
        if sums().any(|sum| (sum - part).abs() > ROUNDING * part.abs()) {
            return Err(no_probabilities().into());
        }
        total += part;
    }
    let lowest = |class: usize| {
        let least = |tree: &Vec<TreeNode>| leaves(tree).map(|values| values[class]).fold(f64::MAX, f64::min);
        trees.trees.iter().map(least).sum::<f64>()
    };
    if (total - 1.0).abs() > ROUNDING || (0..k).any(|class| lowest(class) < -ROUNDING) {
        return Err(no_probabilities().into());
    }
    each_leaf(&mut trees.trees, |values| {
        values.iter_mut().for_each(|value| *value *= n / total)
    });
    let ensemble = Ensemble::from_trees(p, k, k, &trees.trees)?;
    Ok(match trees.trees.len() {
        1 => Fitted::DecisionTree(DecisionTree::from_ensemble(ensemble)?),
        _ => Fitted::RandomForest(RandomForest::from_ensemble(ensemble)?),
    })
}
