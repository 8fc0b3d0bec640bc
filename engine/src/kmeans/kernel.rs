//! The inner loops of K-Means, over one chunk of blocks.
//!
//! Plain loops over [`LANES`] rows; `pulp` compiles them a second time for AVX2 and chooses at run time, so there is
//! no `unsafe` here. Only additions and multiplications in a written-down order, never fused: the result is the same
//! to the last bit on every x86-64. Squared distances are sums of (x - c)^2, which has no cancellation, unlike
//! |c|^2 - 2 x c.

use pulp::{Arch, Simd, WithSimd};

use super::blocks::LANES;

/// What one chunk adds to an iteration, as slices of one flat buffer of [`Partial::len`] values.
pub(crate) struct Partial<'a> {
    /// Weighted sums per cluster and feature, k x p.
    pub(crate) sums: &'a mut [f64],
    /// Weights per cluster, k.
    pub(crate) weights: &'a mut [f64],
    /// [inertia, number of labels changed].
    pub(crate) totals: &'a mut [f64],
}

impl<'a> Partial<'a> {
    /// Values per chunk.
    pub(crate) fn len(k: usize, p: usize) -> usize {
        k * p + k + 2
    }

    /// Cuts `buffer` of [`Partial::len`] values.
    pub(crate) fn split(buffer: &'a mut [f64], k: usize, p: usize) -> Self {
        let (sums, rest) = buffer.split_at_mut(k * p);
        let (weights, totals) = rest.split_at_mut(k);
        Self { sums, weights, totals }
    }
}

/// Labels every row with its nearest centroid (the first among equals) and sums rows and weights per cluster.
pub(crate) struct Assign<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) weights: &'a [f64],
    pub(crate) p: usize,
    /// k x p
    pub(crate) centroids: &'a [f64],
    /// In: the labels of the iteration before. Out: the new ones.
    pub(crate) labels: &'a mut [u32],
    /// Overwritten.
    pub(crate) partial: Partial<'a>,
}

impl WithSimd for Assign<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let p = self.p;
        let Partial {
            sums,
            weights: cluster_weights,
            totals,
        } = self.partial;
        sums.fill(0.0);
        cluster_weights.fill(0.0);
        let mut inertia = [0.0; LANES];
        let mut changed = 0u64;
        let blocks = self.values.chunks_exact(LANES * p);
        let lanes = self
            .weights
            .chunks_exact(LANES)
            .zip(self.labels.chunks_exact_mut(LANES));
        for (block, (weights, labels)) in blocks.zip(lanes) {
            let (nearest, best) = nearest(block, self.centroids, p);
            for l in 0..LANES {
                inertia[l] += weights[l] * best[l];
                changed += u64::from(labels[l] != nearest[l]);
                labels[l] = nearest[l];
            }
            for l in 0..LANES {
                let (label, weight) = (nearest[l] as usize, weights[l]);
                cluster_weights[label] += weight;
                let sum = &mut sums[label * p..(label + 1) * p];
                for (s, x) in sum.iter_mut().zip(block[l..].iter().step_by(LANES)) {
                    *s += weight * x;
                }
            }
        }
        totals[0] = inertia.iter().sum();
        totals[1] = changed as f64;
    }
}

/// Labels and squared distances to the nearest centroid, nothing else.
pub(crate) struct Label<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) p: usize,
    pub(crate) centroids: &'a [f64],
    pub(crate) labels: &'a mut [u32],
    pub(crate) distances: &'a mut [f64],
}

impl WithSimd for Label<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let out = self
            .labels
            .chunks_exact_mut(LANES)
            .zip(self.distances.chunks_exact_mut(LANES));
        for (block, (labels, distances)) in self.values.chunks_exact(LANES * self.p).zip(out) {
            let (nearest, best) = nearest(block, self.centroids, self.p);
            labels.copy_from_slice(&nearest);
            distances.copy_from_slice(&best);
        }
    }
}

/// One round of k-means++ over a chunk: brings `closest` up to date with the centroid chosen last, then sums what it
/// would be with each candidate.
pub(crate) struct Seed<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) weights: &'a [f64],
    pub(crate) p: usize,
    /// The centroid chosen last, p.
    pub(crate) chosen: &'a [f64],
    /// Squared distance to the nearest centroid chosen before, then including `chosen`.
    pub(crate) closest: &'a mut [f64],
    /// t x p
    pub(crate) candidates: &'a [f64],
    /// Overwritten: the weighted sum of squared distances if the candidate were chosen, t.
    pub(crate) potentials: &'a mut [f64],
}

impl WithSimd for Seed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let p = self.p;
        self.potentials.fill(0.0);
        let lanes = self
            .weights
            .chunks_exact(LANES)
            .zip(self.closest.chunks_exact_mut(LANES));
        for (block, (weights, closest)) in self.values.chunks_exact(LANES * p).zip(lanes) {
            let mut nearest = distances(block, self.chosen);
            for l in 0..LANES {
                nearest[l] = smaller(nearest[l], closest[l]);
                closest[l] = nearest[l];
            }
            for (candidate, potential) in self.candidates.chunks_exact(p).zip(self.potentials.iter_mut()) {
                let mut with = distances(block, candidate);
                for l in 0..LANES {
                    with[l] = weights[l] * smaller(with[l], nearest[l]);
                }
                *potential += tree_sum(&with);
            }
        }
    }
}

/// Chooses the instruction set once.
pub(crate) fn arch() -> Arch {
    Arch::new()
}

/// Squared Euclidean distance of two rows, in the same order of operations as the kernel: bit for bit its result.
#[inline]
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (x, c)| sum + (x - c) * (x - c))
}

#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if a < b {
        a
    } else {
        b
    }
}

#[inline(always)]
fn distances(block: &[f64], centroid: &[f64]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for (column, c) in block.chunks_exact(LANES).zip(centroid) {
        for l in 0..LANES {
            let difference = column[l] - c;
            sums[l] += difference * difference;
        }
    }
    sums
}

#[inline(always)]
fn nearest(block: &[f64], centroids: &[f64], p: usize) -> ([u32; LANES], [f64; LANES]) {
    let mut best = [f64::INFINITY; LANES];
    // Labels as floats while they compete: one width for compare and select.
    let mut label = [0.0; LANES];
    for (index, centroid) in centroids.chunks_exact(p).enumerate() {
        let index = index as f64;
        let found = distances(block, centroid);
        for l in 0..LANES {
            let closer = found[l] < best[l];
            best[l] = if closer { found[l] } else { best[l] };
            label[l] = if closer { index } else { label[l] };
        }
    }
    (label.map(|l| l as i32 as u32), best)
}

/// Sums lanes pairwise, in a fixed order.
#[inline(always)]
fn tree_sum(lanes: &[f64; LANES]) -> f64 {
    let mut sums = *lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            sums[l] += sums[l + width];
        }
        width /= 2;
    }
    sums[0]
}
