//! Exact path-dependent SHAP values of tree ensembles (Lundberg, Erion & Lee 2018: "Consistent individualized feature
//! attribution for tree ensembles").
//!
//! The value of a leaf for a row and a set S of known features is its value times a factor per feature on its path: o
//! (does the row pass the feature's conditions, 0 or 1) for known ones, z (the share of training weight that passes
//! them) for the others. A feature's Shapley value is a weighted sum over sets, with weights |S|! (D - 1 - |S|)! / D!,
//! and as these are the integrals of t^|S| (1 - t)^(D - 1 - |S|) over [0, 1],
//!
//!   phi_i = sum over leaves of v (o_i - z_i) * integral of the product over j != i of (o_j t + z_j (1 - t)) dt.
//!
//! The product is a polynomial of degree D - 1, integrated exactly by D / 2 Gauss-Legendre nodes. At each node of the
//! quadrature the products go down the tree edge by edge, and the sums over leaves come up again (the order of Yu et al.
//! 2022, "Linear TreeSHAP"), so that a row costs tree size times D / 2, without cancellation: all factors are positive.

use std::borrow::Cow;

use super::alone::Paths;
use super::edges::Edges;
use super::ensemble::{Coder, Ensemble};
use super::node::Tree;
use super::parts::Part;
use super::shap_rows::Task;
use super::table::FeatureTable;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Bytes of prepared edges at a time.
pub(super) const PREPARED: usize = 1 << 26;
/// Bytes of prepared edges that are kept for further rows, and nodes beyond which it is not tried.
const KEPT: usize = 96 << 20;
const KEPT_NODES: usize = 1 << 19;
/// Fewer rows than this are explained without remembering ways.
const FEW_ROWS: usize = 16;

/// SHAP values: what each feature of each row contributes to each output.
///
/// For every row and output, the base value and the contributions add up to the prediction (probability of the class,
/// or margin for boosted trees).
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    n_features: usize,
    base: Vec<f64>,
    values: Vec<f64>,
}

impl Explanation {
    /// What is predicted when nothing is known of a row, per output: the training rows' mean prediction.
    pub fn base(&self) -> &[f64] {
        &self.base
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.values.len() / (self.n_features * self.base.len())
    }

    /// The contributions to one output of one row, p; empty when there is no such row or output.
    pub fn of(&self, row: usize, output: usize) -> &[f64] {
        let start = (row * self.base.len() + output) * self.n_features;
        match output < self.base.len() {
            true => self.values.get(start..start + self.n_features).unwrap_or(&[]),
            false => &[],
        }
    }

    /// All contributions, n x outputs x p.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Mean absolute contribution of each feature to an output, weighted; p.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when there are not as many weights as rows.
    pub fn mean_absolute(&self, output: usize, weights: &[f64]) -> Result<Vec<f64>> {
        if weights.len() != self.n_rows() {
            return Err(EngineError::Dimension {
                what: "weights",
                expected: self.n_rows(),
                found: weights.len(),
            });
        }
        let mut means = vec![0.0; self.n_features];
        for (row, weight) in weights.iter().enumerate() {
            let sums = means.iter_mut().zip(self.of(row, output));
            sums.for_each(|(mean, value)| *mean += weight * value.abs());
        }
        let total: f64 = weights.iter().sum();
        if total > 0.0 {
            means.iter_mut().for_each(|mean| *mean /= total);
        }
        Ok(means)
    }
}

/// What explaining with the trees of a model needs besides the trees: made once for many explanations.
#[derive(Debug, Clone, PartialEq)]
pub struct Explainer {
    kind: Kind,
    constants: Constants,
}

