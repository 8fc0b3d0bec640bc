//! Trees on two shapes: continuous features without repeats, and counts that repeat. `benches/case_trees.py` compares
//! with LightGBM, XGBoost, scikit-learn and shap.
//!
//! `cargo bench -p empatia-engine --bench tree`; threads: EMPATIA_THREADS, default 4.

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion};
use empatia_engine::context::Context;
use empatia_engine::tree::{BoostingParams, FeatureTable, ForestParams, TrainingSet};
use linfa::ParamGuard;

/// The `index`-th number of SplitMix64, as a fraction in [0, 1).
fn fraction(index: u64) -> f64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// n x p uniform numbers, as they are or as counts; the label depends on four of them and on chance.
fn rows(n: usize, p: usize, counts: bool) -> (FeatureTable, Vec<u32>) {
    let value = |row: usize, column: usize| {
        let x = fraction((row * p + column) as u64);
        if counts {
            (-(1.0 - x).ln() * 3.0).floor()
        } else {
            x
        }
    };
    let columns: Vec<Vec<f64>> = (0..p).map(|j| (0..n).map(|i| value(i, j)).collect()).collect();
    let table = FeatureTable::from_columns(&columns).expect("finite columns");
    let unit = if counts { 3.0 } else { 0.5 };
    let label = |i: usize| {
        let at = |j: usize| columns[j][i] / unit;
        let signal = at(0) * at(1) - at(2) + 0.5 * at(3) + 4.0 * (fraction((n * p + i) as u64) - 0.5);
        u32::from(signal > 0.5)
    };
    let labels = (0..n).map(label).collect();
    (table, labels)
}

fn benches(c: &mut Criterion) {
    let threads = std::env::var("EMPATIA_THREADS")
        .ok()
        .and_then(|t| t.parse().ok())
        .unwrap_or(4);
    let ctx = Context::builder().threads(threads).build().expect("threads");
    for (name, n, p, counts) in [
        ("continuous 100k x 20", 100_000, 20, false),
        ("counts 500k x 6", 500_000, 6, true),
    ] {
        let (table, labels) = rows(n, p, counts);
        let weights = vec![1.0; n];
        let set = TrainingSet::new(&table, &labels, 2, &weights).expect("valid");
        let boosting = BoostingParams::new(50).check().expect("valid");
        let forest = ForestParams::new(20).min_leaf(5.0).check().expect("valid");
        c.bench_function(&format!("boosting 50 rounds, {name}"), |b| {
            b.iter(|| black_box(boosting.fit(&ctx, &set, None).expect("fit")))
        });
        c.bench_function(&format!("forest 20 trees, {name}"), |b| {
            b.iter(|| black_box(forest.fit(&ctx, &set).expect("fit")))
        });
        let boosted = boosting.fit(&ctx, &set, None).expect("fit").model;
        let grown = forest.fit(&ctx, &set).expect("fit").model;
        let few = table.select(&(0..10_000).collect::<Vec<_>>()).expect("rows");
        let one = table.select(&[0]).expect("row");
        c.bench_function(&format!("predict 10k rows by the forest, {name}"), |b| {
            b.iter(|| black_box(grown.predict_probabilities(&ctx, &few).expect("predict")))
        });
        c.bench_function(&format!("explain 10k rows, {name}"), |b| {
            b.iter(|| black_box(boosted.explain(&ctx, &few).expect("explain")))
        });
        c.bench_function(&format!("explain one row, {name}"), |b| {
            b.iter(|| black_box(boosted.explain(&ctx, &one).expect("explain")))
        });
    }
}

criterion_group! {
    name = tree;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(tree);
