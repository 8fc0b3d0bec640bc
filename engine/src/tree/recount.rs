//! How many rows reach each node, counted again: for trees of which only splits and leaves are known.

use rayon::prelude::*;

use super::ensemble::{Coder, Ensemble};
use super::node::Tree;
use super::table::FeatureTable;
use crate::context::Context;
use crate::error::{EngineError, Result};

impl Ensemble {
    /// The same trees, the cover of every node being the weight of the rows of `table` that reach it.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::InvalidWeight`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn recounted(&self, ctx: &Context, table: &FeatureTable, weights: &[f64]) -> Result<Self> {
        self.check_width(table)?;
        crate::data::labels::same("weights", table.n_rows(), weights.len())?;
        if let Some(row) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            let found = weights[row];
            return Err(EngineError::InvalidWeight { row, found });
        }
        let _memory = ctx.reserve(self.trees.iter().map(Tree::bytes).fold(0, usize::saturating_add))?;
        let mut counted = self.clone();
        counted.trees.iter_mut().for_each(|tree| tree.cover.fill(0.0));
        let coder = Coder::new(self);
        let mut codes = coder.buffer();
        for start in (0..table.n_rows()).step_by(coder.block_rows()) {
            let n = coder.block_rows().min(table.n_rows() - start);
            coder.encode(table, start, n, &mut codes);
            let add = |tree: &mut Tree| {
                ctx.check()?;
                for (row, weight) in codes.chunks_exact(coder.stride).zip(&weights[start..start + n]) {
                    let leaf = reached(tree, row);
                    tree.cover[leaf] += weight;
                }
                Ok::<(), EngineError>(())
            };
            ctx.run(|| counted.trees.par_iter_mut().try_for_each(add))?;
        }
        // Children follow their parent.
        for tree in &mut counted.trees {
            for (at, node) in tree.nodes.iter().enumerate().rev().filter(|(_, node)| !node.is_leaf()) {
                let child = node.child as usize;
                tree.cover[at] = tree.cover[child] + tree.cover[child + 1];
            }
        }
        Ok(counted)
    }
}

/// The node that a row of codes ends in.
fn reached(tree: &Tree, codes: &[u32]) -> usize {
    let mut at = 0;
    loop {
        let node = tree.nodes[at];
        if node.is_leaf() {
            return at;
        }
        at = node.child as usize + usize::from(codes[node.slot as usize] > node.cut);
    }
}
