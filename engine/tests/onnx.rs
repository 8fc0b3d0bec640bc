//! Classifiers to ONNX and back; `tests/shell/onnx_truth.sh` compares with onnxruntime and the files of other makers.

mod classifier_support;

use classifier_support::{ctx, rows, training};
use empatia_engine::classifier::{ClassifierModel, Scale};
use empatia_engine::context::Context;
use empatia_engine::data::{Column, Table, Values};
use empatia_engine::error::EngineError;
use empatia_engine::onnx::{export, import, recount, ExportOptions, ImportOptions, OnnxError};
use serde_json::json;

/// The numbers of a table, in 32 bits.
fn numbers(table: &Table) -> Table {
    let single = |column: &Column| match &column.values {
        Values::Numeric(values) => Some(Column::numeric(
            column.name.clone(),
            values.iter().map(|x| f64::from(*x as f32)).collect(),
        )),
        Values::Category { .. } => None,
    };
    Table::new(table.columns().iter().filter_map(single).collect()).unwrap()
}

fn fitted(algorithm: &str, k: usize) -> (ClassifierModel, Table) {
    calibrated(algorithm, k, json!(false))
}

fn calibrated(algorithm: &str, k: usize, calibrate: serde_json::Value) -> (ClassifierModel, Table) {
    let (table, labels, classes) = rows(300, k);
    let table = numbers(&table);
    let parameters = match algorithm {
        "random_forest" => json!({"trees": 6, "max_depth": 5}),
        "gradient_boosting" => json!({"rounds": 5}),
        _ => json!({}),
    };
    let settings = json!({"algorithm": algorithm, "parameters": parameters, "calibrate": calibrate});
    let model = training(settings)
        .train(&ctx(2), &table, &labels, &classes, None)
        .unwrap()
        .model;
    (model, table)
}

const TREES: [&str; 3] = ["random_forest", "gradient_boosting", "decision_tree"];

/// Guards against a file that says less than the model: probabilities, class names and explanations come back.
#[test]
fn trees_come_back_with_their_predictions_and_explanations() {
    let ctx = ctx(2);
    for (algorithm, k) in TREES.iter().flat_map(|algorithm| [(*algorithm, 2), (*algorithm, 3)]) {
        let (model, table) = fitted(algorithm, k);
        let bytes = export(&ctx, &model, ExportOptions::default()).unwrap();
        let again = import(&ctx, &bytes, &ImportOptions::default()).unwrap();
        assert_eq!((again.classes(), again.columns()), (model.classes(), model.columns()));
        let (p, q) = (
            model.predict(&ctx, &table).unwrap(),
            again.predict(&ctx, &table).unwrap(),
        );
        let off = p.iter().zip(&q).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max);
        assert!(off < 1e-6, "{algorithm} {k}: {off:e}");
        let classes: Vec<u32> = p.chunks_exact(k).map(|p| model.decide(p)).collect();
        let (why, again) = (
            model.explain(&ctx, &table, &classes),
            again.explain(&ctx, &table, &classes),
        );
        let off = why
            .unwrap()
            .values
            .iter()
            .zip(&again.unwrap().values)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(off < 1e-5, "{algorithm} {k}: contributions differ by {off:e}");
    }
    assert_eq!(ctx.in_use(), 0);
}

/// Guards against a calibrated model that comes back as another one, or is refused for an operator that nobody put there.
#[test]
fn a_calibrated_model_of_ours_is_refused_by_name_and_read_without_its_calibration() {
    let ctx = ctx(2);
    let mut seen = 0;
    for (algorithm, k) in TREES.iter().flat_map(|algorithm| [(*algorithm, 2), (*algorithm, 3)]) {
        let (model, table) = calibrated(algorithm, k, json!(true));
        if model.calibrator().is_none() {
            continue; // where it did not help
        }
        seen += 1;
        // an isotonic one may be too steep to be written at all
        if let Ok(bytes) = export(&ctx, &model, ExportOptions::default()) {
            let found = import(&ctx, &bytes, &ImportOptions::default());
            let expected = EngineError::Onnx(OnnxError::Calibrated);
            assert_eq!(found.unwrap_err().to_string(), expected.to_string(), "{algorithm} {k}");
        }
        let bare = export(&ctx, &model, ExportOptions { calibrated: false }).unwrap();
        let again = import(&ctx, &bare, &ImportOptions::default()).unwrap();
        assert!(again.calibrator().is_none() && again.classes() == model.classes());
        assert_eq!(again.predict(&ctx, &table).unwrap().len(), table.n_rows() * k);
    }
    assert!(seen > 0, "no model was calibrated");
}

