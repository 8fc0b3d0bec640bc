//! Weighted K-Means against independent truths: a plain Lloyd on the repeated rows, linfa-clustering, itself in other
//! orders and on other thread counts.

use empatia_engine::context::Context;
use empatia_engine::data::WeightedRows;
use empatia_engine::kmeans::{Fitted, Init, KMeansParams};
use empatia_engine::metrics::{calinski_harabasz, davies_bouldin, silhouette, SilhouetteParams};
use linfa::traits::{Fit, Predict};
use linfa::{DatasetBase, ParamGuard};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

fn context(threads: usize) -> Context {
    Context::builder().threads(threads).build().unwrap()
}

fn fit(ctx: &Context, rows: &WeightedRows, params: KMeansParams) -> Fitted {
    params.check().unwrap().fit_rows(ctx, rows).unwrap()
}

/// The rows with each repeated as often as its weight says.
fn repeated(rows: &WeightedRows) -> Vec<Vec<f64>> {
    rows.iter()
        .flat_map(|(row, weight)| vec![row.to_vec(); weight as usize])
        .collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum()
}

/// Lloyd's algorithm as in a textbook, until no label changes. `None` when a cluster runs empty.
fn textbook(rows: &[Vec<f64>], mut centroids: Vec<Vec<f64>>) -> Option<(Vec<Vec<f64>>, f64)> {
    let mut labels = vec![usize::MAX; rows.len()];
    loop {
        let nearest = |row: &Vec<f64>| {
            (0..centroids.len()).min_by(|a, b| distance(row, &centroids[*a]).total_cmp(&distance(row, &centroids[*b])))
        };
        let found: Vec<usize> = rows.iter().map(|row| nearest(row).unwrap()).collect();
        if found == labels {
            let inertia = rows
                .iter()
                .zip(&labels)
                .map(|(row, label)| distance(row, &centroids[*label]))
                .sum();
            return Some((centroids, inertia));
        }
        labels = found;
        for (cluster, centroid) in centroids.iter_mut().enumerate() {
            let own: Vec<&Vec<f64>> = rows
                .iter()
                .zip(&labels)
                .filter(|r| *r.1 == cluster)
                .map(|r| r.0)
                .collect();
            if own.is_empty() {
                return None;
            }
            for (column, c) in centroid.iter_mut().enumerate() {
                *c = own.iter().map(|row| row[column]).sum::<f64>() / own.len() as f64;
            }
        }
    }
}

