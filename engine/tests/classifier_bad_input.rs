//! What a training and a model make of tables that are not as one would wish.

mod classifier_support;

use classifier_support::{ctx, names, numbers, rows, training};
use empatia_engine::classifier::Training;
use empatia_engine::data::{Column, Labels, Table, Values};
use empatia_engine::error::EngineError;
use empatia_engine::validate::{Folds, Refusal};
use serde_json::json;

const SINGLE: [&str; 4] = [
    "random_forest",
    "gradient_boosting",
    "logistic_regression",
    "decision_tree",
];

fn parameter(error: EngineError) -> (String, String) {
    match error {
        EngineError::InvalidParameter { name, expected, .. } => (name.to_owned(), expected),
        other => panic!("{other}"),
    }
}

#[test]
fn one_class_only_is_refused_by_its_position() {
    let (table, labels, classes) = rows(60, 2);
    let one = Labels::unweighted(vec![1; 60], 2).unwrap();
    let one = one.with_groups(labels.groups().unwrap().to_vec()).unwrap();
    let found = Training::default()
        .train(&ctx(1), &table, &one, &classes, None)
        .unwrap_err();
    assert!(
        matches!(found, EngineError::Refusal(Refusal::OneClass { class: 1 })),
        "{found}"
    );
}

#[test]
fn too_few_rows_of_a_class_are_refused_with_both_numbers() {
    let (table, labels, classes) = rows(60, 2);
    let mut targets = vec![0; 60];
    targets[..4].fill(1);
    let few = Labels::unweighted(targets, 2).unwrap();
    let few = few.with_groups(labels.groups().unwrap().to_vec()).unwrap();
    let found = Training::default()
        .train(&ctx(1), &table, &few, &classes, None)
        .unwrap_err();
    let expected = Refusal::RowsOfClass {
        class: 1,
        needed: 10,
        found: 4.0,
    };
    assert!(
        matches!(&found, EngineError::Refusal(refusal) if *refusal == expected),
        "{found}"
    );
    // Folds that were made before do not go round the limit
    let folds: Vec<u32> = (0..60).map(|row| row % 3).collect();
    let folds = Folds::from_assignment(&folds, 3).unwrap();
    let found = Training::default()
        .train_with(&ctx(1), &table, &few, &folds, &classes, None)
        .unwrap_err();
    assert!(
        matches!(&found, EngineError::Refusal(refusal) if *refusal == expected),
        "{found}"
    );
}

#[test]
fn one_row_is_refused() {
    let table = Table::new(vec![Column::numeric("x", vec![1.0])]).unwrap();
    let labels = Labels::unweighted(vec![0], 2).unwrap().with_groups(vec![7]).unwrap();
    let found = Training::default()
        .train(&ctx(1), &table, &labels, &names(2), None)
        .unwrap_err();
    assert!(
        matches!(found, EngineError::Refusal(Refusal::OneClass { class: 0 })),
        "{found}"
    );
}

#[test]
fn a_split_by_student_of_rows_without_students_is_refused() {
    let (table, labels, classes) = rows(60, 2);
    let unknown = Labels::unweighted(labels.targets().to_vec(), 2).unwrap();
    let found = Training::default()
        .train(&ctx(1), &table, &unknown, &classes, None)
        .unwrap_err();
    assert!(
        matches!(found, EngineError::Refusal(Refusal::Unknown { what: "group" })),
        "{found}"
    );
    let stratified = training(json!({ "split": { "stratified": { "folds": 3 } } }));
    assert!(stratified.train(&ctx(1), &table, &unknown, &classes, None).is_ok());
}

#[test]
fn infinite_values_are_refused_with_their_place() {
    let found = Table::new(vec![Column::numeric("x", vec![0.0, f64::NEG_INFINITY])]).unwrap_err();
    assert!(matches!(found, EngineError::NonFinite { row: 1, column: 0 }), "{found}");
}

/// An all-NULL column may come as a number or as a text, and both ways at prediction: it is missing, not an error.
#[test]
fn a_column_without_any_value_trains_predicts_and_adds_nothing() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(120, 2);
    let mut columns = table.columns().to_vec();
    columns.push(Column::category("void", vec![None; 120]));
    let table = Table::new(columns.clone()).unwrap();
    for algorithm in SINGLE {
        let training = training(json!({ "algorithm": algorithm }));
        let trained = training.train(&ctx, &table, &labels, &classes, None).unwrap();
        let p = trained.model.predict(&ctx, &table).unwrap();
        let mut other = columns.clone();
        other[4].values = Values::from_names(vec![None; 120]);
        other[5].values = Values::Numeric(vec![f64::NAN; 120]);
        assert_eq!(
            trained.model.predict(&ctx, &Table::new(other).unwrap()).unwrap(),
            p,
            "{algorithm}"
        );
        let why = trained.model.explain(&ctx, &table, &vec![1; 120]).unwrap();
        assert!(
            (0..120).all(|row| why.of(row)[4] == 0.0 && why.of(row)[5] == 0.0),
            "{algorithm}"
        );
        let histogram = &trained.model.histograms()[4];
        assert_eq!((histogram.missing_share(), histogram.n_bins()), (1.0, 1));
    }
}

