//! Property: the pass gives, cell by cell, what the contract's wording gives, for all combinations and both bases.

mod cube_support;

use std::collections::BTreeMap;

use cube_support::{build, build_ordered, context, naive, params, random_facts, stream, Collected, Facts, Key};
use empatia_engine::calendar::Grain;
use empatia_engine::cube::{Basis, Cell, Combinations, CubeParams, CubeSummary, FactCounts, Level};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn assert_is_naive(params: &CubeParams, facts: &Facts, found: &Collected, summary: &CubeSummary) {
    let expected = naive(params, facts);
    let mut cells: BTreeMap<Key, Cell> = BTreeMap::new();
    for (level, grain, cell) in &found.cells {
        let key = (*level, *grain, cell.unit, cell.user, cell.period_start);
        assert!(cells.insert(key, *cell).is_none(), "cell twice: {key:?}");
    }
    assert_eq!(
        cells.keys().collect::<Vec<_>>(),
        expected.cells.keys().collect::<Vec<_>>()
    );
    for (key, naive) in &expected.cells {
        let m = cells[key].measures;
        assert_eq!(m.amounts, naive.amounts, "{key:?}");
        assert_eq!(m.active_days as usize, naive.active.len(), "{key:?}");
        assert_eq!(
            (m.assigned_exercises, m.submitted_exercises, m.late_exercises),
            (naive.assigned, naive.submitted, naive.late),
            "{key:?}"
        );
        assert_eq!(m.grade_count as usize, naive.grades.len(), "{key:?}");
        assert_eq!(m.grade_sum, naive.grades.iter().sum::<f64>(), "{key:?}");
    }
    let assigned: BTreeMap<_, _> = found
        .assigned
        .iter()
        .map(|(level, cell)| ((*level, cell.unit, cell.user), cell.assigned))
        .collect();
    assert_eq!(assigned.len(), found.assigned.len(), "assigned cell twice");
    assert_eq!(assigned, expected.assigned);
    assert_eq!(summary.interactions, expected.interactions);
    assert_eq!(summary.assignments, expected.assignments);
    assert_eq!(summary.interactions.total(), facts.interactions.len() as u64);
    assert_eq!(summary.assignments.total(), facts.assignments.len() as u64);
    for level in Level::ALL {
        for grain in Grain::ALL {
            let of_combination = |key: &&Key| key.0 == level && key.1 == grain;
            let expected = expected.cells.keys().filter(of_combination).count() as u64;
            assert_eq!(summary.cells[level.index()][grain.index()], expected);
        }
    }
}

#[test]
fn all_combinations_of_random_facts_are_the_naive_cube() {
    let ctx = context(2);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(20_240_517);
    let mut left_out = [FactCounts::default(); 2];
    for case in 0..120 {
        let basis = if case % 2 == 0 { Basis::Universe } else { Basis::Due };
        let first = rng.gen_range(-40_000..40_000);
        let length = [0, 5, 40, 200, 900][case % 5];
        let params = params(first, first + length, basis, (case % 7) as u8);
        let count = rng.gen_range(0..250);
        let facts = random_facts(&mut rng, &params, count);
        let (found, summary) = build(&ctx, params, &facts).unwrap();
        assert_is_naive(&params, &facts, &found, &summary);
        let (found, summary) = stream(&ctx, params, &facts).unwrap();
        assert_is_naive(&params, &facts, &found, &summary);
        for (sum, counts) in left_out.iter_mut().zip([summary.interactions, summary.assignments]) {
            sum.counted += counts.counted;
            sum.no_unit += counts.no_unit;
            sum.not_member += counts.not_member;
            sum.outside_range += counts.outside_range;
            sum.undated += counts.undated;
        }
    }
    // the generator reaches every reason, or the comparison above would be hollow
    let [interactions, assignments] = left_out;
    for count in [interactions.counted, interactions.no_unit, interactions.not_member] {
        assert!(count > 100, "{interactions:?}");
    }
    assert!(interactions.outside_range > 100 && assignments.outside_range > 100);
    assert!(assignments.counted > 100 && assignments.undated > 10, "{assignments:?}");
}

