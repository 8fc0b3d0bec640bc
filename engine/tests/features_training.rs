//! From rows of units to training rows: targets, folds by student before merging, and what merging keeps.

use std::collections::{HashMap, HashSet};

use empatia_engine::context::Context;
use empatia_engine::data::{FeatureSpec, WeightedRows};
use empatia_engine::error::EngineError;
use empatia_engine::feature::{
    Attributes, Basis, Cell, Census, FeatureRecipe, Member, SegmentClasses, Target, TrainingRows, UnitRows,
};
use empatia_engine::kmeans::KMeansParams;
use empatia_engine::segment::SegmentModel;
use linfa::ParamGuard;
use proptest::prelude::*;

/// Rows by group, period and class; and by member and class.
type Counts = (HashMap<(u32, usize, u32), usize>, HashMap<(usize, u32), usize>);

/// Members, cells (accesses only) and number of periods of a unit.
#[derive(Debug, Clone)]
struct Unit {
    periods: usize,
    members: Vec<Member>,
    cells: Vec<Cell>,
}

fn unit() -> impl Strategy<Value = Unit> {
    (1usize..8, 1usize..10).prop_flat_map(|(periods, members)| {
        let cell = (0..members as u32, 0..periods as u32, 0..4i64);
        (
            prop::collection::vec(cell, 0..20),
            prop::collection::vec((0..3i64, 0..3u32), members),
        )
            .prop_map(move |(cells, members)| {
                let mut cells: Vec<Cell> = cells
                    .into_iter()
                    .map(|(member, period, n)| cell_of(member, period, n))
                    .collect();
                cells.sort_by_key(|cell| (cell.member, cell.period));
                cells.dedup_by_key(|cell| (cell.member, cell.period));
                let members = members.into_iter().zip(0..).map(|((assigned, group), user)| Member {
                    user,
                    assigned,
                    attributes: 0,
                    group,
                });
                Unit {
                    periods,
                    members: members.collect(),
                    cells,
                }
            })
    })
}

fn cell_of(member: u32, period: u32, accesses: i64) -> Cell {
    let mut counts = [0; 9];
    counts[4] = accesses;
    Cell {
        member,
        period,
        counts,
        grade_sum: 0.0,
        grade_count: 0,
    }
}

fn recipe(history: usize) -> FeatureRecipe {
    FeatureRecipe {
        measures: vec!["accesses".into()],
        history,
        ..FeatureRecipe::default()
    }
}

impl Unit {
    fn accesses(&self, member: usize, period: usize) -> i64 {
        let mut cells = self.cells.iter();
        let found = cells.find(|cell| (cell.member as usize, cell.period as usize) == (member, period));
        found.map_or(0, |cell| cell.counts[4])
    }

    fn active(&self, member: usize, mut periods: std::ops::Range<usize>) -> bool {
        periods.any(|period| self.accesses(member, period) > 0)
    }

    /// What `target` says of every row, by group, period and class; and by member and class.
    fn told(&self, target: &mut Target, history: usize) -> Counts {
        let (ctx, none) = (Context::builder().build().unwrap(), Attributes::default());
        let rows = UnitRows::build(
            &ctx,
            &recipe(history),
            Basis::Universe,
            self.periods,
            &self.members,
            &self.cells,
            &none,
        )
        .unwrap();
        let (mut by_period, mut by_member) = (HashMap::new(), HashMap::new());
        let mut given = vec![0; self.members.len()];
        target
            .rows(&rows, |member, period, class| {
                given[member] += 1;
                *by_period
                    .entry((self.members[member].group, period, class))
                    .or_default() += 1;
                *by_member.entry((member, class)).or_default() += 1;
                Ok(())
            })
            .unwrap();
        for (member, given) in given.into_iter().enumerate() {
            let (class, rest) = target.rest(&rows, member, given).unwrap();
            if rest > 0 {
                *by_member.entry((member, class)).or_default() += rest;
            }
        }
        target
            .shared(&rows, |found| {
                assert!(found.rows > 0);
                *by_period
                    .entry((found.group, found.period as usize, found.class))
                    .or_default() += found.rows;
                Ok(())
            })
            .unwrap();
        (by_period, by_member)
    }
}

