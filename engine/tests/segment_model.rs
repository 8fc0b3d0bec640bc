//! The segment model as a value: ranks, ties, storage.

use empatia_engine::codec::{self, CodecError, Kind};
use empatia_engine::context::Context;
use empatia_engine::data::{FeatureSpec, WeightedRows};
use empatia_engine::error::EngineError;
use empatia_engine::kmeans::KMeansParams;
use empatia_engine::segment::{default_features, default_score_weight, SegmentModel};
use linfa::ParamGuard;

fn context() -> Context {
    Context::builder().threads(2).build().unwrap()
}

/// Four groups of students on (posts, submitted_exercises), idle ones by far the most.
fn students() -> WeightedRows {
    let values = vec![
        0., 0., 0., 1., 1., 0., 1., 1., 5., 4., 6., 4., 5., 5., 30., 9., 31., 10.,
    ];
    WeightedRows::new(values, 2, vec![900., 20., 10., 9., 5., 4., 3., 2., 1.]).unwrap()
}

fn features() -> Vec<FeatureSpec> {
    vec![FeatureSpec::log1p("posts"), FeatureSpec::log1p("submitted_exercises")]
}

fn model(score_weights: &[f64]) -> SegmentModel {
    let params = KMeansParams::new(4).seed(3).check().unwrap();
    SegmentModel::fit(&context(), &features(), score_weights, &params, &students()).unwrap()
}

#[test]
fn default_weights_are_those_of_the_contract() {
    let weights: Vec<f64> = default_features()
        .iter()
        .map(|f| default_score_weight(&f.name))
        .collect();
    assert_eq!(weights, [1.0, 1.0, 1.0, 1.0, 0.0, 1.5]);
    assert_eq!(default_score_weight("accesses"), 0.0);
}

#[test]
fn best_students_are_rank_one_and_idle_ones_last() {
    let model = model(&[1.0, 1.5]);
    assert_eq!(model.assign(&[30.0, 9.0]).unwrap(), 1);
    assert_eq!(model.assign(&[5.0, 4.0]).unwrap(), 2);
    assert_eq!(model.assign(&[0.0, 0.0]).unwrap(), 4);
    let ranked = model.ranked();
    assert!(ranked.windows(2).all(|pair| pair[0].score > pair[1].score));
    assert_eq!(ranked[0].weight, 3.0);
    // geometric mean of 1 + x over the three rows of rank 1, minus 1: twice (30, 9), once (31, 10)
    let posts = (31.0f64 * 31.0 * 32.0).cbrt() - 1.0;
    let submitted = (10.0f64 * 10.0 * 11.0).cbrt() - 1.0;
    approx::assert_relative_eq!(ranked[0].centroid[0], posts, max_relative = 1e-12);
    approx::assert_relative_eq!(ranked[0].score, posts + 1.5 * submitted, max_relative = 1e-12);
}

#[test]
fn equal_scores_are_ranked_by_centroid_whatever_the_seed() {
    for seed in 0..10 {
        let params = KMeansParams::new(4).seed(seed).check().unwrap();
        let model = SegmentModel::fit(&context(), &features(), &[0.0, 0.0], &params, &students()).unwrap();
        assert_eq!(model.assign(&[30.0, 9.0]).unwrap(), 1);
        assert!(model
            .ranked()
            .windows(2)
            .all(|pair| pair[0].centroid[0] > pair[1].centroid[0]));
    }
}

#[test]
fn bulk_ranks_equal_single_ranks_and_errors_name_the_row() {
    let model = model(&[1.0, 1.5]);
    let values: Vec<f64> = (0..40_000).map(|i| f64::from(i % 37 * (i % 5))).collect();
    let ranks = model.assign_rows(&context(), &values).unwrap();
    assert!(values
        .chunks(2)
        .zip(&ranks)
        .all(|(row, rank)| model.assign(row).unwrap() == *rank));
    let mut bad = values;
    bad[2 * 15_000 + 1] = f64::NAN;
    let error = model.assign_rows(&context(), &bad).unwrap_err();
    assert!(
        matches!(error, EngineError::NonFinite { row: 15_000, column: 1 }),
        "{error}"
    );
    assert!(matches!(
        model.assign_rows(&context(), &[1.0; 3]),
        Err(EngineError::Dimension { .. })
    ));
    assert!(matches!(
        model.assign(&[1.0, -1.0]),
        Err(EngineError::OutOfDomain { column: 1, .. })
    ));
    assert!(matches!(
        model.assign(&[1.0]),
        Err(EngineError::Dimension {
            expected: 2,
            found: 1,
            ..
        })
    ));
}