/// A column that vanished counts as missing and is named; one of another kind is an error that says which.
#[test]
fn a_vanished_column_is_missing_and_an_unknown_category_imputed() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(200, 3);
    for algorithm in SINGLE {
        let training = training(json!({ "algorithm": algorithm }));
        let model = training.train(&ctx, &table, &labels, &classes, None).unwrap().model;
        let without: Vec<Column> = table
            .columns()
            .iter()
            .filter(|column| column.name != "signal")
            .cloned()
            .collect();
        let without = Table::new(without).unwrap();
        assert_eq!(model.missing_columns(&without), ["signal"]);
        assert!(model.missing_columns(&table).is_empty());
        let mut gone = table.columns().to_vec();
        gone[0].values = Values::Numeric(vec![f64::NAN; 200]);
        let gone = model.predict(&ctx, &Table::new(gone).unwrap()).unwrap();
        assert_eq!(model.predict(&ctx, &without).unwrap(), gone, "{algorithm}");

        let mut unknown = table.columns().to_vec();
        unknown[3] = Column::category("level", vec![Some("never seen"); 200]);
        let p = model.predict(&ctx, &Table::new(unknown).unwrap()).unwrap();
        assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "{algorithm}");

        let mut wrong = table.columns().to_vec();
        wrong[0] = Column::category("signal", vec![Some("1"); 200]);
        let found = model.predict(&ctx, &Table::new(wrong).unwrap()).unwrap_err();
        assert!(
            matches!(&found, EngineError::Column { name, expected: "numeric", found: "categorical" } if name == "signal"),
            "{found}"
        );
        // Order and further columns do not matter
        let mut turned: Vec<Column> = table.columns().iter().rev().cloned().collect();
        turned.push(Column::numeric("further", vec![0.0; 200]));
        let turned = Table::new(turned).unwrap();
        assert_eq!(
            model.predict(&ctx, &turned).unwrap(),
            model.predict(&ctx, &table).unwrap()
        );
        let none = table.select(&ctx, &[]).unwrap();
        assert!(model.predict(&ctx, &none).unwrap().is_empty());
        assert!(model.explain(&ctx, &none, &[]).unwrap().values.is_empty());
    }
}

/// A number far outside what training saw must not make the logarithm of a count undefined.
#[test]
fn numbers_beyond_those_of_training_are_predicted() {
    let ctx = ctx(2);
    let (table, labels, classes) = rows(200, 2);
    for algorithm in SINGLE {
        let training = training(json!({ "algorithm": algorithm }));
        let model = training.train(&ctx, &table, &labels, &classes, None).unwrap().model;
        for extreme in [-1e9, -1.0, 1e12] {
            let mut columns = table.columns().to_vec();
            columns[1].values = Values::Numeric(vec![extreme; 200]);
            let p = model.predict(&ctx, &Table::new(columns).unwrap()).unwrap();
            assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "{algorithm} {extreme}");
        }
    }
}

#[test]
fn ten_thousand_columns_are_trained_explained_and_measured() {
    let ctx = ctx(4);
    let n = 80;
    let mut next = numbers(5);
    let mut columns: Vec<Column> = (0..9_999)
        .map(|j| Column::numeric(format!("x{j}"), (0..n).map(|_| next()).collect()))
        .collect();
    columns.push(Column::numeric(
        "signal",
        (0..n).map(|row| (row % 2) as f64 + next()).collect(),
    ));
    let table = Table::new(columns).unwrap();
    let labels = Labels::unweighted((0..n as u32).map(|row| row % 2).collect(), 2).unwrap();
    let settings =
        json!({ "split": { "stratified": { "folds": 2 } }, "parameters": { "rounds": 5, "early_stopping": 0 } });
    let trained = training(settings)
        .train(&ctx, &table, &labels, &names(2), None)
        .unwrap();
    assert_eq!(trained.report.importance.len(), 10_000);
    assert_eq!(trained.report.importance[0].feature, "signal");
    let why = trained.model.explain(&ctx, &table, &vec![1; n]).unwrap();
    for row in 0..n {
        let sum = why.base[row] + why.of(row).iter().sum::<f64>();
        assert!((sum - why.score[row]).abs() < 1e-6);
    }
}