/// Rows are counted again as in training where every tree saw every row once: boosting without sampling.
#[test]
fn recounted_covers_are_those_of_training_and_predictions_stay() {
    let ctx = ctx(3);
    let (model, table) = fitted("decision_tree", 3);
    let weights = vec![1.0; table.n_rows()];
    let counted = recount(&ctx, &model, &table, &weights).unwrap();
    let p = model.predict(&ctx, &table).unwrap();
    assert_eq!(counted.predict(&ctx, &table).unwrap(), p);
    let classes: Vec<u32> = p.chunks_exact(3).map(|p| model.decide(p)).collect();
    let (why, again) = (
        model.explain(&ctx, &table, &classes).unwrap(),
        counted.explain(&ctx, &table, &classes).unwrap(),
    );
    assert_eq!(why.scale, Scale::Probability);
    for (a, b) in why.values.iter().zip(&again.values) {
        assert!((a - b).abs() < 1e-12);
    }
    assert!(recount(&ctx, &model, &table, &weights[1..]).is_err());
    let negative = [vec![-1.0], weights[1..].to_vec()].concat();
    assert!(matches!(
        recount(&ctx, &model, &table, &negative),
        Err(EngineError::InvalidWeight { row: 0, .. })
    ));
}

/// Guards against panics, endless loops and memory without bound: bytes changed at random are an error, or a model whose
/// numbers are finite.
#[test]
fn damaged_files_are_an_error_or_a_sound_model() {
    let ctx = Context::builder().memory_budget(32 << 20).build().unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut accepted = 0;
    for (algorithm, k) in [("gradient_boosting", 2), ("random_forest", 3), ("decision_tree", 2)] {
        let (model, table) = fitted(algorithm, k);
        let bytes = export(&ctx, &model, ExportOptions::default()).unwrap();
        for round in 0..3_000 {
            let mut changed = bytes.clone();
            for _ in 0..1 + round % 4 {
                let at = random(changed.len());
                match random(5) {
                    0 => changed[at] = random(256) as u8,
                    1 => changed[at] ^= 1 << random(8),
                    2 => changed.truncate(at.max(1)),
                    3 => changed.insert(at, random(256) as u8),
                    _ => {
                        let end = (at + random(40)).min(changed.len());
                        changed.drain(at.min(end - 1)..end);
                        changed.push(0);
                    }
                }
            }
            let Ok(model) = import(&ctx, &changed, &ImportOptions::default()) else {
                continue;
            };
            accepted += 1;
            let (Ok(few), k) = (table.select(&ctx, &[0, 1, 2]), model.classes().len()) else {
                continue;
            };
            if let Ok(p) = model.predict(&ctx, &few) {
                assert!(p.iter().all(|p| p.is_finite()), "{p:?}");
                let why = model.explain(&ctx, &few, &[k as u32 - 1; 3]).unwrap();
                assert!(why.values.iter().all(|value| value.is_finite()));
            }
        }
    }
    // leaf weights and thresholds may be any finite number, so some changes are models still
    assert!(accepted > 100, "{accepted}");
    assert_eq!(ctx.in_use(), 0);
}

#[test]
fn export_asks_for_memory_and_stops_when_told() {
    let (model, _) = fitted("random_forest", 2);
    let poor = Context::builder().memory_budget(10_000).build().unwrap();
    let refused = export(&poor, &model, ExportOptions::default());
    assert!(matches!(refused, Err(EngineError::Memory { .. })));
    let stopped = Context::builder().build().unwrap();
    stopped.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    let refused = export(&stopped, &model, ExportOptions::default());
    assert!(matches!(refused, Err(EngineError::Cancelled)));
    let bytes = export(&ctx(1), &model, ExportOptions::default()).unwrap();
    let refused = import(&stopped, &bytes, &ImportOptions::default());
    assert!(matches!(refused, Err(EngineError::Cancelled)));
}

/// Guards against a category that a runtime could not tell from a missing one.
#[test]
fn a_category_without_name_cannot_be_written() {
    let (_, labels, classes) = rows(200, 2);
    let names = (0..200).map(|row| Some(["", "a", "b"][row % 3]));
    let table = Table::new(vec![
        Column::category("turma", names),
        Column::numeric("n", (0..200).map(f64::from).collect()),
    ]);
    let settings = training(json!({"algorithm": "decision_tree", "calibrate": false}));
    let model = settings
        .train(&ctx(1), &table.unwrap(), &labels, &classes, None)
        .unwrap()
        .model;
    match export(&ctx(1), &model, ExportOptions::default()) {
        Err(EngineError::Onnx(OnnxError::Inexpressible { reason })) => {
            assert!(reason.contains("column turma"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
}
