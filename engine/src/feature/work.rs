//! What is known of a member's assignments by the end of a period.

use super::coverage::FirstUse;
use super::unit::UnitRows;
use crate::error::{EngineError, Result};

/// Features of the part `assignments` of a recipe, in their order.
pub(super) const NAMES: [&str; 8] = [
    "due_exercises",
    "missing_exercises",
    "credited_exercises",
    "days_early",
    "last_days_early",
    "due_grade",
    "last_grade",
    "lowest_grade",
];

/// An assignment of a member of a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    /// Position among the members.
    pub member: u32,
    /// Period by whose end it is due; none: without date, or after the last period.
    pub due: Option<u32>,
    /// Period in which it was handed in; none: not by the end of the last one.
    pub done: Option<u32>,
    /// What orders those handed in.
    pub day: i32,
    /// Whether its result is one of an earlier run: from before it was given.
    pub credited: bool,
    /// Days from handing in to the day when it was due, negative after that; NaN is unknown.
    pub days_early: f64,
    /// Share of the highest grade; NaN: not graded.
    pub grade: f64,
    /// What it counts for among the member's; at least 0.
    pub weight: f64,
}

/// Use that a member made of lectures of a kind in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindUse {
    /// Position among the members.
    pub member: u32,
    /// Position among the periods.
    pub period: u32,
    /// Position among the kinds of the recipe.
    pub kind: u32,
    /// Interactions.
    pub amount: i64,
}

/// Of a unit, besides its cells.
#[derive(Debug, Clone, Copy, Default)]
pub struct Details<'a> {
    /// By member, then day.
    pub assignments: &'a [Assignment],
    /// By member, then period.
    pub uses: &'a [KindUse],
    /// By member; once per lecture.
    pub first_uses: &'a [FirstUse],
}

impl<'a> Details<'a> {
    fn assignments_of(&self, member: usize) -> &'a [Assignment] {
        let from = self.assignments.partition_point(|a| (a.member as usize) < member);
        let to = self.assignments.partition_point(|a| a.member as usize <= member);
        &self.assignments[from..to]
    }

    fn uses_of(&self, member: usize, from: usize, to: usize) -> &'a [KindUse] {
        let key = |u: &KindUse| (u.member as usize, u.period as usize);
        let begin = self.uses.partition_point(|u| key(u) < (member, from));
        let end = self.uses.partition_point(|u| key(u) <= (member, to));
        &self.uses[begin..end.max(begin)]
    }

    pub(super) fn first_uses_of(&self, member: usize) -> &'a [FirstUse] {
        let from = self.first_uses.partition_point(|u| (u.member as usize) < member);
        let to = self.first_uses.partition_point(|u| u.member as usize <= member);
        &self.first_uses[from..to]
    }

    /// Whether order, members, periods and kinds are those of a unit of so many.
    pub(super) fn are_of(&self, members: usize, periods: usize, kinds: usize) -> bool {
        let ordered = self
            .assignments
            .windows(2)
            .all(|pair| (pair[0].member, pair[0].day) <= (pair[1].member, pair[1].day))
            && self
                .uses
                .windows(2)
                .all(|pair| (pair[0].member, pair[0].period) <= (pair[1].member, pair[1].period));
        ordered
            && self.first_uses.windows(2).all(|pair| pair[0].member <= pair[1].member)
            && self
                .first_uses
                .iter()
                .all(|u| (u.member as usize) < members && (u.period as usize) < periods)
            && self.assignments.iter().all(|a| (a.member as usize) < members)
            && self
                .uses
                .iter()
                .all(|u| (u.member as usize) < members && (u.period as usize) < periods && (u.kind as usize) < kinds)
    }
}

impl<'a> UnitRows<'a> {
    /// With what is known of the members besides cells.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for what is out of order or of somebody or something else.
    pub fn with_details(mut self, details: Details<'a>) -> Result<Self> {
        if !details.are_of(self.members.len(), self.periods, self.layout.n_kinds) {
            let expected = "by member and time, of these members, periods and kinds";
            return Err(EngineError::invalid("details of a unit", expected, "others"));
        }
        self.find_common(&details)?;
        self.details = details;
        Ok(self)
    }

    /// Fills in what a member's assignments say of a row.
    pub(super) fn fill_work(&self, member: usize, period: usize, into: &mut [f64]) {
        if let Some(at) = self.layout.work {
            let known = Known::by(self.details.assignments_of(member), period);
            into[at..at + NAMES.len()].copy_from_slice(&known.features());
        }
    }

    /// Fills in how much of each kind a member used in the window of a row.
    pub(super) fn fill_kinds(&self, member: usize, period: usize, into: &mut [f64]) {
        let Some(at) = self.layout.kinds else { return };
        let from = period.saturating_sub(self.history);
        for found in self.details.uses_of(member, from, period) {
            into[at + found.kind as usize] += found.amount as f64;
        }
    }
}

/// Sums over the assignments of a member, as far as they are known by the end of a period.
#[derive(Default)]
struct Known {
    due: u32,
    missing: u32,
    credited: u32,
    early: (f64, u32),
    last_early: Option<f64>,
    /// Weighted grades, and weights, of those due; one that was not handed in has a grade of 0.
    due_grade: (f64, f64),
    last_grade: Option<f64>,
    lowest: Option<f64>,
}

impl Known {
    fn by(assignments: &[Assignment], period: usize) -> Self {
        let mut known = Self::default();
        let by_then = |when: Option<u32>| when.is_some_and(|when| when as usize <= period);
        for a in assignments {
            let (due, done) = (by_then(a.due), by_then(a.done));
            if due {
                known.due += 1;
                known.missing += u32::from(!done);
                if !done {
                    known.due_grade.1 += a.weight;
                } else if !a.grade.is_nan() {
                    known.due_grade.0 += a.weight * a.grade;
                    known.due_grade.1 += a.weight;
                }
            }
            if done {
                known.take(a, due);
            }
        }
        known
    }

    /// Takes one that was handed in. How early that was counts once it is due, so that no row depends on a date ahead of it.
    fn take(&mut self, a: &Assignment, due: bool) {
        if a.credited {
            self.credited += 1;
            return;
        }
        if due && !a.days_early.is_nan() {
            self.early = (self.early.0 + a.days_early, self.early.1 + 1);
            self.last_early = Some(a.days_early);
        }
        if !a.grade.is_nan() {
            self.last_grade = Some(a.grade);
            self.lowest = Some(self.lowest.map_or(a.grade, |lowest| lowest.min(a.grade)));
        }
    }

    /// In the order of [`NAMES`].
    fn features(&self) -> [f64; NAMES.len()] {
        let mean = |sum: f64, n: f64| if n > 0.0 { sum / n } else { f64::NAN };
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        [
            f64::from(self.due),
            f64::from(self.missing),
            f64::from(self.credited),
            mean(self.early.0, f64::from(self.early.1)),
            known(self.last_early),
            mean(self.due_grade.0, self.due_grade.1),
            known(self.last_grade),
            known(self.lowest),
        ]
    }
}
