//! Against scikit-learn and SciPy on the repeated rows; the numbers are in truth/classify.json, how they came about in
//! truth/classify_fixtures.py.

use empatia_engine::calibrate::{Isotonic, Platt};
use empatia_engine::context::Context;
use empatia_engine::data::{Column, ColumnSpec, Encoding, Impute, Labels, Preparation, Table, Transform, Treatment};
use empatia_engine::ensemble::Vote;
use empatia_engine::linear::LogisticParams;
use empatia_engine::metrics::{
    auc_difference, normal_quantile, reliability, two_sided_p, wilson, Bins, ConfusionMatrix, Predictions, Ranking,
};
use empatia_engine::validate::OutOfFold;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    logistic: Vec<Logistic>,
    binary: Vec<Binary>,
    multiclass: Vec<Multiclass>,
    vote: Vec<VoteCase>,
    preparation: Vec<Prepare>,
    intervals: Intervals,
}

#[derive(Deserialize)]
struct Logistic {
    seed: u64,
    l2: f64,
    classes: usize,
    p: usize,
    balanced: bool,
    x: Vec<f64>,
    y: Vec<u32>,
    weights: Vec<f64>,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    probabilities: Vec<f64>,
}

#[derive(Deserialize)]
struct Delong {
    a: f64,
    b: f64,
    difference: f64,
    standard_error: f64,
    p: f64,
}

#[derive(Deserialize)]
struct Points {
    at: Vec<f64>,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Line {
    slope: f64,
    intercept: f64,
}

#[derive(Deserialize)]
struct Binary {
    scores: Vec<f64>,
    other: Vec<f64>,
    y: Vec<u32>,
    weights: Vec<f64>,
    groups: Vec<u64>,
    auc: f64,
    average_precision: f64,
    roc: [Vec<f64>; 3],
    pr: [Vec<f64>; 3],
    log_loss: f64,
    brier: f64,
    confusion: Vec<f64>,
    accuracy: f64,
    balanced: f64,
    f1: f64,
    precision: f64,
    recall: f64,
    macro_f1: f64,
    reliability: [Vec<f64>; 2],
    expected_calibration_error: f64,
    delong: Delong,
    obuchowski: Delong,
    isotonic: Points,
    platt: Line,
}

#[derive(Deserialize)]
struct Multiclass {
    classes: usize,
    probabilities: Vec<f64>,
    y: Vec<u32>,
    weights: Vec<f64>,
    auc: f64,
    log_loss: f64,
    brier: f64,
    average_precision: f64,
    confusion: Vec<f64>,
    accuracy: f64,
    balanced: f64,
    macro_f1: f64,
    micro_f1: f64,
    macro_precision: f64,
    macro_recall: f64,
}

#[derive(Deserialize)]
struct VoteCase {
    classes: usize,
    members: Vec<Vec<f64>>,
    y: Vec<u32>,
    weights: Vec<f64>,
    vote: Vec<f64>,
    log_loss: f64,
}

#[derive(Deserialize)]
struct Prepare {
    x: Vec<Option<f64>>,
    weights: Vec<f64>,
    median: f64,
    mean: f64,
    sd: f64,
    out: Vec<f64>,
}

#[derive(Deserialize)]
struct Intervals {
    wilson: Vec<[f64; 5]>,
    quantiles: Vec<[f64; 2]>,
    tails: Vec<[f64; 2]>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("truth/classify.json")).unwrap()
}

fn ctx() -> Context {
    Context::builder().threads(2).build().unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    approx::assert_relative_eq!(found, expected, max_relative = 1e-9, epsilon = 1e-12);
}

#[track_caller]
fn all_close(found: impl IntoIterator<Item = f64>, expected: &[f64], tolerance: f64) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        approx::assert_relative_eq!(*found, *expected, max_relative = tolerance, epsilon = tolerance);
    }
}

fn columns(values: &[f64], p: usize) -> Vec<Vec<f64>> {
    (0..p)
        .map(|j| values[j..].iter().step_by(p).copied().collect())
        .collect()
}

impl Binary {
    fn positive(&self) -> Vec<bool> {
        self.y.iter().map(|y| *y == 1).collect()
    }

    fn ranking(&self) -> Ranking {
        Ranking::new(&ctx(), &self.scores, &self.positive(), &self.weights).unwrap()
    }

