//! Cross-validation: nothing of a test row reaches what is fitted; and what is measured on unseen rows.

use std::sync::atomic::Ordering;
use std::sync::Mutex;

use empatia_engine::context::Context;
use empatia_engine::data::{
    Column, ColumnSpec, Encoding, Impute, Labels, Preparation, Table, Transform, Treatment, MISSING,
};
use empatia_engine::error::{EngineError, Result};
use empatia_engine::linear::{LogisticModel, LogisticParams};
use empatia_engine::validate::{
    cross_validate, fit_all, permutation_importance, Classifier, Learner, Metric, OutOfFold, Split,
};

fn ctx() -> Context {
    Context::builder().threads(2).build().unwrap()
}

/// Numbers in [0, 1) of a fixed sequence.
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2) + 1;
    move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// A learner that notes what it is given.
struct Spy {
    seen: Mutex<Vec<(Vec<Vec<f64>>, Labels)>>,
}

struct Prior(usize);

impl Learner for Spy {
    type Model = Prior;

    fn fit(&self, _: &Context, columns: &[Vec<f64>], labels: &Labels) -> Result<Prior> {
        self.seen.lock().unwrap().push((columns.to_vec(), labels.clone()));
        Ok(Prior(labels.n_classes()))
    }
}

impl Classifier for Prior {
    fn n_classes(&self) -> usize {
        self.0
    }

    fn predict(&self, _: &Context, columns: &[Vec<f64>]) -> Result<Vec<f64>> {
        Ok(vec![1.0 / self.0 as f64; columns[0].len() * self.0])
    }
}

/// Every treatment that learns something.
fn all_treatments() -> Preparation {
    let numeric = |name: &str, impute, transform| ColumnSpec {
        name: name.to_owned(),
        treatment: Treatment::Numeric {
            transform,
            impute,
            scale: true,
            indicator: true,
        },
    };
    let category = |name: &str, treatment| ColumnSpec {
        name: name.to_owned(),
        treatment,
    };
    let columns = vec![
        numeric("median", Impute::Median, Transform::Log1p),
        numeric("mean", Impute::Mean, Transform::Identity),
        category(
            "levels",
            Treatment::OneHot {
                min_weight: 2.0,
                max_levels: 2,
            },
        ),
        category("shares", Treatment::TargetMean { smoothing: 1.0 }),
    ];
    Preparation { columns, seed: 7 }
}

/// 60 rows of 20 students over 7 periods; `wild` rows have other values, other levels and the other class.
fn table_and_labels(wild: &[u32]) -> (Table, Labels) {
    let mut next = numbers(5);
    let is_wild = |row: usize| wild.contains(&(row as u32));
    let mut number = |missing: f64| -> Vec<f64> {
        (0..60)
            .map(|row| match (next(), is_wild(row)) {
                (_, true) => 1e6,
                (x, false) if x < missing => f64::NAN,
                (x, false) => x * 10.0,
            })
            .collect()
    };
    let (a, b) = (number(0.3), number(0.1));
    let name = |row: usize, levels: usize| match is_wild(row) {
        true => "wild".to_owned(),
        false => format!("{}", row * row % levels),
    };
    let (c, d): (Vec<_>, Vec<_>) = (0..60).map(|row| (name(row, 5), name(row, 11))).unzip();
    let class = |row: usize| (row / 3 % 2 == usize::from(!is_wild(row))) as u32;
    let labels = Labels::unweighted((0..60).map(class).collect(), 2).unwrap();
    let labels = labels.with_groups((0..60).map(|row| row / 3).collect()).unwrap();
    let labels = labels.with_periods((0..60).map(|row| row % 7).collect()).unwrap();
    let table = Table::new(vec![
        Column::numeric("median", a),
        Column::numeric("mean", b),
        Column::category("levels", c.iter().map(|s| Some(s.as_str()))),
        Column::category("shares", d.iter().map(|s| Some(s.as_str()))),
    ]);
    (table.unwrap(), labels)
}

