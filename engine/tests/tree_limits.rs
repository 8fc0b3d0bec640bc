//! Trees at the edges: little data, odd data, no room, no time.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use empatia_engine::context::{Context, Progress};
use empatia_engine::error::EngineError;
use empatia_engine::tree::{BoostingParams, ClassWeight, FeatureTable, ForestParams, TrainingSet, TreeParams};
use linfa::ParamGuard;
use tree_support::wide;

mod tree_support;

fn context() -> Context {
    Context::builder().threads(2).build().unwrap()
}

/// Fits all three models and returns their probabilities of the training rows.
fn all_three(columns: &[Vec<f64>], labels: &[u32], classes: usize, weights: &[f64]) -> [Vec<f64>; 3] {
    let ctx = context();
    let table = FeatureTable::from_columns(columns).unwrap();
    let set = TrainingSet::new(&table, labels, classes, weights).unwrap();
    let tree = TreeParams::new(5).check().unwrap().fit(&ctx, &set).unwrap();
    let forest = ForestParams::new(10).check().unwrap().fit(&ctx, &set).unwrap().model;
    let boosted = BoostingParams::new(10)
        .min_leaf(1.0)
        .check()
        .unwrap()
        .fit(&ctx, &set, None)
        .unwrap()
        .model;
    let found = [
        tree.predict_probabilities(&ctx, &table).unwrap(),
        forest.predict_probabilities(&ctx, &table).unwrap(),
        boosted.predict_probabilities(&ctx, &table).unwrap(),
    ];
    for probabilities in &found {
        assert_eq!(probabilities.len(), labels.len() * classes);
        for row in probabilities.chunks(classes) {
            assert!(
                (row.iter().sum::<f64>() - 1.0).abs() < 1e-9 && row.iter().all(|p| *p >= 0.0),
                "{row:?}"
            );
        }
    }
    for explanation in [
        tree.explain(&ctx, &table),
        forest.explain(&ctx, &table),
        boosted.explain(&ctx, &table),
    ] {
        assert!(explanation.unwrap().values().iter().all(|value| value.is_finite()));
    }
    found
}

#[test]
fn one_class_only_is_predicted_for_certain() {
    let column = vec![vec![1.0, 2.0, 3.0]];
    for (classes, label, place) in [(1, 0, 0), (2, 1, 1), (2, 0, 0), (3, 2, 2)] {
        for probabilities in all_three(&column, &[label; 3], classes, &[1.0; 3]) {
            assert!(
                probabilities.chunks(classes).all(|row| row[place] > 1.0 - 1e-9),
                "{probabilities:?}"
            );
        }
    }
}

#[test]
fn one_row_and_columns_that_say_nothing_give_the_class_shares() {
    all_three(&[vec![7.0]], &[1], 2, &[1.0]);
    let nothing = [vec![f64::NAN; 4], vec![3.0; 4]];
    let [tree, forest, boosted] = all_three(&nothing, &[0, 1, 1, 1], 2, &[1.0; 4]);
    assert_eq!(tree[1], 0.75);
    assert!((boosted[1] - 0.75).abs() < 1e-12);
    assert!(forest[1] > 0.4 && forest[1] < 1.0);
}

#[test]
fn missing_and_known_values_are_told_apart_where_that_is_all_there_is() {
    let column = vec![vec![f64::NAN, 5.0, f64::NAN, 5.0, f64::NAN, 5.0]];
    let [tree, _, boosted] = all_three(&column, &[1, 0, 1, 0, 1, 0], 2, &[1.0; 6]);
    assert_eq!(tree[..4], [0.0, 1.0, 1.0, 0.0]);
    assert!(boosted[1] > 0.7 && boosted[3] < 0.3, "{boosted:?}");
}

#[test]
fn rows_of_weight_zero_and_two_hundred_classes_are_no_trouble() {
    let column = vec![(0..600).map(f64::from).collect::<Vec<_>>()];
    let labels: Vec<u32> = (0..600).map(|row| row / 3).collect();
    let weights: Vec<f64> = (0..600).map(|row| f64::from(u8::from(row % 3 > 0))).collect();
    all_three(&column, &labels, 200, &weights);
}

#[test]
fn ten_thousand_columns_fit() {
    let columns: Vec<Vec<f64>> = (0..10_000u64)
        .map(|j| {
            (0..60)
                .map(|i: u64| (i.wrapping_mul(j * 2 + 1).wrapping_mul(0x9E37_79B9) >> 7 & 0xFF) as f64)
                .collect()
        })
        .collect();
    let labels: Vec<u32> = (0..60).map(|i| u32::from(columns[77][i] > 128.0)).collect();
    let [tree, ..] = all_three(&columns, &labels, 2, &[1.0; 60]);
    assert!(tree
        .chunks(2)
        .zip(&labels)
        .all(|(row, label)| row[*label as usize] == 1.0));
}

