//! GMM and DBSCAN against scikit-learn on the repeated rows; the numbers are in truth/clusters.json, how they came about in
//! truth/clusters_fixtures.py. Faults guarded against: weights that are dropped, a likelihood that is not the best, a border row in the
//! wrong cluster, a rank by something else than the score.

use empatia_engine::context::Context;
use empatia_engine::data::{FeatureSpec, WeightedRows};
use empatia_engine::density::DensityParams;
use empatia_engine::mixture::MixtureParams;
use empatia_engine::segment::{Clusters, Method, SegmentModel, NOISE_RANK};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    mixtures: Vec<Mixture>,
    dbscans: Vec<Dbscan>,
    segments_mixture: Described,
    segments_dbscan: Described,
}

#[derive(Deserialize)]
struct Mixture {
    k: usize,
    n_features: usize,
    rows: Vec<f64>,
    weights: Vec<f64>,
    regularisation: f64,
    log_likelihood: f64,
    bic: f64,
    component_weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Vec<f64>,
    labels: Vec<usize>,
}

#[derive(Deserialize)]
struct Dbscan {
    n_features: usize,
    rows: Vec<f64>,
    weights: Vec<f64>,
    eps: f64,
    min_points: usize,
    clusters: usize,
    core: usize,
    labels: Vec<i64>,
}

#[derive(Deserialize)]
struct Described {
    regularisation: Option<f64>,
    log_likelihood: Option<f64>,
    eps: Option<f64>,
    min_points: Option<usize>,
    rows: Vec<f64>,
    weights: Vec<f64>,
    segments: Vec<Segment>,
    noise: Option<Segment>,
    inertia: f64,
    ranks: Vec<u32>,
}

#[derive(Deserialize)]
struct Segment {
    size: f64,
    score: f64,
    centroid: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("truth/clusters.json")).unwrap()
}

fn context() -> Context {
    Context::builder().threads(2).build().unwrap()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], to: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        approx::assert_relative_eq!(found, expected, max_relative = to, epsilon = to);
    }
}

fn rows(values: &[f64], p: usize, weights: &[f64]) -> WeightedRows {
    WeightedRows::new(values.to_vec(), p, weights.to_vec()).unwrap()
}

#[test]
fn mixtures_equal_scikit_learns_in_likelihood_components_and_labels() {
    let ctx = context();
    for case in fixture().mixtures {
        let rows = rows(&case.rows, case.n_features, &case.weights);
        let params = MixtureParams {
            n_init: 20,
            tolerance: 1e-11,
            max_iter: 5000,
            regularisation: case.regularisation,
            seed: 1,
            ..MixtureParams::new(case.k)
        };
        let model = params.fit(&ctx, &rows.distinct(&ctx).unwrap()).unwrap();
        assert!(model.report().converged);
        close(&[model.report().log_likelihood], &[case.log_likelihood], 1e-8);
        close(&[model.bic(rows.total_weight())], &[case.bic], 1e-8);
        let p = case.n_features;
        let mut order: Vec<usize> = (0..case.k).collect();
        order.sort_by(|a, b| model.means()[a * p].total_cmp(&model.means()[b * p]));
        for (place, component) in order.iter().copied().enumerate() {
            close(
                &model.weights()[component..=component],
                &case.component_weights[place..=place],
                1e-4,
            );
            let range = |at: usize, size: usize| at * size..(at + 1) * size;
            close(&model.means()[range(component, p)], &case.means[range(place, p)], 1e-4);
            close(
                &model.covariances()[range(component, p * p)],
                &case.covariances[range(place, p * p)],
                1e-3,
            );
        }
        for (row, label) in case.rows.chunks(p).zip(&case.labels) {
            assert_eq!(model.predict_row(row).unwrap() as usize, order[*label], "{row:?}");
        }
    }
}

#[test]
fn dbscan_equals_scikit_learns_core_rows_noise_and_clusters() {
    let ctx = context();
    for case in fixture().dbscans {
        let rows = rows(&case.rows, case.n_features, &case.weights);
        let params = DensityParams {
            eps: case.eps,
            min_points: Some(case.min_points),
        };
        let model = params.fit(&ctx, &rows.distinct(&ctx).unwrap()).unwrap();
        assert_eq!((model.n_clusters(), model.n_core()), (case.clusters, case.core));
        let found: Vec<i64> = case
            .rows
            .chunks(case.n_features)
            .map(|row| model.predict_row(row).unwrap().map_or(-1, i64::from))
            .collect();
        // both number the clusters by their first core row, and both were given the rows in the same order
        assert_eq!(found, case.labels);
    }
}

fn check(method: &Method, case: &Described, to: f64) {
    let ctx = context();
    let features = [FeatureSpec::log1p("posts"), FeatureSpec::log1p("submitted_exercises")];
    let model = SegmentModel::fit_with(
        &ctx,
        &features,
        &[1.0, 1.5],
        method,
        &rows(&case.rows, 2, &case.weights),
    )
    .unwrap();
    let ranked = model.ranked();
    let expected: Vec<&Segment> = case.segments.iter().chain(&case.noise).collect();
    assert_eq!(ranked.len(), expected.len());
    for (place, (segment, expected)) in ranked.iter().zip(expected).enumerate() {
        let rank = if place < case.segments.len() {
            place as u32 + 1
        } else {
            NOISE_RANK
        };
        assert_eq!((segment.rank, segment.weight), (rank, expected.size));
        close(&segment.centroid, &expected.centroid, to);
        close(&[segment.score], &[expected.score], to);
    }
    close(&[model.inertia()], &[case.inertia], to);
    assert_eq!(model.assign_rows(&ctx, &case.rows).unwrap(), case.ranks);
    let stored = SegmentModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(stored, model);
    assert_eq!(stored.assign_rows(&ctx, &case.rows).unwrap(), case.ranks);
    if let (Clusters::Mixture(mixture), Some(expected)) = (model.clusters(), case.log_likelihood) {
        close(&[mixture.report().log_likelihood], &[expected], 1e-8);
    }
}

#[test]
fn segments_of_a_mixture_equal_those_of_the_scikit_learn_pipeline() {
    let case = fixture().segments_mixture;
    let params = MixtureParams {
        n_init: 20,
        tolerance: 1e-11,
        max_iter: 5000,
        regularisation: case.regularisation.unwrap(),
        ..MixtureParams::new(3)
    };
    check(&Method::Mixture(params), &case, 1e-9);
}

#[test]
fn segments_of_dbscan_equal_those_of_the_scikit_learn_pipeline() {
    let case = fixture().segments_dbscan;
    let params = DensityParams {
        eps: case.eps.unwrap(),
        min_points: case.min_points,
    };
    check(&Method::Density(params), &case, 1e-9);
}
