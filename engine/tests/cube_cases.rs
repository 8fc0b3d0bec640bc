//! The cube by hand, and what it does when it must not go on: budget, cancel, bad facts, thread counts.

mod cube_support;

use std::sync::atomic::Ordering;

use cube_support::{build, context, params, random_facts, stream, Collected, Facts};
use empatia_engine::calendar::{CivilDate, DateRange, Grain};
use empatia_engine::context::Context;
use empatia_engine::cube::{
    AssignedCell, Assignment, Basis, Cell, Combinations, CubeBatch, CubeBuilder, CubeError,
    CubeParams, CubeStream, Interaction, InteractionKind, Level, Measures, Members, Path,
};
use empatia_engine::error::EngineError;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const ENV: i64 = 1;
const CRS: i64 = 10;
const SPA: i64 = 100;
const SUB: i64 = 1_000;
const LEC: i64 = 10_000;
const ANA: i64 = 7;

fn day(month: u8, day: u8) -> i32 {
    let date = CivilDate {
        year: 2024,
        month,
        day,
    };
    i32::try_from(date.to_days()).unwrap()
}

fn lecture() -> Path {
    Path::new([Some(ENV), Some(CRS), Some(SPA), Some(SUB), Some(LEC)])
}

fn on_space() -> Path {
    Path::new([Some(ENV), Some(CRS), Some(SPA), None, None])
}

fn did(kind: InteractionKind, day: i32, path: Path, amount: i64) -> Interaction {
    Interaction {
        user: ANA,
        path,
        day,
        kind,
        amount,
    }
}

fn of(found: &Collected, level: Level, grain: Grain) -> Vec<Cell> {
    let cells = found
        .cells
        .iter()
        .filter(|(l, g, _)| (*l, *g) == (level, grain));
    cells.map(|(_, _, cell)| *cell).collect()
}

/// One student, February and March 2024: a post and 5 clicks at a lecture on 15 Feb, a help request at the space on 16 Feb,
/// a help reply at the lecture on 1 March.
fn small() -> Facts {
    Facts {
        interactions: vec![
            did(InteractionKind::Post, day(2, 15), lecture(), 1),
            did(InteractionKind::Access, day(2, 15), lecture(), 5),
            did(InteractionKind::HelpRequest, day(2, 16), on_space(), 1),
            did(InteractionKind::HelpRequestReply, day(3, 1), lecture(), 1),
        ],
        assignments: vec![],
        members: vec![(SPA, ANA)],
    }
}

fn february_to_march(basis: Basis) -> CubeParams {
    params(day(2, 10), day(3, 31), basis, 0)
}

#[test]
fn interactions_count_at_their_node_and_every_ancestor_and_not_below() {
    let (found, summary) =
        build(&context(1), february_to_march(Basis::Universe), &small()).unwrap();
    let month = |level| of(&found, level, Grain::Month);
    let at_lecture = month(Level::Lecture);
    assert_eq!(at_lecture.len(), 2);
    assert_eq!((at_lecture[0].unit, at_lecture[0].user), (LEC, ANA));
    assert_eq!(
        (at_lecture[0].period_start, at_lecture[0].period),
        (day(2, 1), 0)
    );
    assert_eq!(at_lecture[0].measures.amounts, [1, 0, 0, 0, 5]);
    assert_eq!(
        at_lecture[0].measures.active_days, 1,
        "post and clicks on one day"
    );
    assert_eq!(
        (at_lecture[1].period_start, at_lecture[1].period),
        (day(3, 1), 1)
    );
    assert_eq!(at_lecture[1].measures.amounts, [0, 0, 0, 1, 0]);
    for (level, unit) in [
        (Level::Space, SPA),
        (Level::Course, CRS),
        (Level::Environment, ENV),
    ] {
        let cells = month(level);
        assert_eq!(cells.len(), 2, "{level}");
        assert_eq!(cells[0].unit, unit);
        assert_eq!(cells[0].measures.amounts, [1, 0, 1, 0, 5], "{level}");
        assert_eq!(cells[0].measures.active_days, 2, "{level}");
    }
    assert_eq!(month(Level::Subject)[0].measures.amounts, [1, 0, 0, 0, 5]);
    assert_eq!(summary.interactions.counted, 4);
    assert!(found.assigned.is_empty());
}

