//! Trees over common cuts: what forests, boosted trees and imported models are made of.

use rayon::prelude::*;

use super::cuts::{self, Cuts};
use super::importance::Importance;
use super::node::{Node, Tree};
use super::table::FeatureTable;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Rows that walk down a tree together.
const LANES: usize = 8;
/// Codes of a block of rows at once, to stay in the cache.
const BLOCK_CODES: usize = 1 << 14;
/// Walks between two looks at the cancel flag.
const CHECK_WALKS: usize = 1 << 14;

/// Guarantees: every tree satisfies [`Tree::check`]; at least one output; `width` is the number of outputs (each leaf
/// speaks of all), or 1 (tree t adds to output t modulo the number of outputs).
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    pub(crate) cuts: Cuts,
    pub(crate) trees: Vec<Tree>,
    pub(crate) outputs: usize,
    pub(crate) width: usize,
    pub(crate) importance: Importance,
}

impl Ensemble {
    /// Puts trees together whose features and cuts are those of the binned rows, keeping only the cuts in use.
    pub(crate) fn assemble(
        cuts: &Cuts,
        varying: &[u32],
        mut trees: Vec<Tree>,
        outputs: usize,
        width: usize,
        importance: Importance,
    ) -> Self {
        let mut used: Vec<Vec<bool>> = varying
            .iter()
            .map(|f| vec![false; cuts.of(*f as usize).len()])
            .collect();
        let splits = |tree: &Tree| tree.nodes.clone().into_iter().filter(|n| !n.is_leaf());
        for node in trees.iter().flat_map(splits) {
            used[node.feature()][node.cut as usize] = true;
        }
        let mut tables = vec![Vec::new(); cuts.n_features()];
        let mut new_rank: Vec<Vec<u32>> = Vec::with_capacity(used.len());
        for (feature, used) in varying.iter().zip(&used) {
            let feature = *feature as usize;
            let mut ranks = Vec::with_capacity(used.len());
            for (cut, used) in cuts.of(feature).iter().zip(used) {
                ranks.push(tables[feature].len() as u32);
                if *used {
                    tables[feature].push(*cut);
                }
            }
            new_rank.push(ranks);
        }
        for node in trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
            if !node.is_leaf() {
                node.cut = new_rank[node.feature()][node.cut as usize];
                node.slot = varying[node.feature()] * 2 + node.slot % 2;
            }
        }
        Self {
            cuts: Cuts::from_tables(tables),
            trees,
            outputs,
            width,
            importance: importance.spread(varying, cuts.n_features()),
        }
    }

    /// Number of features of a row.
    pub fn n_features(&self) -> usize {
        self.cuts.n_features()
    }

    /// Number of trees.
    pub fn n_trees(&self) -> usize {
        self.trees.len()
    }

    /// Number of nodes of all trees, leaves included.
    pub fn n_nodes(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// Number of outputs.
    pub fn n_outputs(&self) -> usize {
        self.outputs
    }

    /// The cuts in use, by feature.
    pub fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// The output that the first value of a leaf of tree `tree` adds to.
    pub(crate) fn offset(&self, tree: usize) -> usize {
        if self.width == self.outputs {
            0
        } else {
            tree % self.outputs
        }
    }

    /// Fails unless `table` has the features that the trees were grown on.
    pub(crate) fn check_width(&self, table: &FeatureTable) -> Result<()> {
        if table.n_features() == self.n_features() {
            return Ok(());
        }
        Err(EngineError::Dimension {
            what: "features",
            expected: self.n_features(),
            found: table.n_features(),
        })
    }

    /// The sums over all trees, n x outputs, row-major.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub(crate) fn sums(&self, ctx: &Context, table: &FeatureTable) -> Result<Vec<f64>> {
        self.check_width(table)?;
        let _memory = ctx.reserve_for::<f64>(table.n_rows().saturating_mul(self.outputs))?;
        let mut sums = vec![0.0; table.n_rows() * self.outputs];
        let coder = Coder::new(self);
        let rows = coder.block_rows();
        let block = |(block, sums): (usize, &mut [f64])| {
            let mut codes = coder.buffer();
            coder.encode(table, block * rows, sums.len() / self.outputs, &mut codes);
            self.add_trees(ctx, &coder, &codes, sums)
        };
        ctx.run(|| sums.par_chunks_mut(rows * self.outputs).enumerate().try_for_each(block))?;
        Ok(sums)
    }

    fn add_trees(&self, ctx: &Context, coder: &Coder, codes: &[u32], sums: &mut [f64]) -> Result<()> {
        let rows = sums.len() / self.outputs;
        for (index, tree) in self.trees.iter().enumerate() {
            if index % (CHECK_WALKS / rows.max(1)).max(1) == 0 {
                ctx.check()?;
            }
            let offset = self.offset(index);
            for start in (0..rows).step_by(LANES) {
                let leaves = walk(&tree.nodes, &codes[start * coder.stride..], coder.stride);
                let lanes = sums[start * self.outputs..].chunks_exact_mut(self.outputs).take(LANES);
                for (sums, leaf) in lanes.zip(leaves) {
                    let values = &tree.values[leaf as usize * self.width..][..self.width];
                    sums[offset..].iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
                }
            }
        }
        Ok(())
    }
}

