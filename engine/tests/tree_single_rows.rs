//! Rows that are explained one at a time: other sums than those of rows among many, the same values.

use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use empatia_engine::tree::{
    BoostingParams, Ensemble, Explanation, FeatureTable, ForestParams, GradientBoosting, RandomForest, TrainingSet,
    TreeNode,
};
use linfa::ParamGuard;

fn context(threads: usize) -> Context {
    Context::builder().threads(threads).build().unwrap()
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// Rows of `p` features with `values` values each, an eighth of them missing, and classes that have something to do with them.
fn rows(p: usize, classes: u64, n: usize, seed: u64, values: u64) -> (Vec<f64>, Vec<u32>) {
    let mut chance = Chance(seed);
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let row: Vec<f64> = (0..p)
            .map(|_| match chance.below(8) {
                0 => f64::NAN,
                _ => chance.below(values) as f64 / values as f64,
            })
            .collect();
        let signal: f64 = row.iter().filter(|x| !x.is_nan()).take(4).sum();
        let label = if chance.below(5) == 0 {
            chance.below(classes)
        } else {
            (signal * 3.0) as u64 % classes
        };
        labels.push(label as u32);
        rows.extend(row);
    }
    (rows, labels)
}

fn trained(p: usize, classes: u64, n: usize, values: u64) -> (RandomForest, GradientBoosting) {
    let (rows, labels) = rows(p, classes, n, 7, values);
    let (table, ctx) = (FeatureTable::from_rows(&rows, p).unwrap(), context(4));
    let weights = vec![1.0; n];
    let set = TrainingSet::new(&table, &labels, classes as usize, &weights).unwrap();
    let forest = ForestParams::new(40).min_leaf(1.0).seed(1).check().unwrap();
    let boosting = BoostingParams::new(40).min_leaf(1.0).max_leaves(31).check().unwrap();
    (
        forest.fit(&ctx, &set).unwrap().model,
        boosting.fit(&ctx, &set, None).unwrap().model,
    )
}

