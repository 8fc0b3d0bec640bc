//! What is said about a model: out of fold, by hand, for students and groups of them.

mod classifier_support;

use std::collections::HashMap;

use approx::assert_relative_eq;
use classifier_support::{ctx, names, rows, training};
use empatia_engine::classifier::{Evaluation, Pair};
use empatia_engine::data::{Column, Labels, Table, Values};
use empatia_engine::error::EngineError;
use empatia_engine::validate::{Folds, OutOfFold, Refusal};
use serde_json::json;

/// The truth of a fold's rows must not reach what predicts them: not through the recipe, the number of rounds, or anything else.
#[test]
fn the_classes_of_a_fold_do_not_reach_its_own_predictions() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(160, 2);
    let fold_of: Vec<u32> = (0..160).map(|row| (row / 2) % 4).collect();
    let folds = Folds::from_assignment(&fold_of, 4).unwrap();
    let turned = labels
        .targets()
        .iter()
        .zip(&fold_of)
        .map(|(class, fold)| if *fold == 0 { 1 - class } else { *class });
    let turned = Labels::unweighted(turned.collect(), 2).unwrap();
    for with_students in [true, false] {
        let students = labels.groups().unwrap().to_vec();
        let of = |targets: &[u32]| match Labels::unweighted(targets.to_vec(), 2).unwrap() {
            plain if with_students => plain.with_groups(students.clone()).unwrap(),
            plain => plain,
        };
        for algorithm in [
            "gradient_boosting",
            "random_forest",
            "logistic_regression",
            "decision_tree",
        ] {
            let training = training(json!({ "algorithm": algorithm, "calibrate": false }));
            let predictions = |targets: &[u32]| {
                let found = training
                    .train_with(&ctx, &table, &of(targets), &folds, &classes, None)
                    .unwrap();
                assert_eq!(found.evaluation.out_of_fold().groups().is_some(), with_students);
                found.evaluation.out_of_fold().probabilities().to_vec()
            };
            let (before, after) = (predictions(labels.targets()), predictions(turned.targets()));
            for row in 0..160 {
                let same = before[row * 2] == after[row * 2];
                assert!(same || fold_of[row] != 0, "{algorithm} row {row}");
            }
            assert_ne!(before, after, "{algorithm}: the other folds do see them");
        }
    }
}

#[test]
fn the_threshold_keeps_its_promise_on_the_rows_it_was_chosen_on() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(300, 2);
    let objective = json!({ "objective": "recall", "target_recall": 0.97 });
    let settings = json!({ "algorithm": "logistic_regression", "objective": objective, "positive": "class 0" });
    let found = training(settings).train(&ctx, &table, &labels, &classes, None).unwrap();
    let choice = found.report.threshold.unwrap();
    let cell = |actual: u32, predicted: u32| {
        let rows = found.evaluation.confusion().unwrap();
        rows.iter()
            .find(|row| (row.actual, row.predicted) == (actual, predicted))
            .unwrap()
            .weight
    };
    let recall = cell(0, 0) / (cell(0, 0) + cell(0, 1));
    assert!(recall >= 0.97);
    assert_relative_eq!(recall, choice.recall.unwrap(), max_relative = 1e-12);
    assert_relative_eq!(
        cell(0, 0) / (cell(0, 0) + cell(1, 0)),
        choice.precision.unwrap(),
        max_relative = 1e-12
    );
    let model = &found.model;
    assert_eq!((model.positive(), model.threshold()), (Some(0), Some(choice.threshold)));
    let t = choice.threshold;
    assert_eq!(
        (model.decide(&[t, 1.0 - t]), model.decide(&[t - 1e-9, 1.0 - t + 1e-9])),
        (0, 1)
    );
}

