//! A piece of the training rows with everything that boosting keeps per row: small enough for the cache, worked on by
//! one thread at a time, and with its own part of every node.

use super::binned::Binned;
use super::bootstrap;
use super::histogram::{accumulate, accumulate_some, Cells, Pair, Scale};
use super::node::{Node, Tree};

/// Most rows of a shard: a row's number fits two bytes.
const MOST_ROWS: usize = 1 << 14;
/// Most bins of a shard, so that a pass over it takes milliseconds.
const MOST_BINS: usize = 1 << 20;

/// Least rows of a shard: smaller ones cost more to go through than to count.
const LEAST_ROWS: usize = 1 << 10;
/// Shards come in multiples of this.
const SHARDS: usize = 16;

/// Which rows a round sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) key: u64,
    pub(crate) part: f64,
}

#[derive(Debug)]
pub(crate) struct Shard<G> {
    first: usize,
    n_features: usize,
    /// rows x features, for counting
    bins: Vec<u8>,
    /// features x rows, for splitting
    columns: Vec<u8>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    unit_weights: bool,
    /// outputs x rows
    scores: Vec<f64>,
    /// Of the softmax, outputs x rows; empty for two classes.
    shares: Vec<f64>,
    pairs: Vec<G>,
    /// Row numbers, those of a node together, ascending in each.
    order: Vec<u16>,
    spare: Vec<u16>,
    /// Where in `order` each leaf begins and ends.
    leaves: Vec<(u32, u32)>,
    /// Rows that the round does not see.
    unseen: Vec<u16>,
}

impl<G: Pair> Shard<G> {
    pub(crate) const BYTES_PER_ROW: usize = size_of::<(u32, f64, G, [u16; 3])>() + 16;

    /// All shards of the rows, with every score at `base` (one per output).
    pub(crate) fn cut(binned: &Binned, base: &[f64]) -> Vec<Self> {
        let p = binned.n_features();
        let n = binned.n_rows();
        let most = (MOST_BINS / p.max(1)).clamp(64, MOST_ROWS);
        // A multiple of the usual numbers of threads, so that none works while the others wait.
        let shards = n.div_ceil(most).next_multiple_of(SHARDS);
        let rows = n.div_ceil(shards).clamp(LEAST_ROWS.min(most), most);
        let unit_weights = binned.weights.iter().all(|w| *w == 1.0);
        let shard = |first: usize| {
            let end = n.min(first + rows);
            let size = end - first;
            let bins = &binned.bytes.rows[first * p..end * p];
            Self {
                first,
                n_features: p,
                columns: (0..p).flat_map(|j| bins.iter().skip(j).step_by(p)).copied().collect(),
                bins: bins.to_vec(),
                labels: binned.labels[first..end].to_vec(),
                weights: binned.weights[first..end].to_vec(),
                unit_weights,
                scores: base.iter().flat_map(|base| std::iter::repeat_n(*base, size)).collect(),
                shares: vec![0.0; if base.len() > 1 { size * base.len() } else { 0 }],
                pairs: vec![G::default(); size],
                order: Vec::with_capacity(size),
                spare: vec![0; size],
                leaves: Vec::new(),
                unseen: Vec::new(),
            }
        };
        (0..n).step_by(rows).map(shard).collect()
    }

    /// Brings the shares of the softmax up to date with the scores.
    pub(crate) fn update_shares(&mut self) {
        let (n, outputs) = (self.labels.len(), self.scores.len() / self.labels.len().max(1));
        for row in 0..n {
            let score = |output: usize| self.scores[output * n + row];
            let most = (0..outputs).map(score).fold(f64::NEG_INFINITY, f64::max);
            let mut total = 0.0;
            for output in 0..outputs {
                let share = (self.scores[output * n + row] - most).exp();
                self.shares[output * n + row] = share;
                total += share;
            }
            for output in 0..outputs {
                self.shares[output * n + row] /= total;
            }
        }
    }

