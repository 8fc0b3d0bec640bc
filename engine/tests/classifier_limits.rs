//! Bytes that cannot be trusted, any number of threads, cancelling, memory and time.

mod classifier_support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use classifier_support::{ctx, rows, training};
use empatia_engine::classifier::{ClassifierModel, Evaluation, Trained, Training};
use empatia_engine::codec::{self, Kind};
use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use serde_json::{json, Value};

/// Small enough that all algorithms together take a moment.
fn small(algorithm: &str) -> Training {
    let forest = json!({ "trees": 20 });
    let boosting = json!({ "rounds": 30 });
    let parameters = match algorithm {
        "random_forest" => forest,
        "gradient_boosting" => boosting,
        "ensemble" | "auto" => json!({ "random_forest": forest, "gradient_boosting": boosting }),
        _ => json!({}),
    };
    training(json!({ "algorithm": algorithm, "parameters": parameters, "seed": 5 }))
}

fn trained(ctx: &Context, algorithm: &str, k: usize) -> Trained {
    let (table, labels, classes) = rows(160, k);
    small(algorithm).train(ctx, &table, &labels, &classes, None).unwrap()
}

#[test]
fn damaged_bytes_are_errors() {
    let ctx = ctx(2);
    let found = trained(&ctx, "ensemble", 3);
    let (model, evaluation) = (found.model.encode().unwrap(), found.evaluation.encode().unwrap());
    for bytes in [&model, &evaluation] {
        for at in (0..bytes.len()).step_by(bytes.len() / 97) {
            assert!(ClassifierModel::decode(&bytes[..at]).is_err());
            assert!(Evaluation::decode(&bytes[..at]).is_err());
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(ClassifierModel::decode(&flipped).is_err() && Evaluation::decode(&flipped).is_err());
        }
    }
    // One kind is not the other
    assert!(ClassifierModel::decode(&evaluation).is_err() && Evaluation::decode(&model).is_err());
}

/// Bytes with a right checksum that somebody else made: each lie must be found when decoding, not when predicting.
#[test]
fn inconsistent_models_are_refused_and_older_and_newer_ones_read() {
    let ctx = ctx(2);
    let model = trained(&ctx, "ensemble", 2).model;
    let stored = serde_json::to_value(&model).unwrap();
    let decode = |value: &Value| ClassifierModel::decode(&codec::encode(Kind::CLASSIFIER, value).unwrap());
    assert_eq!(decode(&stored).unwrap(), model);
    let lies: [(&str, Value); 9] = [
        ("/classes", json!(["one"])),
        ("/classes", json!(["same", "same"])),
        ("/classes", json!(["a", "b", "c"])),
        ("/positive", json!(2)),
        ("/threshold", json!(-0.5)),
        ("/members", json!([])),
        ("/combination", json!("single")),
        ("/columns/0/name", json!("other")),
        ("/histograms/0/shares", json!([0.5])),
    ];
    for (place, lie) in lies {
        let mut value = stored.clone();
        *value.pointer_mut(place).unwrap() = lie;
        assert!(decode(&value).is_err(), "{place}");
    }
    let mut old = stored.clone();
    old.as_object_mut().unwrap().remove("histograms");
    assert!(decode(&old).unwrap().histograms().is_empty());
    let mut newer = stored;
    newer["added later"] = json!(1);
    assert_eq!(decode(&newer).unwrap(), model);
}

