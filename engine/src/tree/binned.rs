//! The rows as the growers see them: one byte per feature, equal rows merged where there are enough of them.
//!
//! Bin 0 is the missing value, bin b the rank b - 1. Features that do not vary are left out.

use rayon::prelude::*;

use super::cuts::{self, Cuts};
use super::table::{FeatureTable, TrainingSet};
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Most bins of values; with the missing ones they fill a byte.
pub const MAX_BINS: usize = 255;
/// Values binned between two looks at the cancel flag.
const CHECK_VALUES: usize = 1 << 18;
/// Rows tried before deciding whether merging equal rows pays.
const TRIED: usize = 1 << 16;
/// No such row.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Rows of bytes, row-major, over the features that vary.
#[derive(Debug)]
pub(crate) struct Bytes {
    /// The features that vary, as numbered in the table.
    pub(crate) features: Vec<u32>,
    /// n x features
    pub(crate) rows: Vec<u8>,
    _memory: Reservation,
}

impl Bytes {
    /// All rows of `table`, or the ones numbered `kept`.
    pub(crate) fn new(ctx: &Context, table: &FeatureTable, cuts: &Cuts, kept: Option<&[u32]>) -> Result<Self> {
        let vary = |feature: &u32| !cuts.of(*feature as usize).is_empty();
        let features: Vec<u32> = (0..cuts.n_features() as u32).filter(vary).collect();
        let n = kept.map_or(table.n_rows(), <[u32]>::len);
        if n >= NOWHERE as usize {
            return Err(EngineError::invalid(
                "number of rows",
                format!("less than {NOWHERE}"),
                n,
            ));
        }
        let p = features.len();
        let memory = ctx.reserve(n.saturating_mul(p))?;
        let mut rows = vec![0u8; n * p];
        let at_once = (CHECK_VALUES / p.max(1)).clamp(1, 1 << 14);
        let fill = |(chunk, bytes): (usize, &mut [u8])| {
            ctx.check()?;
            let start = chunk * at_once;
            for (j, feature) in features.iter().enumerate() {
                let (column, cuts) = (table.column(*feature as usize), cuts.of(*feature as usize));
                for (i, row) in bytes.chunks_exact_mut(p).enumerate() {
                    let x = column[kept.map_or(start + i, |kept| kept[start + i] as usize)];
                    row[j] = if x.is_nan() { 0 } else { cuts::rank(cuts, x) as u8 + 1 };
                }
            }
            Ok::<(), EngineError>(())
        };
        if p > 0 {
            ctx.run(|| rows.par_chunks_mut(at_once * p).enumerate().try_for_each(fill))?;
        }
        Ok(Self {
            features,
            rows,
            _memory: memory,
        })
    }
}

/// Binned rows of positive weight with their classes and weights.
#[derive(Debug)]
pub(crate) struct Binned {
    pub(crate) bytes: Bytes,
    pub(crate) labels: Vec<u32>,
    pub(crate) weights: Vec<f64>,
    /// Highest bin of each varying feature.
    pub(crate) last_bin: Vec<u8>,
    /// For each row of the training set the binned row that stands for it, or [`NOWHERE`] (weight 0).
    pub(crate) place: Vec<u32>,
    _memory: Reservation,
}

