//! Logistic regression where it is not easy: separable, absent classes, scales, cancel, memory, storage, explanation.

use std::sync::atomic::Ordering;

use empatia_engine::codec::{self, CodecError, Kind};
use empatia_engine::context::Context;
use empatia_engine::data::Labels;
use empatia_engine::error::EngineError;
use empatia_engine::linear::{LogisticModel, LogisticParams};
use empatia_engine::validate::Refusal;

fn ctx(threads: usize) -> Context {
    Context::builder().threads(threads).build().unwrap()
}

/// n rows of p columns and their classes, from a small linear congruential generator.
fn table(n: usize, p: usize, classes: u32) -> (Vec<Vec<f64>>, Vec<u32>) {
    let mut state = 12345u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5
    };
    let columns: Vec<Vec<f64>> = (0..p).map(|_| (0..n).map(|_| next()).collect()).collect();
    let class = |row: usize, noise: f64| ((columns[0][row] + 0.5 + noise * 0.3) * f64::from(classes)) as u32;
    let targets = (0..n).map(|row| class(row, next()).min(classes - 1)).collect();
    (columns, targets)
}

fn fit(params: &LogisticParams, columns: &[Vec<f64>], labels: &Labels) -> LogisticModel {
    params.fit(&ctx(2), columns, labels).unwrap()
}

#[test]
fn gradient_vanishes_at_the_solution() {
    // The optimality condition itself, independent of any solver: sum w (p - y) x + l2 c = 0
    let (columns, targets) = table(5_000, 4, 3);
    let weights: Vec<f64> = (0..5_000).map(|i| f64::from(i % 3)).collect();
    let labels = Labels::new(targets.clone(), 3, weights.clone()).unwrap();
    let params = LogisticParams {
        l2: 2.5,
        ..LogisticParams::default()
    };
    let model = fit(&params, &columns, &labels);
    let p = model.predict(&ctx(1), &columns).unwrap();
    for class in 0..3 {
        let residual =
            |row: usize| weights[row] * (p[row * 3 + class] - f64::from(u8::from(targets[row] == class as u32)));
        let intercept: f64 = (0..5_000).map(residual).sum();
        assert!(intercept.abs() < 1e-6, "{intercept}");
        for (j, column) in columns.iter().enumerate() {
            let g = (0..5_000).map(|row| residual(row) * column[row]).sum::<f64>();
            let g = g + 2.5 * model.coefficients()[class * 4 + j];
            assert!(g.abs() < 1e-6, "class {class}, feature {j}: {g}");
        }
    }
}

