//! GMM and DBSCAN where there is little to find, and where they must refuse. Faults guarded against: a panic of linfa, a NaN, a model
//! that depends on how the rows were given, a limit that is not kept, a computation that goes on after a cancel.

use std::sync::atomic::Ordering;

use empatia_engine::codec::{self, Kind};
use empatia_engine::context::Context;
use empatia_engine::data::{FeatureSpec, WeightedRows};
use empatia_engine::density::{DensityParams, MAX_DISTINCT};
use empatia_engine::error::EngineError;
use empatia_engine::mixture::{MixtureParams, MAX_ROWS};
use empatia_engine::segment::{Method, SegmentModel};

fn context(threads: usize) -> Context {
    Context::builder().threads(threads).build().unwrap()
}

fn features(p: usize) -> Vec<FeatureSpec> {
    (0..p).map(|i| FeatureSpec::log1p(format!("f{i}"))).collect()
}

fn gmm(k: usize) -> Method {
    Method::Mixture(MixtureParams::new(k))
}

fn dbscan(eps: f64, min_points: usize) -> Method {
    Method::Density(DensityParams {
        eps,
        min_points: Some(min_points),
    })
}

fn fit(method: &Method, p: usize, values: Vec<f64>, weights: Vec<f64>) -> Result<SegmentModel, EngineError> {
    let rows = WeightedRows::new(values, p, weights)?;
    SegmentModel::fit_with(&context(2), &features(p), &vec![1.0; p], method, &rows)
}

/// Counts as in a cube: most rows zero, few active.
fn students(n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut state = 7u64;
    let mut next = |modulus: u64| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) % modulus
    };
    let values = (0..n * 3).map(|_| (next(10) * next(4) / 9 * next(7)) as f64).collect();
    (values, (0..n).map(|_| (1 + next(40)) as f64).collect())
}

#[test]
fn one_vector_constants_and_more_components_than_vectors() {
    for method in [gmm(4), dbscan(0.5, 3)] {
        let one = fit(&method, 2, vec![3.0, 0.0], vec![50.0]).unwrap();
        assert_eq!(one.assign(&[3.0, 0.0]).unwrap(), 1, "{}", method.name());
        let segment = one.ranked()[0].clone();
        assert_eq!((segment.rank, segment.weight), (1, 50.0));
        approx::assert_relative_eq!(segment.score, 3.0, max_relative = 1e-12);

        // the second feature is constant; two vectors, far apart
        let two = fit(&method, 2, vec![0.0, 5.0, 9.0, 5.0], vec![60.0, 40.0]).unwrap();
        assert_eq!(two.assign(&[9.0, 5.0]).unwrap(), 1, "{}", method.name());
        assert_eq!(two.assign(&[0.0, 5.0]).unwrap(), 2, "{}", method.name());
        // a constant feature says nothing, also where it has another value
        assert_eq!(two.assign(&[0.0, 77.0]).unwrap(), 2, "{}", method.name());
        assert!(two.segments().iter().all(|s| s.score.is_finite()));
    }
    let reduced = fit(&gmm(4), 2, vec![0.0, 5.0, 9.0, 5.0], vec![60.0, 40.0]).unwrap();
    assert_eq!(reduced.segments().len(), 2);
}

#[test]
fn empty_input_and_bad_parameters_are_errors() {
    for method in [gmm(2), dbscan(0.5, 3)] {
        let nothing = fit(&method, 1, vec![1.0], vec![0.0]);
        assert!(matches!(nothing, Err(EngineError::EmptyInput { .. })), "{nothing:?}");
    }
    let bad = [
        Method::Mixture(MixtureParams::new(0)),
        Method::Mixture(MixtureParams {
            regularisation: 0.0,
            ..MixtureParams::new(2)
        }),
        Method::Mixture(MixtureParams {
            regularisation: f64::NAN,
            ..MixtureParams::new(2)
        }),
        Method::Mixture(MixtureParams {
            tolerance: f64::NAN,
            ..MixtureParams::new(2)
        }),
        Method::Mixture(MixtureParams {
            n_init: 0,
            ..MixtureParams::new(2)
        }),
        Method::Mixture(MixtureParams {
            max_iter: 0,
            ..MixtureParams::new(2)
        }),
        dbscan(0.0, 3),
        dbscan(f64::NAN, 3),
        dbscan(f64::INFINITY, 3),
        dbscan(0.5, 0),
    ];
    for method in bad {
        let outcome = fit(&method, 1, vec![1.0, 2.0, 3.0], vec![1.0; 3]);
        assert!(
            matches!(outcome, Err(EngineError::InvalidParameter { .. })),
            "{method:?}: {outcome:?}"
        );
    }
}

