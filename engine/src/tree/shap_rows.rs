//! The rows that are explained and the trees that explain them: who computes what, and in which order it is added up.
//!
//! Every row is the same sum in the same order, whichever rows are explained beside it and on however many threads; but where rows come
//! one at a time ([`Task::alone`]), the order is another one.

use std::borrow::Cow;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::alone::{Buffers, Paths};
use super::edges::{Edges, Lanes, Scratch, LANES};
use super::ensemble::{Coder, Ensemble};
use super::node::Tree;
use super::parts::{Part, Ways};
use super::shap::{Prepared, PREPARED};
use super::table::FeatureTable;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Trees that a thread takes at a time where there are few rows.
const FEW_TREES: usize = 8;
/// Trees that a thread takes at a time for a row by itself: their number decides the order of the sum.
const ALONE_TREES: usize = 32;
/// Rows explained in turn by a thread, tree by tree: the more, the more go the same way.
const MOST_ROWS: usize = 1 << 13;
/// Nodes visited between two looks at the cancel flag.
const CHECK_NODES: usize = 1 << 16;
/// Rows of known ways between two looks at the cancel flag.
const CHECK_ROWS: usize = 1 << 11;

/// Rows to be explained.
pub(super) struct Task<'a> {
    pub(super) ctx: &'a Context,
    pub(super) ensemble: &'a Ensemble,
    pub(super) coder: Coder<'a>,
    pub(super) table: &'a FeatureTable,
    /// First output that is computed.
    pub(super) first: usize,
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

    /// Each row by itself: threads share the trees.
    pub(super) fn alone(&self, paths: &[Paths], values: &mut [f64]) -> Result<()> {
        let width = values.len() / self.table.n_rows().max(1);
        let blocks = paths.len().div_ceil(ALONE_TREES);
        let _found = self.ctx.reserve_for::<Lanes>(blocks.saturating_mul(width))?;
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            let mut codes = vec![0; self.coder.stride];
            self.coder.encode(self.table, row, 1, &mut codes);
            let some = |block: usize| self.some_alone(paths, block * ALONE_TREES, width, &codes);
            let found: Vec<Vec<Lanes>> = self
                .ctx
                .run(|| (0..blocks).into_par_iter().map(some).collect::<Result<_>>())?;
            for block in &found {
                let sums = block.iter().map(|lanes| lanes.iter().sum::<f64>());
                values.iter_mut().zip(sums).for_each(|(value, sum)| *value += sum);
            }
        }
        Ok(())
    }

    /// What a block of trees, from number `start` on, says of the row of `codes`: outputs x features.
    fn some_alone(&self, paths: &[Paths], start: usize, width: usize, codes: &[u32]) -> Result<Vec<Lanes>> {
        let (p, arch) = (self.table.n_features(), Arch::new());
        let (mut found, mut buffers, mut visited) = (vec![[0.0; LANES]; width], Buffers::default(), CHECK_NODES);
        for (number, paths) in paths.iter().enumerate().skip(start).take(ALONE_TREES) {
            let tree = &self.ensemble.trees[number];
            visited += tree.nodes.len() * paths.visits();
            if visited > CHECK_NODES {
                visited = 0;
                self.ctx.check()?;
            }
            let from = (self.ensemble.offset(number) + self.first) * p;
            arch.dispatch(Alone {
                paths,
                tree,
                outputs: (self.ensemble.width, self.first),
                codes,
                buffers: &mut buffers,
                out: &mut found[from..from + self.outputs() * p],
            });
        }
        Ok(found)
    }

    /// Few rows: threads share the trees.
    pub(super) fn few(&self, prepared: Option<&[Prepared]>, values: &mut [f64]) -> Result<()> {
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
    pub(super) fn many_in_turn(&self, values: &mut [f64]) -> Result<()> {
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
    pub(super) fn many(&self, trees: &[Prepared], start: usize, values: &mut [f64]) -> Result<()> {
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

/// A row by itself and a whole tree; see [`Paths::add`].
struct Alone<'a> {
    paths: &'a Paths,
    tree: &'a Tree,
    outputs: (usize, usize),
    codes: &'a [u32],
    buffers: &'a mut Buffers,
    out: &'a mut [Lanes],
}

impl WithSimd for Alone<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.paths
            .add(self.tree, self.outputs, self.codes, self.buffers, self.out);
    }
}
