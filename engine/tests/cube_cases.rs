//! The cube by hand: every semantic rule on a case small enough to compute in the head.

mod cube_support;

use cube_support::{
    assigned, build, context, day, did, february_to_march, lecture, of, small, ANA, CRS, ENV, LEC, SPA,
};
use empatia_engine::calendar::Grain;
use empatia_engine::cube::{AssignedCell, Basis, InteractionKind, Level, Measures, Path};

#[test]
fn interactions_count_at_their_node_and_every_ancestor_and_not_below() {
    let (found, summary) = build(&context(1), february_to_march(Basis::Universe), &small()).unwrap();
    let month = |level| of(&found, level, Grain::Month);
    let at_lecture = month(Level::Lecture);
    assert_eq!(at_lecture.len(), 2);
    assert_eq!((at_lecture[0].unit, at_lecture[0].user), (LEC, ANA));
    assert_eq!((at_lecture[0].period_start, at_lecture[0].period), (day(2, 1), 0));
    assert_eq!(at_lecture[0].measures.amounts, [1, 0, 0, 0, 5]);
    assert_eq!(at_lecture[0].measures.active_days, 1, "post and clicks on one day");
    assert_eq!((at_lecture[1].period_start, at_lecture[1].period), (day(3, 1), 1));
    assert_eq!(at_lecture[1].measures.amounts, [0, 0, 0, 1, 0]);
    for (level, unit) in [(Level::Space, SPA), (Level::Course, CRS), (Level::Environment, ENV)] {
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
    assert_eq!(of(&found, Level::Space, Grain::All)[0].measures.active_days, 3);
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

#[test]
fn basis_universe_counts_submissions_by_their_day_and_assigned_whatever_the_dates() {
    let (found, summary) = build(&context(1), february_to_march(Basis::Universe), &assigned()).unwrap();
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
    assert_eq!((cells[0].period_start, cells[0].measures), (day(2, 1), february));
    // both submissions of 5 March make one active day; due elsewhere, they count for nothing else here
    let march = Measures {
        active_days: 1,
        ..Measures::default()
    };
    assert_eq!((cells[1].period_start, cells[1].measures), (day(3, 1), march));
    assert!(found.assigned.is_empty(), "assigned is in the cells");
    assert_eq!(summary.assignments.counted, 3);
}
