//! Inputs at the edge: each gives a valid model or a typed error, never a NaN.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use empatia_engine::context::{Context, Progress};
use empatia_engine::data::WeightedRows;
use empatia_engine::error::EngineError;
use empatia_engine::kmeans::{choose_k, Fitted, Init, KMeansParams};
use empatia_engine::metrics::SilhouetteParams;
use linfa::ParamGuard;
use ndarray::{array, Array2};

fn rows(values: &[f64], p: usize, weights: &[f64]) -> WeightedRows {
    WeightedRows::new(values.to_vec(), p, weights.to_vec()).unwrap()
}

fn fit(rows: &WeightedRows, params: KMeansParams) -> Fitted {
    let fitted = params
        .check()
        .unwrap()
        .fit_rows(&Context::builder().build().unwrap(), rows)
        .unwrap();
    let model = &fitted.model;
    assert!(
        model
            .centroid_values()
            .iter()
            .chain(model.cluster_weights())
            .all(|v| v.is_finite()),
        "{model:?}"
    );
    assert!(model.inertia().is_finite() && model.inertia() >= 0.0);
    assert_eq!(model.cluster_weights().iter().sum::<f64>(), rows.total_weight());
    fitted
}

#[test]
fn one_cluster_is_the_weighted_mean() {
    let model = fit(&rows(&[0.0, 1.0, 4.0, 3.0], 2, &[3.0, 1.0]), KMeansParams::new(1)).model;
    assert_eq!(model.centroid_values(), [1.0, 1.5]);
    assert_eq!((model.inertia(), model.is_reduced()), (3.0 * 1.25 + 9.0 + 2.25, false));
}

#[test]
fn fewer_distinct_rows_than_clusters_gives_one_cluster_each_and_says_so() {
    let fitted = fit(
        &rows(&[5.0, 1.0, 5.0, 1.0, 5.0], 1, &[1.0, 2.0, 3.0, 4.0, 0.0]),
        KMeansParams::new(4),
    );
    assert_eq!(fitted.model.centroid_values(), [1.0, 5.0]);
    assert_eq!(fitted.model.cluster_weights(), [6.0, 4.0]);
    assert_eq!(fitted.labels, [1, 0, 1, 0, 1]);
    assert_eq!(
        (fitted.model.is_reduced(), fitted.model.inertia(), fitted.model.spread()),
        (true, 0.0, 0.0)
    );
}

#[test]
fn as_many_distinct_rows_as_clusters_is_not_reduced() {
    let model = fit(&rows(&[5.0, 1.0, 3.0], 1, &[1.0; 3]), KMeansParams::new(3)).model;
    assert_eq!(
        (model.is_reduced(), model.n_clusters(), model.inertia()),
        (false, 3, 0.0)
    );
}

#[test]
fn single_row() {
    let model = fit(&rows(&[5.0, -2.0], 2, &[7.0]), KMeansParams::new(4)).model;
    assert_eq!(
        (model.centroid_values(), model.cluster_weights()),
        (&[5.0, -2.0][..], &[7.0][..])
    );
}

#[test]
fn constant_features_do_not_disturb_the_others() {
    let with: Vec<f64> = (0..40).flat_map(|i| [0.0, f64::from(i * i % 17), 8.0]).collect();
    let without: Vec<f64> = (0..40).map(|i| f64::from(i * i % 17)).collect();
    let a = fit(&WeightedRows::unweighted(with, 3).unwrap(), KMeansParams::new(3)).model;
    let b = fit(&WeightedRows::unweighted(without, 1).unwrap(), KMeansParams::new(3)).model;
    assert_eq!((a.inertia(), a.cluster_weights()), (b.inertia(), b.cluster_weights()));
}

#[test]
fn zero_weight_rows_get_a_label_and_move_nothing() {
    let values: Vec<f64> = (0..50).map(|i| f64::from(i % 10) + f64::from(i) * 0.01).collect();
    let weights: Vec<f64> = (0..50).map(|i| f64::from(i % 3)).collect();
    let with = rows(&values, 1, &weights);
    let kept: Vec<(f64, f64)> = values.iter().copied().zip(weights).filter(|r| r.1 > 0.0).collect();
    let (x, w): (Vec<f64>, Vec<f64>) = kept.into_iter().unzip();
    let (a, b) = (
        fit(&with, KMeansParams::new(4)),
        fit(&rows(&x, 1, &w), KMeansParams::new(4)),
    );
    assert_eq!(a.model, b.model);
    assert_eq!(a.labels.len(), 50);
}

