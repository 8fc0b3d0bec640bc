//! Training from a table: every algorithm, its numbers, its explanation, its bytes.

mod classifier_support;

use classifier_support::{ctx, rows, training};
use empatia_engine::classifier::{ClassifierModel, Evaluation, Scale};
use serde_json::json;

const ALL: [&str; 6] = [
    "random_forest",
    "gradient_boosting",
    "logistic_regression",
    "decision_tree",
    "ensemble",
    "auto",
];

/// Every algorithm, two classes and three: better than the class shares, contributions that add up, bytes that give the same
/// model and predictions back.
#[test]
fn every_algorithm_learns_explains_and_survives_its_bytes() {
    let ctx = ctx(4);
    for k in [2, 3] {
        let (table, labels, classes) = rows(400, k);
        for algorithm in ALL {
            let training = training(json!({ "algorithm": algorithm, "seed": 3 }));
            let trained = training.train(&ctx, &table, &labels, &classes, None).unwrap();
            let auc = trained.report.metrics["auc"]["pooled"].as_f64().unwrap();
            assert!(auc > 0.8, "{algorithm} {k}: {auc}");

            let p = trained.model.predict(&ctx, &table).unwrap();
            let decided: Vec<u32> = p.chunks_exact(k).map(|p| trained.model.decide(p)).collect();
            let why = trained.model.explain(&ctx, &table, &decided).unwrap();
            let raw = trained.model.predict_raw(&ctx, &table).unwrap();
            for row in 0..table.n_rows() {
                let sum = why.base[row] + why.of(row).iter().sum::<f64>();
                assert!((sum - why.score[row]).abs() < 1e-6, "{algorithm} {k} row {row}");
                let p = raw[row * k + decided[row] as usize];
                match (why.scale, k) {
                    (Scale::Probability, _) => assert!((why.score[row] - p).abs() < 1e-6, "{algorithm} {k}"),
                    (Scale::LogOdds, 2) => assert!((why.score[row] - (p / (1.0 - p)).ln()).abs() < 1e-6),
                    _ => {}
                }
            }
            let bytes = trained.model.encode().unwrap();
            let again = ClassifierModel::decode(&bytes).unwrap();
            assert_eq!(again, trained.model);
            assert_eq!(again.predict(&ctx, &table).unwrap(), p);
            let evaluation = trained.evaluation.encode().unwrap();
            assert_eq!(Evaluation::decode(&evaluation).unwrap(), trained.evaluation);
        }
    }
    assert_eq!(ctx.in_use(), 0);
}
