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

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::edges::{Edges, Scratch};
use super::ensemble::{Coder, Ensemble};
use super::node::Tree;
use super::parts::{Part, Ways};
use super::table::FeatureTable;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Bytes of prepared edges at a time.
const PREPARED: usize = 1 << 26;
/// Fewer rows than this are explained without remembering ways.
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

/// What explaining with the trees of a model needs besides the trees: made once for many explanations.
#[derive(Debug, Clone, PartialEq)]
pub struct Explainer {
    trees: Vec<Prepared>,
}

#[derive(Debug, Clone, PartialEq)]
struct Prepared {
    edges: Edges,
    parts: Vec<Part>,
}

impl Prepared {
    fn new(tree: &Tree, width: usize) -> Self {
        let edges = Edges::new(tree, width);
        let parts = Part::all(tree, &edges, width);
        Self { edges, parts }
    }

    /// With what its edges do in every case.
    fn whole(tree: &Tree, width: usize) -> Self {
        let mut prepared = Self::new(tree, width);
        prepared.edges.prepare();
        prepared
    }

    fn bytes(tree: &Tree) -> usize {
        // of the nodes of the parts, several times a tree's
        tree.nodes.len() * (Edges::BYTES_PER_NODE + Part::BYTES_PER_NODE)
    }
}

impl Explainer {
    /// None of trees that are too large to be kept like that.
    pub(crate) fn new(ensemble: &Ensemble) -> Option<Self> {
        let whole = |tree: &Tree| Prepared::whole(tree, ensemble.width);
        (Self::needed(ensemble) <= PREPARED).then(|| Self {
            trees: ensemble.trees.iter().map(whole).collect(),
        })
    }

    fn needed(ensemble: &Ensemble) -> usize {
        ensemble.trees.iter().map(Prepared::bytes).sum()
    }

    /// About the bytes that the one for these trees takes: at most 64 MiB, 0 where there is none.
    pub fn bytes(ensemble: &Ensemble) -> usize {
        Some(Self::needed(ensemble))
            .filter(|bytes| *bytes <= PREPARED)
            .unwrap_or(0)
    }
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
    // Of two shares that add up to 1, one contribution is the other's opposite.
    let mirrored = ensemble.width == 2 && ensemble.trees.iter().all(|tree| sums_to_one(&tree.values));
    let task = Task {
        ctx,
        ensemble,
        coder: Coder::new(ensemble),
        table,
        // Of two outputs that mirror each other the second is computed.
        first: usize::from(mirrored),
    };
    // Every row is the same sum in the same order, whichever rows are explained beside it.
    match explainer {
        _ if n == 0 => {}
        _ if n < FEW_ROWS => task.few(explainer.map(|explainer| &explainer.trees[..]), &mut values)?,
        Some(explainer) => task.many(&explainer.trees, 0, &mut values)?,
        None => task.many_in_turn(&mut values)?,
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

/// Rows to be explained.
struct Task<'a> {
    ctx: &'a Context,
    ensemble: &'a Ensemble,
    coder: Coder<'a>,
    table: &'a FeatureTable,
    first: usize,
}

impl Task<'_> {
    /// Outputs of a tree that are computed.
    fn outputs(&self) -> usize {
        self.ensemble.width - self.first
    }

    /// Adds what a part of tree `tree` says of its features, output by output, to all features' of a row.
    #[inline(always)]
    fn spread(&self, tree: usize, part: &Part, found: &[f64], row: &mut [f64]) {
        let p = self.table.n_features();
        let offset = self.ensemble.offset(tree) + self.first;
        for (output, found) in found.chunks_exact(part.features.len()).enumerate() {
            let row = &mut row[(offset + output) * p..][..p];
            let found = part.features.iter().zip(found);
            found.for_each(|(feature, value)| row[*feature as usize] += value);
        }
    }

    /// Few rows: threads share the trees.
    fn few(&self, prepared: Option<&[Prepared]>, values: &mut [f64]) -> Result<()> {
        let (n, trees) = (self.table.n_rows(), &self.ensemble.trees);
        let codes = self.coder.columns(self.table, 0, n);
        let some = |block: usize| {
            let numbers = block * FEW_TREES..trees.len().min((block + 1) * FEW_TREES);
            let of_tree = |number: usize| match prepared {
                Some(prepared) => self.few_of_tree(Cow::Borrowed(&prepared[number]), &codes),
                None => {
                    let prepared = Prepared::new(&trees[number], self.ensemble.width);
                    self.few_of_tree(Cow::Owned(prepared), &codes)
                }
            };
            numbers.map(of_tree).collect::<Result<Vec<_>>>()
        };
        let blocks = trees.len().div_ceil(FEW_TREES);
        let blocks: Vec<Vec<Few>> = self
            .ctx
            .run(|| (0..blocks).into_par_iter().map(some).collect::<Result<_>>())?;
        let width = values.len() / n.max(1);
        for (number, tree) in blocks.iter().flatten().enumerate() {
            let mut found = &tree.found[..];
            for part in &tree.prepared.parts {
                for row in values.chunks_exact_mut(width) {
                    let (own, rest) = found.split_at(part.width(self.outputs()));
                    self.spread(number, part, own, row);
                    found = rest;
                }
            }
        }
        Ok(())
    }