#[test]
fn what_cannot_be_trained_on_is_refused_with_its_place() {
    let infinite = FeatureTable::from_columns(&[vec![1.0, 2.0], vec![3.0, f64::INFINITY]]);
    assert!(matches!(infinite, Err(EngineError::NonFinite { row: 1, column: 1 })));
    let infinite = FeatureTable::from_rows(&[1.0, 2.0, f64::NEG_INFINITY, 4.0], 2);
    assert!(matches!(infinite, Err(EngineError::NonFinite { row: 1, column: 0 })));
    assert!(matches!(
        FeatureTable::from_columns(&[vec![1.0], vec![]]),
        Err(EngineError::Dimension { .. })
    ));
    assert!(matches!(
        FeatureTable::from_rows(&[1.0, 2.0, 3.0], 2),
        Err(EngineError::Dimension { .. })
    ));
    assert!(FeatureTable::from_columns::<Vec<f64>>(&[]).is_err());
    let table = FeatureTable::from_columns(&[vec![1.0, 2.0]]).unwrap();
    let refused =
        |labels: &[u32], classes, weights: &[f64]| TrainingSet::new(&table, labels, classes, weights).unwrap_err();
    assert!(matches!(
        refused(&[0], 2, &[1.0, 1.0]),
        EngineError::Dimension { what: "labels", .. }
    ));
    assert!(matches!(
        refused(&[0, 1], 2, &[1.0]),
        EngineError::Dimension { what: "weights", .. }
    ));
    assert!(matches!(
        refused(&[0, 2], 2, &[1.0, 1.0]),
        EngineError::InvalidParameter { name: "label", .. }
    ));
    assert!(matches!(
        refused(&[0, 1], 2, &[1.0, -1.0]),
        EngineError::InvalidWeight { row: 1, .. }
    ));
    assert!(matches!(
        refused(&[0, 1], 2, &[0.0, 0.0]),
        EngineError::EmptyInput { .. }
    ));
    assert!(refused(&[0, 1], 5_000, &[1.0, 1.0])
        .to_string()
        .contains("between 1 and 1000"));
}

#[test]
fn a_table_of_another_width_is_refused_at_prediction() {
    let ctx = context();
    let table = FeatureTable::from_columns(&[vec![1.0, 2.0], vec![1.0, 2.0]]).unwrap();
    let set = TrainingSet::new(&table, &[0, 1], 2, &[1.0, 1.0]).unwrap();
    let forest = ForestParams::new(2).check().unwrap().fit(&ctx, &set).unwrap().model;
    let narrow = FeatureTable::from_columns(&[vec![1.0]]).unwrap();
    let expected = |found: EngineError| {
        matches!(
            found,
            EngineError::Dimension {
                expected: 2,
                found: 1,
                ..
            }
        )
    };
    assert!(expected(forest.predict_probabilities(&ctx, &narrow).unwrap_err()));
    assert!(expected(forest.explain(&ctx, &narrow).unwrap_err()));
    let validation = TrainingSet::new(&narrow, &[0], 2, &[1.0]).unwrap();
    assert!(expected(
        BoostingParams::new(1)
            .check()
            .unwrap()
            .fit(&ctx, &set, Some(&validation))
            .unwrap_err()
    ));
    let empty = FeatureTable::from_columns(&[vec![], vec![]]).unwrap();
    assert!(forest.predict_probabilities(&ctx, &empty).unwrap().is_empty());
    assert_eq!(forest.explain(&ctx, &empty).unwrap().n_rows(), 0);
}

