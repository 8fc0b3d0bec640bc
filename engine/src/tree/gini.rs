//! The best cut of a node by Gini impurity, from whole weights, so that it does not depend on the order of the rows.
//!
//! What is maximised is the sum over both sides of (sum of squared class weights) / weight; the gain of a split is that
//! sum less the node's own, which is the node's weight times the decrease of the impurity.

use super::sample::{Both, Sample, Tag};

/// Nodes of fewer rows remember which bins they used instead of looking at all.
const FEW: usize = 1_024;

/// The best cut found so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Best {
    pub(crate) score: f64,
    pub(crate) feature: u32,
    /// Highest rank that goes left.
    pub(crate) cut: u32,
    pub(crate) missing_left: bool,
}

impl Best {
    pub(crate) const NONE: Best = Best {
        score: f64::NEG_INFINITY,
        feature: u32::MAX,
        cut: 0,
        missing_left: true,
    };

    /// Takes the better one; of equals the lower feature, then the first.
    fn offer(&mut self, found: Best) {
        if found.score > self.score || (found.score == self.score && found.feature < self.feature) {
            *self = found;
        }
    }
}

/// A feature of a node: number, column of bins, highest bin.
#[derive(Clone, Copy)]
pub(crate) struct Feature<'a> {
    pub(crate) number: u32,
    pub(crate) column: &'a [u8],
    pub(crate) last_bin: u8,
}

/// Splits of a node by its classes.
pub(crate) trait Criterion<T: Tag>: Send {
    /// Turns to a node.
    fn open(&mut self, samples: &[Sample<T>]);
    /// Units of weight in the node.
    fn weight(&self) -> u64;
    fn is_pure(&self) -> bool;
    /// What the node itself contributes to the score.
    fn score(&self) -> f64;
    /// Appends the share of each class.
    fn distribution(&self, out: &mut Vec<f64>);
    /// Offers the feature's best cut to `best`; false when the feature does not vary in the node.
    fn search(&mut self, feature: Feature, samples: &[Sample<T>], least: u64, best: &mut Best) -> bool;
}

/// Bins in use, ascending.
struct Used {
    bins: [u8; 256],
    count: usize,
}

impl Used {
    fn from_bits(mut bits: [u64; 4]) -> Self {
        let (mut bins, mut count) = ([0; 256], 0);
        for (word, bits) in bits.iter_mut().enumerate() {
            while *bits != 0 {
                bins[count] = (word * 64) as u8 + bits.trailing_zeros() as u8;
                count += 1;
                *bits &= *bits - 1;
            }
        }
        Self { bins, count }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bins[..self.count]
    }
}

/// The rank of the cut halfway between two used bins.
#[inline(always)]
fn halfway(bin: u8, next: u8) -> u32 {
    (u32::from(bin) + u32::from(next) - 1) / 2 - 1
}

/// Two classes.
pub(crate) struct Binary<A> {
    cells: Box<[A; 256]>,
    total: A,
}

impl<A: Both> Binary<A> {
    pub(crate) fn new() -> Self {
        Self {
            cells: Box::new([A::default(); 256]),
            total: A::default(),
        }
    }

    /// Counts the samples by bin.
    #[inline]
    fn count<T: Tag>(&mut self, feature: Feature, samples: &[Sample<T>]) -> Used {
        let mut bits = [0u64; 4];
        if samples.len() < FEW {
            for sample in samples {
                let bin = feature.column[sample.row as usize];
                let cell = &mut self.cells[bin as usize];
                *cell = cell.plus(A::of(sample.tag.word()));
                bits[bin as usize / 64] |= 1 << (bin % 64);
            }
        } else {
            for sample in samples {
                let cell = &mut self.cells[feature.column[sample.row as usize] as usize];
                *cell = cell.plus(A::of(sample.tag.word()));
            }
            for (bin, cell) in self.cells.iter().enumerate().take(feature.last_bin as usize + 1) {
                bits[bin / 64] |= u64::from(*cell != A::default()) << (bin % 64);
            }
        }
        Used::from_bits(bits)
    }
}