#[test]
fn ordered_builder_gives_the_cells_of_each_combination_in_the_order_of_users() {
    // the index that the cells go into grows at its end only then; the stream is in that order by nature
    let ctx = context(2);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let params = params(100, 900, Basis::Due, 0);
    for count in [0, 1, 60, 3000] {
        let facts = random_facts(&mut rng, &params, count);
        let (found, summary) = build_ordered(&ctx, params, &facts).unwrap();
        assert_is_naive(&params, &facts, &found, &summary);
        let (streamed, _) = stream(&ctx, params, &facts).unwrap();
        for level in Level::ALL {
            for grain in Grain::ALL {
                let of_combination = |all: &Collected| -> Vec<Cell> {
                    let cells = all.cells.iter().filter(|(l, g, _)| (*l, *g) == (level, grain));
                    cells.map(|(_, _, cell)| *cell).collect()
                };
                assert_eq!(
                    of_combination(&found),
                    of_combination(&streamed),
                    "{level} {grain} {count}"
                );
            }
        }
    }
}

#[test]
fn some_combinations_are_the_same_cells_as_in_all() {
    // roll-ups must not depend on what else is asked for
    let ctx = context(1);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    for basis in [Basis::Universe, Basis::Due] {
        let all = params(100, 700, basis, 0);
        let facts = random_facts(&mut rng, &all, 400);
        let (of_all, _) = build(&ctx, all, &facts).unwrap();
        for level in Level::ALL {
            for grain in Grain::ALL {
                let combinations = Combinations::none().with(level, grain);
                let one = CubeParams { combinations, ..all };
                let (found, summary) = build(&ctx, one, &facts).unwrap();
                assert_is_naive(&one, &facts, &found, &summary);
                let expected: Vec<_> = of_all
                    .cells
                    .iter()
                    .filter(|(l, g, _)| (*l, *g) == (level, grain))
                    .copied()
                    .collect();
                assert_eq!(found.cells, expected);
            }
        }
    }
}

#[test]
fn many_students_over_many_chunks_are_the_naive_cube() {
    // more facts than one chunk of the stream holds, students of very different size, more paths than one rehash
    let ctx = context(3);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(77);
    let combinations = Combinations::none()
        .with(Level::Lecture, Grain::Week)
        .with(Level::Space, Grain::Month);
    let params = CubeParams {
        combinations,
        ..params(0, 300, Basis::Universe, 1)
    };
    let mut facts = random_facts(&mut rng, &params, 120_000);
    for fact in &mut facts.interactions {
        // a third of all facts are one student's: more than a task is meant to hold
        fact.user = match rng.gen_bool(0.33) {
            true => 25 * 25,
            false => rng.gen_range(0i64..60).pow(2),
        };
    }
    for fact in &mut facts.assignments {
        fact.user = rng.gen_range(0i64..60).pow(2);
    }
    let spaces: Vec<i64> = facts.members.iter().map(|pair| pair.0).collect();
    facts.members.clear();
    for user in 0..60i64 {
        let space = spaces[rng.gen_range(0..spaces.len())];
        facts.members.push((space, user.pow(2)));
    }
    let (found, summary) = stream(&ctx, params, &facts).unwrap();
    assert_is_naive(&params, &facts, &found, &summary);
    let keys = |grain| {
        let cells = found.cells.iter().filter(move |(_, g, _)| *g == grain);
        cells
            .map(|(_, _, c)| (c.user, c.unit, c.period_start))
            .collect::<Vec<_>>()
    };
    for grain in [Grain::Week, Grain::Month] {
        assert!(keys(grain).is_sorted(), "stream emits users, units, periods in order");
    }
    let (found, summary) = build(&ctx, params, &facts).unwrap();
    assert_is_naive(&params, &facts, &found, &summary);
}
