//! What comes out: sparse cells, in batches.

use super::facts::InteractionKind;
use super::path::Level;
use crate::calendar::Grain;

/// The measures of one cell. All are sums over days, so the measures of disjoint sets of days add up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measures {
    /// Sums of amount per [`InteractionKind`], in its order: posts, post replies, help requests, help request replies,
    /// accesses.
    pub amounts: [i64; 5],
    /// Sum of grade / max_grade over graded submissions, added by ascending day and, within a day, ascending grade.
    pub grade_sum: f64,
    /// Graded submissions.
    pub grade_count: u32,
    /// Distinct days with an interaction or a submission.
    pub active_days: u32,
    /// Basis due only; 0 in basis universe.
    pub assigned_exercises: u32,
    pub submitted_exercises: u32,
    pub late_exercises: u32,
}

impl Measures {
    pub fn amount(&self, kind: InteractionKind) -> i64 {
        self.amounts[kind.index()]
    }

    /// Mean of grade / max_grade; none without graded submission.
    pub fn grade_avg(&self) -> Option<f64> {
        (self.grade_count > 0).then(|| self.grade_sum / f64::from(self.grade_count))
    }

    #[inline]
    pub(super) fn add(&mut self, other: &Measures) {
        for (sum, amount) in self.amounts.iter_mut().zip(other.amounts) {
            // the student's absolute amounts are known to add up within i64
            *sum = sum.wrapping_add(amount);
        }
        self.grade_sum += other.grade_sum;
        self.grade_count += other.grade_count;
        self.active_days += other.active_days;
        self.assigned_exercises += other.assigned_exercises;
        self.submitted_exercises += other.submitted_exercises;
        self.late_exercises += other.late_exercises;
    }
}

/// One (unit, user, period) that something touched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    pub unit: i64,
    pub user: i64,
    /// Day number of the period's first day.
    pub period_start: i32,
    /// Position of the period among those of the range, see [`Periods`](crate::calendar::Periods).
    pub period: u32,
    pub measures: Measures,
}

/// How many assignments a member has in a unit, whatever their dates (basis universe).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssignedCell {
    pub unit: i64,
    pub user: i64,
    pub assigned: u32,
}

/// Some cells of one level x grain, or some assigned counts of one level; never empty.
///
/// All cells of a student and combination come in one batch, ordered by (unit, period); students within a batch are
/// ordered by user id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CubeBatch<'a> {
    Cells {
        level: Level,
        grain: Grain,
        cells: &'a [Cell],
    },
    Assigned {
        level: Level,
        cells: &'a [AssignedCell],
    },
}