    fn probabilities(&self) -> Vec<f64> {
        self.scores.iter().flat_map(|s| [1.0 - s, *s]).collect()
    }
}

#[test]
fn logistic_coefficients_equal_scikit_learns() {
    for case in fixture().logistic {
        let labels = Labels::new(case.y, case.classes, case.weights).unwrap();
        let params = LogisticParams {
            l2: case.l2,
            balanced: case.balanced,
            ..LogisticParams::default()
        };
        let columns = columns(&case.x, case.p);
        let model = params.fit(&ctx(), &columns, &labels).unwrap();
        assert!(model.converged() && model.iterations() < 60, "{}", case.seed);
        all_close(model.coefficients().iter().copied(), &case.coefficients, 1e-6);
        all_close(model.intercepts().iter().copied(), &case.intercepts, 1e-6);
        let probabilities = model.predict(&ctx(), &columns).unwrap();
        let first = &probabilities[..case.probabilities.len()];
        all_close(first.iter().copied(), &case.probabilities, 1e-6);
    }
}

#[test]
fn binary_scores_and_curves_equal_scikit_learns() {
    for case in fixture().binary {
        let ranking = case.ranking();
        close(ranking.auc().unwrap(), case.auc);
        close(ranking.average_precision().unwrap(), case.average_precision);
        let roc = ranking.roc_curve();
        assert_eq!((roc[0].false_positive_rate, roc[0].true_positive_rate), (0.0, 0.0));
        all_close(roc[1..].iter().map(|p| p.false_positive_rate), &case.roc[0], 1e-12);
        all_close(roc[1..].iter().map(|p| p.true_positive_rate), &case.roc[1], 1e-12);
        all_close(roc[1..].iter().map(|p| p.threshold), &case.roc[2], 1e-12);
        // scikit-learn's precision-recall curve ends where the recall is complete
        let pr = ranking.pr_curve();
        let pr = &pr[..case.pr[0].len()];
        all_close(pr.iter().map(|p| p.precision), &case.pr[0], 1e-12);
        all_close(pr.iter().map(|p| p.recall), &case.pr[1], 1e-12);
        all_close(pr.iter().map(|p| p.threshold), &case.pr[2], 1e-12);

        let probabilities = case.probabilities();
        let predictions = Predictions::new(&probabilities, 2, &case.y, &case.weights).unwrap();
        close(predictions.auc(&ctx()).unwrap().unwrap(), case.auc);
        close(predictions.log_loss().unwrap(), case.log_loss);
        close(predictions.brier().unwrap(), case.brier);
        let confusion: ConfusionMatrix = predictions.confusion().unwrap();
        assert_eq!(confusion.cells(), case.confusion);
        close(confusion.accuracy().unwrap(), case.accuracy);
        close(confusion.balanced_accuracy().unwrap(), case.balanced);
        close(confusion.macro_f1().unwrap(), case.macro_f1);
        let positive = confusion.one_vs_rest(1);
        close(positive.f1().unwrap(), case.f1);
        close(positive.precision().unwrap(), case.precision);
        close(positive.recall().unwrap(), case.recall);

        let table = reliability(&ranking, Bins::Uniform(10)).unwrap().unwrap();
        all_close(table.bins.iter().map(|bin| bin.observed), &case.reliability[0], 1e-12);
        all_close(table.bins.iter().map(|bin| bin.predicted), &case.reliability[1], 1e-12);
        close(table.expected_error, case.expected_calibration_error);
    }
}

#[test]
fn multi_class_scores_equal_scikit_learns() {
    for case in fixture().multiclass {
        let predictions = Predictions::new(&case.probabilities, case.classes, &case.y, &case.weights).unwrap();
        close(predictions.auc(&ctx()).unwrap().unwrap(), case.auc);
        close(
            predictions.average_precision(&ctx()).unwrap().unwrap(),
            case.average_precision,
        );
        close(predictions.log_loss().unwrap(), case.log_loss);
        close(predictions.brier().unwrap(), case.brier);
        let confusion = predictions.confusion().unwrap();
        assert_eq!(confusion.cells(), case.confusion);
        close(confusion.accuracy().unwrap(), case.accuracy);
        close(confusion.balanced_accuracy().unwrap(), case.balanced);
        close(confusion.macro_f1().unwrap(), case.macro_f1);
        close(confusion.micro_f1().unwrap(), case.micro_f1);
        close(confusion.macro_precision().unwrap(), case.macro_precision);
        close(confusion.macro_recall().unwrap(), case.macro_recall);
    }
}

