//! What the cube does when it must not go on (budget, cancel, bad facts), and that threads make no difference.

mod cube_support;

use std::sync::atomic::Ordering;
use std::sync::Mutex;

use cube_support::{
    assigned, build, context, did, february_to_march, lecture, params, random_facts, small, stream, Facts, ANA, SPA,
};
use empatia_engine::calendar::{DateRange, Grain};
use empatia_engine::context::Context;
use empatia_engine::cube::{
    Assignment, Basis, Cell, Combinations, CubeBatch, CubeBuilder, CubeError, CubeParams, CubeStream, CubeSummary,
    Interaction, InteractionKind, Kept, Level, Members,
};
use empatia_engine::error::EngineError;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

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
        EngineError::Memory { needed, in_use, budget } => {
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
            stream.push_interaction(&Interaction { user, ..fact }).unwrap();
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
    assert!(matches!(build(&ctx, params, &facts), Err(EngineError::Cancelled)));
    assert!(matches!(stream(&ctx, params, &facts), Err(EngineError::Cancelled)));
    // raised while running, from the sink of the first batch: no later wave runs
    let ctx = context(1);
    let members = Members::from_pairs(&ctx, (0..5_000).map(|user| (SPA, user))).unwrap();
    let mut builder = CubeBuilder::new(&ctx, params.check(&ctx).unwrap()).unwrap();
    for user in 0..5_000 {
        let fact = did(InteractionKind::Access, 3, lecture(), 1);
        builder.push_interaction(&Interaction { user, ..fact }).unwrap();
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
        .push_interaction(&Interaction { user: ANA - 1, ..fact })
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
    assert!(matches!(none.check(&ctx), Err(EngineError::EmptyInput { .. })));
    let eons = CubeParams::new(DateRange::new(0, 5_000_000).unwrap());
    assert!(matches!(eons.check(&ctx), Err(EngineError::InvalidParameter { .. })));
    let tight = budgeted(1000);
    let year = params(0, 365, Basis::Universe, 0);
    assert!(matches!(year.check(&tight), Err(EngineError::Memory { .. })));
    let error = "TURMA".parse::<Level>().unwrap_err().to_string();
    assert_eq!(error, "level must be one of ENV, CRS, SPA, SUB, LEC, not TURMA");
    assert!(matches!(
        InteractionKind::try_from(5),
        Err(EngineError::InvalidParameter { .. })
    ));
    for kind in InteractionKind::ALL {
        assert_eq!(InteractionKind::try_from(kind.index() as u8).unwrap(), kind);
    }
}

/// Keeps what is set aside, as a file would.
#[derive(Default)]
struct Bytes(Mutex<Vec<u8>>);

impl Kept for Bytes {
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), EngineError> {
        let all = self.0.lock().unwrap();
        bytes.copy_from_slice(&all[at as usize..][..bytes.len()]);
        Ok(())
    }
}

/// Cells of each combination, in the order in which they came, and the summary; all facts so far are set aside `rounds` times.
type Built = (Vec<((Level, Grain), Cell)>, CubeSummary);

fn build_aside(
    ctx: &Context,
    members: &[(i64, i64)],
    facts: &[Interaction],
    assignments: &[Assignment],
    rounds: usize,
) -> Built {
    let members = Members::from_pairs(ctx, members.iter().copied()).unwrap();
    let plan = params(0, 365, Basis::Universe, 0).check(ctx).unwrap();
    let mut builder = CubeBuilder::ordered(ctx, plan, &members).unwrap();
    let kept = Bytes::default();
    let mut assignments = assignments.chunks(assignments.len() / (rounds + 1) + 1);
    for of_round in facts.chunks(facts.len() / (rounds + 1) + 1) {
        for fact in of_round {
            builder.push_interaction(fact).unwrap();
        }
        for fact in assignments.next().unwrap_or_default() {
            builder.push_assignment(fact).unwrap();
        }
        if rounds > 0 {
            let write = |bytes: &[u8]| {
                // whoever writes looks for a cancel at each piece
                assert!(bytes.len() <= 64 << 10);
                kept.0.lock().unwrap().extend_from_slice(bytes);
                Ok::<_, EngineError>(())
            };
            // all but those outside the range
            assert!(builder.set_aside(write).unwrap() > of_round.len() / 2);
        }
    }
    assert_eq!(builder.has_set_aside(), rounds > 0);
    let mut cells = Vec::new();
    let summary = builder.finish_with(&members, &kept, |batch| {
        if let CubeBatch::Cells {
            level,
            grain,
            cells: found,
        } = batch
        {
            cells.extend(found.iter().map(|cell| ((level, grain), *cell)));
        }
        Ok::<(), EngineError>(())
    });
    (cells, summary.unwrap())
}

#[test]
fn facts_set_aside_give_the_cells_of_facts_that_were_held_in_the_same_order_of_students() {
    // few students do most, so that some buckets are taken in parts where memory is short
    let members: Vec<_> = (0..9000).map(|user| (SPA, user * 7 - 3000)).collect();
    let student = |n: i64| members[((n * 7919 % 9000) * (n % 97) * (n % 89) / (97 * 89)) as usize].1;
    let facts: Vec<_> = (0..300_000i64)
        .map(|n| Interaction {
            user: student(n),
            ..did(
                InteractionKind::ALL[n as usize % 5],
                (n % 400) as i32,
                lecture(),
                n % 11 - 3,
            )
        })
        .collect();
    let assignments: Vec<_> = (0..2000i32)
        .map(|n| Assignment {
            user: student(i64::from(n)),
            path: lecture(),
            assigned: Some(n % 300),
            due: (n % 3 > 0).then_some(n % 310),
            submitted: (n % 4 > 0).then_some(n % 320),
            late: n % 5 == 0,
            grade: (n % 2 == 0).then_some(f64::from(n) / 3000.0),
        })
        .collect();
    let (cells, summary) = build_aside(&context(2), &members, &facts, &assignments, 0);
    assert!(cells.len() > 10_000 && summary.interactions.outside_range > 0);
    let of = |cells: &[((Level, Grain), Cell)], combination: (Level, Grain)| -> Vec<Cell> {
        let of_it = cells.iter().filter(|(of, _)| *of == combination);
        of_it.map(|(_, cell)| *cell).collect()
    };
    for (rounds, budget) in [(1, 1 << 30), (7, 1 << 30), (3, 24 << 20)] {
        let (aside, again) = build_aside(&budgeted(budget), &members, &facts, &assignments, rounds);
        assert_eq!(again, summary, "{rounds} rounds");
        for combination in Level::ALL
            .into_iter()
            .flat_map(|level| Grain::ALL.map(|grain| (level, grain)))
        {
            let same = of(&aside, combination) == of(&cells, combination);
            assert!(same, "{rounds} rounds, {combination:?}");
        }
    }
}