#[inline(always)]
fn side(parts: [u64; 2]) -> f64 {
    let [a, b] = parts.map(|part| part as f64);
    (a * a + b * b) / (a + b)
}

impl<T: Tag, A: Both> Criterion<T> for Binary<A> {
    fn open(&mut self, samples: &[Sample<T>]) {
        let sum = |sum: A, sample: &Sample<T>| sum.plus(A::of(sample.tag.word()));
        self.total = samples.iter().fold(A::default(), sum);
    }

    fn weight(&self) -> u64 {
        let [a, b] = self.total.parts();
        a + b
    }

    fn is_pure(&self) -> bool {
        self.total.parts().contains(&0)
    }

    fn score(&self) -> f64 {
        side(self.total.parts())
    }

    fn distribution(&self, out: &mut Vec<f64>) {
        let total = Criterion::<T>::weight(self) as f64;
        out.extend(self.total.parts().map(|part| part as f64 / total));
    }

    #[inline]
    fn search(&mut self, feature: Feature, samples: &[Sample<T>], least: u64, best: &mut Best) -> bool {
        let used = self.count(feature, samples);
        let bins = used.as_slice();
        let varies = bins.len() > 1;
        let missing = self.cells[0];
        let with_missing = missing != A::default();
        let values = &bins[usize::from(with_missing)..];
        let total = self.total;
        let mut found = Best::NONE;
        found.feature = feature.number;
        let mut offer = |left: A, cut: u32, missing_left: Option<bool>| {
            let (left, right) = (left.parts(), total.minus(left).parts());
            let (on_left, on_right) = (left[0] + left[1], right[0] + right[1]);
            if on_left >= least && on_right >= least {
                let score = side(left) + side(right);
                if score > found.score {
                    found.score = score;
                    found.cut = cut;
                    // Values that were never missing here go with the majority.
                    found.missing_left = missing_left.unwrap_or(on_left >= on_right);
                }
            }
        };
        if varies {
            let mut left = A::default();
            for pair in values.windows(2) {
                left = left.plus(self.cells[pair[0] as usize]);
                let cut = halfway(pair[0], pair[1]);
                if with_missing {
                    offer(left, cut, Some(false));
                    offer(left.plus(missing), cut, Some(true));
                } else {
                    offer(left, cut, None);
                }
            }
            if with_missing {
                offer(total.minus(missing), u32::from(feature.last_bin) - 1, Some(false));
            }
            if found.score > f64::NEG_INFINITY {
                best.offer(found);
            }
        }
        bins.iter().for_each(|bin| self.cells[*bin as usize] = A::default());
        varies
    }
}

/// Any number of classes: rows sorted by bin, sums of squares kept up to date row by row.
pub(crate) struct Many {
    class_bits: u32,
    counts: Box<[u32; 256]>,
    sorted: Vec<u64>,
    total: Vec<u64>,
    left: Vec<u64>,
    weight: u64,
    squares: u128,
}

impl Many {
    pub(crate) fn new(n_classes: usize, class_bits: u32) -> Self {
        Self {
            class_bits,
            counts: Box::new([0; 256]),
            sorted: Vec::new(),
            total: vec![0; n_classes],
            left: vec![0; n_classes],
            weight: 0,
            squares: 0,
        }
    }

    #[inline(always)]
    fn split(&self, word: u64) -> (usize, u64) {
        ((word & ((1 << self.class_bits) - 1)) as usize, word >> self.class_bits)
    }

    /// Sorts the words of the samples by bin; returns the bins in use and where each one's words end.
    fn sort<T: Tag>(&mut self, feature: Feature, samples: &[Sample<T>]) -> (Used, [u32; 256]) {
        let mut bits = [0u64; 4];
        for sample in samples {
            let bin = feature.column[sample.row as usize];
            self.counts[bin as usize] += 1;
            bits[bin as usize / 64] |= 1 << (bin % 64);
        }
        let used = Used::from_bits(bits);
        let mut ends = [0; 256];
        let mut end = 0;
        for bin in used.as_slice() {
            let count = std::mem::take(&mut self.counts[*bin as usize]);
            ends[*bin as usize] = end;
            end += count;
        }
        if used.count > 1 {
            self.sorted.resize(samples.len().max(self.sorted.len()), 0);
            for sample in samples {
                let at = &mut ends[feature.column[sample.row as usize] as usize];
                self.sorted[*at as usize] = sample.tag.word();
                *at += 1;
            }
        }
        (used, ends)
    }

