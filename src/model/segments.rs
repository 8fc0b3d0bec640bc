//! Segments: fit, describe, judge, assign.

use std::cell::RefCell;
use std::rc::Rc;

use empatia_engine::data::{FeatureSpec, Recipe, WeightedRows};
use empatia_engine::error::EngineError;
use empatia_engine::kmeans::{choose_k, KMeansParams};
use empatia_engine::metrics::{calinski_harabasz, davies_bouldin, silhouette, Silhouette, SilhouetteParams};
use empatia_engine::segment::{SegmentModel, NOISE_RANK};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::JsonB;

use super::algorithm::{recorded, Arguments, Methods};
use super::part::Part;
use super::predictor::rank_class;
use super::vectors::{fingerprint, Vectors};
use crate::error::{Error, Result};
use crate::pg::json::Document;
use crate::pg::threads::run_interruptible;

/// A non-negative SQL integer as a size.
fn size(name: &str, value: i32) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::invalid_parameter(name, "zero or more", value))
}

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
/// `score_weights`: one per feature. `n_init` null: as the algorithm has it. `n_clusters` is less than `k` where there are fewer distinct vectors.
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
    algorithm: default!(&str, "'kmeans'"),
    options: default!(Option<Document>, "NULL"),
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
            name!(parameters, JsonB),
            name!(metrics, JsonB),
        ),
    >,
    ErrorReport,
> {
    let arguments = Arguments {
        k: size("k", k)?,
        // a seed is a pattern of bits: negative ones are as good as any
        seed: seed as u64,
        n_init: n_init.map(|n| size("n_init", n)).transpose()?,
        max_iter: size("max_iter", max_iter)?,
        tolerance,
    };
    let methods = Methods::new(algorithm, &arguments, options.map(|options| options.0))?;
    let part = part_of(results, level, grain, &features)?;
    let vectors = Vectors::of(query, part.as_ref(), client_id, features.len())?;
    let specs: Vec<FeatureSpec> = features.into_iter().map(FeatureSpec::log1p).collect();
    let (model, encoded, distinct, fingerprint) = run_interruptible(move |ctx| {
        let rows = vectors.into_rows(ctx)?;
        let distinct = rows.n_rows();
        let model = methods.fit(distinct, |method| {
            SegmentModel::fit_with(ctx, &specs, &score_weights, method, &rows)
        })?;
        let encoded = model.to_bytes()?;
        let fingerprint = fingerprint(ctx, &rows)?;
        Ok((model, encoded, distinct, fingerprint))
    })?;
    let (parameters, metrics) = recorded(&model, &arguments);
    Ok(TableIterator::once((
        encoded,
        model.training().total_weight as i64,
        distinct as i64,
        fingerprint,
        model.segments().len() as i32,
        model.inertia(),
        JsonB(parameters),
        JsonB(metrics),
    )))
}

/// The segments of an encoded model, best first, noise (rank 0) last; centroids per feature, original and standardised. Score and centroid
/// are null where there is no row to tell them from: a noise that no row of the fit belongs to.
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
            name!(score, Option<f64>),
            name!(centroid, Option<Vec<f64>>),
            name!(standardised, Option<Vec<f64>>),
        ),
    >,
    ErrorReport,
> {
    let model = SegmentModel::from_bytes(encoded).map_err(Error::from)?;
    let p = model.recipe().n_features();
    let mut rows: Vec<_> = model
        .segments()
        .iter()
        .zip(model.standardised_centroids().chunks_exact(p))
        .map(|(segment, standardised)| {
            let known = !segment.centroid.is_empty();
            (
                segment.rank as i32,
                segment.weight as i64,
                known.then_some(segment.score),
                known.then(|| segment.centroid.clone()),
                known.then(|| standardised.to_vec()),
            )
        })
        .collect();
    rows.sort_by_key(|row| (row.0 == NOISE_RANK as i32, row.0));
    Ok(TableIterator::new(rows))
}

/// How the silhouette was computed: null = over every row.
fn sampled(found: Option<Silhouette>) -> (Option<f64>, Option<i64>) {
    found.map_or((None, None), |s| (Some(s.value), s.sample_size.map(|n| n as i64)))
}

/// Indices of a model's segments over the vectors of `query`, noise left out; null with fewer than two segments.
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
        let labels = model.clusters().predict_rows(ctx, rows.values())?;
        let (rows, labels) = without_noise(&model, rows, labels)?;
        Ok((
            silhouette(ctx, &rows, &labels, &SilhouetteParams::default())?,
            davies_bouldin(ctx, &rows, &labels)?,
            calinski_harabasz(ctx, &rows, &labels)?,
        ))
    })?;
    let (value, sample) = sampled(found);
    Ok(TableIterator::once((value, sample, db, ch)))
}

/// The rows that belong to a cluster, and their labels.
fn without_noise(
    model: &SegmentModel,
    rows: WeightedRows,
    mut labels: Vec<u32>,
) -> Result<(WeightedRows, Vec<u32>), EngineError> {
    let Some(noise) = model.clusters().noise().map(|noise| noise as u32) else {
        return Ok((rows, labels));
    };
    let (mut values, mut weights) = (Vec::new(), Vec::new());
    for ((row, weight), _) in rows.iter().zip(&labels).filter(|(_, label)| **label != noise) {
        values.extend_from_slice(row);
        weights.push(weight);
    }
    labels.retain(|label| *label != noise);
    Ok((WeightedRows::new(values, rows.n_features(), weights)?, labels))
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