#[test]
fn inconsistent_evaluations_are_refused() {
    let ctx = ctx(2);
    let evaluation = trained(&ctx, "logistic_regression", 2).evaluation;
    let stored = serde_json::to_value(&evaluation).unwrap();
    let decode = |value: &Value| Evaluation::decode(&codec::encode(Kind::EVALUATION, value).unwrap());
    assert_eq!(decode(&stored).unwrap(), evaluation);
    let lies: [(&str, Value); 5] = [
        ("/classes", json!(["a", "b", "c"])),
        ("/positive", json!(7)),
        ("/threshold", json!(f64::MAX)),
        ("/out_of_fold/targets/0", json!(2)),
        ("/pairs", json!([{ "student": 1, "row": 0, "weight": -1.0 }])),
    ];
    for (place, lie) in lies {
        let mut value = stored.clone();
        *value.pointer_mut(place).unwrap() = lie;
        assert!(decode(&value).is_err(), "{place}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for algorithm in ["gradient_boosting", "logistic_regression", "ensemble", "auto"] {
        let [one, four] = [1, 4].map(|threads| trained(&ctx(threads), algorithm, 3));
        assert_eq!(one.model.encode().unwrap(), four.model.encode().unwrap(), "{algorithm}");
        assert_eq!(one.evaluation, four.evaluation, "{algorithm}");
        assert_eq!(one.report, four.report, "{algorithm}");
        let (table, _, _) = rows(160, 3);
        let classes = vec![1; 160];
        let [one, four] = [(1, &one), (4, &four)].map(|(threads, t)| t.model.explain(&ctx(threads), &table, &classes));
        assert_eq!(one.unwrap(), four.unwrap(), "{algorithm}");
    }
}

#[test]
fn a_raised_flag_ends_every_step() {
    let (table, labels, classes) = rows(20_000, 3);
    let training = training(json!({ "algorithm": "auto", "search": { "candidates": 50 } }));
    for delay in [0, 150, 700] {
        let flag = Arc::new(AtomicBool::new(delay == 0));
        let ctx = Context::builder()
            .threads(2)
            .cancel_flag(Arc::clone(&flag))
            .build()
            .unwrap();
        let raised = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(delay));
            flag.store(true, Ordering::Relaxed);
            Instant::now()
        });
        let found = training.train(&ctx, &table, &labels, &classes, None);
        let late = raised.join().unwrap().elapsed();
        assert!(matches!(found, Err(EngineError::Cancelled)), "{delay}");
        // 100 ms on a machine of its own; this one may be busy
        assert!(late < Duration::from_secs(3), "{delay}: {late:?}");
        assert_eq!(ctx.in_use(), 0);
    }
}

#[test]
fn a_budget_is_kept_or_refused_and_given_back() {
    let (table, labels, classes) = rows(160, 2);
    for algorithm in ["gradient_boosting", "random_forest", "ensemble"] {
        let mut outcomes = Vec::new();
        for budget in [1 << 10, 1 << 14, 1 << 17, 1 << 28] {
            let ctx = Context::builder().memory_budget(budget).build().unwrap();
            let found = small(algorithm).train(&ctx, &table, &labels, &classes, None);
            assert_eq!(ctx.in_use(), 0, "{algorithm} {budget}");
            assert!(
                matches!(found, Ok(_) | Err(EngineError::Memory { .. })),
                "{algorithm} {budget}"
            );
            outcomes.push(found.is_ok());
        }
        assert_eq!((outcomes[0], outcomes[3]), (false, true), "{algorithm}");
    }
}

/// When the time is up from the beginning there is still a model: the first, cheapest one, and the report says what is missing.
#[test]
fn a_time_budget_that_is_spent_leaves_the_cheapest_model() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(160, 2);
    let up = Some(Arc::new(AtomicBool::new(true)));
    let found = small("auto")
        .train(&ctx, &table, &labels, &classes, up.clone())
        .unwrap();
    assert_eq!(found.report.chosen, "logistic_regression");
    let left_out: Vec<&str> = found.report.left_out.iter().map(|algorithm| algorithm.name()).collect();
    assert_eq!(left_out, ["gradient_boosting", "random_forest", "decision_tree"]);
    assert!(found.report.time_up && found.report.importance.iter().all(|row| row.permutation.is_none()));

    let search = json!({ "algorithm": "decision_tree", "search": { "kind": "grid" } });
    let found = training(search).train(&ctx, &table, &labels, &classes, up).unwrap();
    let search = found.report.candidates[0].search.as_ref().unwrap();
    assert_eq!((search.tried.len(), search.ended), (1, "time"));
}