#[test]
fn unknown_options_are_errors_that_list_the_known_ones_and_bad_values_are_named() {
    let error = serde_json::from_str::<ForestParams>(r#"{"tres": 5}"#)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("unknown field `tres`") && error.contains("`trees`") && error.contains("`min_leaf`"),
        "{error}"
    );
    let error = serde_json::from_str::<BoostingParams>(r#"{"eta": 1}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`learning_rate`"), "{error}");
    let params: BoostingParams =
        serde_json::from_str(r#"{"growth": "depth_wise", "class_weight": "balanced"}"#).unwrap();
    assert_eq!(params.check().unwrap().class_weight(), &ClassWeight::Balanced);
    let params: ForestParams = serde_json::from_str(r#"{"max_features": {"fraction": 0.5}, "max_depth": 3}"#).unwrap();
    assert_eq!(params.check().unwrap().max_depth(), 3);
    let name = |error: EngineError| match error {
        EngineError::InvalidParameter { name, .. } => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(ForestParams::new(0).check().unwrap_err()), "trees");
    assert_eq!(
        name(ForestParams::new(1).max_bins(256).check().unwrap_err()),
        "max_bins"
    );
    assert_eq!(
        name(ForestParams::new(1).min_leaf(f64::NAN).check().unwrap_err()),
        "min_leaf"
    );
    assert_eq!(
        name(
            ForestParams::new(1)
                .bootstrap(false)
                .out_of_bag(true)
                .check()
                .unwrap_err()
        ),
        "out_of_bag"
    );
    assert_eq!(
        name(BoostingParams::new(1).learning_rate(-0.1).check().unwrap_err()),
        "learning_rate"
    );
    assert_eq!(
        name(BoostingParams::new(1).max_leaves(1).check().unwrap_err()),
        "max_leaves"
    );
    assert_eq!(name(TreeParams::new(513).check().unwrap_err()), "max_depth");
    let given = ClassWeight::Given(vec![1.0, f64::INFINITY]);
    assert_eq!(
        name(TreeParams::new(3).class_weight(given).check().unwrap_err()),
        "class weight"
    );
}

#[test]
fn memory_beyond_the_budget_is_refused_and_everything_is_given_back() {
    let (table, labels, weights) = wide(50_000);
    let set = TrainingSet::new(&table, &labels, 3, &weights).unwrap();
    let forest = ForestParams::new(4).check().unwrap();
    let boosting = BoostingParams::new(4).check().unwrap();
    let (mut refused, mut granted) = (0, 0);
    for kilobytes in [200, 1_000, 2_000, 4_000, 8_000, 16_000, 1_000_000] {
        let ctx = Context::builder()
            .threads(2)
            .memory_budget(kilobytes << 10)
            .build()
            .unwrap();
        for outcome in [
            forest.fit(&ctx, &set).map(|_| ()),
            boosting.fit(&ctx, &set, None).map(|_| ()),
        ] {
            match outcome {
                Ok(()) => granted += 1,
                Err(EngineError::Memory { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            assert_eq!(ctx.in_use(), 0);
        }
    }
    assert!(refused >= 4 && granted >= 2, "{refused} {granted}");
}

type Work<'a> = dyn Fn(&Context) -> Option<EngineError> + Sync + 'a;

/// Raises the flag while `work` runs; how long it went on.
fn latency(work: &Work) -> Duration {
    let ctx = context();
    let flag = Arc::clone(ctx.cancel_flag());
    std::thread::scope(|scope| {
        let work = scope.spawn(|| (work(&ctx), Instant::now()));
        std::thread::sleep(Duration::from_millis(250));
        let raised = Instant::now();
        flag.store(true, Ordering::Relaxed);
        let (outcome, ended) = work.join().unwrap();
        assert!(matches!(outcome, Some(EngineError::Cancelled)), "{outcome:?}");
        ended.duration_since(raised)
    })
}

#[test]
fn a_raised_cancel_flag_ends_a_running_fit_within_a_tenth_of_a_second() {
    let (table, labels, weights) = wide(300_000);
    let set = TrainingSet::new(&table, &labels, 3, &weights).unwrap();
    let forest = ForestParams::new(5_000).check().unwrap();
    let boosting = BoostingParams::new(5_000).check().unwrap();
    let few = TrainingSet::new(&table, &labels, 3, &weights).unwrap();
    let small = ForestParams::new(40)
        .max_depth(10)
        .check()
        .unwrap()
        .fit(&context(), &few)
        .unwrap()
        .model;
    let works: [&Work; 3] = [
        &|ctx| forest.fit(ctx, &set).err(),
        &|ctx| boosting.fit(ctx, &set, None).err(),
        &|ctx| small.explain(ctx, &table).err(),
    ];
    let allowed = if cfg!(debug_assertions) { 500 } else { 100 };
    for (number, work) in works.into_iter().enumerate() {
        // The best of three: a busy machine may delay one.
        let best = (0..3).map(|_| latency(work)).min().unwrap();
        assert!(best < Duration::from_millis(allowed), "{number}: {best:?}");
    }
}

#[test]
fn progress_ends_with_all_trees_done() {
    let sink = Arc::new(Progress::default());
    let ctx = Context::builder().progress(Arc::clone(&sink)).build().unwrap();
    let (table, labels, weights) = wide(200);
    let set = TrainingSet::new(&table, &labels, 3, &weights).unwrap();
    ForestParams::new(6).check().unwrap().fit(&ctx, &set).unwrap();
    BoostingParams::new(5).check().unwrap().fit(&ctx, &set, None).unwrap();
    assert_eq!((sink.done(), sink.total()), (11, 11));
}
