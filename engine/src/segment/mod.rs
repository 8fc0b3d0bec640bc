//! The segment model as one value: everything that turns raw features into a rank, and how it came about.
//!
//! A segment's score is the weighted sum of its centroid's features on the original scale; rank 1 is the best score, rank 0 the noise of
//! DBSCAN. Labels are a table of the extension, looked up by rank.

mod clusters;
mod rank;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Kind};
use crate::context::Context;
use crate::data::{check_value, FeatureSpec, Recipe, WeightedRows};
use crate::density::DensityModel;
use crate::error::{EngineError, Result};
use crate::kmeans::{KMeansModel, KMeansValidParams};
use crate::mixture::MixtureModel;
use rank::{rank, Members};

pub use clusters::{Clusters, Method};
pub use rank::NOISE_RANK;

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
    /// 1 is the highest score; [`NOISE_RANK`] the noise.
    pub rank: u32,
    /// Centroid on the original scale, p; empty where no row is noise.
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
    /// Clusters asked for; 0 where the algorithm finds their number.
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
#[serde(try_from = "StoredSegmentModel", into = "StoredSegmentModel")]
pub struct SegmentModel {
    recipe: Recipe,
    clusters: Clusters,
    score_weights: Vec<f64>,
    /// In the order of the clusters.
    segments: Vec<Segment>,
    members: Members,
    training: TrainingFacts,
}

/// What is stored; read back, it is not trusted. One of the three models is there.
#[derive(Serialize, Deserialize)]
struct StoredSegmentModel {
    recipe: Recipe,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kmeans: Option<KMeansModel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mixture: Option<MixtureModel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    density: Option<DensityModel>,
    score_weights: Vec<f64>,
    segments: Vec<Segment>,
    /// Standardised centroids and inertia, which K-Means has itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    means: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inertia: Option<f64>,
    training: TrainingFacts,
}

impl From<SegmentModel> for StoredSegmentModel {
    fn from(model: SegmentModel) -> Self {
        let (mut kmeans, mut mixture, mut density) = (None, None, None);
        let (mut means, mut inertia) = (model.members.means, Some(model.members.inertia));
        match model.clusters {
            Clusters::KMeans(found) => {
                kmeans = Some(found);
                (means, inertia) = (Vec::new(), None);
            }
            Clusters::Mixture(found) => mixture = Some(found),
            Clusters::Density(found) => density = Some(found),
        }
        Self {
            recipe: model.recipe,
            kmeans,
            mixture,
            density,
            score_weights: model.score_weights,
            segments: model.segments,
            means,
            inertia,
            training: model.training,
        }
    }
}

impl TryFrom<StoredSegmentModel> for SegmentModel {
    type Error = EngineError;

    fn try_from(stored: StoredSegmentModel) -> Result<Self> {
        let (means, inertia) = (stored.means, stored.inertia.unwrap_or(0.0));
        let (clusters, means, inertia) = match (stored.kmeans, stored.mixture, stored.density) {
            (Some(model), None, None) => {
                let (means, inertia) = (model.centroid_values().to_vec(), model.inertia());
                (Clusters::KMeans(model), means, inertia)
            }
            (None, Some(model), None) => (Clusters::Mixture(model), means, inertia),
            (None, None, Some(model)) => (Clusters::Density(model), means, inertia),
            _ => return Err(EngineError::invalid("models", "one", "none or several")),
        };
        let (p, n) = (stored.recipe.n_features(), clusters.n_clusters());
        same("features", p, clusters.n_features())?;
        same("score weights", p, stored.score_weights.len())?;
        same("segments", n, stored.segments.len())?;
        same("centroid values", n * p, means.len())?;
        for (index, value) in means.iter().enumerate() {
            check_value(*value, index / p, index % p)?;
        }
        let mut ranks = Vec::with_capacity(n);
        for (cluster, segment) in stored.segments.iter().enumerate() {
            if clusters.noise() == Some(cluster) {
                same("rank of the noise", NOISE_RANK as usize, segment.rank as usize)?;
                if segment.centroid.is_empty() && segment.weight == 0.0 {
                    continue;
                }
            } else {
                ranks.push(segment.rank);
            }
            same("features", p, segment.centroid.len())?;
        }
        ranks.sort_unstable();
        if !ranks.iter().copied().eq(1..=ranks.len() as u32) {
            return Err(EngineError::invalid(
                "ranks",
                format!("1 to {}, each once", ranks.len()),
                format!("{ranks:?}"),
            ));
        }
        let weights = stored.segments.iter().map(|segment| segment.weight).collect();
        Ok(Self {
            recipe: stored.recipe,
            clusters,
            score_weights: stored.score_weights,
            segments: stored.segments,
            members: Members {
                means,
                weights,
                inertia,
            },
            training: stored.training,
        })
    }
}

impl SegmentModel {
    /// [`SegmentModel::fit_with`] K-Means.
    ///
    /// # Errors
    /// As there.
    pub fn fit(
        ctx: &Context,
        features: &[FeatureSpec],
        score_weights: &[f64],
        params: &KMeansValidParams,
        rows: &WeightedRows,
    ) -> Result<Self> {
        Self::fit_with(ctx, features, score_weights, &Method::KMeans(params.clone()), rows)
    }

    /// Fits recipe and clusters on raw `rows` (n x p, weights = multiplicities) and ranks the clusters.
    ///
    /// `score_weights`: one per feature; see [`default_score_weight`].
    ///
    /// # Errors
    /// Those of [`Recipe::fit`] and of the method's own fit; [`EngineError::Dimension`] and [`EngineError::InvalidParameter`] for the
    /// score weights.
    pub fn fit_with(
        ctx: &Context,
        features: &[FeatureSpec],
        score_weights: &[f64],
        method: &Method,
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
        let clusters = method.fit(ctx, &standardised)?;
        let members = Members::of(ctx, &clusters, &standardised)?;
        let segments = rank(&recipe, &clusters, &members, score_weights)?;
        let (seed, k, max_iter, tolerance) = method.facts();
        let training = TrainingFacts {
            seed,
            k,
            distinct_rows: distinct.n_rows(),
            total_weight: distinct.total_weight(),
            max_iter,
            tolerance,
        };
        Ok(Self {
            recipe,
            clusters,
            score_weights: score_weights.to_vec(),
            segments,
            members,
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
        let cluster = self.clusters.predict_row(standardised)? as usize;
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

    /// What the segments were found with, in standardised space.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// The clusters of K-Means: centroids, sizes, inertia, starts.
    pub fn kmeans(&self) -> Option<&KMeansModel> {
        match &self.clusters {
            Clusters::KMeans(model) => Some(model),
            _ => None,
        }
    }

    /// Standardised centroids in the order of the clusters, row-major; zeros for a noise without rows.
    pub fn standardised_centroids(&self) -> &[f64] {
        &self.members.means
    }

    /// Sum over the dense rows, those of the noise left out, of the squared distance to their segment's centroid.
    pub fn inertia(&self) -> f64 {
        self.members.inertia
    }

    /// Score weight per feature, p.
    pub fn score_weights(&self) -> &[f64] {
        &self.score_weights
    }

    /// The segments in the order of the clusters.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segments by rank, best first, noise last.
    pub fn ranked(&self) -> Vec<&Segment> {
        let mut ranked: Vec<&Segment> = self.segments.iter().collect();
        ranked.sort_by_key(|segment| (segment.rank == NOISE_RANK, segment.rank));
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

fn same(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        Ok(())
    } else {
        Err(EngineError::Dimension { what, expected, found })
    }
}
