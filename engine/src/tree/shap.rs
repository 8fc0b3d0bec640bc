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

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::edges::{Edges, Scratch};
use super::ensemble::{Coder, Ensemble};
use super::node::Tree;
use super::patterns::{Patterns, Prepared, Ways};
use super::table::FeatureTable;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Bytes of prepared edges at a time.
const PREPARED: usize = 1 << 26;
/// Fewer rows than this are explained without preparing the edges for every case.
const FEW_ROWS: usize = 16;
/// Trees that a thread takes at a time where there are few rows.
const FEW_TREES: usize = 8;
/// Rows explained in turn by a thread, tree by tree: the more, the more go the same way.
const MOST_ROWS: usize = 1 << 13;
/// Nodes visited between two looks at the cancel flag.
const CHECK_NODES: usize = 1 << 16;
/// Rows of known ways between two looks at the cancel flag.
const CHECK_ROWS: usize = 1 << 11;

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

/// Explains offset + factor x the sum over the trees.
pub(crate) fn explain(
    ctx: &Context,
    ensemble: &Ensemble,
    table: &FeatureTable,
    factor: f64,
    offset: &[f64],
) -> Result<Explanation> {
    ensemble.check_width(table)?;
    let (n, p, k) = (table.n_rows(), table.n_features(), ensemble.outputs);
    let _memory = ctx.reserve_for::<f64>(n.saturating_mul(p).saturating_mul(k))?;
    let mut values = vec![0.0; n * p * k];
    // Of two shares that add up to 1, one contribution is the other's opposite.
    let mirrored = ensemble.width == 2 && ensemble.trees.iter().all(|tree| sums_to_one(&tree.values));
    let coder = Coder::new(ensemble);
    // Of two outputs that mirror each other the second is computed.
    let first = usize::from(mirrored);
    if n < FEW_ROWS {
        explain_few(ctx, ensemble, &coder, table, first, &mut values)?;
    } else {
        explain_many(ctx, ensemble, &coder, table, first, &mut values)?;
    }
    for row in values.chunks_exact_mut(p * k) {
        row.iter_mut().for_each(|value| *value *= factor);
        if mirrored {
            let (first, second) = row.split_at_mut(p);
            first.iter_mut().zip(second).for_each(|(a, b)| *a = -*b);
        }
    }
    Ok(Explanation {
        n_features: p,
        base: base(ensemble, factor, offset),
        values,
    })
}

