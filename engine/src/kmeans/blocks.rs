//! The working layout of K-Means: rows in blocks, column-major inside a block.
//!
//! A block holds [`LANES`] rows; its values of one feature are contiguous, so that the distance kernel is a loop over
//! lanes that the compiler turns into vector instructions. A chunk is a fixed number of blocks: the unit of
//! parallel work, of the cancel check and of the ordered reduction. Neither size depends on the thread count.

use rayon::prelude::*;

use crate::context::{Context, Reservation};
use crate::data::WeightedRows;
use crate::error::Result;

/// Rows per block.
pub(crate) const LANES: usize = 16;
/// Rows per chunk.
pub(crate) const CHUNK: usize = 2048;

/// n rows of p features in blocks; the last block is padded with copies of the last row at weight 0.
pub(crate) struct Blocks {
    p: usize,
    n: usize,
    values: Vec<f64>,
    weights: Vec<f64>,
    _memory: Reservation,
}

impl Blocks {
    /// Copies `rows` into blocks; `rows` must not be empty.
    pub(crate) fn new(ctx: &Context, rows: &WeightedRows) -> Result<Self> {
        let (n, p) = (rows.n_rows(), rows.n_features());
        let padded = n.div_ceil(LANES) * LANES;
        let memory = ctx.reserve_for::<f64>(padded.saturating_mul(p + 1))?;
        let mut values = vec![0.0; padded * p];
        let mut weights = vec![0.0; padded];
        weights[..n].copy_from_slice(rows.weights());
        ctx.run(|| {
            values
                .par_chunks_mut(CHUNK * p)
                .enumerate()
                .try_for_each(|(chunk, out)| {
                    ctx.check()?;
                    for (block, out) in out.chunks_exact_mut(LANES * p).enumerate() {
                        transpose(rows.values(), p, chunk * CHUNK + block * LANES, n, out);
                    }
                    Ok::<(), crate::error::EngineError>(())
                })
        })?;
        Ok(Self {
            p,
            n,
            values,
            weights,
            _memory: memory,
        })
    }

    pub(crate) fn p(&self) -> usize {
        self.p
    }

    /// Rows without padding.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Rows with padding.
    pub(crate) fn padded(&self) -> usize {
        self.weights.len()
    }

    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    pub(crate) fn total_weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// The chunks in order: (values, weights), the values in whole blocks.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (&[f64], &[f64])> {
        self.values.chunks(CHUNK * self.p).zip(self.weights.chunks(CHUNK))
    }

    /// Chunk `index`, as [`Blocks::chunks`] gives it.
    pub(crate) fn chunk(&self, index: usize) -> (&[f64], &[f64]) {
        let rows = index * CHUNK..self.padded().min((index + 1) * CHUNK);
        (
            &self.values[rows.start * self.p..rows.end * self.p],
            &self.weights[rows],
        )
    }

    /// Copies row `index` into `out` (p values).
    pub(crate) fn copy_row(&self, index: usize, out: &mut [f64]) {
        let (block, lane) = (index / LANES, index % LANES);
        for (column, value) in out.iter_mut().enumerate() {
            *value = self.values[(block * self.p + column) * LANES + lane];
        }
    }
}

/// Writes the block that starts at row `first` of row-major `values` (n x p), repeating the last row beyond n.
pub(crate) fn transpose(values: &[f64], p: usize, first: usize, n: usize, out: &mut [f64]) {
    for lane in 0..LANES {
        let row = (first + lane).min(n - 1);
        for (column, value) in values[row * p..(row + 1) * p].iter().enumerate() {
            out[column * LANES + lane] = *value;
        }
    }
}
