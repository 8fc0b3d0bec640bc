//! The features of every row against a slow computation on the dense cube, by their names; and nothing of the future.

use std::collections::HashMap;

use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use empatia_engine::feature::{Attribute, Attributes, Basis, Cell, FeatureRecipe, Member, UnitRows, COUNTS};
use proptest::prelude::*;

/// A unit made by chance.
#[derive(Debug, Clone)]
struct Unit {
    periods: usize,
    members: Vec<Member>,
    cells: Vec<Cell>,
    basis: Basis,
    recipe: FeatureRecipe,
}

fn attributes() -> Attributes {
    let region = Attribute {
        name: "region".into(),
        levels: Some(vec!["north".to_owned(), "south".to_owned()].into()),
    };
    let age = Attribute {
        name: "age".into(),
        levels: None,
    };
    Attributes::new(vec![region, age], vec![0.0, 20.0, 1.0, f64::NAN, f64::NAN, 31.0]).unwrap()
}

fn unit() -> impl Strategy<Value = Unit> {
    let recipe = (
        0usize..5,
        any::<[bool; 4]>(),
        prop::sample::subsequence(COUNTS.to_vec(), 1..=9),
    )
        .prop_map(|(history, [trend, rank, context, grade], mut measures)| {
            if grade {
                measures.push("grade_avg");
            }
            FeatureRecipe {
                measures: measures.into_iter().map(String::from).collect(),
                history,
                lags: (history > 2).then_some(2),
                trend,
                rank,
                context,
                attributes: vec!["region".into(), "age".into()],
            }
        });
    (1usize..9, 1usize..12, any::<bool>(), recipe).prop_flat_map(|(periods, members, universe, recipe)| {
        let cell = (
            0..members as u32,
            0..periods as u32,
            prop::array::uniform9(prop_oneof![3 => Just(0i64), 1 => 1..5i64]),
            0..4i64,
        );
        let cells = prop::collection::vec(cell, 0..30);
        let assigned = prop::collection::vec((0..3i64, 0..3u32, 0..2u32), members);
        (cells, assigned).prop_map(move |(cells, assigned)| {
            let mut cells: Vec<Cell> = cells
                .into_iter()
                .map(|(member, period, counts, graded)| Cell {
                    member,
                    period,
                    counts,
                    grade_sum: graded as f64 * 0.3,
                    grade_count: graded,
                })
                .collect();
            cells.sort_by_key(|cell| (cell.member, cell.period));
            cells.dedup_by_key(|cell| (cell.member, cell.period));
            let members = assigned
                .into_iter()
                .enumerate()
                .map(|(i, (assigned, attributes, group))| Member {
                    user: i as i64 * 3 - 7,
                    assigned,
                    attributes,
                    group,
                });
            Unit {
                periods,
                members: members.collect(),
                cells,
                basis: if universe { Basis::Universe } else { Basis::Due },
                recipe: recipe.clone(),
            }
        })
    })
}

/// The unit as a table of everybody in every period.
struct Dense<'a> {
    unit: &'a Unit,
    /// Counts, grade sum and grade count by member and period.
    rows: Vec<Vec<([i64; 9], f64, i64)>>,
}

impl<'a> Dense<'a> {
    fn new(unit: &'a Unit) -> Self {
        let mut rows = vec![vec![([0; 9], 0.0, 0); unit.periods]; unit.members.len()];
        for cell in &unit.cells {
            rows[cell.member as usize][cell.period as usize] = (cell.counts, cell.grade_sum, cell.grade_count);
        }
        if unit.basis == Basis::Universe {
            for (rows, member) in rows.iter_mut().zip(&unit.members) {
                rows.iter_mut().for_each(|row| row.0[6] = member.assigned);
            }
        }
        Self { unit, rows }
    }

    fn activity(&self, m: usize, t: usize) -> i64 {
        let counts = self.rows[m][t].0;
        counts[0] + counts[1] + counts[2] + counts[3] + counts[4] + counts[7]
    }

    fn window(&self, t: usize) -> std::ops::RangeInclusive<usize> {
        t.saturating_sub(self.unit.recipe.history)..=t
    }

    fn windowed(&self, m: usize, t: usize) -> i64 {
        self.window(t).map(|s| self.activity(m, s)).sum()
    }

    fn rank(&self, value: i64, of: impl Fn(usize) -> i64) -> f64 {
        let n = self.unit.members.len();
        let below = (0..n).filter(|m| of(*m) < value).count();
        let alike = (0..n).filter(|m| of(*m) == value).count();
        (below as f64 + 0.5 * alike as f64) / n as f64
    }

