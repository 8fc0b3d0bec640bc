//! Scores, calibration and thresholds against their definitions, by brute force on small random tables.

use empatia_engine::calibrate::{Isotonic, Platt};
use empatia_engine::context::Context;
use empatia_engine::metrics::{auc_with_error, BinaryCounts, Predictions, Ranking};
use empatia_engine::threshold::{CostMatrix, Objective};
use proptest::prelude::*;

fn ctx() -> Context {
    Context::builder().build().unwrap()
}

/// Rows of score (few values, so that ties are common), truth, weight 0 to 3.
type Row = (f64, bool, f64);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..8u8, any::<bool>(), 0..4u8);
    proptest::collection::vec(row, 1..30).prop_map(|rows| {
        rows.iter()
            .map(|r| (f64::from(r.0) / 7.0, r.1, f64::from(r.2)))
            .collect()
    })
}

fn ranking(rows: &[Row]) -> Ranking {
    let scores: Vec<f64> = rows.iter().map(|r| r.0).collect();
    let positive: Vec<bool> = rows.iter().map(|r| r.1).collect();
    let weights: Vec<f64> = rows.iter().map(|r| r.2).collect();
    Ranking::new(&ctx(), &scores, &positive, &weights).unwrap()
}

fn expanded(rows: &[Row]) -> Vec<Row> {
    let copies = |r: &Row| vec![(r.0, r.1, 1.0); r.2 as usize];
    rows.iter().flat_map(copies).collect()
}

fn both_classes(rows: &[Row]) -> bool {
    [true, false]
        .iter()
        .all(|class| rows.iter().any(|r| r.1 == *class && r.2 > 0.0))
}