/// Rows without ties: values on a fine irregular grid, weights 1..=6.
fn weighted_rows() -> impl Strategy<Value = WeightedRows> {
    (1usize..4, 12usize..60).prop_flat_map(|(p, n)| {
        let values = prop::collection::vec(-1_000_000i32..1_000_000, n * p);
        let weights = prop::collection::vec(1u8..7, n);
        (values, weights).prop_map(move |(values, weights)| {
            let values = values.into_iter().map(|v| f64::from(v) * 1.234_567e-5).collect();
            WeightedRows::new(values, p, weights.into_iter().map(f64::from).collect()).unwrap()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn weighted_fit_equals_textbook_lloyd_on_the_repeated_rows(rows in weighted_rows(), k in 2usize..5) {
        let first: Vec<Vec<f64>> = (0..k).map(|i| rows.row(i).to_vec()).collect();
        if let Some((centroids, inertia)) = textbook(&repeated(&rows), first.clone()) {
            let init = Array2::from_shape_vec((k, rows.n_features()), first.concat()).unwrap();
            let params = KMeansParams::new(k).init(Init::Precomputed(init)).tolerance(0.0);
            let model = fit(&context(1), &rows, params).model;
            approx::assert_relative_eq!(model.inertia(), inertia, max_relative = 1e-9);
            for (found, expected) in model.centroid_values().iter().zip(centroids.concat()) {
                approx::assert_relative_eq!(*found, expected, max_relative = 1e-9, epsilon = 1e-9);
            }
        }
    }

    #[test]
    fn weighted_fit_is_bit_identical_to_the_fit_of_the_repeated_rows(rows in weighted_rows(), seed: u64) {
        let dense = WeightedRows::unweighted(repeated(&rows).concat(), rows.n_features()).unwrap();
        let params = KMeansParams::new(3).n_init(3).seed(seed);
        let (weighted, plain) = (fit(&context(1), &rows, params.clone()), fit(&context(2), &dense, params));
        prop_assert_eq!(&weighted.model, &plain.model);
        let ctx = context(1);
        let exact = SilhouetteParams::default();
        for (a, b) in [
            (silhouette(&ctx, &rows, &weighted.labels, &exact).unwrap().map(|s| s.value),
             silhouette(&ctx, &dense, &plain.labels, &exact).unwrap().map(|s| s.value)),
            (davies_bouldin(&ctx, &rows, &weighted.labels).unwrap(), davies_bouldin(&ctx, &dense, &plain.labels).unwrap()),
            (calinski_harabasz(&ctx, &rows, &weighted.labels).unwrap(),
             calinski_harabasz(&ctx, &dense, &plain.labels).unwrap()),
        ] {
            approx::assert_relative_eq!(a.unwrap(), b.unwrap(), max_relative = 1e-9, epsilon = 1e-12);
        }
    }

    #[test]
    fn row_order_does_not_matter_to_the_last_bit(rows in weighted_rows(), seed: u64) {
        let (p, n) = (rows.n_features(), rows.n_rows());
        let order: Vec<usize> = (0..n).map(|i| (i * 7 + seed as usize % n) % n).collect();
        prop_assume!(order.iter().collect::<std::collections::BTreeSet<_>>().len() == n);
        let values = order.iter().flat_map(|i| rows.row(*i).to_vec()).collect();
        let weights = order.iter().map(|i| rows.weights()[*i]).collect();
        let other = WeightedRows::new(values, p, weights).unwrap();
        let params = KMeansParams::new(4).n_init(2).seed(seed);
        let (a, b) = (fit(&context(1), &rows, params.clone()), fit(&context(1), &other, params));
        prop_assert_eq!(&a.model, &b.model);
        let labels: Vec<u32> = order.iter().map(|i| a.labels[*i]).collect();
        prop_assert_eq!(labels, b.labels);
    }

    #[test]
    fn labels_sizes_and_inertia_belong_to_the_final_centroids(
        rows in weighted_rows(), k in 1usize..8, max_iter in 1usize..4, greedy: bool,
    ) {
        let init = if greedy { Init::GreedyKMeansPlusPlus } else { Init::KMeansPlusPlus };
        let Fitted { model, labels } = fit(&context(1), &rows, KMeansParams::new(k).max_iter(max_iter).n_init(2).init(init));
        let centroids: Vec<&[f64]> = model.centroid_values().chunks_exact(rows.n_features()).collect();
        let (mut inertia, mut sizes) = (0.0, vec![0.0; k]);
        for ((row, weight), label) in rows.iter().zip(&labels) {
            let own = distance(row, centroids[*label as usize]);
            prop_assert!(centroids.iter().all(|c| distance(row, c) >= own));
            inertia += weight * own;
            sizes[*label as usize] += weight;
        }
        approx::assert_relative_eq!(model.inertia(), inertia, max_relative = 1e-12);
        prop_assert_eq!(model.cluster_weights(), sizes);
    }
}

/// n x p numbers without structure in [0, 1), from a linear congruential generator.
fn noise(n: usize, p: usize) -> WeightedRows {
    let mut state = 12345u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let values = (0..n * p).map(|_| next()).collect();
    let weights = (0..n).map(|_| (next() * 10.0).floor()).collect();
    WeightedRows::new(values, p, weights).unwrap()
}

#[test]
fn thread_count_does_not_matter_to_the_last_bit_over_many_chunks() {
    let rows = noise(13_000, 5);
    let params = KMeansParams::new(6).n_init(2).seed(99);
    let one = fit(&context(1), &rows, params.clone());
    for threads in [2, 3, 7] {
        assert_eq!(one, fit(&context(threads), &rows, params.clone()), "{threads} threads");
    }
    assert!(one.model.starts().iter().all(|s| s.converged));
}

#[test]
fn seeds_matter_and_more_starts_never_do_worse() {
    let rows = noise(3_000, 4);
    let ctx = context(2);
    let few = fit(&ctx, &rows, KMeansParams::new(7).n_init(3).seed(5)).model;
    let more = fit(&ctx, &rows, KMeansParams::new(7).n_init(9).seed(5)).model;
    assert_eq!(few.starts(), &more.starts()[..3]);
    assert!(more.inertia() <= few.inertia());
    assert_ne!(
        few.starts(),
        fit(&ctx, &rows, KMeansParams::new(7).n_init(3).seed(6)).model.starts()
    );
    assert!(more.starts().iter().all(|s| s.inertia >= more.inertia()));
    assert!(more.spread() > 0.0);
}

#[test]
fn linfa_clustering_finds_nothing_better_from_our_centroids() {
    let rows = noise(1_500, 3);
    let model = fit(&context(2), &rows, KMeansParams::new(5).tolerance(0.0).seed(1)).model;
    let dense = repeated(&rows);
    let records = Array2::from_shape_vec((dense.len(), 3), dense.concat()).unwrap();
    let dataset = DatasetBase::from(records.clone());
    let theirs = linfa_clustering::KMeans::params(5)
        .init_method(linfa_clustering::KMeansInit::Precomputed(model.centroids()))
        .n_runs(1)
        .tolerance(1e-12)
        .fit(&dataset)
        .unwrap();
    // linfa's inertia() is a mean against the centroids of the iteration before, so it is recomputed here.
    let inertia: f64 = dense
        .iter()
        .map(|row| {
            theirs
                .centroids()
                .rows()
                .into_iter()
                .map(|c| distance(row, &c.to_vec()))
                .fold(f64::MAX, f64::min)
        })
        .sum();
    approx::assert_relative_eq!(model.inertia(), inertia, max_relative = 1e-9);
    let (ours, linfas): (Array1<usize>, Array1<usize>) = (model.predict(&records), theirs.predict(&records));
    assert_eq!(ours, linfas);
}

#[test]
fn linfa_traits_fit_and_predict_as_the_methods_do() {
    let rows = noise(500, 2);
    let records = Array2::from_shape_vec((500, 2), rows.values().to_vec()).unwrap();
    let weights = Array1::from_iter(rows.weights().iter().map(|w| *w as f32));
    let dataset = DatasetBase::from(records.clone()).with_weights(weights);
    let params = KMeansParams::new(3).seed(4);
    let model = Fit::fit(&params, &dataset).unwrap();
    let fitted = fit(&context(1), &rows, params);
    assert_eq!(model, fitted.model);
    let labels: Array1<usize> = model.predict(&records);
    assert!(labels.iter().zip(&fitted.labels).all(|(a, b)| *a == *b as usize));
}

#[test]
fn bulk_prediction_equals_prediction_row_by_row() {
    let rows = noise(5_003, 3);
    let Fitted { model, labels } = fit(&context(3), &rows, KMeansParams::new(9).n_init(1));
    let single: Vec<u32> = rows.iter().map(|(row, _)| model.predict_row(row).unwrap()).collect();
    assert_eq!(labels, single);
}