    fn feature(&self, name: &str, m: usize, t: usize) -> f64 {
        let n = self.unit.members.len();
        let of = |count: &str| COUNTS.iter().position(|name| *name == count);
        let sum = |count: &str| {
            self.window(t)
                .map(|s| self.rows[m][s].0[of(count).unwrap()])
                .sum::<i64>() as f64
        };
        let or_missing = |value: f64, known: bool| if known { value } else { f64::NAN };
        let length = self.window(t).count() as f64;
        if let Some(count) = of(name) {
            return self.rows[m][t].0[count] as f64;
        }
        if let Some((count, lag)) = name.split_once("_lag") {
            let lag: usize = lag.parse().unwrap();
            return if lag > t {
                f64::NAN
            } else {
                self.rows[m][t - lag].0[of(count).unwrap()] as f64
            };
        }
        match name {
            "conclusion" => {
                let assigned = match self.unit.basis {
                    Basis::Universe => self.unit.members[m].assigned as f64,
                    Basis::Due => sum("assigned_exercises"),
                };
                or_missing(sum("submitted_exercises") / assigned, assigned > 0.0)
            }
            "late_share" => {
                let submitted = sum("submitted_exercises");
                or_missing(sum("late_exercises") / submitted, submitted > 0.0)
            }
            "grade_avg" => {
                let graded: i64 = self.window(t).map(|s| self.rows[m][s].2).sum();
                let total: f64 = self.window(t).map(|s| self.rows[m][s].1).sum();
                or_missing(total / graded as f64, graded > 0)
            }
            "active_share" => self.window(t).filter(|s| self.activity(m, *s) > 0).count() as f64 / length,
            "periods_since_active" => {
                let last = self.window(t).rev().find(|s| self.activity(m, *s) > 0);
                last.map_or(self.unit.recipe.history + 1, |s| t - s) as f64
            }
            "activity_slope" => {
                let points: Vec<(f64, f64)> = self.window(t).map(|s| (s as f64, self.activity(m, s) as f64)).collect();
                let (x, y) = (
                    points.iter().map(|p| p.0).sum::<f64>() / length,
                    points.iter().map(|p| p.1).sum::<f64>() / length,
                );
                let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
                let variance: f64 = points.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
                or_missing(covariance / variance, points.len() > 1)
            }
            "activity_rank" => self.rank(self.activity(m, t), |other| self.activity(other, t)),
            "sum_rank" => self.rank(self.windowed(m, t), |other| self.windowed(other, t)),
            "unit_size" => n as f64,
            "unit_mean_activity" => (0..n).map(|m| self.activity(m, t)).sum::<i64>() as f64 / n as f64,
            "unit_active_share" => (0..n).filter(|m| self.activity(*m, t) > 0).count() as f64 / n as f64,
            "unit_age" => {
                let began = (0..=t).find(|s| (0..n).any(|m| self.activity(m, *s) > 0));
                began.map_or(f64::NAN, |began| (t - began) as f64)
            }
            "region" => attributes().row(self.unit.members[m].attributes)[0],
            "age" => attributes().row(self.unit.members[m].attributes)[1],
            _ => {
                let count = name
                    .strip_suffix("_sum")
                    .unwrap_or_else(|| panic!("unknown feature {name}"));
                sum(count)
            }
        }
    }

    fn has_cells(&self, m: usize, t: usize) -> bool {
        let cells = self.unit.cells.iter();
        let mut of_member = cells.filter(|cell| cell.member as usize == m);
        of_member.any(|cell| self.window(t).contains(&(cell.period as usize)))
    }
}