    /// What the parts of a tree say of every row.
    fn few_of_tree<'p>(&self, prepared: Cow<'p, Prepared>, codes: &[u32]) -> Result<Few<'p>> {
        self.ctx.check()?;
        let n = self.table.n_rows();
        let width: usize = prepared.parts.iter().map(|part| part.width(self.outputs())).sum();
        let memory = self.ctx.reserve_for::<f64>(width.saturating_mul(n))?;
        let (mut found, mut scratch, arch) = (vec![0.0; width * n], Scratch::default(), Arch::new());
        let mut left = &mut found[..];
        for part in &prepared.parts {
            for row in 0..n {
                let (out, rest) = left.split_at_mut(part.width(self.outputs()));
                left = rest;
                arch.dispatch(One {
                    edges: &prepared.edges,
                    part,
                    goes_right: |split: usize| {
                        let (slot, cut) = part.splits[split];
                        codes[slot as usize * n + row] > cut
                    },
                    first: self.first,
                    scratch: &mut scratch,
                    out,
                });
            }
        }
        Ok(Few {
            prepared,
            found,
            _memory: memory,
        })
    }

    /// Many rows: what the edges of a group of trees do is computed once for all.
    fn many_in_turn(&self, values: &mut [f64]) -> Result<()> {
        let trees = &self.ensemble.trees;
        let mut start = 0;
        while start < trees.len() {
            let mut end = start + 1;
            let mut size = Prepared::bytes(&trees[start]);
            while end < trees.len() && size + Prepared::bytes(&trees[end]) <= PREPARED {
                size += Prepared::bytes(&trees[end]);
                end += 1;
            }
            let _memory = self.ctx.reserve(size)?;
            let prepare = |tree: usize| {
                self.ctx.check()?;
                Ok(Prepared::whole(&trees[tree], self.ensemble.width))
            };
            let group: Vec<Prepared> = self
                .ctx
                .run(|| (start..end).into_par_iter().map(prepare).collect::<Result<_>>())?;
            self.many(&group, start, values)?;
            start = end;
        }
        Ok(())
    }

    /// Adds trees from number `start` on; threads share the rows.
    fn many(&self, trees: &[Prepared], start: usize, values: &mut [f64]) -> Result<()> {
        let (n, stride) = (self.table.n_rows(), self.coder.stride);
        let width = values.len() / n.max(1);
        let rows = n.div_ceil(self.ctx.threads()).clamp(1, MOST_ROWS);
        let parts = || trees.iter().flat_map(|tree| &tree.parts);
        let ways = parts()
            .map(|part| part.ways_bytes(rows, self.outputs()))
            .max()
            .unwrap_or(0);
        let held = ways + rows * (stride * size_of::<u32>() + size_of::<u64>());
        let _buffers = self.ctx.reserve(held.saturating_mul(self.ctx.threads()))?;
        let block = |(block, values): (usize, &mut [f64])| {
            let here = values.len() / width;
            let mut worker = Worker {
                task: self,
                codes: self.coder.columns(self.table, block * rows, here),
                rows: here,
                keys: Vec::new(),
                ways: Ways::default(),
                scratch: Scratch::default(),
                visited: 0,
            };
            for (tree, number) in trees.iter().zip(start..) {
                for part in &tree.parts {
                    worker.add(number, tree, part, values)?;
                }
            }
            Ok::<(), EngineError>(())
        };
        self.ctx
            .run(|| values.par_chunks_mut(rows * width).enumerate().try_for_each(block))
    }
}

/// What a tree says of few rows, part by part, row by row.
struct Few<'p> {
    prepared: Cow<'p, Prepared>,
    found: Vec<f64>,
    _memory: Reservation,
}

/// A thread with some of the rows.
struct Worker<'a> {
    task: &'a Task<'a>,
    codes: Vec<u32>,
    rows: usize,
    keys: Vec<u64>,
    ways: Ways,
    scratch: Scratch,
    visited: usize,
}

impl Worker<'_> {
    fn add(&mut self, number: usize, tree: &Prepared, part: &Part, values: &mut [f64]) -> Result<()> {
        let Self {
            task,
            codes,
            rows,
            keys,
            ways,
            scratch,
            visited,
        } = self;
        let (task, n, first) = (*task, *rows, task.first);
        let arch = Arch::new();
        arch.dispatch(|| part.keys(codes, n, keys));
        ways.start(part, task.outputs());
        let visits = part.nodes.len() * tree.edges.visits();
        let width = values.len() / n.max(1);
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            if row % CHECK_ROWS == 0 || *visited > CHECK_NODES {
                *visited = 0;
                task.ctx.check()?;
            }
            let key = keys.get(row).copied();
            let found = ways.of(key, |out| {
                *visited += visits;
                let scratch = &mut *scratch;
                let edges = &tree.edges;
                match key {
                    Some(key) => arch.dispatch(One {
                        edges,
                        part,
                        goes_right: |split: usize| key >> split & 1 == 1,
                        first,
                        scratch,
                        out,
                    }),
                    None => arch.dispatch(One {
                        edges,
                        part,
                        goes_right: |split: usize| {
                            let (slot, cut) = part.splits[split];
                            codes[slot as usize * n + row] > cut
                        },
                        first,
                        scratch,
                        out,
                    }),
                }
            });
            task.spread(number, part, found, values);
        }
        Ok(())
    }
}

fn sums_to_one(values: &[f64]) -> bool {
    values
        .chunks_exact(2)
        .all(|pair| (pair[0] + pair[1] - 1.0).abs() < 1e-12)
}

/// The mean prediction, by the covers.
fn base(ensemble: &Ensemble, factor: f64, offset: &[f64]) -> Vec<f64> {
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
    base.iter()
        .zip(offset)
        .map(|(sum, offset)| offset + factor * sum)
        .collect()
}

/// One row and one part of a tree; adds to `out` (outputs from `first` on x the part's features).
struct One<'a, F> {
    edges: &'a Edges,
    part: &'a Part,
    goes_right: F,
    first: usize,
    scratch: &'a mut Scratch,
    out: &'a mut [f64],
}

impl<F: Fn(usize) -> bool> WithSimd for One<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.edges
            .add_part(self.part, self.goes_right, self.first, self.scratch, self.out);
    }
}