    /// Tries the cuts after each of the value bins but the last, with or without the missing ones on the left.
    fn scan(
        &mut self,
        runs: &[(u8, u32, u32)],
        missing: Option<(u32, u32)>,
        least: u64,
        mut offer: impl FnMut(f64, usize, u64),
    ) {
        self.left.fill(0);
        let (mut on_left, mut left_squares, mut right_squares) = (0u64, 0u128, self.squares);
        let mut add = |this: &mut Self, start: u32, end: u32, on_left: &mut u64| {
            for at in start..end {
                let (class, weight) = this.split(this.sorted[at as usize]);
                let left = this.left[class];
                let right = this.total[class] - left;
                left_squares += u128::from(2 * left + weight) * u128::from(weight);
                right_squares -= u128::from(2 * right - weight) * u128::from(weight);
                this.left[class] = left + weight;
                *on_left += weight;
            }
            (left_squares as f64, right_squares as f64)
        };
        if let Some((start, end)) = missing {
            add(self, start, end, &mut on_left);
        }
        for (index, (_, start, end)) in runs.iter().enumerate() {
            let (left, right) = add(self, *start, *end, &mut on_left);
            let on_right = self.weight - on_left;
            if on_left >= least && on_right >= least {
                offer(left / on_left as f64 + right / on_right as f64, index, on_left);
            }
        }
    }
}

impl<T: Tag> Criterion<T> for Many {
    fn open(&mut self, samples: &[Sample<T>]) {
        self.total.fill(0);
        for sample in samples {
            let (class, weight) = self.split(sample.tag.word());
            self.total[class] += weight;
        }
        self.weight = self.total.iter().sum();
        self.squares = self.total.iter().map(|t| u128::from(*t) * u128::from(*t)).sum();
    }

    fn weight(&self) -> u64 {
        self.weight
    }

    fn is_pure(&self) -> bool {
        self.total.iter().filter(|t| **t > 0).count() <= 1
    }

    fn score(&self) -> f64 {
        self.squares as f64 / self.weight as f64
    }

    fn distribution(&self, out: &mut Vec<f64>) {
        out.extend(self.total.iter().map(|t| *t as f64 / self.weight as f64));
    }

    fn search(&mut self, feature: Feature, samples: &[Sample<T>], least: u64, best: &mut Best) -> bool {
        let (used, ends) = self.sort(feature, samples);
        let bins = used.as_slice();
        if bins.len() <= 1 {
            return false;
        }
        let mut runs = Vec::with_capacity(bins.len());
        let mut start = 0;
        for bin in bins {
            runs.push((*bin, start, ends[*bin as usize]));
            start = ends[*bin as usize];
        }
        let missing = (bins[0] == 0)
            .then(|| runs.remove(0))
            .map(|(_, start, end)| (start, end));
        let weight = self.weight;
        let last_rank = u32::from(feature.last_bin) - 1;
        let mut found = Best::NONE;
        found.feature = feature.number;
        let cut = |index: usize| match runs.get(index + 1) {
            Some(next) => halfway(runs[index].0, next.0),
            None => last_rank,
        };
        for missing_left in [false, true] {
            let on_left = if missing_left { missing } else { None };
            // Of the values, all may be on the left only where the missing ones are on the right.
            let last = runs.len() - usize::from(missing_left || missing.is_none());
            self.scan(&runs[..last], on_left, least, |score, index, left| {
                if score > found.score {
                    found.score = score;
                    found.cut = cut(index);
                    found.missing_left = if missing.is_some() {
                        missing_left
                    } else {
                        left >= weight - left
                    };
                }
            });
            if missing.is_none() {
                break;
            }
        }
        if found.score > f64::NEG_INFINITY {
            best.offer(found);
        }
        true
    }
}