/// Every row by member and period, and whether it is of its own; shared ones given to the members they belong to.
fn all_rows(unit: &Unit) -> (Vec<String>, HashMap<(usize, usize), (Vec<f64>, bool)>) {
    let ctx = Context::builder().build().unwrap();
    let attributes = attributes();
    let rows = UnitRows::build(
        &ctx,
        &unit.recipe,
        unit.basis,
        unit.periods,
        &unit.members,
        &unit.cells,
        &attributes,
    )
    .unwrap();
    let mut found = HashMap::new();
    rows.own(|row| -> Result<(), EngineError> {
        let dense = Dense::new(unit);
        let active = dense.windowed(row.member as usize, row.period as usize) > 0;
        assert_eq!(row.active, active);
        let twice = found.insert((row.member as usize, row.period as usize), (row.vector.to_vec(), true));
        assert!(twice.is_none());
        Ok(())
    })
    .unwrap();
    let own: Vec<_> = found.keys().copied().collect();
    let mut shared = 0;
    rows.shared(|group| -> Result<(), EngineError> {
        let alike = |m: &usize| {
            let member = unit.members[*m];
            let assigned = unit.basis == Basis::Due || member.assigned == group.assigned;
            assigned
                && (member.attributes, member.group) == (group.attributes, group.group)
                && !own.contains(&(*m, group.period as usize))
        };
        let members: Vec<usize> = (0..unit.members.len()).filter(alike).collect();
        assert_eq!(members.len(), group.members, "{group:?}");
        for m in members {
            shared += 1;
            found.insert((m, group.period as usize), (group.vector.to_vec(), false));
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(own.len() + shared, unit.members.len() * unit.periods);
    let mut names = unit.recipe.numbers(unit.basis);
    names.extend(unit.recipe.attributes.clone());
    let mut vector = Vec::new();
    for ((m, t), (expected, _)) in &found {
        rows.vector(*m, *t, &mut vector);
        let (vector, expected): (Vec<u64>, Vec<u64>) = (bits(&vector), bits(expected));
        assert_eq!(vector, expected);
    }
    (names, found)
}

fn bits(vector: &[f64]) -> Vec<u64> {
    vector.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Guards against a wrong window, lag or rank, and against rows that are counted twice or not at all.
    #[test]
    fn every_row_has_the_features_of_the_dense_cube(unit in unit()) {
        let dense = Dense::new(&unit);
        let (names, rows) = all_rows(&unit);
        prop_assert_eq!(rows.len(), unit.members.len() * unit.periods);
        for ((m, t), (vector, own)) in rows {
            prop_assert_eq!(vector.len(), names.len());
            prop_assert_eq!(own, dense.has_cells(m, t));
            for (name, found) in names.iter().zip(&vector) {
                let expected = dense.feature(name, m, t);
                let same = (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
                prop_assert!(same, "{name} of member {m} in period {t}: expected {expected}, found {found}");
            }
        }
    }

    /// Guards against leakage: whatever happens after a period, its rows and those before it stay as they are, bit by bit.
    #[test]
    fn rows_know_nothing_of_what_comes_after_them(one in unit(), other in unit(), cut in 0u32..9) {
        let mut changed = one.clone();
        changed.cells.retain(|cell| cell.period <= cut);
        let future = other.cells.iter().filter(|cell| {
            cell.period > cut && (cell.period as usize) < one.periods && (cell.member as usize) < one.members.len()
        });
        changed.cells.extend(future.copied());
        changed.cells.sort_by_key(|cell| (cell.member, cell.period));
        let (_, before) = all_rows(&one);
        let (_, after) = all_rows(&changed);
        for ((m, t), (vector, own)) in before.iter().filter(|((_, t), _)| *t <= cut as usize) {
            let (found, found_own) = &after[&(*m, *t)];
            prop_assert_eq!(bits(vector), bits(found));
            prop_assert_eq!(own, found_own);
        }
    }

    /// Guards against a target that looks into periods that are not there, or at the row's own.
    #[test]
    fn activity_of_the_next_periods_is_that_of_the_dense_cube(unit in unit(), horizon in 1usize..4) {
        let ctx = Context::builder().build().unwrap();
        let (attributes, dense) = (attributes(), Dense::new(&unit));
        let rows = UnitRows::build(&ctx, &unit.recipe, unit.basis, unit.periods, &unit.members, &unit.cells, &attributes).unwrap();
        for m in 0..unit.members.len() {
            for t in 0..unit.periods {
                let expected = (t + horizon < unit.periods).then(|| (t + 1..=t + horizon).any(|s| dense.activity(m, s) > 0));
                prop_assert_eq!(rows.active_after(m, t, horizon), expected);
            }
        }
    }
}

#[test]
fn numbers_of_a_unit_of_three_members_worked_out_by_hand() {
    // member 0: 4 accesses in period 0, 2 posts and a submission (late, grade 0.5) in period 2; member 1: 1 post in period 2;
    // member 2: nothing. Each has 4 assignments.
    let counts = |pairs: &[(usize, i64)]| {
        let mut counts = [0; 9];
        pairs.iter().for_each(|(at, n)| counts[*at] = *n);
        counts
    };
    let cell = |member, period, counts, graded: i64| Cell {
        member,
        period,
        counts,
        grade_sum: 0.5 * graded as f64,
        grade_count: graded,
    };
    let cells = [
        cell(0, 0, counts(&[(4, 4), (5, 1)]), 0),
        cell(0, 2, counts(&[(0, 2), (5, 2), (7, 1), (8, 1)]), 1),
        cell(1, 2, counts(&[(0, 1), (5, 1)]), 0),
    ];
    let member = |user| Member {
        user,
        assigned: 4,
        attributes: 0,
        group: 0,
    };
    let members = [member(10), member(20), member(30)];
    let recipe: FeatureRecipe = serde_json::from_str(
        r#"{"measures":["posts","assigned_exercises","submitted_exercises","late_exercises","grade_avg"],"history":2,"lags":1}"#,
    )
    .unwrap();
    let ctx = Context::builder().build().unwrap();
    let none = Attributes::default();
    let rows = UnitRows::build(&ctx, &recipe, Basis::Universe, 4, &members, &cells, &none).unwrap();
    let mut vector = Vec::new();
    rows.vector(0, 2, &mut vector);
    let third = 1.0 / 3.0;
    // posts assigned submitted late | lags and sums: posts, submitted, late | conclusion late_share grade |
    // active_share since slope (4, 0, 3: -1/2) | activity_rank (3 of 3, 1, 0) sum_rank (7, 1, 0) | size mean share age
    let expected = [
        2.0,
        4.0,
        1.0,
        1.0,
        0.0,
        2.0,
        0.0,
        1.0,
        0.0,
        1.0,
        0.25,
        1.0,
        0.5,
        2.0 * third,
        0.0,
        -0.5,
        2.5 * third,
        2.5 * third,
        3.0,
        4.0 * third,
        2.0 * third,
        2.0,
    ];
    assert_eq!(vector.len(), expected.len());
    for (found, expected) in vector.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{vector:?}");
    }
    let mut groups = Vec::new();
    rows.shared(|group| -> Result<(), EngineError> {
        groups.push((group.period, group.assigned, group.members));
        Ok(())
    })
    .unwrap();
    assert_eq!(groups, [(0, 4, 2), (1, 4, 2), (2, 4, 1), (3, 4, 1)]);
}

#[test]
fn cells_out_of_order_or_range_members_without_order_and_missing_attributes_are_refused() {
    let ctx = Context::builder().build().unwrap();
    let (recipe, none) = (FeatureRecipe::default(), Attributes::default());
    let cell = |member, period| Cell {
        member,
        period,
        counts: [1; 9],
        grade_sum: 0.0,
        grade_count: 0,
    };
    let member = |user| Member {
        user,
        assigned: 0,
        attributes: 0,
        group: 0,
    };
    let refused = |members: &[Member], cells: &[Cell], recipe: &FeatureRecipe| {
        UnitRows::build(&ctx, recipe, Basis::Universe, 2, members, cells, &none).is_err()
    };
    let two = [member(1), member(2)];
    assert!(!refused(&two, &[cell(0, 1), cell(1, 0)], &recipe));
    assert!(refused(&two, &[cell(1, 0), cell(0, 1)], &recipe));
    assert!(refused(&two, &[cell(0, 1), cell(0, 1)], &recipe));
    assert!(refused(&two, &[cell(2, 0)], &recipe));
    assert!(refused(&two, &[cell(0, 2)], &recipe));
    assert!(refused(&[member(2), member(2)], &[], &recipe));
    let with = FeatureRecipe {
        attributes: vec!["region".into()],
        ..recipe
    };
    assert!(refused(&two, &[], &with));
}

#[test]
fn a_budget_that_is_too_small_is_refused_and_a_cancel_stops_the_rows() {
    let cells: Vec<Cell> = (0..20_000u32)
        .map(|i| Cell {
            member: i / 10,
            period: i % 10,
            counts: [1; 9],
            grade_sum: 0.0,
            grade_count: 0,
        })
        .collect();
    let members: Vec<Member> = (0..2_000)
        .map(|user| Member {
            user,
            assigned: 1,
            attributes: 0,
            group: 0,
        })
        .collect();
    let (recipe, none) = (FeatureRecipe::default(), Attributes::default());
    let small = Context::builder().memory_budget(1_000).build().unwrap();
    let error = UnitRows::build(&small, &recipe, Basis::Universe, 10, &members, &cells, &none).unwrap_err();
    assert!(matches!(error, EngineError::Memory { .. }));
    let ctx = Context::builder().build().unwrap();
    let rows = UnitRows::build(&ctx, &recipe, Basis::Universe, 10, &members, &cells, &none).unwrap();
    ctx.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    let mut seen = 0;
    let stopped = rows.own(|_| -> Result<(), EngineError> {
        seen += 1;
        Ok(())
    });
    assert!(matches!(stopped, Err(EngineError::Cancelled)));
    assert!(seen < 2_000, "{seen}");
}