#[test]
fn weighted_rows_are_repeated_rows() {
    let (columns, targets) = table(3_000, 3, 2);
    let weights: Vec<f64> = (0..3_000).map(|i| f64::from(i % 4)).collect();
    let repeat = |row: usize| std::iter::repeat_n(row, row % 4);
    let rows: Vec<usize> = (0..3_000).flat_map(repeat).collect();
    let dense: Vec<Vec<f64>> = columns.iter().map(|c| rows.iter().map(|r| c[*r]).collect()).collect();
    let dense_targets = rows.iter().map(|r| targets[*r]).collect();
    let params = LogisticParams::default();
    let a = fit(&params, &columns, &Labels::new(targets, 2, weights).unwrap());
    let b = fit(&params, &dense, &Labels::unweighted(dense_targets, 2).unwrap());
    for (a, b) in a.coefficients().iter().zip(b.coefficients()) {
        approx::assert_relative_eq!(a, b, max_relative = 1e-8);
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let (columns, targets) = table(20_000, 5, 4);
    let labels = Labels::unweighted(targets, 4).unwrap();
    let models: Vec<LogisticModel> = [1, 2, 4]
        .iter()
        .map(|threads| {
            LogisticParams::default()
                .fit(&ctx(*threads), &columns, &labels)
                .unwrap()
        })
        .collect();
    assert!(models.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn separable_classes_and_wild_scales_converge() {
    let n = 400;
    let columns = vec![
        (0..n).map(|i| f64::from(i) * 1e12).collect::<Vec<f64>>(),
        (0..n).map(|i| f64::from(i % 7) * 1e-9 + 5.0).collect(),
        vec![3.25; n as usize],
    ];
    let labels = Labels::unweighted((0..n).map(|i| u32::from(i >= 200)).collect(), 2).unwrap();
    for l2 in [1e-9, 1e-3, 1.0] {
        let params = LogisticParams {
            l2,
            ..LogisticParams::default()
        };
        let model = fit(&params, &columns, &labels);
        assert!(model.converged(), "{l2}: {}", model.iterations());
        assert_eq!(model.coefficients()[2], 0.0, "a constant has no coefficient");
        let p = model.predict(&ctx(1), &columns).unwrap();
        assert!(p.iter().all(|p| p.is_finite()));
        let right = p
            .chunks(2)
            .enumerate()
            .filter(|(i, p)| (p[1] > 0.5) == (*i >= 200))
            .count();
        assert!(right >= 398, "{l2}: {right}");
    }
}

#[test]
fn class_without_rows_gets_probability_zero() {
    let (columns, targets) = table(300, 2, 2);
    let shifted: Vec<u32> = targets.iter().map(|t| t * 2 + 1).collect(); // classes 1 and 3 of 5
    let model = fit(
        &LogisticParams::default(),
        &columns,
        &Labels::unweighted(shifted, 5).unwrap(),
    );
    let plain = fit(
        &LogisticParams::default(),
        &columns,
        &Labels::unweighted(targets, 2).unwrap(),
    );
    assert_eq!(model.classes(), [1, 3]);
    assert_eq!(model.coefficients(), plain.coefficients());
    let p = model.predict(&ctx(1), &columns).unwrap();
    assert!(p
        .chunks(5)
        .all(|p| p[0] == 0.0 && p[2] == 0.0 && p[4] == 0.0 && (p[1] + p[3] - 1.0).abs() < 1e-12));
}

#[test]
fn what_cannot_be_fitted_says_why() {
    let fit = |columns: &[Vec<f64>], labels: Labels| LogisticParams::default().fit(&ctx(1), columns, &labels);
    let two = |weights: [f64; 2]| Labels::new(vec![0, 1], 2, weights.to_vec()).unwrap();
    assert!(matches!(
        fit(&[vec![1.0, 2.0]], two([1.0, 0.0])),
        Err(EngineError::Refusal(Refusal::OneClass { class: 0 }))
    ));
    assert!(matches!(
        fit(&[vec![1.0, 2.0]], two([0.0, 0.0])),
        Err(EngineError::EmptyInput { .. })
    ));
    assert!(matches!(
        fit(&[vec![1.0, f64::NAN]], two([1.0, 1.0])),
        Err(EngineError::NonFinite { row: 1, column: 0 })
    ));
    assert!(matches!(
        fit(&[vec![1.0]], two([1.0, 1.0])),
        Err(EngineError::Dimension { .. })
    ));
    assert!(fit(&[], two([1.0, 1.0])).is_err());
    for l2 in [0.0, -1.0, f64::NAN] {
        assert!(LogisticParams {
            l2,
            ..LogisticParams::default()
        }
        .check()
        .is_err());
    }
    assert!(serde_json::from_str::<LogisticParams>(r#"{"l2": 0.5}"#).is_ok());
    let error = serde_json::from_str::<LogisticParams>(r#"{"c": 0.5}"#).unwrap_err();
    assert!(error.to_string().contains("expected one of `l2`"), "{error}");
}

#[test]
fn two_hundred_classes_are_fitted() {
    let (columns, _) = table(4_000, 3, 2);
    let targets = (0..4_000).map(|row| (row % 200) as u32).collect();
    let model = fit(
        &LogisticParams::default(),
        &columns,
        &Labels::unweighted(targets, 200).unwrap(),
    );
    let p = model.predict(&ctx(2), &columns).unwrap();
    assert!(p.chunks(200).all(|p| (p.iter().sum::<f64>() - 1.0).abs() < 1e-9));
}

#[test]
fn cancel_and_budget_are_heeded() {
    let (columns, targets) = table(10_000, 5, 3);
    let labels = Labels::unweighted(targets, 3).unwrap();
    let cancelled = ctx(2);
    cancelled.cancel_flag().store(true, Ordering::Relaxed);
    assert!(matches!(
        LogisticParams::default().fit(&cancelled, &columns, &labels),
        Err(EngineError::Cancelled)
    ));
    let poor = Context::builder().memory_budget(500_000).build().unwrap();
    assert!(matches!(
        LogisticParams::default().fit(&poor, &columns, &labels),
        Err(EngineError::Memory { .. })
    ));
    assert_eq!(poor.in_use(), 0);
}

/// Shapley values by their definition: over all coalitions, absent features taken from the training rows.
fn shapley(margin: &dyn Fn(&[f64]) -> f64, columns: &[Vec<f64>], weights: &[f64], row: &[f64]) -> Vec<f64> {
    let p = columns.len();
    let total: f64 = weights.iter().sum();
    let value = |coalition: usize| {
        let of_background = |i: usize| {
            let mixed = (0..p).map(|j| if coalition >> j & 1 == 1 { row[j] } else { columns[j][i] });
            weights[i] * margin(&mixed.collect::<Vec<f64>>())
        };
        (0..weights.len()).map(of_background).sum::<f64>() / total
    };
    let factorial = |n: usize| (1..=n).product::<usize>() as f64;
    (0..p)
        .map(|j| {
            let without = (0..1usize << p).filter(|s| s >> j & 1 == 0);
            without
                .map(|s| {
                    let size = s.count_ones() as usize;
                    let share = factorial(size) * factorial(p - size - 1) / factorial(p);
                    share * (value(s | 1 << j) - value(s))
                })
                .sum()
        })
        .collect()
}

#[test]
fn contributions_are_the_shapley_values_and_add_up_to_the_margin() {
    for classes in [2u32, 3] {
        let (columns, targets) = table(60, 3, classes);
        let weights: Vec<f64> = (0..60).map(|i| f64::from(i % 3)).collect();
        let labels = Labels::new(targets, classes as usize, weights.clone()).unwrap();
        let model = fit(&LogisticParams::default(), &columns, &labels);
        for class in 0..classes {
            let all = model.explain(&ctx(1), &columns, class).unwrap();
            let (sign, at) = if classes == 2 {
                (f64::from(class) * 2.0 - 1.0, 0)
            } else {
                (1.0, class as usize)
            };
            let coefficients = &model.coefficients()[at * 3..at * 3 + 3];
            let margin = |x: &[f64]| {
                sign * (model.intercepts()[at] + x.iter().zip(coefficients).map(|(x, c)| x * c).sum::<f64>())
            };
            for row in [0usize, 7, 33] {
                let x: Vec<f64> = columns.iter().map(|c| c[row]).collect();
                let found = model.explain_row(&x, class).unwrap();
                let truth = shapley(&margin, &columns, &weights, &x);
                for (j, truth) in truth.iter().enumerate() {
                    approx::assert_relative_eq!(found.contributions[j], *truth, epsilon = 1e-10);
                    approx::assert_relative_eq!(all.contributions[row * 3 + j], *truth, epsilon = 1e-10);
                }
                let sum = found.base + found.contributions.iter().sum::<f64>();
                approx::assert_relative_eq!(sum, margin(&x), epsilon = 1e-10);
                if classes == 2 {
                    let p = model.predict(&ctx(1), &columns).unwrap()[row * 2 + class as usize];
                    approx::assert_relative_eq!(1.0 / (1.0 + (-sum).exp()), p, epsilon = 1e-12);
                }
            }
        }
        assert!(model.explain_row(&[0.0; 3], classes).is_err());
    }
}

#[test]
fn stored_model_is_the_same_and_tampered_ones_are_refused() {
    let (columns, targets) = table(200, 3, 3);
    let labels = Labels::unweighted(targets, 3).unwrap();
    let model = fit(&LogisticParams::default(), &columns, &labels);
    let bytes = model.to_bytes().unwrap();
    assert_eq!(LogisticModel::from_bytes(&bytes).unwrap(), model);
    let changes: Vec<fn(&mut serde_json::Value)> = vec![
        |v| drop(v["coefficients"].as_array_mut().unwrap().pop()),
        |v| drop(v["intercepts"].as_array_mut().unwrap().pop()),
        |v| v["classes"] = serde_json::json!([0, 0, 1]),
        |v| v["classes"] = serde_json::json!([0]),
        |v| v["n_classes"] = 2.into(),
        |v| v["n_classes"] = 1_000_000_000u64.into(),
        |v| v["means"] = serde_json::json!([]),
        |v| v["coefficients"][0] = 1e200.into(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut value: serde_json::Value = codec::decode(Kind::LOGISTIC, &bytes).unwrap();
        change(&mut value);
        let outcome = LogisticModel::from_bytes(&codec::encode(Kind::LOGISTIC, &value).unwrap());
        assert!(
            matches!(outcome, Err(EngineError::Codec(CodecError::Payload { .. }))),
            "{index}: {outcome:?}"
        );
    }
}