/// What is the same of every row.
#[derive(Debug, Clone, PartialEq)]
struct Constants {
    /// Of two shares that add up to 1, one contribution is the other's opposite.
    mirrored: bool,
    /// The sum over the trees of what is predicted of nothing, per output.
    base: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// Of any number of rows; `is_whole`: with what edges do in every case.
    Parts { trees: Vec<Prepared>, is_whole: bool },
    /// Of rows that come one at a time.
    Paths(Vec<Paths>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prepared {
    pub(super) edges: Edges,
    pub(super) parts: Vec<Part>,
}

impl Prepared {
    pub(super) fn new(tree: &Tree, width: usize) -> Self {
        let edges = Edges::new(tree, width);
        let parts = Part::all(tree, &edges, width);
        Self { edges, parts }
    }

    /// With what its edges do in every case.
    pub(super) fn whole(tree: &Tree, width: usize) -> Self {
        let mut prepared = Self::new(tree, width);
        prepared.edges.prepare();
        prepared
    }

    /// Bytes, but for what edges do in every case.
    fn held(&self) -> usize {
        self.edges.bytes() + self.parts.iter().map(Part::bytes).sum::<usize>()
    }

    /// At most, with that.
    pub(super) fn bytes(tree: &Tree) -> usize {
        // of the nodes of the parts, several times a tree's
        tree.nodes.len() * (Edges::BYTES_PER_NODE + Part::BYTES_PER_NODE)
    }
}

impl Explainer {
    /// None of trees that are too large to be kept like that. What edges do in every case, which takes most of the memory, is left out
    /// where it is too much: it does not change a bit of what is said.
    pub(crate) fn new(ensemble: &Ensemble) -> Option<Self> {
        if nodes(ensemble) > KEPT_NODES {
            return None;
        }
        let bare = |tree: &Tree| Prepared::new(tree, ensemble.width);
        let mut trees: Vec<Prepared> = ensemble.trees.iter().map(bare).collect();
        let held: usize = trees.iter().map(Prepared::held).sum();
        let effects: usize = trees.iter().map(|tree| tree.edges.effect_bytes()).sum();
        let is_whole = held + effects <= KEPT;
        if is_whole {
            trees.iter_mut().for_each(|tree| tree.edges.prepare());
        }
        (held <= KEPT).then(|| Self::of_kind(Kind::Parts { trees, is_whole }, ensemble))
    }

    fn of_kind(kind: Kind, ensemble: &Ensemble) -> Self {
        Self {
            kind,
            constants: Constants::new(ensemble),
        }
    }

    /// For rows that are explained one at a time, several times as fast. What is said with it differs in the last bits from what is said
    /// without. None of trees that are too large to be kept like that.
    pub(crate) fn of_single_rows(ensemble: &Ensemble) -> Option<Self> {
        (Self::bytes_of_single_rows(ensemble) > 0).then(|| {
            let paths = |tree: &Tree| Paths::new(tree, ensemble.width);
            Self::of_kind(Kind::Paths(ensemble.trees.iter().map(paths).collect()), ensemble)
        })
    }

    /// At most the bytes that the one of [`Explainer::of_single_rows`] takes; 0: there is none.
    pub fn bytes_of_single_rows(ensemble: &Ensemble) -> usize {
        let bytes = ensemble.trees.iter().map(Paths::most_bytes).sum();
        if bytes <= KEPT {
            bytes
        } else {
            0
        }
    }

    /// At most the bytes that the one for these trees takes.
    pub fn bytes(ensemble: &Ensemble) -> usize {
        if nodes(ensemble) > KEPT_NODES {
            return 0;
        }
        ensemble.trees.iter().map(Prepared::bytes).sum::<usize>().min(KEPT)
    }
}

fn nodes(ensemble: &Ensemble) -> usize {
    ensemble.trees.iter().map(|tree| tree.nodes.len()).sum()
}

/// Explains offset + factor x the sum over the trees.
pub(crate) fn explain(
    ctx: &Context,
    ensemble: &Ensemble,
    explainer: Option<&Explainer>,
    table: &FeatureTable,
    factor: f64,
    offset: &[f64],
) -> Result<Explanation> {
    ensemble.check_width(table)?;
    let (n, p, k) = (table.n_rows(), table.n_features(), ensemble.outputs);
    let _memory = ctx.reserve_for::<f64>(n.saturating_mul(p).saturating_mul(k))?;
    let mut values = vec![0.0; n * p * k];
    let constants = match explainer {
        Some(explainer) => Cow::Borrowed(&explainer.constants),
        None => Cow::Owned(Constants::new(ensemble)),
    };
    let task = Task {
        ctx,
        ensemble,
        coder: Coder::new(ensemble),
        table,
        // Of two outputs that mirror each other the second is computed.
        first: usize::from(constants.mirrored),
    };
    match explainer.map(|explainer| &explainer.kind) {
        _ if n == 0 => {}
        Some(Kind::Paths(paths)) => task.alone(paths, &mut values)?,
        Some(Kind::Parts { trees, .. }) if n < FEW_ROWS => task.few(Some(trees), &mut values)?,
        None if n < FEW_ROWS => task.few(None, &mut values)?,
        Some(Kind::Parts { trees, is_whole: true }) => task.many(trees, 0, &mut values)?,
        _ => task.many_in_turn(&mut values)?,
    }
    for row in values.chunks_exact_mut(p * k) {
        row.iter_mut().for_each(|value| *value *= factor);
        if constants.mirrored {
            let (first, second) = row.split_at_mut(p);
            first.iter_mut().zip(second).for_each(|(a, b)| *a = -*b);
        }
    }
    Ok(Explanation {
        n_features: p,
        base: constants.base(factor, offset),
        values,
    })
}

fn sums_to_one(values: &[f64]) -> bool {
    values
        .chunks_exact(2)
        .all(|pair| (pair[0] + pair[1] - 1.0).abs() < 1e-12)
}

impl Constants {
    fn new(ensemble: &Ensemble) -> Self {
        Self {
            mirrored: ensemble.width == 2 && ensemble.trees.iter().all(|tree| sums_to_one(&tree.values)),
            base: mean_sums(ensemble),
        }
    }

    /// Offset + factor x the sum over the trees.
    fn base(&self, factor: f64, offset: &[f64]) -> Vec<f64> {
        let pairs = self.base.iter().zip(offset);
        pairs.map(|(sum, offset)| offset + factor * sum).collect()
    }
}

/// The mean prediction of the trees, by the covers.
fn mean_sums(ensemble: &Ensemble) -> Vec<f64> {
    let mut base = vec![0.0; ensemble.outputs];
    for (number, tree) in ensemble.trees.iter().enumerate() {
        let first = ensemble.offset(number);
        let mut share = vec![0.0; tree.nodes.len()];
        share[0] = 1.0;
        for (index, node) in tree.nodes.iter().enumerate() {
            if node.is_leaf() {
                let values = &tree.values[node.child as usize * ensemble.width..][..ensemble.width];
                let sums = base[first..].iter_mut().zip(values);
                sums.for_each(|(sum, value)| *sum += share[index] * value);
            } else {
                for child in [node.child as usize, node.child as usize + 1] {
                    share[child] = share[index] * super::edges::share(tree, index, child);
                }
            }
        }
    }
    base
}
