//! Features worked out by hand, what is refused, and what stops a computation.

use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use empatia_engine::feature::{Attributes, Basis, Cell, FeatureRecipe, Member, UnitRows};

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
        r#"{"measures":["posts","assigned_exercises","submitted_exercises","late_exercises","grade_avg"],"history":2,"lags":1,"age":true}"#,
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
