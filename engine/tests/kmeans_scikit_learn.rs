//! Against scikit-learn on the repeated rows; the numbers are in truth/kmeans.json, how they came about in
//! truth/kmeans_fixtures.py.

use empatia_engine::context::Context;
use empatia_engine::data::WeightedRows;
use empatia_engine::kmeans::KMeansParams;
use empatia_engine::metrics::{calinski_harabasz, davies_bouldin, silhouette, SilhouetteParams};
use empatia_engine::segment::{default_features, default_score_weight, SegmentModel};
use linfa::ParamGuard;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    plain: Vec<Plain>,
    segments: Vec<Segments>,
}

#[derive(Deserialize)]
struct Indices {
    silhouette: f64,
    davies_bouldin: f64,
    calinski_harabasz: f64,
}

#[derive(Deserialize)]
struct Plain {
    k: usize,
    n_features: usize,
    rows: Vec<f64>,
    weights: Vec<f64>,
    inertia: f64,
    indices: Indices,
    indices_of_row_number_modulo_k: Indices,
}

#[derive(Deserialize)]
struct Segments {
    k: usize,
    features: Vec<String>,
    rows: Vec<f64>,
    weights: Vec<f64>,
    mean: Vec<f64>,
    sd: Vec<f64>,
    inertia: f64,
    scores: Vec<f64>,
    centroids: Vec<Vec<f64>>,
    sizes: Vec<f64>,
    ranks: Vec<u32>,
    indices: Indices,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("truth/kmeans.json")).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    approx::assert_relative_eq!(found, expected, max_relative = 1e-9, epsilon = 1e-12);
}

fn check_indices(rows: &WeightedRows, labels: &[u32], expected: &Indices) {
    let ctx = Context::builder().threads(2).build().unwrap();
    let found = silhouette(&ctx, rows, labels, &SilhouetteParams::default())
        .unwrap()
        .unwrap();
    close(found.value, expected.silhouette);
    close(
        davies_bouldin(&ctx, rows, labels).unwrap().unwrap(),
        expected.davies_bouldin,
    );
    close(
        calinski_harabasz(&ctx, rows, labels).unwrap().unwrap(),
        expected.calinski_harabasz,
    );
}

#[test]
fn inertia_and_indices_equal_scikit_learns() {
    let ctx = Context::builder().threads(2).build().unwrap();
    for case in fixture().plain {
        let rows = WeightedRows::new(case.rows, case.n_features, case.weights).unwrap();
        let params = KMeansParams::new(case.k)
            .n_init(200) // scikit-learn's best of 20 is one of 13 local optima
            .tolerance(0.0)
            .seed(1)
            .check()
            .unwrap();
        let fitted = params.fit_rows(&ctx, &rows).unwrap();
        close(fitted.model.inertia(), case.inertia);
        check_indices(&rows, &fitted.labels, &case.indices);
    }
}

#[test]
fn indices_of_bad_clusters_equal_scikit_learns() {
    for case in fixture().plain {
        let rows = WeightedRows::new(case.rows, case.n_features, case.weights).unwrap();
        let labels: Vec<u32> = (0..rows.n_rows()).map(|row| (row % case.k) as u32).collect();
        check_indices(&rows, &labels, &case.indices_of_row_number_modulo_k);
    }
}

#[test]
fn segments_scores_ranks_and_sizes_equal_those_of_the_scikit_learn_pipeline() {
    let ctx = Context::builder().threads(2).build().unwrap();
    for case in fixture().segments {
        let features = default_features();
        assert!(features.iter().map(|f| &f.name).eq(&case.features));
        let score_weights: Vec<f64> = features.iter().map(|f| default_score_weight(&f.name)).collect();
        let rows = WeightedRows::new(case.rows.clone(), 6, case.weights).unwrap();
        let params = KMeansParams::new(case.k)
            .n_init(20)
            .tolerance(0.0)
            .seed(2)
            .check()
            .unwrap();
        let model = SegmentModel::fit(&ctx, &features, &score_weights, &params, &rows).unwrap();
        for (feature, (mean, sd)) in model.recipe().features().iter().zip(case.mean.iter().zip(&case.sd)) {
            close(feature.mean, *mean);
            close(feature.sd, *sd);
        }
        close(model.kmeans().unwrap().inertia(), case.inertia);
        for (segment, (score, (centroid, size))) in model
            .ranked()
            .iter()
            .zip(case.scores.iter().zip(case.centroids.iter().zip(&case.sizes)))
        {
            close(segment.score, *score);
            assert_eq!(segment.weight, *size);
            segment
                .centroid
                .iter()
                .zip(centroid)
                .for_each(|(found, expected)| close(*found, *expected));
        }
        let ranks = model.assign_rows(&ctx, &case.rows).unwrap();
        assert_eq!(ranks, case.ranks);
        let standardised = model.recipe().transform(&ctx, &rows).unwrap();
        check_indices(
            &standardised,
            &ranks.iter().map(|rank| rank - 1).collect::<Vec<_>>(),
            &case.indices,
        );
    }
}