#[test]
fn fit_errors_name_the_row_as_given() {
    let rows = WeightedRows::unweighted(vec![9.0, 9.0, 3.0, 3.0, 5.0, -1.0], 2).unwrap();
    let params = KMeansParams::new(2).check().unwrap();
    let error = SegmentModel::fit(&context(), &features(), &[1.0, 1.0], &params, &rows).unwrap_err();
    assert!(
        matches!(error, EngineError::OutOfDomain { row: 2, column: 1, .. }),
        "{error}"
    );
    let error = SegmentModel::fit(&context(), &features(), &[1.0], &params, &rows).unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Dimension {
                what: "score weights",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn all_rows_equal_gives_one_segment_of_rank_one() {
    let rows = WeightedRows::new(vec![3.0, 0.0], 2, vec![50.0]).unwrap();
    let params = KMeansParams::new(4).check().unwrap();
    let model = SegmentModel::fit(&context(), &features(), &[1.0, 1.5], &params, &rows).unwrap();
    assert!(model.kmeans().unwrap().is_reduced());
    assert_eq!(model.assign(&[3.0, 0.0]).unwrap(), 1);
    approx::assert_relative_eq!(model.segments()[0].score, 3.0, max_relative = 1e-14);
}

#[test]
fn stored_model_is_the_same_value_to_the_last_bit() {
    let model = model(&[1.0, 1.5]);
    let bytes = model.to_bytes().unwrap();
    assert_eq!(SegmentModel::from_bytes(&bytes).unwrap(), model);
    assert_eq!(codec::kind_of(&bytes).unwrap(), Kind::SEGMENT);
    for length in (0..bytes.len()).step_by(7) {
        assert!(matches!(
            SegmentModel::from_bytes(&bytes[..length]),
            Err(EngineError::Codec(_))
        ));
    }
}

/// Takes the payload apart, lets `change` loose on it, and seals it again with a right checksum.
fn tampered(change: impl FnOnce(&mut serde_json::Value)) -> Result<SegmentModel, EngineError> {
    let bytes = model(&[1.0, 1.5]).to_bytes().unwrap();
    let mut value: serde_json::Value = codec::decode(Kind::SEGMENT, &bytes).unwrap();
    change(&mut value);
    SegmentModel::from_bytes(&codec::encode(Kind::SEGMENT, &value).unwrap())
}

#[test]
fn inconsistent_payloads_with_a_right_checksum_are_refused() {
    assert!(tampered(|_| {}).is_ok());
    let changes: [fn(&mut serde_json::Value); 9] = [
        |v| v["kmeans"]["centroids"][0] = 1e300.into(),
        |v| drop(v["kmeans"]["centroids"].as_array_mut().unwrap().pop()),
        |v| v["kmeans"]["n_features"] = 0.into(),
        |v| v["kmeans"]["best_start"] = 1000.into(),
        |v| v["kmeans"]["cluster_weights"] = serde_json::json!([]),
        |v| drop(v["recipe"]["features"].as_array_mut().unwrap().pop()),
        |v| v["recipe"]["features"][1]["sd"] = (-1.0).into(),
        |v| v["segments"][0]["rank"] = v["segments"][1]["rank"].clone(),
        |v| drop(v["segments"][0]["centroid"].as_array_mut().unwrap().pop()),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let outcome = tampered(change);
        assert!(
            matches!(outcome, Err(EngineError::Codec(CodecError::Payload { .. }))),
            "{index}: {outcome:?}"
        );
    }
}