#[test]
fn noise_of_a_difference_of_areas_equals_the_definition_on_repeated_rows() {
    for case in fixture().binary {
        let positive = case.positive();
        for (groups, expected) in [(None, &case.delong), (Some(&case.groups[..]), &case.obuchowski)] {
            let found = auc_difference(
                &ctx(),
                &case.scores,
                &case.other,
                &positive,
                &case.weights,
                groups,
                0.95,
            );
            let found = found.unwrap().unwrap();
            close(found.a, expected.a);
            close(found.b, expected.b);
            close(found.difference.value, expected.difference);
            close(found.difference.standard_error, expected.standard_error);
            close(found.difference.p_value(), expected.p);
        }
    }
}

#[test]
fn calibration_curves_equal_scikit_learns() {
    for case in fixture().binary {
        let isotonic = Isotonic::fit(&case.ranking()).unwrap();
        all_close(
            case.isotonic.at.iter().map(|x| isotonic.apply(*x)),
            &case.isotonic.values,
            1e-9,
        );
        let platt = Platt::fit(&case.ranking()).unwrap();
        // The truth comes from a simplex search, exact to about the root of the rounding
        all_close(
            [platt.slope(), platt.intercept()],
            &[case.platt.slope, case.platt.intercept],
            1e-6,
        );
    }
}

#[test]
fn vote_equals_the_optimum_of_a_general_optimiser() {
    for case in fixture().vote {
        let n = case.y.len();
        let candidates: Vec<OutOfFold> = case
            .members
            .iter()
            .map(|p| {
                OutOfFold::new(
                    case.classes,
                    p.clone(),
                    case.y.clone(),
                    case.weights.clone(),
                    vec![0; n],
                )
                .unwrap()
            })
            .collect();
        let vote = Vote::fit(&ctx(), &candidates.iter().collect::<Vec<_>>()).unwrap();
        all_close(vote.weights().iter().copied(), &case.vote, 1e-4);
        let members: Vec<&[f64]> = case.members.iter().map(Vec::as_slice).collect();
        let mixed = vote.combine(&members).unwrap();
        let loss = Predictions::new(&mixed, case.classes, &case.y, &case.weights)
            .unwrap()
            .log_loss()
            .unwrap();
        assert!(loss <= case.log_loss + 1e-9, "{loss} {}", case.log_loss);
    }
}

#[test]
fn imputed_transformed_and_scaled_column_equals_the_scikit_learn_pipeline() {
    for case in fixture().preparation {
        let x = case.x.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
        let table = Table::new(vec![Column::numeric("x", x)]).unwrap();
        let targets = (0..case.x.len()).map(|i| (i % 2) as u32).collect();
        let labels = Labels::new(targets, 2, case.weights.clone()).unwrap();
        let treatment = Treatment::Numeric {
            transform: Transform::Log1p,
            impute: Impute::Median,
            scale: true,
            indicator: true,
        };
        let name = "x".to_owned();
        let columns = vec![ColumnSpec { name, treatment }];
        let (fitted, matrix) = Preparation { columns, seed: 0 }.fit(&ctx(), &table, &labels).unwrap();
        let Encoding::Numeric { fill, mean, sd, .. } = &fitted.columns()[0].encoding else {
            panic!("{fitted:?}")
        };
        close(fill.unwrap(), case.median);
        close(*mean, case.mean);
        close(*sd, case.sd);
        all_close(matrix.columns[0].iter().copied(), &case.out, 1e-9);
        let missing: Vec<f64> = case.x.iter().map(|x| f64::from(u8::from(x.is_none()))).collect();
        assert_eq!(matrix.columns[1], missing);
        assert_eq!(fitted.transform(&ctx(), &table).unwrap(), matrix);
    }
}

#[test]
fn intervals_and_normal_tails_equal_scipys() {
    let truth = fixture().intervals;
    for [hits, trials, level, low, high] in truth.wilson {
        let found = wilson(hits, trials, level).unwrap();
        close(found.low, low);
        close(found.high, high);
    }
    for [p, z] in truth.quantiles {
        close(normal_quantile(p).unwrap(), z);
    }
    for [z, p] in truth.tails {
        approx::assert_relative_eq!(two_sided_p(z), p, max_relative = 1e-9);
    }
}
