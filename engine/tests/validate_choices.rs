//! Search, calibration and ensembles: what is chosen, and on what evidence.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use empatia_engine::calibrate::{choose_calibration, Calibrator, Method};
use empatia_engine::codec::{self, Kind};
use empatia_engine::context::Context;
use empatia_engine::data::{Column, Labels, Preparation, Table};
use empatia_engine::ensemble::{choose_ensemble, Offer, Pick, Stack, Vote};
use empatia_engine::error::{EngineError, Result};
use empatia_engine::linear::LogisticParams;
use empatia_engine::validate::{
    cross_validate, search, Budget, Candidate, CrossValidation, Domain, Ended, Metric, OutOfFold, Plan, Space, Split,
    Value,
};

const TEST: Kind = Kind(*b"TEST");

fn ctx() -> Context {
    Context::builder().threads(2).build().unwrap()
}

fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2) + 1;
    move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// Predictions of class 1 whose truth comes up with probability `truth(p)`, in 5 folds.
fn predictions(n: usize, seed: u64, truth: impl Fn(f64) -> f64) -> OutOfFold {
    let mut next = numbers(seed);
    let (mut p, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let score = next();
        p.extend([1.0 - score, score]);
        targets.push(u32::from(next() < truth(score)));
    }
    let folds = (0..n).map(|row| (row % 5) as u32).collect();
    OutOfFold::new(2, p, targets, vec![1.0; n], folds).unwrap()
}

fn log_loss(out_of_fold: &OutOfFold) -> f64 {
    out_of_fold.predictions().unwrap().log_loss().unwrap()
}

#[test]
fn calibration_is_chosen_where_probabilities_are_wrong_and_only_there() {
    // Overconfident: the log-odds are twice what they should be; Platt's form exactly
    let halved = |p: f64| 1.0 / (1.0 + ((1.0 - p) / p).sqrt());
    let choice = choose_calibration(&ctx(), &predictions(4_000, 1, halved)).unwrap();
    let (method, _) = choice.calibrator.as_ref().unwrap();
    assert_eq!(*method, Method::Platt);
    let after = choice.out_of_fold.predictions().unwrap().brier().unwrap();
    assert!(after < choice.brier_before - 0.005, "{after} {}", choice.brier_before);
    assert_eq!(choice.brier_after[0], (Method::Platt, after));

    // A step, which no sigmoid of the log-odds can draw
    let step = |p: f64| if p < 0.7 { 0.1 } else { 0.6 };
    let choice = choose_calibration(&ctx(), &predictions(4_000, 2, step)).unwrap();
    let (method, calibrator) = choice.calibrator.unwrap();
    assert_eq!(method, Method::Isotonic);
    let mut p = vec![0.6, 0.4, 0.1, 0.9];
    calibrator.apply(&ctx(), &mut p).unwrap();
    assert!((p[1] - 0.1).abs() < 0.06 && (p[3] - 0.6).abs() < 0.06, "{p:?}");

    // Right as they are: few rows, and a fit on them would only add noise
    let mut chosen = 0;
    for seed in 0..20 {
        let out_of_fold = predictions(100, 100 + seed, |p| p);
        let choice = choose_calibration(&ctx(), &out_of_fold).unwrap();
        match choice.calibrator {
            None => assert_eq!(choice.out_of_fold, out_of_fold),
            Some((method, _)) => {
                chosen += 1;
                let after = choice.out_of_fold.predictions().unwrap().brier().unwrap();
                assert!(after < choice.brier_before, "{method:?}");
            }
        }
    }
    assert!(chosen < 10, "{chosen} of 20");
}

#[test]
fn calibration_of_one_fold_cannot_be_judged_and_is_left_alone() {
    let all = predictions(200, 3, |p| p * p);
    let single = OutOfFold::new(
        2,
        all.probabilities().to_vec(),
        all.targets().to_vec(),
        all.weights().to_vec(),
        vec![0; 200],
    )
    .unwrap();
    let choice = choose_calibration(&ctx(), &single).unwrap();
    assert!(choice.calibrator.is_none() && choice.brier_after.is_empty());
}

