//! K-Means segments: fit, describe, judge, assign.

use std::cell::RefCell;
use std::rc::Rc;

use empatia_engine::data::{FeatureSpec, Recipe};
use empatia_engine::kmeans::{choose_k, KMeansParams};
use empatia_engine::metrics::{calinski_harabasz, davies_bouldin, silhouette, Silhouette, SilhouetteParams};
use empatia_engine::segment::SegmentModel;
use linfa::ParamGuard;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::part::Part;
use super::predictor::rank_class;
use super::vectors::{fingerprint, Vectors};
use crate::error::{Error, Result};
use crate::pg::threads::run_interruptible;

/// A non-negative SQL integer as a size.
fn size(name: &str, value: i32) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::invalid_parameter(name, "zero or more", value))
}

/// The engine's parameters from SQL arguments; their domains are the engine's to check.
fn params(k: i32, seed: i64, n_init: i32, max_iter: i32, tolerance: f64) -> Result<KMeansParams> {
    Ok(KMeansParams::new(size("k", k)?)
        // a seed is a pattern of bits: negative ones are as good as any
        .seed(seed as u64)
        .n_init(size("n_init", n_init)?)
        .max_iter(size("max_iter", max_iter)?)
        .tolerance(tolerance))
}

/// Starts unless asked otherwise, and where those disagree on at most so many distinct vectors, on which starts are cheap.
const STARTS: i32 = 10;
const MORE_STARTS: i32 = 100;
const CHEAP_ROWS: usize = 20_000;
/// (worst - best) / best inertia from which starts disagree: they found different optima, and there may be a better one.
const SPREAD: f64 = 1e-9;

/// The part of the cube whose vectors are counted here instead of by a query.
fn part_of(
    results: Option<&str>,
    level: Option<&str>,
    grain: Option<&str>,
    features: &[String],
) -> Result<Option<Part>> {
    match (results, level, grain) {
        (Some(results), Some(level), Some(grain)) => Part::new(results, level, grain, features).map(Some),
        _ => Ok(None),
    }
}

/// Fits segments on the vectors of `query`, or on those of the cube's part in schema `results` where that is given, and
/// returns the model's bytes with what the registry records.
///
/// `score_weights`: one per feature. `n_init` null: 10 starts, or 100 where those disagree. `n_clusters` is less than `k` where there are fewer distinct vectors.
#[pg_extern(name = "_fit_segments", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn fit_segments(
    query: &str,
    client_id: Option<i32>,
    features: Vec<String>,
    score_weights: Vec<f64>,
    k: i32,
    seed: i64,
    n_init: Option<i32>,
    max_iter: i32,
    tolerance: f64,
    results: default!(Option<&str>, "NULL"),
    level: default!(Option<&str>, "NULL"),
    grain: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(encoded, Vec<u8>),
            name!(total_rows, i64),
            name!(distinct_rows, i64),
            name!(fingerprint, String),
            name!(n_clusters, i32),
            name!(inertia, f64),
            name!(iterations, i32),
            name!(converged, bool),
            name!(spread, f64),
            name!(starts, i32),
        ),
    >,
    ErrorReport,
> {
    let with_starts = |starts| params(k, seed, starts, max_iter, tolerance);
    let first = with_starts(n_init.unwrap_or(STARTS))?;
    let more = with_starts(MORE_STARTS)?;
    let part = part_of(results, level, grain, &features)?;
    let vectors = Vectors::of(query, part.as_ref(), client_id, features.len())?;
    let specs: Vec<FeatureSpec> = features.into_iter().map(FeatureSpec::log1p).collect();
    let (model, encoded, distinct, fingerprint) = run_interruptible(move |ctx| {
        let rows = vectors.into_rows(ctx)?;
        let distinct = rows.n_rows();
        let fit = |params: KMeansParams| SegmentModel::fit(ctx, &specs, &score_weights, &params.check()?, &rows);
        let mut model = fit(first)?;
        if n_init.is_none() && distinct <= CHEAP_ROWS && model.kmeans().spread() > SPREAD {
            model = fit(more)?;
        }
        let encoded = model.to_bytes()?;
        Ok((model, encoded, distinct, fingerprint(&rows)))
    })?;
    let kmeans = model.kmeans();
    Ok(TableIterator::once((
        encoded,
        model.training().total_weight as i64,
        distinct as i64,
        fingerprint,
        kmeans.n_clusters() as i32,
        kmeans.inertia(),
        kmeans.iterations() as i32,
        kmeans.converged(),
        kmeans.spread(),
        kmeans.starts().len() as i32,
    )))
}

/// The segments of an encoded model, best first; centroids per feature, original and standardised.
#[pg_extern(name = "_describe_segments", immutable, parallel_safe)]
#[allow(clippy::type_complexity)]
fn describe_segments(
    encoded: &[u8],
) -> Result<
    TableIterator<
        'static,
        (
            name!(rank, i32),
            name!(size, i64),
            name!(score, f64),
            name!(centroid, Vec<f64>),
            name!(standardised, Vec<f64>),
        ),
    >,
    ErrorReport,
> {
    let model = SegmentModel::from_bytes(encoded).map_err(Error::from)?;
    let p = model.recipe().n_features();
    let mut rows: Vec<_> = model
        .segments()
        .iter()
        .zip(model.kmeans().centroid_values().chunks_exact(p))
        .map(|(segment, standardised)| {
            (
                segment.rank as i32,
                segment.weight as i64,
                segment.score,
                segment.centroid.clone(),
                standardised.to_vec(),
            )
        })
        .collect();
    rows.sort_by_key(|row| row.0);
    Ok(TableIterator::new(rows))
}

