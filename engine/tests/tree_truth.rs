//! Against scikit-learn, LightGBM and shap on the repeated rows; the numbers are in truth/tree.json, how they came about
//! in truth/tree_fixtures.py.

use empatia_engine::context::Context;
use empatia_engine::tree::{
    BoostingParams, DecisionTree, Ensemble, FeatureTable, RandomForest, TrainingSet, TreeNode, TreeParams,
};
use linfa::ParamGuard;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Fixture {
    single: Vec<Case>,
    boosted: Vec<Case>,
    explained: Vec<Explained>,
}

#[derive(Deserialize)]
struct Case {
    n_features: usize,
    n_classes: usize,
    rows: Vec<Option<f64>>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    options: Value,
    #[serde(default)]
    leaves: usize,
    #[serde(default)]
    probabilities: Vec<f64>,
    #[serde(default)]
    importances: Vec<f64>,
    #[serde(default)]
    margins: Vec<f64>,
    #[serde(default)]
    splits: Vec<u64>,
    #[serde(default)]
    gains: Vec<f64>,
}

#[derive(Deserialize)]
struct Explained {
    n_features: usize,
    n_classes: usize,
    rows: Vec<Option<f64>>,
    trees: Vec<Vec<Node>>,
    probabilities: Vec<f64>,
    base: Vec<f64>,
    values: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Node {
    Split {
        feature: usize,
        threshold: f64,
        missing_left: bool,
        left: usize,
        right: usize,
        cover: f64,
    },
    Leaf {
        values: Vec<f64>,
        cover: f64,
    },
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("truth/tree.json")).unwrap()
}

fn table(rows: &[Option<f64>], p: usize) -> FeatureTable {
    let rows: Vec<f64> = rows.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
    FeatureTable::from_rows(&rows, p).unwrap()
}

#[track_caller]
fn all_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = tolerance * expected.abs().max(1.0);
        assert!((found - expected).abs() <= allowed, "{at}: {found}, not {expected}");
    }
}

#[test]
fn a_single_tree_is_scikit_learns() {
    let ctx = Context::builder().threads(2).build().unwrap();
    for (number, case) in fixture().single.into_iter().enumerate() {
        let rows = table(&case.rows, case.n_features);
        let set = TrainingSet::new(&rows, &case.labels, case.n_classes, &case.weights).unwrap();
        let mut options = case.options.clone();
        if options.get("max_depth").is_none() {
            options["max_depth"] = 512.into();
        }
        let params: TreeParams = serde_json::from_value(options).unwrap();
        let tree: DecisionTree = params.check().unwrap().fit(&ctx, &set).unwrap();
        let found = tree.predict_probabilities(&ctx, &rows).unwrap();
        assert_eq!(tree.rules().len(), case.leaves, "case {number}");
        all_close(&found, &case.probabilities, 1e-12);
        all_close(&tree.as_forest().importance().gain_share(), &case.importances, 1e-9);
    }
}

#[test]
fn boosted_margins_are_lightgbms() {
    let ctx = Context::builder().threads(2).build().unwrap();
    for case in fixture().boosted {
        let rows = table(&case.rows, case.n_features);
        let set = TrainingSet::new(&rows, &case.labels, case.n_classes, &case.weights).unwrap();
        let params: BoostingParams = serde_json::from_value(case.options).unwrap();
        let model = params.check().unwrap().fit(&ctx, &set, None).unwrap().model;
        let found = model.predict_margins(&ctx, &rows).unwrap();
        // LightGBM computes derivatives in f32.
        all_close(&found, &case.margins, 2e-5);
        assert_eq!(model.importance().splits(), case.splits);
        all_close(model.importance().gain(), &case.gains, 1e-3);
    }
}

#[test]
fn shap_values_of_a_scikit_learn_forest_are_shaps() {
    let ctx = Context::builder().threads(2).build().unwrap();
    for case in fixture().explained {
        let view = |node: &Node| match node {
            Node::Split {
                feature,
                threshold,
                missing_left,
                left,
                right,
                cover,
            } => TreeNode::Split {
                feature: *feature,
                threshold: *threshold,
                missing_left: *missing_left,
                left: *left,
                right: *right,
                cover: *cover,
            },
            Node::Leaf { values, cover } => TreeNode::Leaf {
                values: values.clone(),
                cover: *cover,
            },
        };
        let trees: Vec<Vec<TreeNode>> = case.trees.iter().map(|tree| tree.iter().map(view).collect()).collect();
        let ensemble = Ensemble::from_trees(case.n_features, case.n_classes, case.n_classes, &trees).unwrap();
        let forest = RandomForest::from_ensemble(ensemble).unwrap();
        let rows = table(&case.rows, case.n_features);
        all_close(
            &forest.predict_probabilities(&ctx, &rows).unwrap(),
            &case.probabilities,
            1e-12,
        );
        // among many rows, and rows that come one at a time
        for explainer in [None, forest.single_row_explainer()] {
            let explanation = forest.explain_with(&ctx, explainer.as_ref(), &rows).unwrap();
            all_close(explanation.base(), &case.base, 1e-6);
            all_close(explanation.values(), &case.values, 1e-6);
        }
    }
}
