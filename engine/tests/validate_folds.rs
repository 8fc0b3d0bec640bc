//! Splits: what every division must hold to, and what is refused.

use std::collections::BTreeSet;

use empatia_engine::data::Labels;
use empatia_engine::error::EngineError;
use empatia_engine::validate::{Folds, Refusal, Split};
use proptest::prelude::*;

fn refusal(split: Split, labels: &Labels, min_rows: usize) -> Refusal {
    match split.folds(labels, min_rows, 0) {
        Err(EngineError::Refusal(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Students with up to 6 rows each of a class of their own.
fn students() -> impl Strategy<Value = Labels> {
    proptest::collection::vec((0..3u32, 1..6usize, 0..3u8), 20..60).prop_map(|students| {
        let (mut targets, mut groups, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (class, rows, weight)) in students.iter().enumerate() {
            for row in 0..*rows {
                targets.push(*class);
                groups.push(number as u64 * 7919 % 101);
                weights.push(f64::from(*weight) + f64::from(u8::from(row == 0)));
            }
        }
        let labels = Labels::new(targets, 3, weights).unwrap();
        labels.with_groups(groups).unwrap()
    })
}

fn disjoint_and_covering(folds: &Folds, n: usize) {
    let mut tested = BTreeSet::new();
    for fold in folds.iter() {
        let (train, test): (BTreeSet<_>, BTreeSet<_>) = (fold.train.iter().collect(), fold.test.iter().collect());
        assert!(train.is_disjoint(&test));
        assert_eq!(train.len() + test.len(), n);
        assert!(fold.test.iter().all(|row| tested.insert(*row)));
    }
    assert_eq!(tested.len(), n);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_student_is_on_both_sides(labels in students(), k in 2..6usize, seed in any::<u64>()) {
        let split = Split::Group { folds: k };
        if let Ok(folds) = split.folds(&labels, 1, seed) {
            disjoint_and_covering(&folds, labels.n_rows());
            let groups = labels.groups().unwrap();
            for fold in folds.iter() {
                let of = |rows: &[u32]| rows.iter().map(|row| groups[*row as usize]).collect::<BTreeSet<_>>();
                prop_assert!(of(&fold.train).is_disjoint(&of(&fold.test)));
            }
            prop_assert_eq!(folds, split.folds(&labels, 1, seed).unwrap());
        }
    }

    #[test]
    fn stratified_folds_have_the_shares_of_the_classes(labels in students(), k in 2..5usize, seed in any::<u64>()) {
        if let Ok(folds) = (Split::Stratified { folds: k }).folds(&labels, 1, seed) {
            disjoint_and_covering(&folds, labels.n_rows());
            let overall = labels.class_weights();
            for fold in folds.iter() {
                let own = labels.select(&fold.test).unwrap().class_weights();
                for (own, all) in own.iter().zip(&overall) {
                    // Rows weigh 3 at most, and are dealt out heaviest first
                    prop_assert!((own - all / k as f64).abs() <= 3.0);
                }
            }
        }
    }

    #[test]
    fn training_ends_before_the_gap_and_the_test(
        periods in proptest::collection::vec(-5..20i32, 40..100),
        horizon in 1..4usize, windows in 1..4usize, gap in 0..3usize,
    ) {
        let targets = (0..periods.len()).map(|i| (i % 2) as u32).collect();
        let labels = Labels::unweighted(targets, 2).unwrap().with_periods(periods.clone()).unwrap();
        if let Ok(folds) = (Split::Time { horizon, windows, gap }).folds(&labels, 1, 0) {
            let last = *periods.iter().max().unwrap();
            prop_assert_eq!(folds.len(), windows);
            let mut before = 0;
            for (number, fold) in folds.iter().enumerate() {
                let of = |rows: &[u32]| rows.iter().map(|row| periods[*row as usize]).collect::<Vec<_>>();
                let (train, test) = (of(&fold.train), of(&fold.test));
                let end = last - ((windows - 1 - number) * horizon) as i32;
                prop_assert!(test.iter().all(|p| *p <= end && *p > end - horizon as i32));
                prop_assert!(train.iter().all(|p| *p + (gap as i32) < end - horizon as i32 + 1));
                prop_assert!(train.len() >= before, "the window grows");
                before = train.len();
                // Nothing that may be trained on or tested is left out
                prop_assert_eq!(test.len(), periods.iter().filter(|p| **p <= end && **p > end - horizon as i32).count());
            }
        }
    }
}

#[test]
fn group_folds_are_balanced_by_weight_and_class() {
    // 300 students, 10 % of them of class 1, of 1 to 12 rows
    let (mut targets, mut groups) = (Vec::new(), Vec::new());
    for student in 0..300u64 {
        for _ in 0..1 + student * student % 12 {
            targets.push(u32::from(student % 10 == 0));
            groups.push(student);
        }
    }
    let labels = Labels::unweighted(targets, 2).unwrap().with_groups(groups).unwrap();
    let overall = labels.class_weights();
    for seed in 0..20 {
        let folds = (Split::Group { folds: 5 }).folds(&labels, 10, seed).unwrap();
        for fold in folds.iter() {
            let own = labels.select(&fold.test).unwrap().class_weights();
            for class in 0..2 {
                let share = own[class] / overall[class];
                assert!((share - 0.2).abs() < 0.02, "seed {seed}: class {class} has {share}");
            }
        }
    }
}

#[test]
fn hold_out_has_about_its_share_and_whole_students() {
    let groups: Vec<u64> = (0..1000).map(|row| row / 4).collect();
    let targets = groups.iter().map(|g| (g % 2) as u32).collect();
    let labels = Labels::unweighted(targets, 2)
        .unwrap()
        .with_groups(groups.clone())
        .unwrap();
    for share in [0.1, 0.25, 0.5, 0.8] {
        let folds = (Split::HoldOut { share }).folds(&labels, 1, 3).unwrap();
        let fold = folds.iter().next().unwrap();
        assert_eq!(folds.len(), 1);
        assert!(
            (fold.test.len() as f64 / 1000.0 - share).abs() < 0.01,
            "{share} {}",
            fold.test.len()
        );
        let of = |rows: &[u32]| rows.iter().map(|row| groups[*row as usize]).collect::<BTreeSet<_>>();
        assert!(of(&fold.train).is_disjoint(&of(&fold.test)));
    }
}

#[test]
fn data_that_do_not_suffice_are_refused_with_the_reason() {
    let labels = |targets: &[u32]| Labels::unweighted(targets.to_vec(), 3).unwrap();
    let stratified = Split::Stratified { folds: 2 };
    assert_eq!(
        refusal(stratified, &labels(&[1, 1, 1]), 1),
        Refusal::OneClass { class: 1 }
    );
    assert_eq!(
        refusal(stratified, &labels(&[0, 0, 0, 2]), 2),
        Refusal::RowsOfClass {
            class: 2,
            needed: 2,
            found: 1.0
        }
    );
    let by_group = Split::Group { folds: 3 };
    assert_eq!(
        refusal(by_group, &labels(&[0, 1]), 1),
        Refusal::Unknown { what: "group" }
    );
    let two = labels(&[0, 1, 0, 1]).with_groups(vec![1, 1, 2, 2]).unwrap();
    assert_eq!(refusal(by_group, &two, 1), Refusal::Groups { needed: 3, found: 2 });
    let one_student = labels(&[0, 0, 0, 1, 1]).with_groups(vec![1, 2, 3, 4, 4]).unwrap();
    assert_eq!(
        refusal(by_group, &one_student, 1),
        Refusal::GroupsOfClass {
            class: 1,
            needed: 2,
            found: 1
        }
    );
    let by_time = |horizon, windows| Split::Time {
        horizon,
        windows,
        gap: 1,
    };
    assert_eq!(
        refusal(by_time(1, 1), &labels(&[0, 1]), 1),
        Refusal::Unknown { what: "period" }
    );
    let three = labels(&[0, 1, 0, 1]).with_periods(vec![1, 2, 3, 3]).unwrap();
    assert_eq!(
        refusal(by_time(2, 1), &three, 1),
        Refusal::Periods { needed: 4, found: 3 }
    );
    let late = labels(&[0, 0, 0, 1]).with_periods(vec![1, 2, 3, 3]).unwrap();
    assert_eq!(
        refusal(by_time(1, 1), &late, 1),
        Refusal::FoldWithoutClass { fold: 0, class: 1 }
    );
    let hole = labels(&[0, 1, 0, 1]).with_periods(vec![1, 1, 9, 9]).unwrap();
    assert_eq!(
        refusal(
            Split::Time {
                horizon: 1,
                windows: 2,
                gap: 0
            },
            &hole,
            1
        ),
        Refusal::EmptyFold { fold: 0, part: "test" }
    );
}

#[test]
fn rows_without_weight_are_split_but_do_not_count() {
    let labels = Labels::new(vec![0, 1, 0, 1, 1], 2, vec![1.0, 1.0, 1.0, 1.0, 0.0]).unwrap();
    let folds = (Split::Stratified { folds: 2 }).folds(&labels, 2, 0).unwrap();
    disjoint_and_covering(&folds, 5);
    let without = Labels::new(vec![0, 1, 0, 1], 2, vec![1.0, 1.0, 1.0, 0.0]).unwrap();
    assert!(matches!(
        refusal(Split::Stratified { folds: 2 }, &without, 1),
        Refusal::RowsOfClass { class: 1, .. }
    ));
    let nothing = Labels::new(vec![0, 1], 2, vec![0.0, 0.0]).unwrap();
    assert!(matches!(
        (Split::Stratified { folds: 2 }).folds(&nothing, 1, 0),
        Err(EngineError::EmptyInput { .. })
    ));
}

#[test]
fn parameters_out_of_range_and_unknown_keys_are_refused() {
    let labels = Labels::unweighted(vec![0, 1, 0, 1], 2).unwrap();
    for split in [
        Split::Stratified { folds: 1 },
        Split::Group { folds: 101 },
        Split::Time {
            horizon: 0,
            windows: 1,
            gap: 0,
        },
        Split::HoldOut { share: f64::NAN },
    ] {
        assert!(
            matches!(split.folds(&labels, 1, 0), Err(EngineError::InvalidParameter { .. })),
            "{split:?}"
        );
    }
    assert!(serde_json::from_str::<Split>(r#"{"group": {"folds": 5}}"#).is_ok());
    assert!(serde_json::from_str::<Split>(r#"{"group": {"folds": 5, "fold": 1}}"#).is_err());
    assert!(Folds::from_assignment(&[0, 1, 2], 2).is_err());
    assert!(matches!(
        Folds::from_assignment(&[0, 0], 2),
        Err(EngineError::Refusal(Refusal::EmptyFold { fold: 0, .. }))
    ));
}