#[test]
fn an_empty_cluster_gets_the_farthest_row() {
    // The third centroid is nearest to nothing. The farthest row is the 30; the heavy 0 is near.
    let init = Init::Precomputed(array![[0.0], [10.0], [1000.0]]);
    let data = rows(&[0.0, 1.0, 10.0, 11.0, 30.0], 1, &[50.0, 1.0, 5.0, 5.0, 1.0]);
    let model = fit(&data, KMeansParams::new(3).init(init).tolerance(0.0)).model;
    assert_eq!(model.cluster_weights(), [51.0, 10.0, 1.0]);
    assert_eq!(model.centroid_values()[2], 30.0);
}

#[test]
fn equal_initial_centroids_still_end_in_k_clusters() {
    let init = Init::Precomputed(Array2::from_elem((3, 1), 2.0));
    let model = fit(
        &rows(&[0.0, 1.0, 5.0, 9.0], 1, &[1.0, 2.0, 1.0, 1.0]),
        KMeansParams::new(3).init(init),
    )
    .model;
    assert!(model.cluster_weights().iter().all(|w| *w > 0.0), "{model:?}");
}

#[test]
fn distances_that_underflow_to_zero_do_not_hang_or_break() {
    let values: Vec<f64> = (0..8).map(|i| f64::from(i) * 1e-200).collect();
    let model = fit(
        &WeightedRows::unweighted(values, 1).unwrap(),
        KMeansParams::new(3).max_iter(20),
    )
    .model;
    assert_eq!(model.inertia(), 0.0);
}

#[test]
fn the_largest_values_and_weights_do_not_overflow() {
    let data = rows(&[-1e100, 1e100, 9e99, 0.0, 1.0], 1, &[1e99, 1.0, 5e98, 1e99, 1.0]);
    fit(&data, KMeansParams::new(2));
}

#[test]
fn nothing_to_fit_is_an_error() {
    let ctx = Context::builder().build().unwrap();
    let params = KMeansParams::new(2).check().unwrap();
    for data in [rows(&[], 3, &[]), rows(&[1.0, 2.0], 1, &[0.0, 0.0])] {
        assert!(matches!(
            params.fit_rows(&ctx, &data),
            Err(EngineError::EmptyInput { .. })
        ));
    }
}