#[test]
fn periods_of_a_student_are_those_of_the_calendar() {
    let (found, _) = build(&context(1), february_to_march(Basis::Universe), &small()).unwrap();
    let starts = |grain| {
        let cells = of(&found, Level::Space, grain);
        cells.iter().map(|c| c.period_start).collect::<Vec<_>>()
    };
    // 15 and 16 Feb 2024 were a Thursday and a Friday, 1 March a Friday
    assert_eq!(starts(Grain::Week), [day(2, 11), day(2, 25)]);
    assert_eq!(starts(Grain::Fortnight), [day(2, 1), day(2, 16), day(3, 1)]);
    assert_eq!(starts(Grain::Quarter), [day(1, 1)]);
    assert_eq!(starts(Grain::Semester), [day(1, 1)]);
    assert_eq!(starts(Grain::Year), [day(1, 1)]);
    assert_eq!(starts(Grain::All), [day(2, 10)]);
    assert_eq!(
        of(&found, Level::Space, Grain::All)[0].measures.active_days,
        3
    );
}

#[test]
fn facts_outside_membership_or_range_count_at_no_level_and_are_reported() {
    let mut facts = small();
    // a visitor of space 200, which lies in the same environment; own wall; before and after the range
    let visited = Path::new([Some(ENV), Some(CRS), Some(200), None, None]);
    let wall = Path::new([Some(ENV), None, None, None, None]);
    facts.interactions = vec![
        did(InteractionKind::Post, day(2, 15), visited, 1),
        did(InteractionKind::Post, day(2, 15), wall, 1),
        did(InteractionKind::Post, day(2, 9), lecture(), 1),
        did(InteractionKind::Post, day(4, 1), lecture(), 1),
    ];
    let (found, summary) = build(&context(1), february_to_march(Basis::Universe), &facts).unwrap();
    assert!(found.cells.is_empty());
    let counts = summary.interactions;
    assert_eq!((counts.counted, counts.not_member), (0, 1));
    assert_eq!((counts.no_unit, counts.outside_range), (1, 2));
}

/// Three assignments of the lecture: submitted late with grade 0.5 in March, due in February; submitted in range, due
/// after it, grade 1.0; never submitted, no due day, assigned in February (its grade and lateness must be ignored).
fn assigned() -> Facts {
    let base = Assignment {
        user: ANA,
        path: lecture(),
        assigned: Some(day(2, 1)),
        due: None,
        submitted: None,
        late: false,
        grade: None,
    };
    let late = Assignment {
        due: Some(day(2, 20)),
        submitted: Some(day(3, 5)),
        late: true,
        grade: Some(0.5),
        ..base
    };
    let early = Assignment {
        due: Some(day(6, 1)),
        submitted: Some(day(3, 5)),
        grade: Some(1.0),
        ..base
    };
    let open = Assignment {
        assigned: Some(day(2, 12)),
        late: true,
        grade: Some(0.25),
        ..base
    };
    Facts {
        interactions: vec![],
        assignments: vec![late, early, open],
        members: vec![(SPA, ANA)],
    }
}

#[test]
fn basis_universe_counts_submissions_by_their_day_and_assigned_whatever_the_dates() {
    let (found, summary) =
        build(&context(1), february_to_march(Basis::Universe), &assigned()).unwrap();
    let cells = of(&found, Level::Lecture, Grain::Month);
    assert_eq!(cells.len(), 1, "nothing happened in February");
    assert_eq!(cells[0].period_start, day(3, 1));
    let expected = Measures {
        grade_sum: 1.5,
        grade_count: 2,
        active_days: 1,
        submitted_exercises: 2,
        late_exercises: 1,
        ..Measures::default()
    };
    assert_eq!(cells[0].measures, expected);
    assert_eq!(cells[0].measures.grade_avg(), Some(0.75));
    for (level, unit) in [(Level::Lecture, LEC), (Level::Environment, ENV)] {
        let cell = AssignedCell {
            unit,
            user: ANA,
            assigned: 3,
        };
        assert!(found.assigned.contains(&(level, cell)), "{level}");
    }
    assert_eq!(summary.assignments.counted, 3);
}

#[test]
fn basis_due_counts_assignments_by_due_else_assigned_day() {
    let (found, summary) = build(&context(1), february_to_march(Basis::Due), &assigned()).unwrap();
    let cells = of(&found, Level::Lecture, Grain::Month);
    assert_eq!(cells.len(), 2);
    let february = Measures {
        grade_sum: 0.5,
        grade_count: 1,
        active_days: 0,
        assigned_exercises: 2,
        submitted_exercises: 1,
        late_exercises: 1,
        ..Measures::default()
    };
    assert_eq!(
        (cells[0].period_start, cells[0].measures),
        (day(2, 1), february)
    );
    // both submissions of 5 March make one active day; due elsewhere, they count for nothing else here
    let march = Measures {
        active_days: 1,
        ..Measures::default()
    };
    assert_eq!(
        (cells[1].period_start, cells[1].measures),
        (day(3, 1), march)
    );
    assert!(found.assigned.is_empty(), "assigned is in the cells");
    assert_eq!(summary.assignments.counted, 3);
}

