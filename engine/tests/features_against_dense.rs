//! The features of every row against a slow computation on the dense cube, by their names; and nothing of the future.

use std::collections::HashMap;

use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use empatia_engine::feature::{
    Assignment, Attribute, Attributes, Basis, Cell, Details, FeatureRecipe, FirstUse, KindUse, Member, UnitRows, COUNTS,
};
use proptest::prelude::*;

/// A unit made by chance.
#[derive(Debug, Clone)]
struct Unit {
    periods: usize,
    members: Vec<Member>,
    cells: Vec<Cell>,
    assignments: Vec<Assignment>,
    uses: Vec<KindUse>,
    first_uses: Vec<FirstUse>,
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
        any::<[bool; 8]>(),
        prop::sample::subsequence(COUNTS.to_vec(), 1..=9),
    )
        .prop_map(
            |(history, [trend, rank, context, age, grade, assignments, kinds, coverage], mut measures)| {
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
                    age,
                    assignments,
                    coverage,
                    kinds: if kinds {
                        vec!["quiz".into(), "page".into()]
                    } else {
                        vec![]
                    },
                    attributes: vec!["region".into(), "age".into()],
                }
            },
        );
    (1usize..9, 1usize..12, any::<bool>(), recipe).prop_flat_map(|(periods, members, universe, recipe)| {
        let cell = (
            0..members as u32,
            0..periods as u32,
            prop::array::uniform9(prop_oneof![3 => Just(0i64), 1 => 1..5i64]),
            0..4i64,
        );
        let cells = prop::collection::vec(cell, 0..30);
        let assigned = prop::collection::vec((0..3i64, 0..3u32, 0..2u32), members);
        // days of assignments are periods times ten, and some more
        let day = || prop::option::weighted(0.8, 0..periods as i32 * 10 + 10);
        let assignment = (
            0..members as u32,
            day(),
            day(),
            prop::option::of(0..5i32),
            0..3i32,
            any::<bool>(),
        );
        let assignments = prop::collection::vec(assignment, 0..20);
        let uses = prop::collection::vec((0..30usize, 0..2u32, 1..6i64), 0..20);
        let first_uses = prop::collection::btree_map((0..members as u32, 0..4i64), 0..periods as u32, 0..20);
        (cells, assigned, assignments, uses, first_uses).prop_map(
            move |(cells, assigned, assignments, uses, first_uses)| {
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
                let period = |day: Option<i32>| day.map(|day| day / 10).filter(|period| (*period as usize) < periods);
                let mut assignments: Vec<Assignment> = assignments
                    .into_iter()
                    .map(|(member, due, done, grade, weight, credited)| Assignment {
                        member,
                        due: period(due).map(|period| period as u32),
                        done: period(done).map(|period| period as u32),
                        day: done.unwrap_or(i32::MAX),
                        credited,
                        days_early: due.zip(done).map_or(f64::NAN, |(due, done)| f64::from(due - done)),
                        grade: grade.map_or(f64::NAN, |grade| f64::from(grade) / 4.0),
                        weight: f64::from(weight),
                    })
                    .collect();
                assignments.sort_by_key(|a| (a.member, a.day));
                // a lecture is used where there is a cell
                let mut uses: Vec<KindUse> = uses
                    .into_iter()
                    .filter(|_| !recipe.kinds.is_empty())
                    .filter_map(|(cell, kind, amount)| {
                        let Cell { member, period, .. } = *cells.get(cell)?;
                        Some(KindUse {
                            member,
                            period,
                            kind,
                            amount,
                        })
                    })
                    .collect();
                uses.sort_by_key(|u| (u.member, u.period));
                let first_uses = first_uses.into_iter().map(|((member, lecture), period)| FirstUse {
                    member,
                    period,
                    lecture,
                });
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
                    assignments,
                    uses,
                    first_uses: first_uses.collect(),
                    basis: if universe { Basis::Universe } else { Basis::Due },
                    recipe: recipe.clone(),
                }
            },
        )
    })
}