#[test]
fn two_hundred_classes_are_trained_and_explained() {
    let ctx = ctx(4);
    let (k, each) = (200, 10);
    let mut next = numbers(6);
    let targets: Vec<u32> = (0..(k * each) as u32).map(|row| row % k as u32).collect();
    let column = |scale: u32, next: &mut dyn FnMut() -> f64| -> Vec<f64> {
        targets
            .iter()
            .map(|class| f64::from(class / scale % 15) + 0.3 * next())
            .collect()
    };
    let columns = vec![
        Column::numeric("a", column(1, &mut next)),
        Column::numeric("b", column(15, &mut next)),
    ];
    let table = Table::new(columns).unwrap();
    let labels = Labels::unweighted(targets.clone(), k).unwrap();
    for (algorithm, parameters) in [
        (
            "gradient_boosting",
            json!({ "rounds": 2, "early_stopping": 0, "min_leaf": 3 }),
        ),
        ("random_forest", json!({ "trees": 5, "min_leaf": 1 })),
        ("logistic_regression", json!({ "max_iter": 2 })),
    ] {
        let training = training(json!({
            "algorithm": algorithm, "parameters": parameters, "split": { "stratified": { "folds": 2 } },
        }));
        let trained = training.train(&ctx, &table, &labels, &names(k), None).unwrap();
        let some = table.select(&ctx, &[0, 77, 199]).unwrap();
        let why = trained.model.explain(&ctx, &some, &[0, 77, 199]).unwrap();
        for row in 0..3 {
            let sum = why.base[row] + why.of(row).iter().sum::<f64>();
            assert!((sum - why.score[row]).abs() < 1e-6, "{algorithm}");
        }
        assert_eq!(trained.evaluation.confusion().unwrap().len(), k * k);
    }
}

/// A class of the list that no row has is not a class of the model; the positive class must be.
#[test]
fn classes_without_rows_are_left_out() {
    let ctx = ctx(2);
    let (table, labels, _) = rows(120, 2);
    let targets = labels.targets().iter().map(|class| class * 2).collect();
    let wide = Labels::unweighted(targets, 4)
        .unwrap()
        .with_groups(labels.groups().unwrap().to_vec())
        .unwrap();
    let settings = json!({ "positive": "class 2", "objective": { "objective": "f1" } });
    let trained = training(settings).train(&ctx, &table, &wide, &names(4), None).unwrap();
    assert_eq!(trained.model.classes(), ["class 0", "class 2"]);
    assert_eq!((trained.model.positive(), trained.evaluation.positive()), (Some(1), 1));
    assert!(trained.model.threshold().is_some());
    let found = training(json!({ "positive": "class 3" })).train(&ctx, &table, &wide, &names(4), None);
    assert_eq!(parameter(found.unwrap_err()).0, "positive class");
}

#[test]
fn settings_that_mean_nothing_are_errors_that_list_what_would() {
    let ctx = ctx(1);
    let (table, labels, classes) = rows(120, 3);
    let train = |settings| {
        training(settings)
            .train(&ctx, &table, &labels, &classes, None)
            .unwrap_err()
    };
    let (name, expected) = parameter(train(json!({ "parameters": { "tress": 5 } })));
    assert_eq!(name, "parameter of gradient_boosting");
    assert!(
        expected.contains("rounds") && expected.contains("learning_rate"),
        "{expected}"
    );
    let (name, _) = parameter(train(json!({ "parameters": { "learning_rate": 0 } })));
    assert_eq!(name, "learning_rate");
    let (name, _) = parameter(train(json!({ "parameters": { "rounds": "many" } })));
    assert_eq!(name, "parameter of gradient_boosting");
    let (name, expected) = parameter(train(json!({ "algorithm": "auto", "parameters": { "trees": 5 } })));
    assert_eq!(name, "parameter");
    assert!(expected.contains("random_forest"), "{expected}");
    let members = json!({ "algorithm": "ensemble", "parameters": { "members": ["auto"] } });
    assert_eq!(parameter(train(members)).0, "members");
    let (name, expected) = parameter(train(json!({ "positive": "nobody" })));
    assert_eq!(
        (name.as_str(), expected.as_str()),
        ("positive class", "one of class 0, class 1, class 2")
    );
    assert_eq!(
        parameter(train(json!({ "objective": { "objective": "youden" } }))).0,
        "objective"
    );
    let search = json!({ "search": { "space": { "leaves": { "choice": [3] } } } });
    assert_eq!(parameter(train(search)).0, "parameter of gradient_boosting");
    assert_eq!(
        parameter(train(json!({ "search": { "candidates": 0 } }))).0,
        "candidates"
    );
    let unknown = Training::from_json(json!({ "algorithm": "svm" }))
        .unwrap_err()
        .to_string();
    assert!(
        unknown.contains("random_forest") && unknown.contains("svm"),
        "{unknown}"
    );
    let unknown = Training::from_json(json!({ "folds": 5 })).unwrap_err().to_string();
    assert!(unknown.contains("split") && unknown.contains("folds"), "{unknown}");
}