/// Few rows: threads share the trees, each prepared and walked through while it is in the cache.
fn explain_few(
    ctx: &Context,
    ensemble: &Ensemble,
    coder: &Coder,
    table: &FeatureTable,
    first: usize,
    values: &mut [f64],
) -> Result<()> {
    let (n, p, k) = (table.n_rows(), table.n_features(), ensemble.outputs);
    let parts = ensemble.trees.len().div_ceil(FEW_TREES);
    let _memory = ctx.reserve_for::<f64>(values.len().saturating_mul(parts))?;
    let mut codes = vec![0; n * coder.stride];
    coder.encode(table, 0, n, &mut codes);
    let part = |part: usize| {
        let (mut sums, mut own, mut scratch) = (vec![0.0; n * p * k], Vec::new(), Scratch::default());
        let trees = ensemble.trees.iter().enumerate().skip(part * FEW_TREES);
        for (number, tree) in trees.take(FEW_TREES) {
            ctx.check()?;
            let own_preparation;
            let Prepared { edges, patterns } = match &ensemble.kept.get() {
                Some(kept) => &kept.trees[number],
                None => {
                    own_preparation = prepare(ensemble, tree, false);
                    &own_preparation
                }
            };
            for (row, codes) in codes.chunks_exact(coder.stride).enumerate() {
                own.clear();
                own.resize(patterns.width(ensemble.width - first), 0.0);
                Arch::new().dispatch(Row {
                    tree,
                    edges,
                    patterns,
                    codes,
                    scratch: &mut scratch,
                    out: &mut own,
                    first,
                });
                let start = row * p * k + (ensemble.offset(number) + first) * p;
                spread(patterns.features(), &own, &mut sums[start..], p);
            }
        }
        Ok::<_, EngineError>(sums)
    };
    // The same parts in the same order, whatever the number of threads.
    let sums: Vec<Vec<f64>> = ctx.run(|| (0..parts).into_par_iter().map(part).collect::<Result<_>>())?;
    for part in sums {
        values.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    Ok(())
}

/// Adds what a tree says of its features, output by output, to all features'.
#[inline]
fn spread(features: &[u32], found: &[f64], out: &mut [f64], p: usize) {
    for (output, found) in found.chunks_exact(features.len().max(1)).enumerate() {
        let out = &mut out[output * p..][..p];
        let found = features.iter().zip(found);
        found.for_each(|(feature, value)| out[*feature as usize] += value);
    }
}

/// Many rows: threads share them; what the edges of a group of trees do is computed once for all.
fn explain_many(
    ctx: &Context,
    ensemble: &Ensemble,
    coder: &Coder,
    table: &FeatureTable,
    first: usize,
    values: &mut [f64],
) -> Result<()> {
    let (n, p, k) = (table.n_rows(), table.n_features(), ensemble.outputs);
    let rows = n.div_ceil(ctx.threads()).clamp(1, MOST_ROWS);
    let held = Ways::bytes(ensemble, rows) + rows * coder.stride * size_of::<u32>();
    let _buffers = ctx.reserve(held.saturating_mul(ctx.threads()))?;
    let bytes = |tree: &Tree| tree.nodes.len() * Edges::BYTES_PER_NODE;
    let mut start = 0;
    while start < ensemble.trees.len() {
        let mut end = start + 1;
        let mut size = bytes(&ensemble.trees[start]);
        while end < ensemble.trees.len() && size + bytes(&ensemble.trees[end]) <= PREPARED {
            size += bytes(&ensemble.trees[end]);
            end += 1;
        }
        let _memory = ctx.reserve(size)?;
        let one = |tree: usize| {
            ctx.check()?;
            Ok(prepare(ensemble, &ensemble.trees[tree], true))
        };
        let group: Vec<Prepared> = ctx.run(|| (start..end).into_par_iter().map(one).collect::<Result<_>>())?;
        let block = |(block, values): (usize, &mut [f64])| {
            let here = values.len() / (p * k);
            let mut codes = vec![0; here * coder.stride];
            coder.encode(table, block * rows, here, &mut codes);
            let (mut visited, mut scratch, mut ways, arch) = (0, Scratch::default(), Ways::default(), Arch::new());
            let outputs = ensemble.width - first;
            for (Prepared { edges, patterns }, tree) in group.iter().zip(start..) {
                let offset = ensemble.offset(tree) + first;
                let (features, width) = (patterns.features(), patterns.width(outputs));
                ways.clear();
                for (row, codes) in codes.chunks_exact(coder.stride).enumerate() {
                    if row % CHECK_ROWS == 0 || visited > CHECK_NODES {
                        visited = 0;
                        ctx.check()?;
                    }
                    let found = ways.of(patterns, codes, width, |out| {
                        visited += edges.n_nodes();
                        arch.dispatch(Row {
                            tree: &ensemble.trees[tree],
                            edges,
                            patterns,
                            codes,
                            scratch: &mut scratch,
                            out,
                            first,
                        });
                    });
                    spread(features, found, &mut values[row * p * k + offset * p..], p);
                }
            }
            Ok::<(), EngineError>(())
        };
        ctx.run(|| values.par_chunks_mut(rows * p * k).enumerate().try_for_each(block))?;
        start = end;
    }
    Ok(())
}

fn sums_to_one(values: &[f64]) -> bool {
    values
        .chunks_exact(2)
        .all(|pair| (pair[0] + pair[1] - 1.0).abs() < 1e-12)
}

fn prepare(ensemble: &Ensemble, tree: &Tree, prepared: bool) -> Prepared {
    Prepared {
        edges: Edges::new(tree, ensemble.width, prepared),
        patterns: Patterns::new(tree, ensemble.n_features()),
    }
}

/// What an explanation of few rows needs whatever the rows: making it takes as long as explaining one.
#[derive(Debug)]
pub(crate) struct Kept {
    trees: Vec<Prepared>,
    /// Sums of the mean predictions.
    base: Vec<f64>,
}

/// Keeps what explanations of few rows need, for those to come.
pub(crate) fn keep(ctx: &Context, ensemble: &Ensemble) -> Result<()> {
    if ensemble.kept.get().is_some() {
        return Ok(());
    }
    let (nodes, features) = (ensemble.n_nodes(), ensemble.n_features());
    let _memory = ctx.reserve(nodes * 3 * size_of::<u64>() + ensemble.trees.len() * features * size_of::<u32>())?;
    let mut trees = Vec::with_capacity(ensemble.trees.len());
    for tree in &ensemble.trees {
        ctx.check()?;
        trees.push(prepare(ensemble, tree, false));
    }
    // somebody else may have been first, with the same
    ensemble.kept.get_or_init(|| Kept {
        trees,
        base: base_sums(ensemble),
    });
    Ok(())
}

/// The mean prediction, by the covers.
fn base(ensemble: &Ensemble, factor: f64, offset: &[f64]) -> Vec<f64> {
    let own;
    let sums = match ensemble.kept.get() {
        Some(kept) => &kept.base,
        None => {
            own = base_sums(ensemble);
            &own
        }
    };
    let sums = sums.iter().zip(offset);
    sums.map(|(sum, offset)| offset + factor * sum).collect()
}

fn base_sums(ensemble: &Ensemble) -> Vec<f64> {
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

/// One row and one tree; adds to `out` (outputs from `first` on x the tree's features).
struct Row<'a> {
    tree: &'a Tree,
    edges: &'a Edges,
    patterns: &'a Patterns,
    codes: &'a [u32],
    scratch: &'a mut Scratch,
    out: &'a mut [f64],
    first: usize,
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Row {
            tree,
            edges,
            patterns,
            codes,
            scratch,
            out,
            first,
        } = self;
        let place = |feature| patterns.place(feature);
        edges.add_row(tree, codes, first, scratch, (patterns.features().len(), place), out);
    }
}