#[test]
fn a_model_depends_on_the_rows_as_a_set_and_on_nothing_else() {
    let (values, weights) = students(300);
    for method in [gmm(3), dbscan(0.4, 20)] {
        let model = fit(&method, 3, values.clone(), weights.clone()).unwrap();
        // every row on its own, last first
        let mut dense = Vec::new();
        for (row, weight) in values.chunks(3).zip(&weights).rev() {
            (0..*weight as usize).for_each(|_| dense.extend_from_slice(row));
        }
        let n = dense.len() / 3;
        let expanded = fit(&method, 3, dense, vec![1.0; n]).unwrap();
        assert_eq!(model, expanded, "{}", method.name());
        let rows = WeightedRows::new(values.clone(), 3, weights.clone()).unwrap();
        for threads in [1, 4] {
            let again = SegmentModel::fit_with(&context(threads), &features(3), &[1.0; 3], &method, &rows).unwrap();
            assert_eq!(
                model.to_bytes().unwrap(),
                again.to_bytes().unwrap(),
                "{}",
                method.name()
            );
        }
        let sizes: f64 = model.segments().iter().map(|segment| segment.weight).sum();
        assert_eq!(sizes, n as f64);
        // the sizes are those of the assignment
        let ranks = model.assign_rows(&context(2), &values).unwrap();
        for segment in model.segments() {
            let of_rank = ranks.iter().zip(&weights).filter(|(rank, _)| **rank == segment.rank);
            assert_eq!(of_rank.map(|(_, w)| w).sum::<f64>(), segment.weight);
        }
    }
}

#[test]
fn rows_not_met_at_the_fit_have_a_class() {
    let model = fit(
        &dbscan(0.2, 5),
        1,
        vec![0.0, 1.0, 100.0, 40.0],
        vec![500.0, 8.0, 60.0, 1.0],
    )
    .unwrap();
    let noise = model.ranked().last().unwrap().rank;
    assert_eq!(noise, 0);
    assert_eq!(model.assign(&[40.0]).unwrap(), 0, "one row alone is noise");
    assert_eq!(model.assign(&[101.0]).unwrap(), 1, "within eps of a core row");
    assert_eq!(model.assign(&[1e6]).unwrap(), 0, "far from all");
    assert_eq!(model.assign(&[7.0]).unwrap(), 0, "between two clusters");
    // nobody is core: all is noise, and the noise has a centroid
    let noise = fit(&dbscan(0.01, 1000), 1, vec![0.0, 1.0], vec![5.0, 5.0]).unwrap();
    assert_eq!((noise.segments().len(), noise.assign(&[1.0]).unwrap()), (1, 0));
    assert_eq!(noise.segments()[0].centroid.len(), 1);
    // nobody is noise: its segment is there for rows to come, with nothing known of it
    let full = fit(&dbscan(9.0, 2), 1, vec![0.0, 1.0], vec![5.0, 5.0]).unwrap();
    let empty = full.ranked()[1];
    assert_eq!((empty.rank, empty.weight, empty.centroid.len()), (0, 0.0, 0));
    assert_eq!(full.assign(&[1e9]).unwrap(), 0);
    assert_eq!(SegmentModel::from_bytes(&full.to_bytes().unwrap()).unwrap(), full);

    let mixture = fit(&gmm(2), 1, vec![0.0, 1.0, 50.0, 60.0], vec![500.0, 80.0, 60.0, 50.0]).unwrap();
    // so far out that every density is 0 in floating point; the idle component, log 1 and log 2, is wider than log 51 and log 61
    assert_eq!(mixture.assign(&[1e9]).unwrap(), 2);
    assert_eq!(
        (mixture.assign(&[55.0]).unwrap(), mixture.assign(&[0.0]).unwrap()),
        (1, 2)
    );
}

#[test]
fn min_points_counts_repeats_and_defaults_to_the_data() {
    let outcome = |weight: f64| fit(&dbscan(0.1, 10), 1, vec![0.0, 50.0], vec![1000.0, weight]).unwrap();
    assert_eq!(outcome(9.0).assign(&[50.0]).unwrap(), 0);
    assert_eq!(outcome(10.0).assign(&[50.0]).unwrap(), 1);
    // default: one in a thousand of 20 000 rows = 20, more than 2 x 1 features
    let by_default = |weight: f64| {
        let method = Method::Density(DensityParams::default());
        fit(&method, 1, vec![0.0, 50.0], vec![20_000.0 - weight, weight]).unwrap()
    };
    assert_eq!(by_default(19.0).assign(&[50.0]).unwrap(), 0);
    assert_eq!(by_default(20.0).assign(&[50.0]).unwrap(), 1);
}