#[test]
fn calibrated_classes_add_up_to_one_and_degenerate_ones_stay_finite() {
    let p = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0]].concat();
    let predictions = OutOfFold::new(3, p.clone(), vec![0, 1, 0, 1], vec![1.0; 4], vec![0, 1, 0, 1]).unwrap();
    for method in [Method::Platt, Method::Isotonic] {
        let calibrator = Calibrator::fit(&ctx(), method, &predictions.predictions().unwrap()).unwrap();
        let mut calibrated = p.clone();
        calibrator.apply(&ctx(), &mut calibrated).unwrap();
        for row in calibrated.chunks(3) {
            assert!(row.iter().all(|p| (0.0..=1.0).contains(p)));
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        let bytes = codec::encode(TEST, &calibrator).unwrap();
        assert_eq!(codec::decode::<Calibrator>(TEST, &bytes).unwrap(), calibrator);
        let text = serde_json::to_string(&calibrator).unwrap();
        assert!(serde_json::from_str::<Calibrator>(&text.replace("\"n_classes\":3", "\"n_classes\":4")).is_err());
        assert!(calibrator.apply(&ctx(), &mut [0.5; 4]).is_err());
    }
    let weightless = OutOfFold::new(2, vec![0.5, 0.5], vec![0], vec![0.0], vec![0]).unwrap();
    assert!(matches!(
        choose_calibration(&ctx(), &weightless),
        Err(EngineError::EmptyInput { .. })
    ));
}