#[test]
fn changing_the_test_rows_changes_nothing_that_is_fitted() {
    let splits = [
        Split::Group { folds: 4 },
        Split::Stratified { folds: 3 },
        Split::Time {
            horizon: 2,
            windows: 2,
            gap: 1,
        },
        Split::HoldOut { share: 0.25 },
    ];
    for split in splits {
        let (table, labels) = table_and_labels(&[]);
        let folds = split.folds(&labels, 1, 11).unwrap();
        let run = |table: &Table, labels: &Labels| {
            let spy = Spy {
                seen: Mutex::new(Vec::new()),
            };
            // one thread, so that the spy sees the folds in their order
            let ctx = Context::builder().threads(1).build().unwrap();
            let run = cross_validate(&ctx, &all_treatments(), &spy, table, labels, &folds, |_| Ok(()));
            run.unwrap();
            spy.seen.into_inner().unwrap()
        };
        let before = run(&table, &labels);
        assert_eq!(before.len(), folds.len());
        for (number, fold) in folds.iter().enumerate() {
            // The future and everything else outside the training rows turns wild, labels included
            let (changed, changed_labels) = table_and_labels(&fold.test);
            let after = run(&changed, &changed_labels);
            assert_eq!(before[number].0, after[number].0, "{split:?}, fold {number}");
            assert_eq!(before[number].1, after[number].1, "{split:?}, fold {number}");
            if folds.len() > 1 && matches!(split, Split::Group { .. }) {
                let other = (number + 1) % folds.len();
                assert_ne!(before[other].0, after[other].0, "the test would not notice");
            }
        }
    }
}

#[test]
fn level_of_each_student_does_not_give_the_class_away() {
    // A category that names the student, and a class without cause: target means that saw the row's own class, or another
    // row of the student, would separate the training rows perfectly
    let mut next = numbers(9);
    let class: Vec<u32> = (0..300).map(|_| u32::from(next() < 0.5)).collect();
    let names: Vec<String> = (0..900).map(|row| format!("s{}", row / 3)).collect();
    let table = Table::new(vec![Column::category("id", names.iter().map(|n| Some(n.as_str())))]).unwrap();
    let labels = Labels::unweighted((0..900).map(|row| class[row / 3]).collect(), 2).unwrap();
    let labels = labels
        .with_groups((0..900).map(|row| row as u64 / 3).collect())
        .unwrap();
    let columns = vec![ColumnSpec {
        name: "id".to_owned(),
        treatment: Treatment::TargetMean { smoothing: 1.0 },
    }];
    let preparation = Preparation { columns, seed: 1 };
    let folds = (Split::Group { folds: 5 }).folds(&labels, 10, 0).unwrap();
    let auc = |probability: &[f64]| {
        let positive: Vec<bool> = labels.targets().iter().map(|t| *t == 1).collect();
        let ranking = empatia_engine::metrics::Ranking::new(&ctx(), probability, &positive, labels.weights());
        ranking.unwrap().auc().unwrap()
    };
    let (fitted, matrix) = preparation.fit(&ctx(), &table, &labels).unwrap();
    assert!(
        (auc(&matrix.columns[0]) - 0.5).abs() < 0.1,
        "training rows know their class"
    );
    // The fitted recipe, in contrast, does know the training rows: it must not be what they are trained on
    assert!(auc(&fitted.transform(&ctx(), &table).unwrap().columns[0]) > 0.99);
    let spy = Spy {
        seen: Mutex::new(Vec::new()),
    };
    fit_all(&ctx(), &preparation, &spy, &table, &labels).unwrap();
    assert_eq!(spy.seen.into_inner().unwrap()[0].0, matrix.columns);
    let params = LogisticParams::default();
    let run = cross_validate(&ctx(), &preparation, &params, &table, &labels, &folds, |_| Ok(())).unwrap();
    let found = run.summary(Metric::Auc);
    assert!((found.pooled.unwrap() - 0.5).abs() < 0.1, "{found:?}");
}