/// The leaves of [`LANES`] rows of codes.
#[inline]
fn walk(nodes: &[Node], codes: &[u32], stride: usize) -> [u32; LANES] {
    let mut at = [0u32; LANES];
    loop {
        let mut moved = false;
        for lane in 0..LANES {
            let node = nodes[at[lane] as usize];
            let right = codes[lane * stride + node.slot as usize] > node.cut;
            let next = if node.is_leaf() {
                at[lane]
            } else {
                node.child + u32::from(right)
            };
            moved |= next != at[lane];
            at[lane] = next;
        }
        if !moved {
            return at.map(|at| nodes[at as usize].child);
        }
    }
}

/// Ranks of values, twice for each feature: for splits that send missing values left, and right.
pub(crate) struct Coder<'a> {
    cuts: &'a Cuts,
    /// Features that some tree asks for.
    asked: Vec<u32>,
    pub(crate) stride: usize,
}

impl<'a> Coder<'a> {
    pub(crate) fn new(ensemble: &'a Ensemble) -> Self {
        let cuts = &ensemble.cuts;
        let asked = (0..cuts.n_features() as u32).filter(|f| !cuts.of(*f as usize).is_empty());
        Self {
            cuts,
            asked: asked.collect(),
            stride: cuts.n_features() * 2,
        }
    }

    /// Rows of a block, a multiple of [`LANES`].
    pub(crate) fn block_rows(&self) -> usize {
        (BLOCK_CODES / self.stride).clamp(LANES, 256) / LANES * LANES
    }

    pub(crate) fn buffer(&self) -> Vec<u32> {
        vec![0; self.block_rows() * self.stride]
    }

    /// Encodes `n` rows of the table, from row `start` on: slots x n.
    pub(crate) fn columns(&self, table: &FeatureTable, start: usize, n: usize) -> Vec<u32> {
        let mut codes = vec![0; n * self.stride];
        for &feature in &self.asked {
            let feature = feature as usize;
            let cuts = self.cuts.of(feature);
            let (left, right) = codes[2 * feature * n..][..2 * n].split_at_mut(n);
            let values = &table.column(feature)[start..start + n];
            for ((left, right), x) in left.iter_mut().zip(right).zip(values) {
                [*left, *right] = code(cuts, *x);
            }
        }
        codes
    }

    /// Encodes `n` rows of the table, from row `start` on.
    pub(crate) fn encode(&self, table: &FeatureTable, start: usize, n: usize, codes: &mut [u32]) {
        for &feature in &self.asked {
            let feature = feature as usize;
            let cuts = self.cuts.of(feature);
            let values = &table.column(feature)[start..start + n];
            for (row, x) in codes.chunks_exact_mut(self.stride).zip(values) {
                row[2 * feature..2 * feature + 2].copy_from_slice(&code(cuts, *x));
            }
        }
    }
}

/// The rank of a value where missing ones go left, and where they go right.
#[inline]
fn code(cuts: &[f64], x: f64) -> [u32; 2] {
    if x.is_nan() {
        [0, super::node::LEAF - 1]
    } else {
        [cuts::rank(cuts, x); 2]
    }
}