/// Everything comparable by bits, grades that do not add up exactly.
fn with_rough_grades(params: &CubeParams) -> Facts {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut facts = random_facts(&mut rng, params, 20_000);
    for fact in &mut facts.assignments {
        fact.grade = Some(rng.gen::<f64>());
        fact.user = rng.gen_range(-4..5);
    }
    facts
}

#[test]
fn output_is_bit_identical_for_any_thread_count_and_order_of_pushing() {
    for basis in [Basis::Universe, Basis::Due] {
        let params = params(0, 365, basis, 0);
        let mut facts = with_rough_grades(&params);
        let reference = build(&context(1), params, &facts).unwrap();
        let streamed = stream(&context(1), params, &facts).unwrap();
        assert!(reference.0.cells.len() > 1000);
        for threads in [2, 5] {
            assert_eq!(build(&context(threads), params, &facts).unwrap(), reference);
            assert_eq!(stream(&context(threads), params, &facts).unwrap(), streamed);
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(12);
        facts.interactions.shuffle(&mut rng);
        facts.assignments.shuffle(&mut rng);
        assert_eq!(build(&context(3), params, &facts).unwrap(), reference);
        assert_eq!(stream(&context(3), params, &facts).unwrap(), streamed);
        assert_eq!(reference.1, streamed.1);
    }
}

fn budgeted(bytes: usize) -> Context {
    let builder = Context::builder().threads(2).memory_budget(bytes);
    builder.build().unwrap()
}

#[test]
fn builder_beyond_the_budget_is_refused_with_the_numbers_and_gives_all_back() {
    let ctx = budgeted(2 << 20);
    let params = params(0, 365, Basis::Universe, 0);
    let mut builder = CubeBuilder::new(&ctx, params.check(&ctx).unwrap()).unwrap();
    let mut pushed = 0u64;
    let error = loop {
        let fact = did(InteractionKind::Access, (pushed % 365) as i32, lecture(), 1);
        let fact = Interaction {
            user: pushed as i64,
            ..fact
        };
        if let Err(error) = builder.push_interaction(&fact) {
            break error;
        }
        pushed += 1;
        assert!(pushed < 200_000, "24 bytes each, yet never refused");
    };
    match error {
        EngineError::Memory {
            needed,
            in_use,
            budget,
        } => {
            assert_eq!(budget, 2 << 20);
            assert!(in_use <= budget && in_use + needed > budget);
        }
        other => panic!("{other:?}"),
    }
    assert!(pushed > 20_000, "refused after {pushed} rows of 24 bytes");
    drop(builder);
    assert_eq!(ctx.in_use(), 0);
}

#[test]
fn finish_beyond_the_budget_is_refused_though_the_facts_fit() {
    let params = params(0, 3_000, Basis::Universe, 0);
    let run = |ctx: &Context| {
        let members = Members::from_pairs(ctx, [(SPA, ANA)]).unwrap();
        let mut builder = CubeBuilder::new(ctx, params.check(ctx).unwrap()).unwrap();
        for day in (0..3_000).flat_map(|day| [day; 10]) {
            let fact = did(InteractionKind::Access, day, lecture(), 1);
            builder.push_interaction(&fact).unwrap();
        }
        builder.finish(&members, |_| Ok::<(), EngineError>(()))
    };
    assert!(run(&context(2)).is_ok());
    let tight = budgeted(2_500_000);
    assert!(matches!(run(&tight), Err(EngineError::Memory { .. })));
    assert_eq!(tight.in_use(), 0);
}

#[test]
fn stream_needs_memory_of_a_chunk_not_of_the_facts() {
    // 2 million facts are 48 MB as rows
    let ctx = budgeted(24 << 20);
    let params = CubeParams {
        combinations: Combinations::none().with(Level::Lecture, Grain::Week),
        ..params(0, 365, Basis::Universe, 0)
    };
    let users = 20_000i64;
    let members = Members::from_pairs(&ctx, (0..users).map(|user| (SPA, user))).unwrap();
    let mut cells = 0usize;
    let plan = params.check(&ctx).unwrap();
    let mut stream = CubeStream::new(&ctx, plan, &members, |batch| {
        if let CubeBatch::Cells { cells: batch, .. } = batch {
            cells += batch.len();
        }
        Ok::<(), EngineError>(())
    })
    .unwrap();
    for user in 0..users {
        for day in 0..100 {
            let fact = did(InteractionKind::Access, day, lecture(), 1);
            stream
                .push_interaction(&Interaction { user, ..fact })
                .unwrap();
        }
    }
    let summary = stream.finish().unwrap();
    assert_eq!(summary.interactions.counted, 2_000_000);
    // days 0..=99 from a Saturday: that one, and 99 days from Sunday are 15 weeks
    assert_eq!(cells, 20_000 * 16);
    assert_eq!(summary.total_cells(), cells as u64);
}

#[test]
fn cancel_between_chunks_stops_builder_and_stream() {
    let params = params(0, 365, Basis::Universe, 0);
    let facts = with_rough_grades(&params);
    let ctx = context(2);
    ctx.cancel_flag().store(true, Ordering::Relaxed);
    assert!(matches!(
        build(&ctx, params, &facts),
        Err(EngineError::Cancelled)
    ));
    assert!(matches!(
        stream(&ctx, params, &facts),
        Err(EngineError::Cancelled)
    ));
    // raised while running, from the sink of the first batch: no later wave runs
    let ctx = context(1);
    let members = Members::from_pairs(&ctx, (0..5_000).map(|user| (SPA, user))).unwrap();
    let mut builder = CubeBuilder::new(&ctx, params.check(&ctx).unwrap()).unwrap();
    for user in 0..5_000 {
        let fact = did(InteractionKind::Access, 3, lecture(), 1);
        builder
            .push_interaction(&Interaction { user, ..fact })
            .unwrap();
    }
    let mut emitted = 0;
    let result = builder.finish(&members, |batch| {
        ctx.cancel_flag().store(true, Ordering::Relaxed);
        if let CubeBatch::Cells { cells, .. } = batch {
            emitted += cells.len();
        }
        Ok::<(), EngineError>(())
    });
    assert!(matches!(result, Err(EngineError::Cancelled)));
    assert!(emitted > 0 && emitted < 5_000 * 35 / 10, "{emitted}");
    drop(members);
    assert_eq!(ctx.in_use(), 0);
}

#[test]
fn bad_facts_are_typed_errors_that_name_the_user() {
    let ctx = context(1);
    let params = params(0, 365, Basis::Universe, 0);
    let cube_error = |facts: &Facts| match build(&ctx, params, facts) {
        Err(EngineError::Cube(error)) => error,
        other => panic!("{other:?}"),
    };
    let mut facts = small();
    facts.interactions = vec![
        did(InteractionKind::Post, 1, lecture(), i64::MAX),
        did(InteractionKind::Post, 2, lecture(), 1),
    ];
    assert_eq!(cube_error(&facts), CubeError::AmountOverflow { user: ANA });
    let mut facts = assigned();
    facts.assignments[0].grade = Some(f64::NAN);
    assert_eq!(cube_error(&facts), CubeError::NonFiniteGrade { user: ANA });

    let members = Members::from_pairs(&ctx, [(SPA, ANA)]).unwrap();
    let plan = params.check(&ctx).unwrap();
    let mut stream = CubeStream::new(&ctx, plan, &members, |_| Ok::<(), EngineError>(())).unwrap();
    let fact = did(InteractionKind::Post, 1, lecture(), 1);
    stream.push_interaction(&fact).unwrap();
    let error = stream
        .push_interaction(&Interaction {
            user: ANA - 1,
            ..fact
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "facts must come ordered by user, but user 6 follows user 7"
    );
}

#[test]
fn errors_of_the_sink_come_back_as_they_are() {
    #[derive(Debug)]
    enum Failure {
        Disk,
        Engine,
    }
    impl From<EngineError> for Failure {
        fn from(_: EngineError) -> Self {
            Failure::Engine
        }
    }
    let ctx = context(1);
    let members = Members::from_pairs(&ctx, [(SPA, ANA)]).unwrap();
    let plan = february_to_march(Basis::Universe).check(&ctx).unwrap();
    let mut builder = CubeBuilder::new(&ctx, plan).unwrap();
    builder.push_interaction(&small().interactions[0]).unwrap();
    let result = builder.finish(&members, |_| Err(Failure::Disk));
    assert!(matches!(result, Err(Failure::Disk)));
}

#[test]
fn parameters_without_combination_or_with_an_endless_range_are_refused() {
    let ctx = context(1);
    let none = CubeParams {
        combinations: Combinations::none(),
        ..params(0, 9, Basis::Universe, 0)
    };
    assert!(matches!(
        none.check(&ctx),
        Err(EngineError::EmptyInput { .. })
    ));
    let eons = CubeParams::new(DateRange::new(0, 5_000_000).unwrap());
    assert!(matches!(
        eons.check(&ctx),
        Err(EngineError::InvalidParameter { .. })
    ));
    let tight = budgeted(1000);
    let year = params(0, 365, Basis::Universe, 0);
    assert!(matches!(
        year.check(&tight),
        Err(EngineError::Memory { .. })
    ));
    let error = "TURMA".parse::<Level>().unwrap_err().to_string();
    assert_eq!(
        error,
        "level must be one of ENV, CRS, SPA, SUB, LEC, not TURMA"
    );
    assert!(matches!(
        InteractionKind::try_from(5),
        Err(EngineError::InvalidParameter { .. })
    ));
    for kind in InteractionKind::ALL {
        assert_eq!(InteractionKind::try_from(kind.index() as u8).unwrap(), kind);
    }
}
