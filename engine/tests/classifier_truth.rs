//! A whole training against scikit-learn: recipe, folds, fit, scores, explanation.

mod classifier_support;

use classifier_support::{ctx, names, training};
use empatia_engine::data::{Column, Labels, Table};
use empatia_engine::validate::Folds;
use serde_json::{json, Value};

fn list(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

fn whole(value: &Value) -> Vec<u32> {
    list(value).into_iter().map(|x| x as u32).collect()
}

/// A median, a level or a moment taken from all rows instead of the fold's training rows would show in every probability.
#[test]
fn logistic_regression_with_its_recipe_is_scikit_learn_s_out_of_fold() {
    let truth: Value = serde_json::from_str(include_str!("truth/classifier.json")).unwrap();
    let ctx = ctx(3);
    for case in truth["cases"].as_array().unwrap() {
        let k = case["classes"].as_u64().unwrap() as usize;
        let levels: Vec<Option<&str>> = case["level"].as_array().unwrap().iter().map(Value::as_str).collect();
        let table = Table::new(vec![
            Column::numeric("signal", list(&case["signal"])),
            Column::numeric("count", list(&case["count"])),
            Column::category("level", levels),
        ])
        .unwrap();
        let labels = Labels::new(whole(&case["y"]), k, list(&case["weights"])).unwrap();
        let folds = Folds::from_assignment(&whole(&case["folds"]), 4).unwrap();
        let training = training(json!({ "algorithm": "logistic_regression", "calibrate": false }));
        let trained = training
            .train_with(&ctx, &table, &labels, &folds, &names(k), None)
            .unwrap();

        let near = |found: &[f64], expected: &[f64], tolerance: f64| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < tolerance, "{k} classes: {found} {expected}");
            }
        };
        near(
            trained.evaluation.out_of_fold().probabilities(),
            &list(&case["out_of_fold"]),
            1e-7,
        );
        near(
            &trained.model.predict(&ctx, &table).unwrap(),
            &list(&case["final"]),
            1e-7,
        );
        for metric in ["log_loss", "accuracy", "auc", "brier"] {
            let found = trained.report.metrics[metric]["pooled"].as_f64().unwrap();
            near(&[found], &[case[metric].as_f64().unwrap()], 1e-7);
        }
        for (row, expected) in case["contributions"].as_array().unwrap().iter().enumerate() {
            for (margin, expected) in expected.as_array().unwrap().iter().enumerate() {
                let class = if k == 2 { 1 } else { margin as u32 };
                let found = trained
                    .model
                    .explain(&ctx, &table, &vec![class; table.n_rows()])
                    .unwrap();
                near(found.of(row), &list(expected), 1e-6);
            }
        }
    }
}