/// Two noisy views of the same log-odds, the second twice as noisy.
fn two_views(n: usize, seed: u64) -> (OutOfFold, OutOfFold) {
    let mut next = numbers(seed);
    let (mut a, mut b, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    let probability = |z: f64| 1.0 / (1.0 + (-z).exp());
    for _ in 0..n {
        let z = (next() - 0.5) * 6.0;
        targets.push(u32::from(next() < probability(z)));
        for (view, noise) in [(&mut a, 2.0), (&mut b, 4.0)] {
            let p = probability(z + (next() - 0.5) * 2.0 * noise);
            view.extend([1.0 - p, p]);
        }
    }
    let folds: Vec<u32> = (0..n).map(|row| (row % 5) as u32).collect();
    let of = |p| OutOfFold::new(2, p, targets.clone(), vec![1.0; n], folds.clone()).unwrap();
    (of(a), of(b))
}

#[test]
fn ensemble_beats_its_members_where_their_errors_differ() {
    let (a, b) = two_views(3_000, 5);
    let offers = [Offer::Single(0), Offer::Single(1), Offer::Vote, Offer::Stack];
    let params = LogisticParams::default();
    let choice = choose_ensemble(&ctx(), &[&a, &b], &offers, &params, Metric::LogLoss).unwrap();
    let scores: Vec<f64> = choice.scores.iter().map(|(_, score)| score.unwrap()).collect();
    assert_eq!(scores[..2], [log_loss(&a), log_loss(&b)]);
    assert!(scores[2] < scores[0] && scores[3] < scores[2], "{scores:?}");
    let Pick::Stack(stack) = &choice.pick else {
        panic!("{:?}", choice.pick)
    };
    // The noisier member counts less
    let weights = stack.model().coefficients();
    assert!(weights[0] > weights[1] && weights[1] > 0.0, "{weights:?}");
    assert_eq!(log_loss(&choice.out_of_fold), scores[3]);
    let bytes = codec::encode(TEST, stack).unwrap();
    assert_eq!(codec::decode::<Stack>(TEST, &bytes).unwrap(), *stack);
    let text = serde_json::to_string(stack).unwrap();
    assert!(serde_json::from_str::<Stack>(&text.replace("\"members\":2", "\"members\":3")).is_err());
    let p = stack.combine(&ctx(), &[a.probabilities(), b.probabilities()]).unwrap();
    assert!(log_loss(&a.with_probabilities(p).unwrap()) <= scores[3]);
}

#[test]
fn vote_is_never_worse_than_a_member_on_its_own_rows_and_drops_the_useless() {
    for seed in 0..10 {
        let (a, b) = two_views(200, 20 + seed);
        let vote = Vote::fit(&ctx(), &[&a, &b]).unwrap();
        assert!((vote.weights().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mixed = vote.combine(&[a.probabilities(), b.probabilities()]).unwrap();
        let mixed = log_loss(&a.with_probabilities(mixed).unwrap());
        assert!(mixed <= log_loss(&a).min(log_loss(&b)) + 1e-12);
        // No other weight is better
        for step in 0..=100 {
            let w = f64::from(step) / 100.0;
            let other = a
                .probabilities()
                .iter()
                .zip(b.probabilities())
                .map(|(a, b)| w * a + (1.0 - w) * b);
            assert!(mixed <= log_loss(&a.with_probabilities(other.collect()).unwrap()) + 1e-9);
        }
    }
    // Too timid, so that a share for the opposite can only harm
    let good = predictions(500, 8, |p| p);
    let timid = good.probabilities().iter().map(|p| 0.25 + p / 2.0).collect();
    let good = good.with_probabilities(timid).unwrap();
    let wrong = good.with_probabilities(good.probabilities().chunks(2).flat_map(|p| [p[1], p[0]]).collect());
    let wrong = wrong.unwrap();
    assert_eq!(Vote::fit(&ctx(), &[&wrong, &good]).unwrap().weights(), [0.0, 1.0]);
    assert_eq!(Vote::fit(&ctx(), &[&good]).unwrap().weights(), [1.0]);
    let same = Vote::fit(&ctx(), &[&good, &good, &good]).unwrap();
    assert!((same.weights().iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn ensembles_of_different_rows_and_of_a_single_test_are_not_judged() {
    let (a, b) = two_views(100, 5);
    let (other, _) = two_views(100, 6);
    let params = LogisticParams::default();
    assert!(matches!(
        choose_ensemble(&ctx(), &[&a, &other], &[Offer::Vote], &params, Metric::Auc),
        Err(EngineError::InvalidParameter { .. })
    ));
    let single = |o: &OutOfFold| {
        let (p, t, w) = (o.probabilities().to_vec(), o.targets().to_vec(), o.weights().to_vec());
        OutOfFold::new(2, p, t, w, vec![0; 100]).unwrap()
    };
    let (a, b) = (single(&a), single(&b));
    let offers = [Offer::Vote, Offer::Single(0), Offer::Single(1)];
    let choice = choose_ensemble(&ctx(), &[&a, &b], &offers, &params, Metric::LogLoss).unwrap();
    assert_eq!((choice.scores[0], choice.pick), ((Offer::Vote, None), Pick::Single(0)));
    assert!(choose_ensemble(&ctx(), &[&a, &b], &[Offer::Stack], &params, Metric::Auc).is_err());
    assert!(choose_ensemble(&ctx(), &[&a, &b], &[Offer::Single(2)], &params, Metric::Auc).is_err());
    assert!(choose_ensemble(&ctx(), &[], &[Offer::Vote], &params, Metric::Auc).is_err());
    for bad in ["[0.5,0.6]", "[1.5,-0.5]", "[]"] {
        assert!(
            serde_json::from_str::<Vote>(&format!("{{\"weights\":{bad}}}")).is_err(),
            "{bad}"
        );
    }
}

fn space(text: &str) -> Space {
    serde_json::from_str(text).unwrap()
}

fn plan(space: Space, random: bool, candidates: usize) -> Plan {
    Plan {
        first: vec![Candidate::new()],
        space,
        random,
        seed: 4,
        budget: Budget {
            candidates,
            time_up: None,
        },
        metric: Metric::LogLoss,
    }
}

/// Cross-validates the logistic regression that a candidate describes.
fn evaluate(ctx: &Context, candidate: &Candidate) -> Result<CrossValidation> {
    let text = serde_json::to_string(candidate).unwrap();
    let params: LogisticParams =
        serde_json::from_str(&text).map_err(|e| EngineError::invalid("hyperparameters", "known", e))?;
    let mut next = numbers(31);
    let columns: Vec<Vec<f64>> = (0..8).map(|_| (0..120).map(|_| next()).collect()).collect();
    let targets = columns[0].iter().map(|x| u32::from(x + next() > 1.0)).collect();
    let columns = columns.into_iter().enumerate();
    let table = Table::new(columns.map(|(i, c)| Column::numeric(format!("x{i}"), c)).collect()).unwrap();
    let labels = Labels::unweighted(targets, 2).unwrap();
    let folds = (Split::Stratified { folds: 3 }).folds(&labels, 5, 0)?;
    cross_validate(
        ctx,
        &Preparation::for_linear(&table),
        &params,
        &table,
        &labels,
        &folds,
        |_| Ok(()),
    )
}

#[test]
fn grid_tries_the_defaults_and_every_combination_and_keeps_the_best() {
    let space = space(r#"{"l2": {"choice": [0.01, 1.0, 10.0]}, "balanced": {"choice": [false, true]}}"#);
    let found = search(&ctx(), &plan(space, false, 100), evaluate).unwrap();
    assert_eq!((found.tried.len(), found.ended), (7, Ended::Exhausted));
    assert!(found.tried[0].candidate.is_empty());
    assert_eq!(found.tried[2].candidate["l2"], Value::Float(1.0));
    let losses: Vec<f64> = found
        .tried
        .iter()
        .map(|t| t.outcome.as_ref().unwrap().pooled.unwrap())
        .collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[found.best], least);
    assert_eq!(found.best, losses.iter().position(|x| *x == least).unwrap());
    assert_eq!(found.cross_validation.summary(Metric::LogLoss).pooled, Some(least));
}

#[test]
fn random_search_is_the_same_for_a_seed_stays_in_range_and_repeats_nothing() {
    let text = r#"{"l2": {"float": {"low": 0.001, "high": 100.0, "log": true}}, "max_iter": {"int": {"low": 50, "high": 90}}}"#;
    let run = |seed| {
        let plan = Plan {
            seed,
            ..plan(space(text), true, 12)
        };
        search(&ctx(), &plan, evaluate).unwrap()
    };
    let (a, b, c) = (run(1), run(1), run(2));
    assert_eq!(a, b);
    assert_ne!(a.tried, c.tried);
    assert_eq!((a.tried.len(), a.ended), (12, Ended::Candidates));
    let mut small = 0;
    for tried in &a.tried[1..] {
        let (Value::Float(l2), Value::Int(iterations)) = (&tried.candidate["l2"], &tried.candidate["max_iter"]) else {
            panic!("{tried:?}")
        };
        assert!((0.001..=100.0).contains(l2) && (50..=90).contains(iterations));
        small += usize::from(*l2 < 1.0);
    }
    assert!((3..=10).contains(&small), "log scale: {small} of 11 below 1");
    // A space of four has no fifth candidate
    let few = plan(space(r#"{"max_iter": {"int": {"low": 50, "high": 53}}}"#), true, 100);
    let found = search(&ctx(), &few, evaluate).unwrap();
    assert_eq!((found.tried.len(), found.ended), (5, Ended::Exhausted));
}

#[test]
fn time_budget_gives_up_the_candidate_under_way_and_keeps_the_best_so_far() {
    let flag = Arc::new(AtomicBool::new(false));
    let mut plan = plan(space(r#"{"l2": {"choice": [0.1, 1.0, 10.0]}}"#), false, 100);
    plan.budget.time_up = Some(Arc::clone(&flag));
    let ctx = ctx();
    let mut calls = 0;
    let found = search(&ctx, &plan, |ctx, candidate| {
        calls += 1;
        if calls == 3 {
            flag.store(true, Ordering::Relaxed);
        }
        evaluate(ctx, candidate)
    })
    .unwrap();
    assert_eq!((found.tried.len(), found.ended, calls), (2, Ended::Time, 3));
    assert!(ctx.check().is_ok());
    // The time being up from the start still leaves one model
    let found = search(&ctx, &plan, evaluate).unwrap();
    assert_eq!((found.tried.len(), found.ended), (1, Ended::Time));
    // Cancel is not a budget
    ctx.cancel_flag().store(true, Ordering::Relaxed);
    assert!(matches!(search(&ctx, &plan, evaluate), Err(EngineError::Cancelled)));
}

#[test]
fn candidate_that_fails_is_reported_and_passed_over() {
    let found = search(
        &ctx(),
        &plan(
            space(r#"{"l2": {"choice": [-1.0, 1.0]}, "oops": {"choice": [1]}}"#),
            false,
            100,
        ),
        evaluate,
    )
    .unwrap();
    assert_eq!(found.best, 0);
    assert!(found.tried[1].outcome.as_ref().unwrap_err().contains("oops"));
    let mut none = plan(space(r#"{"l2": {"choice": [-1.0]}}"#), false, 5);
    none.first.clear();
    assert!(matches!(
        search(&ctx(), &none, evaluate),
        Err(EngineError::InvalidParameter { name: "l2", .. })
    ));
}

#[test]
fn spaces_and_budgets_without_sense_are_refused() {
    for (text, random) in [
        (r#"{"l2": {"choice": []}}"#, false),
        (r#"{"l2": {"choice": []}}"#, true),
        (r#"{"l2": {"float": {"low": 1.0, "high": 2.0}}}"#, false),
        (r#"{"l2": {"float": {"low": 2.0, "high": 1.0}}}"#, true),
        (r#"{"l2": {"float": {"low": 0.0, "high": 1.0, "log": true}}}"#, true),
        (r#"{"l2": {"int": {"low": 5, "high": 1}}}"#, true),
    ] {
        let outcome = search(&ctx(), &plan(space(text), random, 5), evaluate);
        assert!(matches!(outcome, Err(EngineError::InvalidParameter { .. })), "{text}");
    }
    assert!(search(&ctx(), &plan(Space::new(), false, 0), evaluate).is_err());
    assert!(serde_json::from_str::<Domain>(r#"{"int": {"low": 1, "high": 2, "step": 1}}"#).is_err());
    let hundred: Vec<Value> = (0..101).map(Value::Int).collect();
    let wide = ["a", "b"].map(|name| (name.to_owned(), Domain::Choice(hundred.clone())));
    assert!(search(&ctx(), &plan(wide.into(), false, 5), evaluate).is_err());
}
