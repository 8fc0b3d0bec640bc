//! Features worked out by hand, what is refused, and what stops a computation.

use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use empatia_engine::feature::{
    Assignment, Attributes, Basis, Cell, Details, FeatureRecipe, FirstUse, KindUse, Member, UnitRows,
};

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
fn assignments_kinds_and_lectures_of_three_members_worked_out_by_hand() {
    // member 0: due in period 0 and handed in then, 2 days early, 0.8, weight 1; due in period 1 and handed in in period 2, a day late, 0.5, weight 3;
    // due in period 2 and never handed in, weight 4; credited from before. Lectures 7 (everybody) and 8 (nobody else, in period 2).
    let given = Assignment {
        member: 0,
        due: Some(0),
        done: Some(0),
        day: 5,
        credited: false,
        days_early: 2.0,
        grade: 0.8,
        weight: 1.0,
    };
    let assignments = [
        Assignment {
            day: -9,
            credited: true,
            days_early: 30.0,
            grade: 1.0,
            weight: 0.0,
            ..given
        },
        given,
        Assignment {
            due: Some(1),
            done: Some(2),
            day: 15,
            days_early: -1.0,
            grade: 0.5,
            weight: 3.0,
            ..given
        },
        Assignment {
            due: Some(2),
            done: None,
            day: i32::MAX,
            days_early: f64::NAN,
            grade: f64::NAN,
            weight: 4.0,
            ..given
        },
    ];
    let uses = [(0, 5), (2, 3)].map(|(period, amount)| KindUse {
        member: 0,
        period,
        kind: 1,
        amount,
    });
    let first_uses = [(0, 0, 7), (0, 2, 8), (1, 1, 7), (2, 1, 7)].map(|(member, period, lecture)| FirstUse {
        member,
        period,
        lecture,
    });
    let cells = [0, 2].map(|period| Cell {
        member: 0,
        period,
        counts: [0, 0, 0, 0, 3, 1, 0, 0, 0],
        grade_sum: 0.0,
        grade_count: 0,
    });
    let members = [1, 2, 3].map(|user| Member {
        user,
        assigned: 0,
        attributes: 0,
        group: 0,
    });
    let recipe: FeatureRecipe = serde_json::from_str(
        r#"{"measures":[],"history":1,"trend":false,"rank":false,"context":false,"assignments":true,"kinds":["page","quiz"],"coverage":true}"#,
    )
    .unwrap();
    let (ctx, none) = (Context::builder().build().unwrap(), Attributes::default());
    let rows = UnitRows::build(&ctx, &recipe, Basis::Universe, 4, &members, &cells, &none).unwrap();
    let details = Details {
        assignments: &assignments,
        uses: &uses,
        first_uses: &first_uses,
    };
    let rows = rows.with_details(details).unwrap();
    let mut vector = Vec::new();
    let nan = f64::NAN;
    // due missing credited | days early: mean, last | grade of those due, last, lowest | page quiz | lectures, share of those of the class
    for (period, expected) in [
        (0, [2.0, 0.0, 1.0, 2.0, 2.0, 0.8, 0.8, 0.8, 0.0, 5.0, 1.0, 1.0]),
        (1, [3.0, 1.0, 1.0, 2.0, 2.0, 0.2, 0.8, 0.8, 0.0, 5.0, 1.0, 1.0]),
        (2, [4.0, 1.0, 1.0, 0.5, -1.0, 2.3 / 8.0, 0.5, 0.5, 0.0, 3.0, 2.0, 1.0]),
        (3, [4.0, 1.0, 1.0, 0.5, -1.0, 2.3 / 8.0, 0.5, 0.5, 0.0, 3.0, 2.0, 1.0]),
    ] {
        rows.vector(0, period, &mut vector);
        assert_eq!(vector.len(), expected.len());
        for (found, expected) in vector.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "period {period}: {vector:?}");
        }
    }
    // who has none: nothing due, and no part of what the class uses before using it
    rows.vector(1, 0, &mut vector);
    let expected = [0.0, 0.0, 0.0, nan, nan, nan, nan, nan, 0.0, 0.0, 0.0, 0.0];
    assert!(
        vector.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()),
        "{vector:?}"
    );
    // no two members' rows are taken for the same
    let mut groups = Vec::new();
    rows.shared(|group| -> Result<(), EngineError> {
        groups.push((group.period, group.who, group.members));
        Ok(())
    })
    .unwrap();
    assert_eq!(
        groups.iter().filter(|(period, ..)| *period == 0).collect::<Vec<_>>(),
        [&(0, 1, 1), &(0, 2, 1)]
    );
}

#[test]
fn details_of_nobody_of_no_kind_and_out_of_order_are_refused() {
    let (ctx, none) = (Context::builder().build().unwrap(), Attributes::default());
    let recipe: FeatureRecipe = serde_json::from_str(r#"{"kinds":["quiz"],"coverage":true}"#).unwrap();
    let members = [1, 2].map(|user| Member {
        user,
        assigned: 0,
        attributes: 0,
        group: 0,
    });
    let refused = |uses: &[KindUse], first_uses: &[FirstUse]| {
        let rows = UnitRows::build(&ctx, &recipe, Basis::Universe, 2, &members, &[], &none).unwrap();
        rows.with_details(Details {
            uses,
            first_uses,
            ..Details::default()
        })
        .is_err()
    };
    let one = |member, period, kind| KindUse {
        member,
        period,
        kind,
        amount: 1,
    };
    let first = |member, period| FirstUse {
        member,
        period,
        lecture: 1,
    };
    assert!(!refused(&[one(0, 1, 0), one(1, 0, 0)], &[first(0, 1), first(1, 0)]));
    assert!(refused(&[one(1, 0, 0), one(0, 1, 0)], &[]));
    assert!(refused(&[one(2, 0, 0)], &[]) && refused(&[one(0, 2, 0)], &[]) && refused(&[one(0, 0, 1)], &[]));
    assert!(refused(&[], &[first(1, 0), first(0, 0)]) && refused(&[], &[first(2, 0)]) && refused(&[], &[first(0, 2)]));
}

#[test]
fn recipes_stored_before_there_were_features_of_facts_are_read_as_without() {
    let before = r#"{"measures":["posts"],"history":2,"lags":null,"trend":true,"rank":true,"context":true,"age":false,"attributes":["region"]}"#;
    let recipe: FeatureRecipe = serde_json::from_str(before).unwrap();
    assert!(!recipe.assignments && !recipe.coverage && recipe.kinds.is_empty());
    let names = "posts posts_lag1 posts_lag2 posts_sum active_share periods_since_active activity_slope activity_rank sum_rank unit_size \
                 unit_mean_activity unit_active_share";
    assert_eq!(recipe.numbers(Basis::Universe).join(" "), names);
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
