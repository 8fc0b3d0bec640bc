//! K-Means on the two shapes that matter: distinct count vectors with weights, and a continuous table that does not
//! compress. `benches/kmeans_sklearn.py` runs scikit-learn on the same rows.
//!
//! `cargo bench -p empatia-engine --bench kmeans`; threads: EMPATIA_THREADS, default 4.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion};
use empatia_engine::context::Context;
use empatia_engine::data::{FeatureSpec, Recipe, WeightedRows};
use empatia_engine::kmeans::{Init, KMeansParams, KMeansValidParams};
use linfa::ParamGuard;
use ndarray::Array2;

/// The `index`-th number of SplitMix64, as a fraction in (0, 1): counter-based, so that numpy computes it too.
fn fraction(index: u64) -> f64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
}

/// n x p: row i belongs to blob i % 8, whose centre is uniform in [-3, 3]^p; noise is a sum of 4 uniforms, sd 1.5.
fn continuous(n: usize, p: usize) -> WeightedRows {
    let mut values = Vec::with_capacity(n * p);
    for i in 0..n {
        for j in 0..p {
            let centre = 6.0 * fraction((i % 8 * p + j) as u64) - 3.0;
            let at = 1_000_000 + ((i * p + j) * 4) as u64;
            let noise: f64 = (0..4).map(|u| fraction(at + u) - 0.5).sum();
            values.push(centre + 1.5 * 3f64.sqrt() * noise);
        }
    }
    WeightedRows::unweighted(values, p).expect("finite rows")
}

/// About 36 thousand distinct vectors of 6 counts out of 1.2 million rows, most of them zero; log1p, standardised.
fn counts(ctx: &Context) -> WeightedRows {
    let mut cells: HashMap<[u32; 6], f64> = HashMap::new();
    for i in 0..1_180_000u64 {
        let mut row = [0u32; 6];
        if fraction(i * 8) > 0.93 {
            let activity = -(1.0 - fraction(i * 8 + 1)).ln() * 2.0;
            for (j, cell) in row.iter_mut().enumerate() {
                *cell = (-(1.0 - fraction(i * 8 + 2 + j as u64)).ln() * activity) as u32;
            }
        }
        *cells.entry(row).or_default() += 1.0;
    }
    let weights = cells.values().copied().collect();
    let values = cells.keys().flatten().map(|c| f64::from(*c)).collect();
    let raw = WeightedRows::new(values, 6, weights).expect("finite rows");
    let raw = raw.distinct(ctx).expect("no limit");
    let specs: Vec<FeatureSpec> = (0..6).map(|j| FeatureSpec::log1p(format!("f{j}"))).collect();
    Recipe::fit(ctx, &specs, &raw)
        .and_then(|recipe| recipe.transform(ctx, &raw))
        .expect("counts")
}

fn context() -> Context {
    let threads = std::env::var("EMPATIA_THREADS")
        .ok()
        .and_then(|t| t.parse().ok())
        .unwrap_or(4);
    Context::builder().threads(threads).build().expect("threads")
}

fn fit(c: &mut Criterion, name: &str, ctx: &Context, rows: &WeightedRows, params: &KMeansValidParams) {
    let fitted = params.fit_rows(ctx, rows).expect("fit");
    let iterations: Vec<usize> = fitted.model.starts().iter().map(|s| s.iterations).collect();
    println!(
        "{name}: {} rows, inertia {:.3}, iterations {iterations:?}, spread {:.2e}",
        rows.n_rows(),
        fitted.model.inertia(),
        fitted.model.spread()
    );
    c.bench_function(name, |b| b.iter(|| black_box(params.fit_rows(ctx, rows).expect("fit"))));
}

fn benches(c: &mut Criterion) {
    let ctx = context();
    let rows = counts(&ctx);
    let params = KMeansParams::new(4).n_init(10).check().expect("valid");
    fit(c, "counts k=4 n_init=10", &ctx, &rows, &params);

    let rows = continuous(1_000_000, 8);
    let params = KMeansParams::new(8).n_init(4).check().expect("valid");
    fit(c, "continuous 1M x 8 k=8 n_init=4", &ctx, &rows, &params);
    let first = Array2::from_shape_fn((8, 8), |(i, j)| rows.row(i)[j]);
    let params = KMeansParams::new(8)
        .init(Init::Precomputed(first))
        .check()
        .expect("valid");
    fit(
        c,
        "continuous 1M x 8 k=8, first rows as centroids",
        &ctx,
        &rows,
        &params,
    );
}

criterion_group! {
    name = kmeans;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(kmeans);
