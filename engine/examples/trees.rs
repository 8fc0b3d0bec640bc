//! Fits and explains tree models on rows from a file, for `benches/case_trees.py`: prints one JSON object.
//!
//!     cargo run --release -p empatia-engine --example trees -- FILE boosting|forest|shap RUNS THREADS [KEY=VALUE...]
//!
//! FILE, little-endian: u64 training rows, test rows, features; then of the training rows the columns (f64) and the
//! labels (f64, 0 or 1); then the same of the test rows.

use std::error::Error;
use std::time::Instant;

use empatia_engine::context::Context;
use empatia_engine::tree::{BoostingParams, FeatureTable, ForestParams, TrainingSet};
use linfa::ParamGuard;

struct Part {
    table: FeatureTable,
    labels: Vec<u32>,
}

fn read(file: &str) -> Result<(Part, Part), Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    let words: Vec<[u8; 8]> = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).collect();
    let size = |at: usize| u64::from_le_bytes(words[at]) as usize;
    let (train, test, p) = (size(0), size(1), size(2));
    let mut at = 3;
    let mut part = |n: usize| -> Result<Part, Box<dyn Error>> {
        let mut column = || {
            at += n;
            words[at - n..at]
                .iter()
                .map(|word| f64::from_le_bytes(*word))
                .collect::<Vec<f64>>()
        };
        let columns: Vec<Vec<f64>> = (0..p).map(|_| column()).collect();
        let labels = column().into_iter().map(|label| label as u32).collect();
        let table = FeatureTable::from_columns(&columns)?;
        Ok(Part { table, labels })
    };
    Ok((part(train)?, part(test)?))
}

/// Area under the ROC curve, ties counted half.
fn auc(scores: &[f64], labels: &[u32]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut area, mut negatives, mut at) = (0.0, 0.0, 0);
    while at < order.len() {
        let end = at
            + order[at..]
                .iter()
                .take_while(|row| scores[**row] == scores[order[at]])
                .count();
        let positive = order[at..end].iter().filter(|row| labels[**row] == 1).count() as f64;
        let negative = (end - at) as f64 - positive;
        area += positive * (negatives + negative / 2.0);
        negatives += negative;
        at = end;
    }
    area / (negatives * (scores.len() as f64 - negatives))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, what, runs, threads, rest @ ..] = &args[..] else {
        return Err("FILE boosting|forest|shap RUNS THREADS [KEY=VALUE...]".into());
    };
    let options: serde_json::Map<String, serde_json::Value> = rest
        .iter()
        .filter_map(|option| option.split_once('='))
        .map(|(key, value)| Ok((key.to_owned(), serde_json::from_str(value)?)))
        .collect::<Result<_, serde_json::Error>>()?;
    let options = serde_json::Value::Object(options);
    let (train, test) = read(file)?;
    let weights = vec![1.0; train.labels.len()];
    let set = TrainingSet::new(&train.table, &train.labels, 2, &weights)?;
    let ctx = Context::builder().threads(threads.parse()?).build()?;
    let (mut fits, mut predictions, mut scores, mut nodes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..runs.parse::<usize>()? {
        let began = Instant::now();
        let mut timed =
            |probabilities: &dyn Fn() -> empatia_engine::error::Result<Vec<f64>>| -> Result<(), Box<dyn Error>> {
                fits.push(began.elapsed().as_secs_f64());
                let began = Instant::now();
                let found = probabilities()?;
                predictions.push(began.elapsed().as_secs_f64());
                scores = found.chunks_exact(2).map(|pair| pair[1]).collect();
                Ok(())
            };
        match what.as_str() {
            "forest" => {
                let params: ForestParams = serde_json::from_value(options.clone())?;
                let model = params.check()?.fit(&ctx, &set)?.model;
                nodes = model.ensemble().n_nodes();
                timed(&|| model.predict_probabilities(&ctx, &test.table))?;
            }
            "boosting" | "shap" => {
                let params: BoostingParams = serde_json::from_value(options.clone())?;
                let model = params.check()?.fit(&ctx, &set, None)?.model;
                nodes = model.ensemble().n_nodes();
                timed(&|| model.predict_probabilities(&ctx, &test.table))?;
                if what == "shap" {
                    let few: Vec<usize> = (0..10_000.min(test.labels.len())).collect();
                    let few = test.table.select(&few)?;
                    let began = Instant::now();
                    let explanation = model.explain(&ctx, &few)?;
                    let seconds = began.elapsed().as_secs_f64();
                    let margins = model.predict_margins(&ctx, &few)?;
                    let off = margins.iter().enumerate().map(|(row, margin)| {
                        (explanation.base()[0] + explanation.of(row, 0).iter().sum::<f64>() - margin).abs()
                    });
                    let off = off.fold(0.0, f64::max);
                    let last = predictions.len() - 1;
                    predictions[last] = seconds;
                    println!(
                        "explained {} rows in {seconds:.3} s, largest difference {off:.1e}",
                        few.n_rows()
                    );
                }
            }
            other => return Err(format!("unknown model {other}").into()),
        }
    }
    let auc = auc(&scores, &test.labels);
    println!(
        "{}",
        serde_json::json!({"seconds": fits, "then": predictions, "auc": auc, "nodes": nodes})
    );
    Ok(())
}
