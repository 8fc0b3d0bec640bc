//! The segment model as one value: everything that turns raw features into a rank, and how it came about.
//!
//! A cluster's score is the weighted sum of its centroid's features on the original scale; rank 1 is the best score.
//! Labels are a table of the extension, looked up by rank.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Kind};
use crate::context::Context;
use crate::data::{FeatureSpec, Recipe, WeightedRows};
use crate::error::{EngineError, Result};
use crate::kmeans::{KMeansModel, KMeansValidParams};

/// Rows per parallel task of the bulk assignment.
const TASK_ROWS: usize = 8_192;

/// Score weight of a feature unless another is given: what a feature of this name adds to engagement.
pub fn default_score_weight(feature: &str) -> f64 {
    match feature {
        "posts" | "post_replies" | "help_requests" | "help_request_replies" => 1.0,
        "submitted_exercises" => 1.5,
        _ => 0.0,
    }
}

/// The features of the default recipe, log(1 + x) each.
pub fn default_features() -> Vec<FeatureSpec> {
    let names = [
        "posts",
        "post_replies",
        "help_requests",
        "help_request_replies",
        "assigned_exercises",
        "submitted_exercises",
    ];
    names.into_iter().map(FeatureSpec::log1p).collect()
}

/// One segment: a cluster in the terms of its users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// 1 is the highest score.
    pub rank: u32,
    /// Centroid on the original scale, p.
    pub centroid: Vec<f64>,
    /// Sum over the features of score weight x centroid.
    pub score: f64,
    /// Rows of the dense table in it.
    pub weight: f64,
}

/// What the training was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingFacts {
    pub seed: u64,
    /// Clusters asked for.
    pub k: usize,
    /// Distinct rows with a positive weight.
    pub distinct_rows: usize,
    /// Rows of the dense table.
    pub total_weight: f64,
    pub max_iter: usize,
    pub tolerance: f64,
}

/// A fitted segmentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredSegmentModel")]
pub struct SegmentModel {
    recipe: Recipe,
    kmeans: KMeansModel,
    score_weights: Vec<f64>,
    /// In the order of the clusters.
    segments: Vec<Segment>,
    training: TrainingFacts,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct StoredSegmentModel {
    recipe: Recipe,
    kmeans: KMeansModel,
    score_weights: Vec<f64>,
    segments: Vec<Segment>,
    training: TrainingFacts,
}

impl TryFrom<StoredSegmentModel> for SegmentModel {
    type Error = EngineError;

    fn try_from(stored: StoredSegmentModel) -> Result<Self> {
        let (p, clusters) = (stored.recipe.n_features(), stored.kmeans.n_clusters());
        same("features", p, stored.kmeans.n_features())?;
        same("score weights", p, stored.score_weights.len())?;
        same("segments", clusters, stored.segments.len())?;
        for segment in &stored.segments {
            same("features", p, segment.centroid.len())?;
        }
        let mut ranks: Vec<u32> = stored.segments.iter().map(|segment| segment.rank).collect();
        ranks.sort_unstable();
        if !ranks.iter().copied().eq(1..=clusters as u32) {
            return Err(EngineError::invalid(
                "ranks",
                format!("1 to {clusters}, each once"),
                format!("{ranks:?}"),
            ));
        }
        let StoredSegmentModel {
            recipe,
            kmeans,
            score_weights,
            segments,
            training,
        } = stored;
        Ok(Self {
            recipe,
            kmeans,
            score_weights,
            segments,
            training,
        })
    }
}

impl SegmentModel {
    /// Fits recipe and clusters on raw `rows` (n x p, weights = multiplicities) and ranks the clusters.
    ///
    /// `score_weights`: one per feature; see [`default_score_weight`].
    ///
    /// # Errors
    /// Those of [`Recipe::fit`] and [`KMeansValidParams::fit_rows`]; [`EngineError::Dimension`] and
    /// [`EngineError::InvalidParameter`] for the score weights.
    pub fn fit(
        ctx: &Context,
        features: &[FeatureSpec],
        score_weights: &[f64],
        params: &KMeansValidParams,
        rows: &WeightedRows,
    ) -> Result<Self> {
        same("score weights", features.len(), score_weights.len())?;
        if let Some(bad) = score_weights.iter().find(|w| !w.is_finite()) {
            return Err(EngineError::invalid("score weight", "finite", bad));
        }
        Recipe::check(features, rows)?; // on the rows as given, so that an error names the caller's row
        let distinct = rows.distinct(ctx)?;
        let cells = distinct.n_rows().saturating_mul(features.len() + 1);
        let _copies = ctx.reserve_for::<f64>(cells.saturating_mul(3))?;
        let recipe = Recipe::fit(ctx, features, &distinct)?;
        // Again: rounding may have made rows equal.
        let standardised = recipe.transform(ctx, &distinct)?.distinct(ctx)?;
        let kmeans = params.fit_distinct(ctx, &standardised)?;
        let segments = rank(&recipe, &kmeans, score_weights)?;
        let training = TrainingFacts {
            seed: params.seed(),
            k: params.k(),
            distinct_rows: distinct.n_rows(),
            total_weight: distinct.total_weight(),
            max_iter: params.max_iter(),
            tolerance: params.tolerance(),
        };
        Ok(Self {
            recipe,
            kmeans,
            score_weights: score_weights.to_vec(),
            segments,
            training,
        })
    }