/// Rows of the dense cube as `class` says, counted in the same two ways.
fn expected(unit: &Unit, class: impl Fn(usize, usize) -> Option<u32>) -> Counts {
    let (mut by_period, mut by_member) = (HashMap::new(), HashMap::new());
    for member in 0..unit.members.len() {
        for period in 0..unit.periods {
            if let Some(class) = class(member, period) {
                *by_period
                    .entry((unit.members[member].group, period, class))
                    .or_default() += 1;
                *by_member.entry((member, class)).or_default() += 1;
            }
        }
    }
    (by_period, by_member)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Guards against rows that are counted twice, left out, or told from periods that are not there.
    #[test]
    fn inactivity_is_told_of_every_row_as_the_dense_cube_tells_it(unit in unit(), horizon in 1usize..4, history in 0usize..4, everybody in any::<bool>()) {
        let mut target = Target::InactiveNext { horizon, everybody };
        let class = |member, period: usize| {
            let takes_part = everybody || unit.active(member, period.saturating_sub(history)..period + 1);
            let whole = period + horizon < unit.periods;
            (takes_part && whole).then(|| u32::from(!unit.active(member, period + 1..period + horizon + 1)))
        };
        let (found, expected) = (unit.told(&mut target, history), expected(&unit, class));
        prop_assert_eq!(found, expected);
    }

    /// Guards against segments of other numbers of assignments than the member's, and of rows without a cell.
    #[test]
    fn segments_are_told_of_every_row_of_the_dense_cube(unit in unit(), history in 0usize..3) {
        let ctx = Context::builder().build().unwrap();
        let values: Vec<f64> = (0..12).flat_map(|i| [f64::from(i % 4), f64::from(i / 4)]).collect();
        let rows = WeightedRows::new(values, 2, vec![1.0; 12]).unwrap();
        let specs = ["accesses", "assigned_exercises"].map(FeatureSpec::log1p);
        let model = || SegmentModel::fit(&ctx, &specs, &[1.0, 0.3], &KMeansParams::new(3).seed(1).check().unwrap(), &rows).unwrap();
        let judge = model();
        let classes = SegmentClasses::new(&ctx, model()).unwrap();
        prop_assert_eq!(classes.ranks(), &[1, 2, 3]);
        let mut target = Target::Segment(Box::new(classes));
        let class = |member: usize, period| {
            let raw = [unit.accesses(member, period) as f64, unit.members[member].assigned as f64];
            Some(judge.assign(&raw).unwrap() - 1)
        };
        let (found, expected) = (unit.told(&mut target, history), expected(&unit, class));
        prop_assert_eq!(found, expected);
    }

    /// Guards against merging that loses rows, or takes rows of different classes or folds for one.
    #[test]
    fn merged_rows_weigh_what_their_rows_weigh(rows in prop::collection::vec((0..3i64, 0..2u32, 0..2u64, 1..4i64), 1..60)) {
        let ctx = Context::builder().build().unwrap();
        let recipe: FeatureRecipe = serde_json::from_str(r#"{"measures":["accesses"],"history":0,"rank":false,"context":false}"#).unwrap();
        let collect = |rows: &[(i64, u32, u64, i64)], shift: u64| {
            let mut found = TrainingRows::new(&ctx, &recipe, Basis::Universe, &[], 1_000, true).unwrap();
            for (value, class, part, weight) in rows {
                found.add(&[*value as f64], *class, part ^ shift, *weight as f64, Some(7)).unwrap();
            }
            found.finish(&ctx, 2).unwrap()
        };
        let set = collect(&rows, 0);
        let mut expected: HashMap<(i64, u32, u64), f64> = HashMap::new();
        for (value, class, part, weight) in &rows {
            *expected.entry((*value, *class, *part)).or_default() += *weight as f64;
        }
        prop_assert_eq!(set.table.n_rows(), expected.len());
        let empatia_engine::data::Values::Numeric(values) = set.table.values("accesses").unwrap() else { panic!() };
        for (row, value) in values.iter().enumerate() {
            let key = (*value as i64, set.labels.targets()[row], set.parts[row]);
            prop_assert_eq!(set.labels.weights()[row], expected[&key]);
        }
        let pairs = set.pairs.as_ref().unwrap();
        prop_assert_eq!(pairs.len(), rows.len());
        prop_assert_eq!(pairs.iter().map(|pair| f64::from(pair.weight)).sum::<f64>(), set.labels.weights().iter().sum::<f64>());
        // the fingerprint is that of the rows: neither their order nor their folds matter, a row more does
        let mut other = rows.clone();
        other.reverse();
        prop_assert_eq!(collect(&other, 1).fingerprint, set.fingerprint);
        other.push((1, 0, 0, 1));
        prop_assert_ne!(collect(&other, 0).fingerprint, set.fingerprint);
    }
}

#[test]
fn one_row_too_many_is_refused_and_more_of_a_row_that_is_there_is_not() {
    let ctx = Context::builder().build().unwrap();
    let recipe: FeatureRecipe =
        serde_json::from_str(r#"{"measures":["accesses"],"history":0,"rank":false,"context":false}"#).unwrap();
    let mut rows = TrainingRows::new(&ctx, &recipe, Basis::Universe, &[], 2, false).unwrap();
    rows.add(&[1.0], 0, 0, 1.0, None).unwrap();
    rows.add(&[2.0], 0, 0, 1.0, None).unwrap();
    rows.add(&[1.0], 0, 0, 5.0, None).unwrap();
    let error = rows.add(&[1.0], 1, 0, 1.0, None).unwrap_err();
    assert!(matches!(error, EngineError::Limit { limit: 2, .. }), "{error}");
    assert!(rows.is_full());
    let empty = TrainingRows::new(&ctx, &recipe, Basis::Universe, &[], 2, false).unwrap();
    assert!(matches!(empty.finish(&ctx, 2), Err(EngineError::EmptyInput { .. })));
}

#[test]
fn folds_of_students_are_even_and_the_same_in_every_run() {
    let ctx = Context::builder().build().unwrap();
    let folds = |order: &[u32]| {
        let mut census = Census::new(&ctx).unwrap();
        for student in order {
            census.add(*student, student % 3, 5.0).unwrap();
            census.add(*student, (student + 1) % 3, f64::from(student % 4)).unwrap();
        }
        assert_eq!((census.students(), census.rows()), (100, 650.0));
        census.folds(4, 3, 10, 42).unwrap()
    };
    let order: Vec<u32> = (0..100).collect();
    let found = folds(&order);
    let mut other = order.clone();
    other.reverse();
    assert_eq!(found, folds(&other));
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), 4);
    for fold in 0..4 {
        let rows = |class: u32| -> f64 {
            let students = order.iter().filter(|student| found[**student as usize] == fold);
            students
                .map(|student| {
                    let first = if student % 3 == class { 5.0 } else { 0.0 };
                    first
                        + if (student + 1) % 3 == class {
                            f64::from(student % 4)
                        } else {
                            0.0
                        }
                })
                .sum()
        };
        // 650 rows in 3 classes and 4 folds: 54 each
        for class in 0..3 {
            assert!(
                (45.0..65.0).contains(&rows(class)),
                "fold {fold}, class {class}: {}",
                rows(class)
            );
        }
    }
    // one class only, or a class of one student, cannot be split
    let mut census = Census::new(&ctx).unwrap();
    (0..20).for_each(|student| census.add(student, 0, 3.0).unwrap());
    assert!(matches!(census.folds(5, 2, 1, 1), Err(EngineError::Refusal(_))));
    census.add(3, 1, 30.0).unwrap();
    assert!(matches!(census.folds(5, 2, 1, 1), Err(EngineError::Refusal(_))));
}