fn evaluation(probabilities: &[f64], targets: &[u32], groups: Option<Vec<u64>>) -> Evaluation {
    let both = probabilities.iter().flat_map(|p| [1.0 - p, *p]).collect();
    let n = targets.len();
    let folds = (0..n as u32).map(|row| row % 2).collect();
    let found = OutOfFold::new(2, both, targets.to_vec(), vec![1.0; n], folds).unwrap();
    let found = match groups {
        Some(groups) => found.with_groups(groups).unwrap(),
        None => found,
    };
    Evaluation::new(vec!["fine".into(), "risk".into()], 1, Some(0.5), found).unwrap()
}

#[test]
fn groups_of_students_by_hand() {
    // Students 1, 2 (group a), 3 (group b), 4 (no group); one row each but student 1, who has two
    let found = evaluation(&[0.9, 0.2, 0.7, 0.6, 0.4], &[1, 1, 1, 0, 1], Some(vec![1, 1, 2, 3, 4]));
    let groups: HashMap<u64, String> = [(1, "a"), (2, "a"), (3, "b")].map(|(s, g)| (s, g.to_owned())).into();
    let rows = found.by_group(&groups).unwrap();
    assert_eq!(
        rows.iter().map(|row| row.group.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let a = &rows[0];
    assert_eq!((a.students, a.weight, a.positive), (2, 3.0, 3.0));
    let recall = a.recall.unwrap();
    assert_relative_eq!(recall.value, 2.0 / 3.0, max_relative = 1e-12);
    // Student 1 has two thirds of the rows: 9 / 5 students, of whom two thirds were found. Wilson by hand, z = 1.959964
    assert_relative_eq!(recall.interval.low, 0.147_963_8, max_relative = 1e-5);
    assert_eq!(a.precision.unwrap().value, 1.0);
    let b = &rows[1];
    assert_eq!(
        (b.recall, b.precision.unwrap().value, b.selection_rate.unwrap().value),
        (None, 0.0, 1.0)
    );
    let unknown = evaluation(&[0.9, 0.2], &[1, 0], None).by_group(&groups).unwrap_err();
    assert!(
        matches!(unknown, EngineError::Refusal(Refusal::Unknown { what: "student" })),
        "{unknown}"
    );
}

/// A row that stands for several students counts for each of them.
#[test]
fn students_behind_merged_rows_count_one_by_one() {
    let pair = |student, row, weight| Pair { student, row, weight };
    let found = evaluation(&[0.9, 0.2], &[1, 1], None)
        .with_pairs(vec![
            pair(1, 0, 1.0),
            pair(2, 0, 2.0),
            pair(2, 1, 1.0),
            pair(3, 99, 1.0),
        ])
        .unwrap();
    assert_eq!(found.pairs().unwrap().len(), 3, "row 99 is in no test");
    let groups: HashMap<u64, String> = [(1, "x".to_owned()), (2, "y".to_owned())].into();
    let rows = found.by_group(&groups).unwrap();
    assert_eq!((rows[0].recall.unwrap().value, rows[0].weight), (1.0, 1.0));
    assert_relative_eq!(rows[1].recall.unwrap().value, 2.0 / 3.0, max_relative = 1e-12);
    let again = Evaluation::decode(&found.encode().unwrap()).unwrap();
    assert_eq!(again, found);
}

#[test]
fn two_evaluations_of_the_same_rows_are_compared_row_by_row() {
    let ctx = ctx(1);
    let targets = [1, 0, 1, 0];
    let better = evaluation(&[0.9, 0.2, 0.8, 0.3], &targets, Some(vec![1, 2, 3, 4]));
    let worse = evaluation(&[0.6, 0.6, 0.7, 0.4], &targets, Some(vec![1, 2, 3, 4]));
    let found = better.compare(&ctx, &worse).unwrap();
    let own = -(0.9f64.ln() + 0.8f64.ln() + 0.8f64.ln() + 0.7f64.ln()) / 4.0;
    let theirs = -(0.6f64.ln() + 0.4f64.ln() + 0.7f64.ln() + 0.6f64.ln()) / 4.0;
    assert_relative_eq!(found.log_loss.0, own, max_relative = 1e-12);
    let difference = found.log_loss_difference.unwrap();
    assert_relative_eq!(difference.value, own - theirs, max_relative = 1e-9);
    let d: [f64; 4] = [
        (0.6f64 / 0.9).ln(),
        (0.4f64 / 0.8).ln(),
        (0.7f64 / 0.8).ln(),
        (0.6f64 / 0.7).ln(),
    ];
    let mean = d.iter().sum::<f64>() / 4.0;
    let error = (d.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 3.0 / 4.0).sqrt();
    assert_relative_eq!(difference.standard_error, error, max_relative = 1e-9);
    assert_eq!(found.is_better(), mean + 1.959_964 * error < 0.0);
    // 1 of 4 pairs is a tie in the worse one: areas 1 and 3.5 / 4
    assert_relative_eq!(found.auc_difference.unwrap().value, 0.125, max_relative = 1e-9);
    let others = evaluation(&[0.9, 0.2, 0.8, 0.3], &[0, 0, 1, 1], Some(vec![1, 2, 3, 4]));
    assert!(matches!(
        better.compare(&ctx, &others),
        Err(EngineError::InvalidParameter { .. })
    ));
    let itself = better.compare(&ctx, &better).unwrap();
    assert!(!itself.is_better() && itself.log_loss_difference.unwrap().value == 0.0);
}

#[test]
fn another_model_is_judged_on_the_rows_of_an_evaluation() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(160, 2);
    let tree = training(json!({ "algorithm": "decision_tree" }))
        .train(&ctx, &table, &labels, &classes, None)
        .unwrap();
    let linear = training(json!({ "algorithm": "logistic_regression", "positive": "class 0" }));
    let linear = linear.train(&ctx, &table, &labels, &classes, None).unwrap();
    let found = tree.evaluation.of_model(&ctx, &linear.model, &table).unwrap();
    assert_eq!(
        found.out_of_fold().probabilities(),
        linear.model.predict(&ctx, &table).unwrap()
    );
    assert!(tree
        .evaluation
        .compare(&ctx, &found)
        .unwrap()
        .log_loss_difference
        .is_some());
}

#[test]
fn histograms_have_bins_of_equal_weight_and_count_other_rows() {
    let ctx = ctx(2);
    let n = 200;
    let table = Table::new(vec![
        Column::numeric(
            "x",
            (0..n).map(|row| if row < 20 { f64::NAN } else { row as f64 }).collect(),
        ),
        Column::category("c", (0..n).map(|row| Some(if row % 4 == 0 { "rare" } else { "often" }))),
    ])
    .unwrap();
    let labels = Labels::unweighted((0..n as u32).map(|row| row % 2).collect(), 2).unwrap();
    let settings = json!({ "algorithm": "decision_tree", "split": { "stratified": { "folds": 2 } } });
    let model = training(settings)
        .train(&ctx, &table, &labels, &names(2), None)
        .unwrap()
        .model;
    let [x, c] = model.histograms() else { panic!() };
    assert_eq!(x.n_bins(), 20);
    assert!(
        x.shares[..20].iter().all(|share| (share - 0.045).abs() < 1e-12),
        "{x:?}"
    );
    assert_relative_eq!(x.missing_share(), 0.1, max_relative = 1e-12);
    assert_eq!(c.shares, [0.75, 0.25, 0.0, 0.0]);
    // the first twentieth of 20, 21 ... 199 is 20 + 179 / 20 = 28.95
    let other = x
        .count(
            &Values::Numeric(vec![-5.0, 28.94, 28.96, 1e9, f64::NAN]),
            &[1.0, 2.0, 4.0, 8.0, 16.0],
        )
        .unwrap();
    assert_eq!((other[0], other[1], other[19], other[20]), (3.0, 4.0, 8.0, 16.0));
    let other = c
        .count(&Values::from_names([Some("new"), None, Some("rare")]), &[1.0, 2.0, 4.0])
        .unwrap();
    assert_eq!(other, [0.0, 4.0, 1.0, 2.0]);
    assert_eq!(model.score_histograms().len(), 1);
}

#[test]
fn importances_find_the_columns_that_matter() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(240, 3);
    for algorithm in ["gradient_boosting", "random_forest", "logistic_regression", "ensemble"] {
        let found = training(json!({ "algorithm": algorithm }))
            .train(&ctx, &table, &labels, &classes, None)
            .unwrap();
        let of = |name: &str| found.report.importance.iter().find(|row| row.feature == name).unwrap();
        assert!(
            of("signal").permutation.unwrap() > of("noise").permutation.unwrap() + 0.05,
            "{algorithm}"
        );
        assert!(
            of("signal").mean_abs_shap.unwrap() > 2.0 * of("noise").mean_abs_shap.unwrap(),
            "{algorithm}"
        );
        assert_eq!(
            (of("empty").permutation, of("empty").mean_abs_shap),
            (Some(0.0), Some(0.0)),
            "{algorithm}"
        );
        assert_eq!(of("signal").gain.is_some(), algorithm != "logistic_regression");
        if let Some(gain) = of("signal").gain {
            assert!(gain > of("noise").gain.unwrap(), "{algorithm}");
        }
    }
}