#[test]
fn limits_and_the_budget_are_kept_before_the_memory_is_taken() {
    let beyond = fit(&gmm(1), 1, vec![0.0, 1.0], vec![1.0, MAX_ROWS as f64]);
    assert!(
        matches!(beyond, Err(EngineError::Limit { algorithm: "gmm", limit: MAX_ROWS, found, .. }) if found == MAX_ROWS + 1),
        "{beyond:?}"
    );
    let enormous = fit(&gmm(1), 1, vec![0.0, 1.0], vec![1e90, 1.0]);
    assert!(matches!(enormous, Err(EngineError::Limit { .. })), "{enormous:?}");
    let cells = fit(&gmm(5), 1, (0..9).map(f64::from).collect(), vec![10_000.0; 9]);
    assert!(
        matches!(
            cells,
            Err(EngineError::Limit {
                what: "dense rows x segments",
                ..
            })
        ),
        "{cells:?}"
    );
    let half = fit(&gmm(1), 1, vec![0.0, 1.0], vec![1.5, 1.0]);
    assert!(matches!(half, Err(EngineError::InvalidWeight { .. })), "{half:?}");
    let distinct: Vec<f64> = (0..=MAX_DISTINCT).map(|i| i as f64).collect();
    let weights = vec![1.0; distinct.len()];
    let beyond = fit(&dbscan(0.1, 3), 1, distinct, weights);
    assert!(
        matches!(
            beyond,
            Err(EngineError::Limit {
                algorithm: "dbscan",
                ..
            })
        ),
        "{beyond:?}"
    );
    let clusters = fit(&dbscan(1e-9, 1), 1, (0..2000).map(f64::from).collect(), vec![1.0; 2000]);
    assert!(
        matches!(clusters, Err(EngineError::Limit { what: "clusters", .. })),
        "{clusters:?}"
    );

    let values = (0..2000).flat_map(|i| [f64::from(i), f64::from(i % 7), f64::from(i % 11)]);
    let rows = WeightedRows::new(values.collect(), 3, vec![20.0; 2000]).unwrap();
    // enough for sorting and standardising the rows
    for (method, budget) in [(gmm(4), 4 << 20), (dbscan(0.3, 20), 512 << 10)] {
        let ctx = Context::builder().threads(2).memory_budget(budget).build().unwrap();
        let outcome = SegmentModel::fit_with(&ctx, &features(3), &[1.0; 3], &method, &rows);
        assert!(
            matches!(outcome, Err(EngineError::Memory { .. })),
            "{}: {outcome:?}",
            method.name()
        );
        assert_eq!(ctx.in_use(), 0);
    }
}

#[test]
fn a_cancel_ends_the_fit_and_the_context_works_no_more() {
    let (values, weights) = students(3000);
    let rows = WeightedRows::new(values, 3, weights).unwrap();
    let endless = Method::Mixture(MixtureParams {
        n_init: 1000,
        tolerance: 0.0,
        max_iter: 1_000_000,
        ..MixtureParams::new(4)
    });
    for method in [endless, dbscan(0.3, 20)] {
        let ctx = context(2);
        let flag = ctx.cancel_flag().clone();
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(5));
            flag.store(true, Ordering::Relaxed);
        });
        let outcome = SegmentModel::fit_with(&ctx, &features(3), &[1.0; 3], &method, &rows);
        canceller.join().unwrap();
        match outcome {
            Err(EngineError::Cancelled) => {}
            // the small one may have been faster than the cancel
            Ok(_) if method.name() == "dbscan" => {}
            other => panic!("{}: {other:?}", method.name()),
        }
    }
}

/// Takes the payload apart, lets `change` loose on it, and seals it again with a right checksum.
fn tampered(method: &Method, change: impl FnOnce(&mut serde_json::Value)) -> Result<SegmentModel, EngineError> {
    let model = fit(method, 1, vec![0.0, 1.0, 50.0, 60.0], vec![500.0, 80.0, 60.0, 50.0])?;
    let mut value: serde_json::Value = codec::decode(Kind::SEGMENT, &model.to_bytes()?)?;
    change(&mut value);
    SegmentModel::from_bytes(&codec::encode(Kind::SEGMENT, &value)?)
}

#[test]
fn inconsistent_payloads_with_a_right_checksum_are_refused() {
    let pop = |v: &mut serde_json::Value| drop(v.as_array_mut().unwrap().pop());
    let of_gmm: [fn(&mut serde_json::Value); 5] = [
        |v| v["mixture"]["covariances"][0] = (-1.0).into(),
        |v| v["mixture"]["weights"][0] = 7.0.into(),
        |v| v["mixture"]["n_features"] = 0.into(),
        |v| v["density"] = serde_json::json!({}),
        |v| v["segments"][0]["rank"] = 0.into(),
    ];
    let of_dbscan: [fn(&mut serde_json::Value); 5] = [
        |v| v["density"]["clusters"][0] = 99.into(),
        |v| v["density"]["core"][0] = 1e9.into(),
        |v| v["density"]["eps"] = 0.0.into(),
        |v| v["density"]["n_clusters"] = 5000.into(),
        |v| v["segments"][0]["rank"] = 0.into(),
    ];
    for (method, changes) in [(gmm(2), of_gmm), (dbscan(0.3, 5), of_dbscan)] {
        assert!(tampered(&method, |_| {}).is_ok());
        assert!(
            tampered(&method, |v| pop(&mut v["means"])).is_err(),
            "{}",
            method.name()
        );
        for (index, change) in changes.into_iter().enumerate() {
            let outcome = tampered(&method, change);
            assert!(
                matches!(outcome, Err(EngineError::Codec(_))),
                "{} {index}: {outcome:?}",
                method.name()
            );
        }
    }
}