#[test]
fn out_of_fold_predictions_are_those_of_models_fitted_by_hand() {
    let mut next = numbers(3);
    let x: Vec<f64> = (0..200).map(|_| next() * 4.0).collect();
    let targets: Vec<u32> = x.iter().map(|x| u32::from(x + next() * 2.0 > 3.0)).collect();
    let weights: Vec<f64> = (0..200).map(|i| f64::from(i % 3 + 1)).collect();
    let table = Table::new(vec![Column::numeric("x", x.clone())]).unwrap();
    let labels = Labels::new(targets, 2, weights).unwrap();
    let folds = (Split::Stratified { folds: 4 }).folds(&labels, 5, 0).unwrap();
    let params = LogisticParams::default();
    let preparation = Preparation::for_linear(&table);
    let mut visited = 0;
    let run = cross_validate(&ctx(), &preparation, &params, &table, &labels, &folds, |view| {
        assert_eq!((view.fold, view.test.n_rows()), (visited, view.test_labels.n_rows()));
        visited += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(visited, 4);
    assert_eq!(run.out_of_fold.rows(), (0..200).collect::<Vec<u32>>());
    for (number, fold) in folds.iter().enumerate() {
        // The recipe by hand: mean and deviation of the training rows
        let w = |row: &u32| labels.weights()[*row as usize];
        let total: f64 = fold.train.iter().map(w).sum();
        let mean = fold.train.iter().map(|r| w(r) * x[*r as usize]).sum::<f64>() / total;
        let squares = fold.train.iter().map(|r| w(r) * (x[*r as usize] - mean).powi(2));
        let sd = (squares.sum::<f64>() / total).sqrt();
        let scaled = |rows: &[u32]| vec![rows.iter().map(|r| (x[*r as usize] - mean) / sd).collect::<Vec<f64>>()];
        let model: LogisticModel = params
            .fit(&ctx(), &scaled(&fold.train), &labels.select(&fold.train).unwrap())
            .unwrap();
        let expected = model.predict(&ctx(), &scaled(&fold.test)).unwrap();
        for (row, p) in fold.test.iter().zip(expected.chunks(2)) {
            let found = &run.out_of_fold.probabilities()[*row as usize * 2..*row as usize * 2 + 2];
            approx::assert_relative_eq!(found[1], p[1], max_relative = 1e-8);
            assert_eq!(run.out_of_fold.folds()[*row as usize], number as u32);
        }
    }
    let summary = run.summary(Metric::LogLoss);
    let of_folds: Vec<f64> = run
        .folds
        .iter()
        .map(|f| f.scores.get(Metric::LogLoss).unwrap())
        .collect();
    let mean = of_folds.iter().sum::<f64>() / 4.0;
    let sd = (of_folds.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    approx::assert_relative_eq!(summary.mean.unwrap(), mean, max_relative = 1e-12);
    approx::assert_relative_eq!(summary.sd.unwrap(), sd, max_relative = 1e-12);
    // Pooled: the folds' losses by their weight
    let total: f64 = run.folds.iter().map(|f| f.test_weight).sum();
    let pooled: f64 = run
        .folds
        .iter()
        .zip(&of_folds)
        .map(|(f, x)| f.test_weight * x)
        .sum::<f64>()
        / total;
    approx::assert_relative_eq!(summary.pooled.unwrap(), pooled, max_relative = 1e-12);
}

#[test]
fn stored_predictions_are_the_same_and_inconsistent_ones_refused() {
    let stored = OutOfFold::new(2, vec![0.25, 0.75, 0.5, 0.5], vec![1, 0], vec![1.0, 2.0], vec![0, 1]).unwrap();
    let stored = stored.with_groups(vec![4, 5]).unwrap();
    let text = serde_json::to_string(&stored).unwrap();
    assert_eq!(serde_json::from_str::<OutOfFold>(&text).unwrap(), stored);
    for (from, to) in [
        ("[0.25,", "[0.5,"),
        ("\"targets\":[1,0]", "\"targets\":[1,2]"),
        ("\"folds\":[0,1]", "\"folds\":[0]"),
        ("\"rows\":[0,1]", "\"rows\":[0]"),
        ("\"groups\":[4,5]", "\"groups\":[4]"),
    ] {
        let bad = text.replace(from, to);
        assert_ne!(bad, text, "{from}");
        assert!(serde_json::from_str::<OutOfFold>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn column_that_says_nothing_has_no_importance() {
    let mut next = numbers(17);
    let signal: Vec<f64> = (0..600).map(|_| next()).collect();
    let noise: Vec<f64> = (0..600).map(|_| next()).collect();
    let targets = signal.iter().map(|x| u32::from(x + 0.4 * next() > 0.7)).collect();
    let table = Table::new(vec![Column::numeric("signal", signal), Column::numeric("noise", noise)]).unwrap();
    for weights in [vec![1.0; 600], (0..600).map(|i| f64::from(i % 3 + 1)).collect()] {
        let labels = Labels::new(Vec::clone(&targets), 2, weights).unwrap();
        let preparation = Preparation::for_linear(&table);
        let folds = (Split::Stratified { folds: 3 }).folds(&labels, 5, 0).unwrap();
        let mut importances = Vec::new();
        let params = LogisticParams::default();
        let run = cross_validate(&ctx(), &preparation, &params, &table, &labels, &folds, |view| {
            let of = |seed| {
                permutation_importance(&ctx(), view.test, view.test_labels, Metric::Auc, 5, seed, |table| {
                    view.prepared.predict(&ctx(), table)
                })
            };
            assert_eq!(of(1)?, of(1)?);
            assert_ne!(of(1)?, of(2)?);
            importances.push(of(1)?.unwrap());
            Ok(())
        });
        // A column without effect gives a score around one half; permuted, the signal leaves exactly that
        let auc = run.unwrap().summary(Metric::Auc).mean.unwrap();
        for of_fold in importances {
            assert_eq!(of_fold[0].name, "signal");
            assert!((of_fold[0].mean - (auc - 0.5)).abs() < 0.1, "{of_fold:?}");
            assert!(of_fold[1].mean.abs() < 0.02, "{of_fold:?}");
        }
    }
}

#[test]
fn vanished_column_changed_kind_and_unknown_level_have_defined_results() {
    let (table, labels) = table_and_labels(&[]);
    let model = fit_all(&ctx(), &all_treatments(), &LogisticParams::default(), &table, &labels).unwrap();
    let without = Table::new(table.columns()[1..].to_vec()).unwrap();
    assert!(matches!(
        model.predict(&ctx(), &without),
        Err(EngineError::Column { name, found: "absent", .. }) if name == "median"
    ));
    let mut columns = table.columns().to_vec();
    columns[3] = Column::numeric("shares", vec![0.0; 60]);
    let error = model.predict(&ctx(), &Table::new(columns).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "column shares must be categorical, not numeric");

    let row = Table::new(vec![
        Column::category("levels", [Some("never seen")]),
        Column::category("shares", [None]),
        Column::numeric("mean", vec![f64::NAN]),
        Column::numeric("median", vec![2.0]),
        Column::numeric("extra", vec![1.0]),
    ])
    .unwrap();
    let matrix = model.preparation.transform(&ctx(), &row).unwrap();
    // "never seen" is one of the other levels; the missing share and the missing mean are imputed
    assert_eq!(matrix.imputed, [2]);
    assert!(model.predict(&ctx(), &row).unwrap().iter().all(|p| p.is_finite()));
    let names: Vec<String> = model.preparation.outputs().into_iter().map(|o| o.name).collect();
    assert_eq!(names[..4], ["median", "median missing", "mean", "mean missing"]);
    let per_source = model.preparation.per_source(&vec![1.0; names.len()]).unwrap();
    assert_eq!(per_source.iter().sum::<f64>(), names.len() as f64);
    assert_eq!(per_source[0], 2.0);
}

#[test]
fn column_of_nothing_but_gaps_becomes_a_constant_and_says_so() {
    let gaps = Table::new(vec![
        Column::numeric("gaps", vec![f64::NAN; 6]),
        Column::category("none", [None; 6]),
        Column::numeric("x", vec![1.0, 2.0, 3.0, 1.5, 2.5, 3.5]),
    ])
    .unwrap();
    let labels = Labels::unweighted(vec![0, 0, 1, 0, 1, 1], 2).unwrap();
    let model = fit_all(
        &ctx(),
        &Preparation::for_linear(&gaps),
        &LogisticParams::default(),
        &gaps,
        &labels,
    )
    .unwrap();
    let columns = model.preparation.columns();
    assert_eq!((columns[0].missing_share, columns[1].missing_share), (1.0, 1.0));
    let matrix = model.preparation.transform(&ctx(), &gaps).unwrap();
    assert_eq!(matrix.columns[0], [0.0; 6]);
    assert_eq!(matrix.imputed, [2; 6]);
    assert!(model.predict(&ctx(), &gaps).unwrap().iter().all(|p| p.is_finite()));
}

#[test]
fn levels_are_found_by_name_and_rare_ones_share_a_column() {
    let table = Table::new(vec![Column::category(
        "c",
        [Some("b"), Some("a"), Some("b"), Some("rare"), Some("a"), None],
    )])
    .unwrap();
    let labels = Labels::unweighted(vec![0, 1, 0, 1, 0, 1], 2).unwrap();
    let columns = vec![ColumnSpec {
        name: "c".to_owned(),
        treatment: Treatment::OneHot {
            min_weight: 2.0,
            max_levels: 5,
        },
    }];
    let (fitted, _) = Preparation { columns, seed: 0 }.fit(&ctx(), &table, &labels).unwrap();
    let Encoding::OneHot { levels, other, missing } = &fitted.columns()[0].encoding else {
        panic!("{fitted:?}")
    };
    assert_eq!((levels.join(","), *other, *missing), ("a,b".to_owned(), true, true));
    // Another table, whose codes mean other levels
    let other = Table::new(vec![Column::category("c", [Some("new"), Some("a"), None, Some("b")])]).unwrap();
    let matrix = fitted.transform(&ctx(), &other).unwrap();
    assert_eq!(
        matrix.columns,
        [[0., 1., 0., 0.], [0., 0., 0., 1.], [1., 0., 0., 0.], [0., 0., 1., 0.]]
    );
    assert_eq!(MISSING, u32::MAX);
    let text = serde_json::to_string(&fitted).unwrap();
    assert_eq!(
        serde_json::from_str::<empatia_engine::data::FittedPreparation>(&text).unwrap(),
        fitted
    );
    let twice = text.replace("\"a\",\"b\"", "\"a\",\"a\"");
    assert!(serde_json::from_str::<empatia_engine::data::FittedPreparation>(&twice).is_err());
}

#[test]
fn cancel_is_heeded_and_memory_given_back() {
    let (table, labels) = table_and_labels(&[]);
    let folds = (Split::Group { folds: 4 }).folds(&labels, 1, 11).unwrap();
    let run = |ctx: &Context| {
        let params = LogisticParams::default();
        cross_validate(ctx, &all_treatments(), &params, &table, &labels, &folds, |view| {
            if view.fold == 1 {
                ctx.cancel_flag().store(true, Ordering::Relaxed);
            }
            Ok(())
        })
    };
    let cancelled = ctx();
    assert!(matches!(run(&cancelled), Err(EngineError::Cancelled)));
    assert_eq!(cancelled.in_use(), 0);
    let poor = Context::builder().memory_budget(1_000).build().unwrap();
    assert!(matches!(run(&poor), Err(EngineError::Memory { .. })));
    assert_eq!(poor.in_use(), 0);
}

/// Fault: folds side by side that need more memory than folds in turn, refused or judged otherwise.
#[test]
fn folds_that_memory_has_no_room_for_together_are_judged_in_turn() {
    let (table, labels) = table_and_labels(&[]);
    // the least budget that suffices, to a hundredth; whatever suffices gives the same
    let least = |folds: usize| {
        let folds = (Split::Group { folds }).folds(&labels, 1, 11).unwrap();
        let run = |ctx: &Context| {
            let params = LogisticParams::default();
            cross_validate(ctx, &all_treatments(), &params, &table, &labels, &folds, |_| Ok(()))
        };
        let expected = run(&ctx()).unwrap();
        let (mut low, mut high) = (1_000, 100_000_000);
        while high > low + low / 100 {
            let middle = low + (high - low) / 2;
            match run(&Context::builder().memory_budget(middle).build().unwrap()) {
                Ok(found) => {
                    assert_eq!(found, expected, "{middle} bytes");
                    high = middle;
                }
                Err(EngineError::Memory { .. }) => low = middle,
                Err(error) => panic!("{error}"),
            }
        }
        high
    };
    let (two, eight) = (least(2), least(8));
    assert!(eight < 2 * two, "2 folds: {two} bytes, 8 folds: {eight}");
}
