//! Fitted trees: stored and read back, taken from elsewhere, stopped in time, read as rules, weighed by feature.

use empatia_engine::context::Context;
use empatia_engine::tree::{
    permutation_importance, BoostingParams, CategoryEncoder, CategoryLevels, DecisionTree, Ensemble, FeatureTable,
    ForestParams, GradientBoosting, OrderedTarget, RandomForest, TrainingSet, TreeNode, TreeParams, UNKNOWN_CATEGORY,
};
use linfa::ParamGuard;
use tree_support::wide;

mod tree_support;

fn context() -> Context {
    Context::builder().threads(2).build().unwrap()
}

#[test]
fn bytes_are_read_back_and_every_damage_is_an_error() {
    let ctx = context();
    let (table, labels, weights) = wide(300);
    let set = TrainingSet::new(&table, &labels, 3, &weights).unwrap();
    let forest = ForestParams::new(3)
        .max_depth(4)
        .check()
        .unwrap()
        .fit(&ctx, &set)
        .unwrap()
        .model;
    let boosted = BoostingParams::new(3)
        .check()
        .unwrap()
        .fit(&ctx, &set, None)
        .unwrap()
        .model;
    let tree = TreeParams::new(3).check().unwrap().fit(&ctx, &set).unwrap();
    assert_eq!(RandomForest::decode(&forest.encode().unwrap()).unwrap(), forest);
    assert_eq!(GradientBoosting::decode(&boosted.encode().unwrap()).unwrap(), boosted);
    assert_eq!(DecisionTree::decode(&tree.encode().unwrap()).unwrap(), tree);
    assert!(DecisionTree::decode(&forest.encode().unwrap()).is_err());
    let bytes = boosted.encode().unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(GradientBoosting::decode(&damaged).is_err(), "{at}");
        assert!(GradientBoosting::decode(&bytes[..at]).is_err(), "{at}");
    }
    // Damage that the checksum does not see: it is right, but the content is not. Nothing may panic or hang.
    let mut json = serde_json::to_value(&boosted).unwrap();
    let nodes = json["ensemble"]["nodes"].as_array().unwrap().len();
    let mut refused = 0;
    for at in 0..nodes {
        for value in [0, 1, 7, 255] {
            let before = std::mem::replace(&mut json["ensemble"]["nodes"][at], value.into());
            match serde_json::from_value::<GradientBoosting>(json.clone()) {
                Ok(model) => assert!(model
                    .predict_margins(&ctx, &table)
                    .unwrap()
                    .iter()
                    .all(|m| m.is_finite())),
                Err(_) => refused += 1,
            }
            json["ensemble"]["nodes"][at] = before;
        }
    }
    assert!(refused > nodes, "{refused} of {nodes} x 4");
}

#[test]
fn trees_from_elsewhere_are_checked() {
    let leaf = |value: f64| TreeNode::Leaf {
        values: vec![value],
        cover: 1.0,
    };
    let split = |feature, threshold, left, right| TreeNode::Split {
        feature,
        threshold,
        missing_left: true,
        left,
        right,
        cover: 2.0,
    };
    let ensemble = |nodes: Vec<TreeNode>| Ensemble::from_trees(2, 1, 1, &[nodes]);
    // children in any order, and the nodes come back as they went in
    let good = ensemble(vec![split(1, 0.5, 2, 1), leaf(5.0), leaf(4.0)]).unwrap();
    assert_eq!(good.nodes(0), [split(1, 0.5, 1, 2), leaf(4.0), leaf(5.0)]);
    for bad in [
        vec![],
        vec![split(1, 0.5, 0, 0)],
        vec![split(1, 0.5, 1, 1), leaf(0.0)],
        vec![split(1, 0.5, 1, 9), leaf(0.0)],
        vec![split(2, 0.5, 1, 2), leaf(0.0), leaf(0.0)],
        vec![split(1, f64::NAN, 1, 2), leaf(0.0), leaf(0.0)],
        vec![split(1, 0.5, 1, 2), leaf(0.0), leaf(f64::INFINITY)],
        vec![split(1, 0.5, 1, 2), leaf(0.0), leaf(0.0), leaf(0.0)],
    ] {
        assert!(ensemble(bad.clone()).is_err(), "{bad:?}");
    }
}

#[test]
fn boosting_stops_where_the_validation_loss_is_lowest() {
    let ctx = context();
    let (table, mut labels, weights) = wide(4_000);
    // a third of the labels is chance: there is something to overfit
    labels
        .iter_mut()
        .step_by(3)
        .enumerate()
        .for_each(|(at, label)| *label = (at % 3) as u32);
    let (train, held): (Vec<usize>, Vec<usize>) = (0..4_000).partition(|row| row % 2 == 0);
    let part = |rows: &[usize]| {
        (
            table.select(rows).unwrap(),
            rows.iter().map(|row| labels[*row]).collect::<Vec<_>>(),
        )
    };
    let ((train, train_labels), (held, held_labels)) = (part(&train), part(&held));
    let set = TrainingSet::new(&train, &train_labels, 3, &weights[..2_000]).unwrap();
    let validation = TrainingSet::new(&held, &held_labels, 3, &weights[..2_000]).unwrap();
    let params = BoostingParams::new(300)
        .learning_rate(0.3)
        .early_stopping(10)
        .check()
        .unwrap();
    let fitted = params.fit(&ctx, &set, Some(&validation)).unwrap();
    let losses = &fitted.validation_loss;
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let best = losses.iter().position(|loss| *loss == least).unwrap() + 1;
    assert_eq!((fitted.model.n_rounds(), losses.len()), (best, best + 10));
    // the loss is that of the model
    let probabilities = fitted.model.predict_probabilities(&ctx, &held).unwrap();
    let loss: f64 = probabilities
        .chunks(3)
        .zip(&held_labels)
        .map(|(row, label)| -row[*label as usize].ln())
        .sum();
    assert!((loss / 2_000.0 - least).abs() < 1e-9);
}