#[test]
fn a_tree_is_told_in_words() {
    let ctx = ctx(1);
    let n = 80;
    let table = Table::new(vec![Column::category(
        "shift",
        (0..n).map(|row| Some(["day", "night"][row % 2])),
    )])
    .unwrap();
    let labels = Labels::unweighted((0..n as u32).map(|row| row % 2).collect(), 2).unwrap();
    let settings = json!({ "algorithm": "decision_tree", "split": { "stratified": { "folds": 2 } } });
    let found = training(settings)
        .train(&ctx, &table, &labels, &["fine".into(), "risk".into()], None)
        .unwrap();
    let rules = found.report.rules.unwrap();
    let told: Vec<(&str, &str, f64, f64)> = rules
        .iter()
        .map(|rule| (rule.rule.as_str(), rule.class.as_str(), rule.probability, rule.weight))
        .collect();
    assert_eq!(
        told,
        [
            ("shift is not day", "risk", 1.0, 40.0),
            ("shift is day", "fine", 1.0, 40.0)
        ]
    );
}

/// The best of a search is what the final model is fitted with, and every try is reported.
#[test]
fn a_search_reports_every_try_and_uses_the_best() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(160, 2);
    let space = json!({ "max_depth": { "choice": [1, 3] } });
    let search = json!({ "kind": "grid", "candidates": 5, "space": space });
    let settings = json!({ "algorithm": "decision_tree", "search": search, "metric": "auc" });
    let found = training(settings).train(&ctx, &table, &labels, &classes, None).unwrap();
    let search = found.report.candidates[0].search.as_ref().unwrap();
    assert_eq!((search.tried.len(), search.ended), (3, "exhausted"));
    let scores: Vec<f64> = search.tried.iter().map(|tried| tried.score.unwrap()).collect();
    let most = scores.iter().copied().fold(0.0, f64::max);
    assert_eq!(scores[search.best], most);
    assert_eq!(found.report.candidates[0].score, Some(most));
    let depth = &found.report.parameters["decision_tree"]["max_depth"];
    let best = search.tried[search.best].parameters.get("max_depth").cloned();
    assert_eq!(*depth, best.unwrap_or(json!(4)));
}

/// With one test there are no rows to fit weights on: members count the same, and that is said.
#[test]
fn an_ensemble_with_a_single_test_votes_equally() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(160, 2);
    let settings = json!({ "algorithm": "ensemble", "split": { "hold_out": { "share": 0.3 } } });
    let found = training(settings).train(&ctx, &table, &labels, &classes, None).unwrap();
    let weights: Vec<f64> = found
        .report
        .vote
        .unwrap()
        .values()
        .map(|weight| weight.as_f64().unwrap())
        .collect();
    assert!(
        weights.iter().all(|weight| (weight - 1.0 / 3.0).abs() < 1e-12),
        "{weights:?}"
    );
    assert_eq!(found.report.calibration.method, None);
}