    /// Rank of one raw row (p).
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`], [`EngineError::OutOfDomain`].
    pub fn assign(&self, raw: &[f64]) -> Result<u32> {
        let mut standardised = vec![0.0; self.recipe.n_features()];
        self.assign_with(raw, &mut standardised, 0)
    }

    /// Ranks of raw `values` (row-major, n x p), n ranks; each is what [`SegmentModel::assign`] gives.
    ///
    /// # Errors
    /// As [`SegmentModel::assign`], and [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn assign_rows(&self, ctx: &Context, values: &[f64]) -> Result<Vec<u32>> {
        let p = self.recipe.n_features();
        let n = values.len() / p;
        same("values", n.saturating_mul(p), values.len())?;
        let _memory = ctx.reserve_for::<u32>(n)?;
        let mut ranks = vec![0; n];
        let tasks = ranks
            .par_chunks_mut(TASK_ROWS)
            .zip(values.par_chunks(TASK_ROWS.saturating_mul(p)));
        ctx.run(|| {
            tasks.enumerate().try_for_each(|(task, (ranks, values))| {
                ctx.check()?;
                let mut standardised = vec![0.0; p];
                for (offset, (rank, raw)) in ranks.iter_mut().zip(values.chunks_exact(p)).enumerate() {
                    *rank = self.assign_with(raw, &mut standardised, task * TASK_ROWS + offset)?;
                }
                Ok::<(), EngineError>(())
            })
        })?;
        Ok(ranks)
    }

    fn assign_with(&self, raw: &[f64], standardised: &mut [f64], row: usize) -> Result<u32> {
        self.recipe.transform_row(raw, standardised, row)?;
        let cluster = self.kmeans.predict_row(standardised)? as usize;
        let segments = self.segments.get(cluster).map(|segment| segment.rank);
        segments.ok_or(EngineError::Dimension {
            what: "segments",
            expected: cluster + 1,
            found: self.segments.len(),
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The clusters in standardised space: centroids, sizes, inertia, starts.
    pub fn kmeans(&self) -> &KMeansModel {
        &self.kmeans
    }

    /// Score weight per feature, p.
    pub fn score_weights(&self) -> &[f64] {
        &self.score_weights
    }

    /// The segments in the order of the clusters.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segments by rank, best first.
    pub fn ranked(&self) -> Vec<&Segment> {
        let mut ranked: Vec<&Segment> = self.segments.iter().collect();
        ranked.sort_by_key(|segment| segment.rank);
        ranked
    }

    /// What the training was.
    pub fn training(&self) -> &TrainingFacts {
        &self.training
    }

    /// Versioned, checksummed bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::SEGMENT, self)?)
    }

    /// The model in `bytes`, checked for consistency.
    ///
    /// # Errors
    /// [`EngineError::Codec`] for foreign, truncated, corrupted or inconsistent bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::SEGMENT, bytes)?)
    }
}

/// Ranks the clusters by score; equal scores by the centroid, larger first, then by cluster.
fn rank(recipe: &Recipe, kmeans: &KMeansModel, score_weights: &[f64]) -> Result<Vec<Segment>> {
    let mut segments = Vec::with_capacity(kmeans.n_clusters());
    for (centroid, weight) in kmeans
        .centroid_values()
        .chunks_exact(recipe.n_features())
        .zip(kmeans.cluster_weights())
    {
        let centroid = recipe.inverse(centroid)?;
        let score = centroid.iter().zip(score_weights).map(|(c, w)| c * w).sum::<f64>();
        segments.push(Segment {
            rank: 0,
            centroid,
            score,
            weight: *weight,
        });
    }
    let mut order: Vec<usize> = (0..segments.len()).collect();
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

fn same(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        Ok(())
    } else {
        Err(EngineError::Dimension { what, expected, found })
    }
}