#[test]
fn bad_parameters_are_named() {
    let name = |params: KMeansParams| match params.check() {
        Err(EngineError::InvalidParameter { name, .. }) => name,
        Err(EngineError::Dimension { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(KMeansParams::new(0)), "k");
    assert_eq!(name(KMeansParams::new(1_000_000)), "k");
    assert_eq!(name(KMeansParams::new(2).n_init(0)), "n_init");
    assert_eq!(name(KMeansParams::new(2).max_iter(0)), "max_iter");
    assert_eq!(name(KMeansParams::new(2).tolerance(f64::NAN)), "tolerance");
    assert_eq!(name(KMeansParams::new(2).tolerance(-1.0)), "tolerance");
    assert_eq!(
        name(KMeansParams::new(2).init(Init::Precomputed(array![[1.0]]))),
        "initial centroids"
    );
    let nan = Init::Precomputed(array![[1.0], [f64::NAN]]);
    assert_eq!(name(KMeansParams::new(2).init(nan)), "initial centroids");
}

#[test]
fn initial_centroids_of_another_width_are_an_error() {
    let ctx = Context::builder().build().unwrap();
    let params = KMeansParams::new(1)
        .init(Init::Precomputed(array![[1.0, 2.0]]))
        .check()
        .unwrap();
    assert!(matches!(
        params.fit_rows(&ctx, &rows(&[1.0], 1, &[1.0])),
        Err(EngineError::Dimension { .. })
    ));
}

fn wide() -> WeightedRows {
    let values = (0..400_000u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64)
        .collect();
    WeightedRows::unweighted(values, 4).unwrap()
}

#[test]
fn memory_beyond_the_budget_is_refused_and_everything_is_given_back() {
    let params = KMeansParams::new(5).n_init(2).check().unwrap();
    let mut refused = 0;
    // Budgets from too small for the first buffer to ample: each refusal must leave nothing reserved.
    for megabytes in [1, 4, 6, 8, 9, 10, 12, 64] {
        let ctx = Context::builder()
            .memory_budget(megabytes << 20)
            .threads(2)
            .build()
            .unwrap();
        match params.fit_rows(&ctx, &wide()) {
            Ok(_) => {}
            Err(EngineError::Memory { needed, in_use, budget }) => {
                assert!(budget == megabytes << 20 && needed + in_use > budget);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(ctx.in_use(), 0);
    }
    assert!((1..8).contains(&refused), "{refused}");
}

#[test]
fn a_raised_cancel_flag_ends_a_running_fit_within_a_tenth_of_a_second() {
    let data = wide();
    let ctx = Context::builder().threads(2).build().unwrap();
    let flag = Arc::clone(ctx.cancel_flag());
    let params = KMeansParams::new(50).n_init(50).tolerance(0.0).check().unwrap();
    let (outcome, late) = std::thread::scope(|scope| {
        let work = scope.spawn(|| (params.fit_rows(&ctx, &data), std::time::Instant::now()));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let raised = std::time::Instant::now();
        flag.store(true, Ordering::Relaxed);
        let (outcome, ended) = work.join().unwrap();
        (outcome, ended.duration_since(raised))
    });
    assert!(matches!(outcome, Err(EngineError::Cancelled)));
    assert!(late.as_millis() < 100, "{late:?}");
}

#[test]
fn progress_ends_with_all_starts_done() {
    let sink = Arc::new(Progress::default());
    let ctx = Context::builder().progress(Arc::clone(&sink)).build().unwrap();
    let data = rows(&[0.0, 1.0, 5.0, 9.0], 1, &[1.0, 2.0, 1.0, 1.0]);
    KMeansParams::new(2)
        .n_init(6)
        .check()
        .unwrap()
        .fit_rows(&ctx, &data)
        .unwrap();
    assert_eq!((sink.done(), sink.total()), (6, 6));
}

#[test]
fn choose_k_finds_three_blobs_and_its_indices_agree() {
    let values = (0..90)
        .map(|i| f64::from(i % 3) * 100.0 + f64::from(i / 3) * 0.7)
        .collect();
    let data = WeightedRows::unweighted(values, 1).unwrap();
    let ctx = Context::builder().build().unwrap();
    let choice = choose_k(&ctx, &data, 1..=6, KMeansParams::new, &SilhouetteParams::default()).unwrap();
    assert_eq!(
        choice.candidates.iter().map(|c| c.k).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!((choice.recommended, choice.elbow), (3, Some(3)));
    assert_eq!(choice.by_davies_bouldin, Some(3));
    assert!(choice.candidates[0].silhouette.is_none());
    assert!(choice.candidates.windows(2).all(|w| w[1].inertia < w[0].inertia));
}

#[test]
fn choose_k_stops_at_the_number_of_distinct_rows() {
    let ctx = Context::builder().build().unwrap();
    let data = rows(&[0.0, 1.0, 9.0], 1, &[5.0, 5.0, 5.0]);
    let settings = SilhouetteParams::default();
    let choice = choose_k(&ctx, &data, 2..=10, KMeansParams::new, &settings).unwrap();
    assert_eq!(choice.candidates.iter().map(|c| c.k).collect::<Vec<_>>(), [2, 3]);
    let choice = choose_k(&ctx, &data, 5..=10, KMeansParams::new, &settings).unwrap();
    assert_eq!((choice.candidates[0].k, choice.candidates[0].n_clusters), (5, 3));
    #[allow(clippy::reversed_empty_ranges)]
    let empty = choose_k(&ctx, &data, 3..=2, KMeansParams::new, &settings);
    assert!(matches!(empty, Err(EngineError::InvalidParameter { .. })));
}