    /// Computes the derivatives of the logistic or softmax loss for one output, and puts all rows of the draw into
    /// leaf 0.
    pub(crate) fn differentiate(&mut self, output: usize, scale: Scale, factors: &[f64], draw: Option<Draw>) {
        let n = self.labels.len();
        let binary = self.shares.is_empty();
        let outputs = self.scores.len() / n.max(1);
        // The second derivative's factor by which LightGBM, after Friedman, corrects for the redundant class
        let curvature = if binary {
            1.0
        } else {
            outputs as f64 / (outputs as f64 - 1.0)
        };
        self.order.clear();
        self.unseen.clear();
        for row in 0..n {
            let (share, hit) = if binary {
                (1.0 / (1.0 + (-self.scores[row]).exp()), self.labels[row] == 1)
            } else {
                (self.shares[output * n + row], self.labels[row] as usize == output)
            };
            let mut weight = self.weights[row];
            if let Some(draw) = draw {
                weight = bootstrap::thinned(draw.key, (self.first + row) as u64, weight, draw.part);
                if weight == 0.0 {
                    self.unseen.push(row as u16);
                    continue;
                }
            }
            let factor = factors[self.labels[row] as usize];
            let first = (share - f64::from(hit)) * factor;
            // A row whose second derivative rounds to nothing would have no weight at all.
            let second = (share * (1.0 - share) * curvature * factor).max(1.0 / scale.factor);
            self.pairs[row] = G::new([scale.of(first, weight), scale.of(second, weight)]);
            self.order.push(row as u16);
        }
        self.leaves.clear();
        self.leaves.push((0, self.order.len() as u32));
    }

    /// Adds the rows of a leaf to the histogram; `chosen` where it is not that of all features.
    pub(crate) fn count<const W: usize>(&self, leaf: usize, chosen: Option<&[u32]>, hist: &mut [Cells<W>]) {
        let (start, end) = self.leaves[leaf];
        let order = &self.order[start as usize..end as usize];
        match chosen {
            None => accumulate(hist, &self.bins, &self.pairs, order),
            Some(chosen) => accumulate_some(hist, &self.bins, self.n_features, chosen, &self.pairs, order),
        }
    }

    /// Splits a leaf: what goes left keeps its number, what goes right becomes the next leaf. Returns the rows and the
    /// weight on the left.
    pub(crate) fn split(&mut self, leaf: usize, node: Node) -> (usize, f64) {
        let (start, end) = self.leaves[leaf];
        let order = &mut self.order[start as usize..end as usize];
        let n = self.labels.len();
        let column = &self.columns[node.feature() * n..(node.feature() + 1) * n];
        let spare = &mut self.spare[..order.len()];
        let (mut left, mut right) = (0, 0);
        for at in 0..order.len() {
            let row = order[at];
            let goes_left = node.takes_left(column[row as usize]);
            order[left] = row;
            spare[right] = row;
            left += usize::from(goes_left);
            right += usize::from(!goes_left);
        }
        order[left..].copy_from_slice(&spare[..right]);
        let weight = if self.unit_weights {
            left as f64
        } else {
            order[..left].iter().map(|row| self.weights[*row as usize]).sum()
        };
        self.leaves[leaf] = (start, start + left as u32);
        self.leaves.push((start + left as u32, end));
        (left, weight)
    }

    /// Rows and weight of a leaf.
    pub(crate) fn size(&self, leaf: usize) -> (usize, f64) {
        let (start, end) = self.leaves[leaf];
        let rows = &self.order[start as usize..end as usize];
        (rows.len(), rows.iter().map(|row| self.weights[*row as usize]).sum())
    }

    /// Adds the values of the leaves to the scores of their rows; rows that the round did not see look them up.
    pub(crate) fn advance(&mut self, output: usize, values: &[f64], tree: &Tree) {
        let n = self.labels.len();
        let scores = &mut self.scores[output * n..(output + 1) * n];
        for ((start, end), value) in self.leaves.iter().zip(values) {
            for row in &self.order[*start as usize..*end as usize] {
                scores[*row as usize] += value;
            }
        }
        for row in &self.unseen {
            let row = *row as usize;
            let leaf = tree.leaf_of(&self.bins[row * self.n_features..(row + 1) * self.n_features]);
            scores[row] += tree.values[leaf];
        }
    }
}
