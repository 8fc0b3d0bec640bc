//! How many clusters: the indices of each candidate, and a recommendation.
//!
//! Recommended is the k with the highest mean silhouette, the smallest among equals: of the three indices it is the
//! one with an absolute scale (-1..=1) and without a bias towards large k. The elbow of the inertia, Calinski-Harabasz
//! and Davies-Bouldin are reported beside it; where they disagree there may be no clear number of clusters.

use std::ops::RangeInclusive;

use linfa::ParamGuard;

use super::params::KMeansParams;
use crate::context::Context;
use crate::data::WeightedRows;
use crate::error::{EngineError, Result};
use crate::metrics::{calinski_harabasz, davies_bouldin, silhouette, Silhouette, SilhouetteParams};

/// One candidate number of clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Clusters asked for and found; fewer only when there are fewer distinct rows.
    pub k: usize,
    pub n_clusters: usize,
    pub inertia: f64,
    /// (worst - best) / best inertia of the starts.
    pub spread: f64,
    pub iterations: usize,
    /// `None` with one cluster, as the other indices.
    pub silhouette: Option<Silhouette>,
    pub davies_bouldin: Option<f64>,
    pub calinski_harabasz: Option<f64>,
}

/// All candidates, by ascending k, and what the indices say.
#[derive(Debug, Clone, PartialEq)]
pub struct KChoice {
    pub candidates: Vec<Candidate>,
    /// Highest silhouette; the smallest k where no candidate has one.
    pub recommended: usize,
    /// The k whose inertia lies farthest below the line from the first candidate to the last (Satopää et al. 2011,
    /// kneedle); `None` with fewer than three candidates.
    pub elbow: Option<usize>,
    /// Highest Calinski-Harabasz index.
    pub by_calinski_harabasz: Option<usize>,
    /// Lowest Davies-Bouldin index.
    pub by_davies_bouldin: Option<usize>,
}

/// Fits every k of `range` on `rows` (n x p) with `params` (their k is not used) and compares.
///
/// Candidates beyond the number of distinct rows are left out, but for one if there would be none.
///
/// # Errors
/// [`EngineError::InvalidParameter`] for an empty range, and those of
/// [`fit_rows`](super::KMeansValidParams::fit_rows).
pub fn choose_k(
    ctx: &Context,
    rows: &WeightedRows,
    range: RangeInclusive<usize>,
    params: impl Fn(usize) -> KMeansParams,
    silhouette_params: &SilhouetteParams,
) -> Result<KChoice> {
    if range.is_empty() {
        let found = format!("{}..={}", range.start(), range.end());
        return Err(EngineError::invalid("range of k", "not empty", found));
    }
    let rows = rows.distinct(ctx)?;
    let _rows = ctx.reserve_for::<f64>(rows.values().len().saturating_add(rows.n_rows()))?;
    let most = rows.n_rows().max(*range.start());
    let mut candidates = Vec::new();
    for k in *range.start()..=most.min(*range.end()) {
        let model = params(k).check()?.fit_distinct(ctx, &rows)?;
        let labels = model.predict_rows(ctx, rows.values())?;
        candidates.push(Candidate {
            k,
            n_clusters: model.n_clusters(),
            inertia: model.inertia(),
            spread: model.spread(),
            iterations: model.iterations(),
            silhouette: silhouette(ctx, &rows, &labels, silhouette_params)?,
            davies_bouldin: davies_bouldin(ctx, &rows, &labels)?,
            calinski_harabasz: calinski_harabasz(ctx, &rows, &labels)?,
        });
    }
    let by_silhouette = highest(&candidates, |c| c.silhouette.map(|s| s.value));
    Ok(KChoice {
        recommended: by_silhouette.unwrap_or(*range.start()),
        elbow: elbow(&candidates),
        by_calinski_harabasz: highest(&candidates, |c| c.calinski_harabasz),
        by_davies_bouldin: highest(&candidates, |c| c.davies_bouldin.map(|index| -index)),
        candidates,
    })
}

/// The first k with the highest value.
fn highest(candidates: &[Candidate], value: impl Fn(&Candidate) -> Option<f64>) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    for candidate in candidates {
        if let Some(value) = value(candidate) {
            if best.is_none_or(|(highest, _)| value > highest) {
                best = Some((value, candidate.k));
            }
        }
    }
    best.map(|(_, k)| k)
}

fn elbow(candidates: &[Candidate]) -> Option<usize> {
    let (first, last) = (candidates.first()?, candidates.last()?);
    if candidates.len() < 3 {
        return None;
    }
    let slope = (last.inertia - first.inertia) / (last.k - first.k) as f64;
    let mut best = (0.0, first.k);
    for candidate in candidates {
        let below = first.inertia + slope * (candidate.k - first.k) as f64 - candidate.inertia;
        if below > best.0 {
            best = (below, candidate.k);
        }
    }
    Some(best.1)
}