#[test]
fn rules_say_what_the_leaves_hold() {
    let table = FeatureTable::from_columns(&[
        vec![0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
        vec![0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
    ])
    .unwrap();
    let set = TrainingSet::new(
        &table,
        &[0, 0, 1, 1, 1, 1, 0, 1],
        2,
        &[1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    )
    .unwrap();
    let tree = TreeParams::new(3).check().unwrap().fit(&context(), &set).unwrap();
    let rules = tree.rules();
    let texts: Vec<String> = rules
        .iter()
        .map(|rule| rule.describe(&["posts", "late"], false))
        .collect();
    assert_eq!(
        texts,
        [
            "posts <= 0.5",
            "0.5 < posts <= 2.5",
            "posts > 2.5 and late <= 0.5",
            "posts > 2.5 and late > 0.5"
        ]
    );
    let found: Vec<(f64, u32, f64)> = rules.iter().map(|r| (r.weight, r.class, r.probabilities[1])).collect();
    assert_eq!(found, [(2.0, 0, 0.0), (5.0, 1, 1.0), (1.0, 0, 0.0), (1.0, 1, 1.0)]);
    let table = FeatureTable::from_columns(&[vec![f64::NAN, 1.0, 2.0]]).unwrap();
    let set = TrainingSet::new(&table, &[1, 0, 0], 2, &[1.0; 3]).unwrap();
    let tree = TreeParams::new(3).check().unwrap().fit(&context(), &set).unwrap();
    let texts: Vec<String> = tree
        .rules()
        .iter()
        .map(|rule| rule.describe(&[] as &[&str], true))
        .collect();
    assert_eq!(texts, ["x0 is known", "x0 is missing"]);
}

#[test]
fn shuffling_costs_only_where_the_model_looks() {
    let ctx = context();
    let (table, labels, weights) = wide(3_000);
    let set = TrainingSet::new(&table, &labels, 3, &weights).unwrap();
    let forest = ForestParams::new(20)
        .min_leaf(5.0)
        .check()
        .unwrap()
        .fit(&ctx, &set)
        .unwrap()
        .model;
    let accuracy = |table: &FeatureTable| {
        let probabilities = forest.predict_probabilities(&ctx, table)?;
        let right = probabilities
            .chunks(3)
            .zip(&labels)
            .filter(|(row, label)| row[**label as usize] > 0.5)
            .count();
        Ok(right as f64 / 3_000.0)
    };
    let found = permutation_importance(&ctx, &table, 3, 7, accuracy).unwrap();
    assert!(found[0].mean > 0.2 && found[3].mean > 0.2, "{found:?}");
    assert!(
        [1, 2, 4, 5].iter().all(|feature| found[*feature].mean.abs() < 0.1),
        "{found:?}"
    );
    let gain = forest.importance().gain_share();
    assert!(
        gain[0] + gain[3] > 0.6 && (gain.iter().sum::<f64>() - 1.0).abs() < 1e-12,
        "{gain:?}"
    );
    assert!(permutation_importance(&ctx, &table, 0, 7, accuracy).is_err());
}

#[test]
fn categories_are_encoded_without_a_row_seeing_its_own_label() {
    let levels = CategoryLevels::collect([Some("b"), None, Some("a"), Some("b")]);
    assert_eq!(levels.names(), ["a", "b"]);
    assert_eq!(
        [levels.code(Some("b")), levels.code(Some("z")), levels.code(None)],
        [1, UNKNOWN_CATEGORY, UNKNOWN_CATEGORY]
    );
    let one_hot = CategoryEncoder::OneHot { levels: 2 };
    assert_eq!(one_hot.encode(&[1, UNKNOWN_CATEGORY]), [[0.0, 0.0], [1.0, 0.0]]);
    // Every row its own level: statistics that saw the row's label would tell it.
    let codes: Vec<u32> = (0..200).collect();
    let labels: Vec<u32> = (0..200).map(|row| row % 2).collect();
    let (target, columns) = OrderedTarget::fit(&codes, 200, &labels, 2, &[1.0; 200], 1.0, 3).unwrap();
    assert!(columns[0].iter().all(|share| *share == 0.5));
    // On rows to come: (weight of class 1 + smoothing x 0.5) / (weight + smoothing)
    assert_eq!(target.encode(&[0, 1, UNKNOWN_CATEGORY]), [[0.25, 0.75, 0.5]]);
    // One level: the second row in the random order sees the first only.
    let (_, columns) = OrderedTarget::fit(&[0, 0], 1, &[0, 1], 2, &[3.0, 3.0], 1.0, 1).unwrap();
    let mut shares = columns[0].clone();
    shares.sort_by(f64::total_cmp);
    assert!(shares == [0.125, 0.5] || shares == [0.5, 0.875], "{shares:?}");
    assert!(OrderedTarget::fit(&[5], 1, &[0], 2, &[1.0], 1.0, 1).is_err());
}
