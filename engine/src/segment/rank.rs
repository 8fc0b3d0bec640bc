//! From clusters to ranked segments: centroids and sizes of the rows in each, scores, ranks.

use super::{Clusters, Segment};
use crate::context::Context;
use crate::data::{Recipe, WeightedRows};
use crate::error::Result;

/// Rank of the segment of noise: outside the order of the others.
pub const NOISE_RANK: u32 = 0;

/// Segments in standardised space: centroids, weights, inertia.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Members {
    /// Row-major, clusters x p. K-Means: its centroids; else the weighted means of the rows that belong to each cluster; zeros where
    /// nothing is known of one.
    pub(super) means: Vec<f64>,
    pub(super) weights: Vec<f64>,
    /// Sum over the dense rows outside the noise of the squared distance to their centroid.
    pub(super) inertia: f64,
}

impl Members {
    /// Of clusters fitted on `rows` (standardised, canonical form).
    pub(super) fn of(ctx: &Context, clusters: &Clusters, rows: &WeightedRows) -> Result<Self> {
        if let Clusters::KMeans(model) = clusters {
            return Ok(Self {
                means: model.centroid_values().to_vec(),
                weights: model.cluster_weights().to_vec(),
                inertia: model.inertia(),
            });
        }
        let (p, n) = (rows.n_features(), clusters.n_clusters());
        let labels = clusters.predict_rows(ctx, rows.values())?;
        let mut means = vec![0.0; n * p];
        let mut weights = vec![0.0; n];
        for ((row, weight), label) in rows.iter().zip(&labels) {
            let cluster = *label as usize;
            weights[cluster] += weight;
            let mean = &mut means[cluster * p..(cluster + 1) * p];
            // a running mean: sums of large weights would lose digits
            let step = weight / weights[cluster];
            mean.iter_mut()
                .zip(row)
                .for_each(|(mean, x)| *mean += step * (x - *mean));
        }
        for cluster in (0..n).filter(|cluster| weights[*cluster] == 0.0) {
            if let Some(mean) = clusters.fallback(cluster) {
                means[cluster * p..(cluster + 1) * p].copy_from_slice(mean);
            }
        }
        let mut inertia = 0.0;
        for ((row, weight), label) in rows.iter().zip(&labels) {
            let cluster = *label as usize;
            if Some(cluster) != clusters.noise() {
                let mean = &means[cluster * p..(cluster + 1) * p];
                let distance: f64 = row.iter().zip(mean).map(|(x, m)| (x - m) * (x - m)).sum();
                inertia += weight * distance;
            }
        }
        Ok(Self {
            means,
            weights,
            inertia,
        })
    }
}

/// Ranks the clusters by score; equal scores by the centroid, larger first, then by cluster. Noise has [`NOISE_RANK`], whatever its score.
pub(super) fn rank(
    recipe: &Recipe,
    clusters: &Clusters,
    members: &Members,
    score_weights: &[f64],
) -> Result<Vec<Segment>> {
    let p = recipe.n_features();
    let mut segments = Vec::with_capacity(members.weights.len());
    for (cluster, (mean, weight)) in members.means.chunks_exact(p).zip(&members.weights).enumerate() {
        let unknown = *weight == 0.0 && clusters.noise() == Some(cluster);
        let centroid = match unknown {
            true => Vec::new(),
            false => recipe.inverse(mean)?,
        };
        let score = centroid.iter().zip(score_weights).map(|(c, w)| c * w).sum::<f64>();
        segments.push(Segment {
            rank: NOISE_RANK,
            centroid,
            score,
            weight: *weight,
        });
    }
    let mut order: Vec<usize> = (0..segments.len())
        .filter(|cluster| Some(*cluster) != clusters.noise())
        .collect();
    order.sort_by(|a, b| {
        let (a, b) = (&segments[*a], &segments[*b]);
        let by_centroid = a.centroid.iter().zip(&b.centroid).map(|(x, y)| y.total_cmp(x));
        by_centroid.fold(b.score.total_cmp(&a.score), std::cmp::Ordering::then)
    });
    for (rank, cluster) in (1..).zip(order) {
        segments[cluster].rank = rank;
    }
    Ok(segments)
}