/// The largest difference between two explanations.
fn apart(a: &Explanation, b: &Explanation) -> f64 {
    let pairs = a.values().iter().zip(b.values()).chain(a.base().iter().zip(b.base()));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The largest difference between base and contributions, added up, and the predictions.
fn not_explained(found: &Explanation, predictions: &[f64]) -> f64 {
    let outputs = found.base().len();
    let of = |(at, expected): (usize, &f64)| {
        let (row, output) = (at / outputs, at % outputs);
        (found.base()[output] + found.of(row, output).iter().sum::<f64>() - expected).abs()
    };
    predictions.iter().enumerate().map(of).fold(0.0, f64::max)
}

/// The values are those of rows among many, and with the base they are the predictions.
#[track_caller]
fn assert_explains(found: &Explanation, among_many: &Explanation, predictions: &[f64], tolerance: f64) {
    let (of_many, of_predictions) = (apart(found, among_many), not_explained(found, predictions));
    assert!(
        of_many < tolerance && of_predictions < tolerance,
        "{of_many} {of_predictions}"
    );
}

/// Few features that come again on every path, and many on deep ones; two classes, of which one mirrors the other, and three; rows of the
/// training and others, with missing values.
#[test]
fn values_are_those_of_rows_among_many_and_add_up_to_the_prediction() {
    for (p, classes, values) in [(3, 2, 200), (3, 3, 200), (45, 2, 1_000), (45, 3, 4)] {
        let (forest, boosted) = trained(p, classes, 1_500, values);
        let (other, _) = rows(p, classes, 80, 99, values);
        let (table, ctx) = (FeatureTable::from_rows(&other, p).unwrap(), context(2));
        let alone = forest.single_row_explainer();
        assert!(alone.is_some());
        let found = forest.explain_with(&ctx, alone.as_ref(), &table).unwrap();
        let among_many = forest.explain(&ctx, &table).unwrap();
        let probabilities = forest.predict_probabilities(&ctx, &table).unwrap();
        assert_explains(&found, &among_many, &probabilities, 1e-12);
        let alone = boosted.single_row_explainer();
        let found = boosted.explain_with(&ctx, alone.as_ref(), &table).unwrap();
        let among_many = boosted.explain(&ctx, &table).unwrap();
        let margins = boosted.predict_margins(&ctx, &table).unwrap();
        assert_explains(&found, &among_many, &margins, 1e-11);
    }
}

/// A row's values must not depend on threads or on the rows beside it.
#[test]
fn a_row_has_the_same_bits_on_any_number_of_threads_and_beside_any_rows() {
    let (forest, _) = trained(12, 3, 900, 50);
    let (rows, _) = rows(12, 3, 30, 5, 50);
    let table = FeatureTable::from_rows(&rows, 12).unwrap();
    let alone = forest.single_row_explainer();
    let explain = |threads: usize, table: &FeatureTable| {
        let found = forest.explain_with(&context(threads), alone.as_ref(), table).unwrap();
        found.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    let all = explain(1, &table);
    assert_eq!(all, explain(4, &table));
    let of_row = all.len() / 30;
    for row in 0..30 {
        let bits = explain(4, &table.select(&[row]).unwrap());
        assert_eq!(bits, all[row * of_row..(row + 1) * of_row], "{row}");
    }
}

fn leaf(value: f64, cover: f64) -> TreeNode {
    TreeNode::Leaf {
        values: vec![value],
        cover,
    }
}

fn split(feature: usize, threshold: f64, missing_left: bool, [left, right]: [usize; 2], cover: f64) -> TreeNode {
    TreeNode::Split {
        feature,
        threshold,
        missing_left,
        left,
        right,
        cover,
    }
}

fn boosted(p: usize, trees: &[Vec<TreeNode>]) -> GradientBoosting {
    let ensemble = Ensemble::from_trees(p, 1, 1, trees).unwrap();
    GradientBoosting::from_ensemble(ensemble, vec![0.5], 2).unwrap()
}

/// By hand. Feature 0 splits the whole 3 : 1 and again, below its left side, 2 : 1; feature 1 splits the right side 1 : 0, so that a
/// row may go where no weight went. f(S) for S of known features, x0 known: its leaf of feature 0.
///
/// Row (0, -): value 10 whatever feature 1 is. f({}) = (2 x 10 + 1 x 20 + 1 x (1 x 30 + 0 x 90)) / 4 = 17.5; f({0}) = 10 = f({0, 1}),
/// f({1}), of which feature 1 is missing and goes left: 17.5. So phi_0 = -7.5, phi_1 = 0.
/// Row (9, 9), to the leaf without weight: f({0}) = 30, f({1}) = (20 + 20 + 90) / 4 = 32.5, f({0, 1}) = 90; phi_0 = ((30 - 17.5) + (90 - 32.5)) / 2 = 35,
/// phi_1 = ((32.5 - 17.5) + (90 - 30)) / 2 = 37.5.
#[test]
fn a_feature_twice_on_a_path_and_a_branch_without_weight_by_hand() {
    let model = boosted(
        2,
        &[vec![
            split(0, 2.0, true, [1, 2], 4.0),
            split(0, 1.0, true, [3, 4], 3.0),
            split(1, 5.0, true, [5, 6], 1.0),
            leaf(10.0, 2.0),
            leaf(20.0, 1.0),
            leaf(30.0, 1.0),
            leaf(90.0, 0.0),
        ]],
    );
    let table = FeatureTable::from_rows(&[0.0, f64::NAN, 9.0, 9.0], 2).unwrap();
    let alone = model.single_row_explainer();
    let found = model.explain_with(&context(1), alone.as_ref(), &table).unwrap();
    assert_eq!(found.base(), [0.5 + 17.5]);
    for (row, expected) in [[-7.5, 0.0], [35.0, 37.5]].iter().enumerate() {
        let pairs = found.of(row, 0).iter().zip(expected);
        let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-12, "{row}: {:?}", found.of(row, 0));
    }
}

/// A path of 300 features, and one of 300 splits at a single feature: products of many small factors, in many batches of the quadrature.
#[test]
fn the_deepest_paths_are_explained_as_among_many() {
    let deep = 300;
    let chain = |feature: &dyn Fn(usize) -> usize| -> Vec<TreeNode> {
        let mut nodes = Vec::new();
        for at in 0..deep {
            let cover = (deep + 1 - at) as f64;
            // of one feature, cut by cut from above
            nodes.push(split(
                feature(at),
                (deep - at) as f64,
                at % 2 == 0,
                [2 * at + 2, 2 * at + 1],
                cover,
            ));
            nodes.push(leaf((at % 7) as f64 - 3.0, 1.0));
        }
        nodes.push(leaf(5.0, 1.0));
        nodes
    };
    let model = boosted(deep, &[chain(&|at| at), chain(&|_| 0), chain(&|at| at / 2)]);
    let mut chance = Chance(3);
    let rows: Vec<f64> = (0..40 * deep)
        .map(|_| match chance.below(9) {
            0 => f64::NAN,
            _ => chance.below(deep as u64 / 2) as f64,
        })
        .collect();
    let table = FeatureTable::from_rows(&rows, deep).unwrap();
    let (ctx, alone) = (context(1), model.single_row_explainer());
    let found = model.explain_with(&ctx, alone.as_ref(), &table).unwrap();
    let expected = model.explain(&ctx, &table).unwrap();
    assert!(apart(&found, &expected) < 1e-9, "{}", apart(&found, &expected));
    let margins = model.predict_margins(&ctx, &table).unwrap();
    assert!(not_explained(&found, &margins) < 1e-9);
    assert!(found.values().iter().all(|value| value.is_finite()));
}

#[test]
fn memory_is_asked_for_and_a_cancel_is_seen() {
    let (forest, _) = trained(12, 2, 900, 50);
    let (rows, _) = rows(12, 2, 1, 5, 50);
    let table = FeatureTable::from_rows(&rows, 12).unwrap();
    let alone = forest.single_row_explainer();
    let small = Context::builder().threads(1).memory_budget(64).build().unwrap();
    let found = forest.explain_with(&small, alone.as_ref(), &table);
    assert!(matches!(found, Err(EngineError::Memory { .. })), "{found:?}");
    let ctx = context(1);
    ctx.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    let found = forest.explain_with(&ctx, alone.as_ref(), &table);
    assert!(matches!(found, Err(EngineError::Cancelled)), "{found:?}");
}