/// The four outcomes of calling positive what scores at least `threshold`, row by row.
fn counts(rows: &[Row], threshold: f64) -> BinaryCounts {
    let sum = |called: bool, truth: bool| {
        let of = rows.iter().filter(|r| (r.0 >= threshold) == called && r.1 == truth);
        of.map(|r| r.2).sum()
    };
    BinaryCounts {
        true_positive: sum(true, true),
        false_positive: sum(true, false),
        false_negative: sum(false, true),
        true_negative: sum(false, false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn auc_is_the_probability_of_the_right_order(rows in rows()) {
        let (mut right, mut pairs) = (0.0, 0.0);
        for p in rows.iter().filter(|r| r.1) {
            for n in rows.iter().filter(|r| !r.1) {
                pairs += p.2 * n.2;
                right += p.2 * n.2 * if p.0 > n.0 { 1.0 } else if p.0 == n.0 { 0.5 } else { 0.0 };
            }
        }
        match ranking(&rows).auc() {
            Some(auc) => prop_assert!((auc - right / pairs).abs() < 1e-12),
            None => prop_assert_eq!(pairs, 0.0),
        }
    }

    #[test]
    fn weights_are_multiplicities(rows in rows()) {
        let (weighted, repeated) = (ranking(&rows), ranking(&expanded(&rows)));
        prop_assert_eq!(&weighted, &repeated);
        let row = expanded(&rows);
        let error = |rows: &[Row]| {
            let part = |f: fn(&Row) -> f64| rows.iter().map(f).collect::<Vec<_>>();
            let positive: Vec<bool> = rows.iter().map(|r| r.1).collect();
            auc_with_error(&ctx(), &part(|r| r.0), &positive, &part(|r| r.2), None, 0.9)
        };
        if both_classes(&rows) {
            match (error(&rows).unwrap(), error(&row).unwrap()) {
                (Some(a), Some(b)) => prop_assert!((a.standard_error - b.standard_error).abs() < 1e-12),
                (a, b) => prop_assert_eq!(a.is_none(), b.is_none()),
            }
        }
    }

    #[test]
    fn row_order_does_not_matter(rows in rows(), seed in 0..1000usize) {
        let mut other = rows.clone();
        other.rotate_left(seed % rows.len());
        other.reverse();
        prop_assert_eq!(ranking(&rows), ranking(&other));
    }

    #[test]
    fn isotonic_fit_is_monotone_and_optimal(rows in rows()) {
        let dense = expanded(&rows);
        prop_assume!(!dense.is_empty());
        let fitted = Isotonic::fit(&ranking(&rows)).unwrap();
        let mut levels: Vec<f64> = dense.iter().map(|r| r.0).collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        // The optimum at level i is max over starts s <= i of min over ends e >= i of the mean of levels s..=e
        let mean = |s: f64, e: f64| {
            let within: Vec<&Row> = dense.iter().filter(|r| r.0 >= s && r.0 <= e).collect();
            within.iter().filter(|r| r.1).count() as f64 / within.len() as f64
        };
        let mut before = 0.0;
        for (i, level) in levels.iter().enumerate() {
            let least = |s: &f64| levels[i..].iter().map(|e| mean(*s, *e)).fold(f64::INFINITY, f64::min);
            let optimum = levels[..=i].iter().map(least).fold(f64::NEG_INFINITY, f64::max);
            let found = fitted.apply(*level);
            prop_assert!((found - optimum).abs() < 1e-12, "{} {}", found, optimum);
            prop_assert!(found >= before);
            before = found;
        }
    }

    #[test]
    fn platt_scaling_keeps_the_order_and_stays_inside(rows in rows()) {
        prop_assume!(rows.iter().any(|r| r.2 > 0.0));
        let fitted = Platt::fit(&ranking(&rows)).unwrap();
        prop_assert!(fitted.slope() >= 0.0 && fitted.intercept().is_finite());
        let mut before = 0.0;
        for step in 0..=20 {
            let p = fitted.apply(f64::from(step) / 20.0);
            prop_assert!((0.0..=1.0).contains(&p) && p >= before);
            before = p;
        }
    }

    #[test]
    fn threshold_meets_its_target_and_none_is_better(rows in rows(), target in 0.05..1.0f64) {
        prop_assume!(both_classes(&rows));
        let costs = CostMatrix { true_negative: 0.0, false_positive: 1.0, false_negative: 4.0, true_positive: -1.0 };
        let ranking = ranking(&rows);
        let mut thresholds: Vec<f64> = rows.iter().map(|r| r.0).collect();
        thresholds.push(2.0);
        let best = |worth: &dyn Fn(&BinaryCounts) -> Option<f64>| {
            let worths = thresholds.iter().filter_map(|t| worth(&counts(&rows, *t)));
            worths.fold(f64::NEG_INFINITY, f64::max)
        };
        let choose = |objective: Objective| {
            let choice = objective.choose(&ranking).unwrap();
            assert_eq!(choice.counts, counts(&rows, choice.threshold));
            choice
        };
        let recall = choose(Objective::Recall { target_recall: target });
        prop_assert!(recall.recall.unwrap() >= target - 1e-12);
        let precision = best(&|c| c.precision().filter(|_| c.recall().unwrap() >= target - 1e-12));
        prop_assert!((recall.precision.unwrap() - precision).abs() < 1e-9);
        prop_assert!((choose(Objective::F1).f1.unwrap() - best(&|c| c.f1())).abs() < 1e-9);
        let youden = choose(Objective::Youden);
        let distance = youden.recall.unwrap() - youden.false_positive_rate.unwrap();
        prop_assert!((distance - best(&|c| Some(c.recall()? - c.false_positive_rate()?))).abs() < 1e-9);
        let cost = choose(Objective::Cost { costs }).cost.unwrap();
        prop_assert!((cost + best(&|c| Some(-costs.of(c) / c.total()))).abs() < 1e-9);
    }

    #[test]
    fn scores_of_weighted_predictions_are_those_of_the_repeated_rows(
        rows in proptest::collection::vec((0..5u8, 0..5u8, 0..5u8, 0..3u32, 0..3u8), 1..20)
    ) {
        let probabilities: Vec<f64> = rows.iter().flat_map(|r| {
            let raw = [f64::from(r.0) + 1.0, f64::from(r.1) + 1.0, f64::from(r.2) + 1.0];
            let sum: f64 = raw.iter().sum();
            raw.map(|x| x / sum)
        }).collect();
        let targets: Vec<u32> = rows.iter().map(|r| r.3).collect();
        let weights: Vec<f64> = rows.iter().map(|r| f64::from(r.4)).collect();
        let copies = |i: usize| std::iter::repeat_n(i, rows[i].4 as usize);
        let dense: Vec<usize> = (0..rows.len()).flat_map(copies).collect();
        let dense_p: Vec<f64> = dense.iter().flat_map(|i| probabilities[i * 3..i * 3 + 3].to_vec()).collect();
        let dense_t: Vec<u32> = dense.iter().map(|i| targets[*i]).collect();
        let ones = vec![1.0; dense.len()];
        let a = Predictions::new(&probabilities, 3, &targets, &weights).unwrap();
        let b = Predictions::new(&dense_p, 3, &dense_t, &ones).unwrap();
        let ctx = ctx();
        let pairs = [
            (a.log_loss(), b.log_loss()),
            (a.brier(), b.brier()),
            (a.auc(&ctx).unwrap(), b.auc(&ctx).unwrap()),
            (a.average_precision(&ctx).unwrap(), b.average_precision(&ctx).unwrap()),
            (a.confusion().unwrap().macro_f1(), b.confusion().unwrap().macro_f1()),
            (a.confusion().unwrap().balanced_accuracy(), b.confusion().unwrap().balanced_accuracy()),
        ];
        for (index, pair) in pairs.into_iter().enumerate() {
            match pair {
                (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-12, "{} {} {}", index, a, b),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }
}