/// How the silhouette was computed: null = over every row.
fn sampled(found: Option<Silhouette>) -> (Option<f64>, Option<i64>) {
    found.map_or((None, None), |s| (Some(s.value), s.sample_size.map(|n| n as i64)))
}

/// Indices of a model's segments over the vectors of `query`; null with fewer than two segments.
#[pg_extern(name = "_judge_segments", volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn judge_segments(
    query: &str,
    client_id: Option<i32>,
    encoded: &[u8],
    results: default!(Option<&str>, "NULL"),
    level: default!(Option<&str>, "NULL"),
    grain: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(silhouette, Option<f64>),
            name!(silhouette_sample, Option<i64>),
            name!(davies_bouldin, Option<f64>),
            name!(calinski_harabasz, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let model = SegmentModel::from_bytes(encoded).map_err(Error::from)?;
    let features: Vec<String> = model.recipe().features().iter().map(|f| f.name.clone()).collect();
    let part = part_of(results, level, grain, &features)?;
    let vectors = Vectors::of(query, part.as_ref(), client_id, features.len())?;
    let (found, db, ch) = run_interruptible(move |ctx| {
        let rows = vectors.into_rows(ctx)?;
        let rows = model.recipe().transform(ctx, &rows)?.distinct(ctx)?;
        let labels = model.kmeans().predict_rows(ctx, rows.values())?;
        Ok((
            silhouette(ctx, &rows, &labels, &SilhouetteParams::default())?,
            davies_bouldin(ctx, &rows, &labels)?,
            calinski_harabasz(ctx, &rows, &labels)?,
        ))
    })?;
    let (value, sample) = sampled(found);
    Ok(TableIterator::once((value, sample, db, ch)))
}

/// K-Means for every k of `k_min..=k_max` on the vectors of `query`, with the indices that help to choose.
#[pg_extern(name = "_try_k", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn try_k(
    query: &str,
    client_id: Option<i32>,
    features: Vec<String>,
    k_min: i32,
    k_max: i32,
    seed: i64,
    n_init: i32,
    results: default!(Option<&str>, "NULL"),
    level: default!(Option<&str>, "NULL"),
    grain: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(k, i32),
            name!(n_clusters, i32),
            name!(inertia, f64),
            name!(silhouette, Option<f64>),
            name!(silhouette_sample, Option<i64>),
            name!(davies_bouldin, Option<f64>),
            name!(calinski_harabasz, Option<f64>),
            name!(elbow, bool),
            name!(recommended, bool),
        ),
    >,
    ErrorReport,
> {
    if !(1..=k_max).contains(&k_min) || k_max > 100 {
        return Err(
            Error::invalid_parameter("k_min..k_max", "within 1..100", format!("{k_min}..{k_max}"))
                .hint("For example k_min => 2, k_max => 8.")
                .into(),
        );
    }
    let n_init = size("n_init", n_init)?;
    let part = part_of(results, level, grain, &features)?;
    let vectors = Vectors::of(query, part.as_ref(), client_id, features.len())?;
    let specs: Vec<FeatureSpec> = features.into_iter().map(FeatureSpec::log1p).collect();
    let choice = run_interruptible(move |ctx| {
        let rows = vectors.into_rows(ctx)?;
        let recipe = Recipe::fit(ctx, &specs, &rows)?;
        let rows = recipe.transform(ctx, &rows)?.distinct(ctx)?;
        let with_k = |k| KMeansParams::new(k).seed(seed as u64).n_init(n_init);
        choose_k(
            ctx,
            &rows,
            k_min as usize..=k_max as usize,
            with_k,
            &SilhouetteParams::default(),
        )
    })?;
    let rows: Vec<_> = choice
        .candidates
        .iter()
        .map(|candidate| {
            let (value, sample) = sampled(candidate.silhouette);
            (
                candidate.k as i32,
                candidate.n_clusters as i32,
                candidate.inertia,
                value,
                sample,
                candidate.davies_bouldin,
                candidate.calinski_harabasz,
                choice.elbow == Some(candidate.k),
                choice.recommended == candidate.k,
            )
        })
        .collect();
    Ok(TableIterator::new(rows))
}

thread_local! {
    /// The model of the statement at hand. Compared by content, so it can never be stale.
    static LAST: RefCell<Option<(Vec<u8>, Rc<SegmentModel>)>> = const { RefCell::new(None) };
}

/// The decoded model, decoded once per run of equal bytes.
pub(super) fn decoded(encoded: &[u8]) -> Result<Rc<SegmentModel>> {
    LAST.with_borrow_mut(|last| match last {
        Some((bytes, model)) if bytes == encoded => Ok(Rc::clone(model)),
        _ => {
            let model = Rc::new(SegmentModel::from_bytes(encoded)?);
            *last = Some((encoded.to_vec(), Rc::clone(&model)));
            Ok(model)
        }
    })
}

/// Rank of the segment that a feature vector (in the model's order of features) belongs to.
#[pg_extern(name = "_segment_rank", immutable, parallel_safe, cost = 20)]
fn segment_rank(encoded: &[u8], features: Array<'_, f64>) -> Result<i16, ErrorReport> {
    let model = decoded(encoded)?;
    let rank = match features.as_slice() {
        Ok(values) => model.assign(values),
        Err(_) => {
            let values: Vec<f64> = features.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
            model.assign(&values)
        }
    }
    .map_err(Error::from)?;
    Ok(rank_class(rank)?)
}