impl Unit {
    fn details(&self) -> Details<'_> {
        Details {
            assignments: &self.assignments,
            uses: &self.uses,
            first_uses: &self.first_uses,
        }
    }
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
        // work that was due in the period may have been handed in in any
        let handed_in = if self.unit.basis == Basis::Due { 0 } else { counts[7] };
        counts[0] + counts[1] + counts[2] + counts[3] + counts[4] + handed_in
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
            "due_exercises" => self.assignments(m, t, |due, _, _| due).len() as f64,
            "missing_exercises" => self.assignments(m, t, |due, done, _| due && !done).len() as f64,
            "credited_exercises" => self.assignments(m, t, |_, done, a| done && a.credited).len() as f64,
            "days_early" | "last_days_early" => {
                let known = self.assignments(m, t, |due, done, a| {
                    due && done && !a.credited && !a.days_early.is_nan()
                });
                let days: Vec<f64> = known.iter().map(|a| a.days_early).collect();
                match name {
                    "days_early" => or_missing(days.iter().sum::<f64>() / days.len() as f64, !days.is_empty()),
                    _ => days.last().copied().unwrap_or(f64::NAN),
                }
            }
            "due_grade" => {
                let due = self.assignments(m, t, |due, done, a| due && !(done && a.grade.is_nan()));
                let handed_in = |a: &Assignment| a.done.is_some_and(|done| done as usize <= t);
                let points: f64 = due.iter().filter(|a| handed_in(a)).map(|a| a.weight * a.grade).sum();
                let weights: f64 = due.iter().map(|a| a.weight).sum();
                or_missing(points / weights, weights > 0.0)
            }
            "last_grade" | "lowest_grade" => {
                let graded = self.assignments(m, t, |_, done, a| done && !a.credited && !a.grade.is_nan());
                let grades: Vec<f64> = graded.iter().map(|a| a.grade).collect();
                match name {
                    "last_grade" => grades.last().copied().unwrap_or(f64::NAN),
                    _ => grades.iter().copied().fold(f64::NAN, f64::min),
                }
            }
            "activity_in_quiz" | "activity_in_page" => {
                let kind = u32::from(name == "activity_in_page");
                let own = |u: &&KindUse| {
                    u.member as usize == m && u.kind == kind && self.window(t).contains(&(u.period as usize))
                };
                self.unit.uses.iter().filter(own).map(|u| u.amount).sum::<i64>() as f64
            }
            "lectures_used" => self.lectures(t, |user| user == m).len() as f64,
            "lecture_coverage" => {
                let one_in_four = |lecture: &i64| {
                    4 * (0..n)
                        .filter(|m| self.lectures(t, |user| user == *m).contains(lecture))
                        .count()
                        >= n
                };
                let common: Vec<i64> = self.lectures(t, |_| true).into_iter().filter(one_in_four).collect();
                let own = self.lectures(t, |user| user == m);
                let used = common.iter().filter(|lecture| own.contains(lecture)).count();
                or_missing(used as f64 / common.len() as f64, !common.is_empty())
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

    /// The assignments of `m` that `wanted` takes, given whether it is due and done by the end of `t`, in the order of handing in.
    fn assignments(&self, m: usize, t: usize, wanted: impl Fn(bool, bool, &Assignment) -> bool) -> Vec<Assignment> {
        let by_then = |when: Option<u32>| when.is_some_and(|when| when as usize <= t);
        let own = self.unit.assignments.iter().filter(|a| a.member as usize == m);
        own.filter(|a| wanted(by_then(a.due), by_then(a.done), a))
            .copied()
            .collect()
    }

    /// The lectures that `who` have used by the end of `t`.
    fn lectures(&self, t: usize, who: impl Fn(usize) -> bool) -> Vec<i64> {
        let by_then = |u: &&FirstUse| u.period as usize <= t && who(u.member as usize);
        let mut found: Vec<i64> = self.unit.first_uses.iter().filter(by_then).map(|u| u.lecture).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn has_cells(&self, m: usize, t: usize) -> bool {
        let cells = self.unit.cells.iter();
        let mut of_member = cells.filter(|cell| cell.member as usize == m);
        of_member.any(|cell| self.window(t).contains(&(cell.period as usize)))
    }
}

/// Features by member and period, and whether the row is of its own.
type Rows = HashMap<(usize, usize), (Vec<f64>, bool)>;

/// Every row by member and period, and whether it is of its own; shared ones given to the members they belong to.
fn all_rows(unit: &Unit) -> (Vec<String>, Rows) {
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
    .unwrap()
    .with_details(unit.details())
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
                && (!(unit.recipe.assignments || unit.recipe.coverage) || *m as u32 == group.who)
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
        // what was due or handed in later: another day, another grade, or never
        for (at, a) in changed.assignments.iter_mut().enumerate() {
            let later = |when: Option<u32>| when.is_none_or(|when| when > cut);
            if later(a.done) {
                a.grade = 0.125 * (at % 8) as f64;
                a.days_early = at as f64;
                a.done = (at % 2 == 0 && (cut as usize) + 1 < one.periods).then_some(cut + 1);
                a.day = (cut as i32 + 1) * 10;
            }
            if later(a.due) {
                a.due = (at % 3 == 0 && (cut as usize) + 1 < one.periods).then_some(cut + 1);
                a.days_early = -1.0 - at as f64;
            }
        }
        changed.assignments.sort_by_key(|a| (a.member, a.day));
        changed.uses.retain(|u| u.period <= cut);
        // lectures used for the first time later: others, or never
        changed.first_uses.retain(|u| u.period <= cut || u.lecture != 1);
        for later in changed.first_uses.iter_mut().filter(|u| u.period > cut) {
            later.lecture += 10;
            later.period = cut + 1;
        }
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