impl Binned {
    pub(crate) fn new(ctx: &Context, set: &TrainingSet, cuts: &Cuts) -> Result<Self> {
        let n = set.weights().len();
        let row_bytes = size_of::<(u32, f64, u32, u32)>();
        let memory = ctx.reserve(n.saturating_mul(row_bytes))?;
        let kept: Vec<u32> = (0..n as u32).filter(|row| set.weights()[*row as usize] > 0.0).collect();
        let bytes = Bytes::new(ctx, set.features(), cuts, (kept.len() < n).then_some(&kept))?;
        let mut place = vec![NOWHERE; n];
        for (at, row) in kept.iter().enumerate() {
            place[*row as usize] = at as u32;
        }
        // Ranks go from 0 to the number of cuts; nothing is above ABOVE_ALL.
        let last_bin = bytes.features.iter().map(|feature| {
            let cuts = cuts.of(*feature as usize);
            let open = u8::from(cuts.last() != Some(&cuts::ABOVE_ALL));
            cuts.len() as u8 + open
        });
        Ok(Self {
            last_bin: last_bin.collect(),
            bytes,
            labels: kept.iter().map(|row| set.labels()[*row as usize]).collect(),
            weights: kept.iter().map(|row| set.weights()[*row as usize]).collect(),
            place,
            _memory: memory,
        })
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Number of features that vary.
    pub(crate) fn n_features(&self) -> usize {
        self.bytes.features.len()
    }

    /// The bytes of one feature after the other, n each.
    pub(crate) fn columns(&self, ctx: &Context) -> Result<(Vec<u8>, Reservation)> {
        let (n, p) = (self.n_rows(), self.n_features());
        let memory = ctx.reserve(n.saturating_mul(p))?;
        let mut columns = vec![0u8; n * p];
        let fill = |(j, column): (usize, &mut [u8])| {
            ctx.check()?;
            let values = self.bytes.rows.iter().skip(j).step_by(p);
            column.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            Ok::<(), EngineError>(())
        };
        if n > 0 {
            ctx.run(|| columns.par_chunks_mut(n).enumerate().try_for_each(fill))?;
        }
        Ok((columns, memory))
    }

    /// Merges rows that agree in all bytes and in the class, adding up their weights.
    ///
    /// The growers see nothing else of a row, so their results are the same; with weights that are not whole numbers,
    /// or where hardly any row repeats, nothing is done.
    pub(crate) fn merge_equal(&mut self, ctx: &Context) -> Result<()> {
        let (n, p) = (self.n_rows(), self.n_features());
        if self.weights.iter().any(|w| w.fract() != 0.0) {
            return Ok(());
        }
        if n > TRIED {
            let (_, groups) = self.groups(ctx, TRIED)?;
            if groups.len() > TRIED / 100 * 97 {
                return Ok(());
            }
        }
        let _memory = ctx.reserve_for::<u32>(n.saturating_mul(6))?;
        let (group_of, groups) = self.groups(ctx, n)?;
        if groups.len() > n / 10 * 9 {
            return Ok(());
        }
        let mut weights = vec![0.0; groups.len()];
        for (group, weight) in group_of.iter().zip(&self.weights) {
            weights[*group as usize] += weight;
        }
        let mut rows = Vec::with_capacity(groups.len() * p);
        for first in &groups {
            rows.extend_from_slice(&self.bytes.rows[*first as usize * p..][..p]);
        }
        self.labels = groups.iter().map(|first| self.labels[*first as usize]).collect();
        self.bytes.rows = rows;
        self.weights = weights;
        for place in self.place.iter_mut().filter(|place| **place != NOWHERE) {
            *place = group_of[*place as usize];
        }
        Ok(())
    }

    /// For each of the first `n` rows its group, and for each group its first row.
    fn groups(&self, ctx: &Context, n: usize) -> Result<(Vec<u32>, Vec<u32>)> {
        let p = self.n_features();
        let row = |at: u32| (&self.bytes.rows[at as usize * p..][..p], self.labels[at as usize]);
        let mask = (n.max(1) * 2).next_power_of_two() - 1;
        let mut slots = vec![NOWHERE; mask + 1];
        let (mut group_of, mut groups) = (Vec::with_capacity(n), Vec::new());
        for at in 0..n as u32 {
            if at % 65_536 == 0 {
                ctx.check()?;
            }
            let this = row(at);
            let mut slot = hash(this.0, this.1) as usize & mask;
            loop {
                let group = slots[slot];
                if group == NOWHERE {
                    slots[slot] = groups.len() as u32;
                    group_of.push(groups.len() as u32);
                    groups.push(at);
                    break;
                }
                if row(groups[group as usize]) == this {
                    group_of.push(group);
                    break;
                }
                slot = (slot + 1) & mask;
            }
        }
        Ok((group_of, groups))
    }
}

fn hash(bytes: &[u8], label: u32) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |state: u64, word: u64| (state.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let mut state = mix(FACTOR, u64::from(label));
    let words = bytes.chunks_exact(8);
    let rest = words.remainder().iter().fold(0u64, |word, b| word << 8 | u64::from(*b));
    for word in words {
        state = mix(state, word.iter().fold(0, |word, b| word << 8 | u64::from(*b)));
    }
    state = mix(state, rest);
    state ^ state >> 32
}
