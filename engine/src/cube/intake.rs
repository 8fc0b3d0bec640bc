//! From a fact as it comes in to the row that is held: checks, range, and the path's number.

use super::error::CubeError;
use super::facts::{Assignment, AssignmentRow, CubeSummary, Interaction, InteractionKind, InteractionRow, NO_DAY};
use super::params::{Basis, CubePlan};
use super::path::{Level, Path};
use super::paths::PathTable;
use crate::context::Context;
use crate::error::Result;

/// Shared by both entries: encodes facts and counts those it leaves out.
#[derive(Debug)]
pub(super) struct Intake {
    pub plan: CubePlan,
    pub paths: PathTable,
    pub summary: CubeSummary,
}

impl Intake {
    pub fn new(ctx: &Context, plan: CubePlan) -> Result<Self> {
        Ok(Self {
            plan,
            paths: PathTable::new(ctx)?,
            summary: CubeSummary::default(),
        })
    }

    /// The row of an interaction; none when it is left out.
    // inlined, or the row travels through memory once per fact: a third of the time of pushing
    #[inline(always)]
    pub fn interaction(&mut self, fact: &Interaction) -> Result<Option<InteractionRow>> {
        let Some(day) = self.counted_day(fact.path.unit(Level::Space).is_some(), fact.day) else {
            return Ok(None);
        };
        let path = self.paths.intern(&fact.path)?;
        let row = InteractionRow::new(fact.user, path, day, fact.kind, fact.amount);
        Ok(Some(row))
    }

    /// The number of a path; none where facts that hang on it count for no unit.
    pub fn number(&mut self, path: &Path) -> Result<Option<u32>> {
        path.unit(Level::Space).map(|_| self.paths.intern(path)).transpose()
    }

    /// As [`Intake::interaction`], of a path known by its number.
    #[inline(always)]
    pub fn numbered(
        &mut self,
        user: i64,
        path: Option<u32>,
        day: i32,
        kind: InteractionKind,
        amount: i64,
    ) -> Option<InteractionRow> {
        let day = self.counted_day(path.is_some(), day)?;
        Some(InteractionRow::new(user, path?, day, kind, amount))
    }

    /// Days since the range's first; none where the interaction is left out.
    #[inline(always)]
    fn counted_day(&mut self, has_space: bool, day: i32) -> Option<u32> {
        let left_out = &mut self.summary.interactions;
        if !has_space {
            left_out.no_unit += 1;
            return None;
        }
        let day = self.plan.params().range.offset(day);
        left_out.outside_range += u64::from(day.is_none());
        day
    }

    /// The row of an assignment; none when it is left out.
    pub fn assignment(&mut self, fact: &Assignment) -> Result<Option<AssignmentRow>> {
        if fact.path.unit(Level::Space).is_none() {
            self.summary.assignments.no_unit += 1;
            return Ok(None);
        }
        let submitted = fact.submitted.is_some();
        let grade = match fact.grade.filter(|_| submitted) {
            Some(grade) if !grade.is_finite() => return Err(CubeError::NonFiniteGrade { user: fact.user }.into()),
            Some(grade) => grade,
            None => f64::NAN,
        };
        let params = self.plan.params();
        let offset = |day: Option<i32>| day.and_then(|d| params.range.offset(d)).unwrap_or(NO_DAY);
        let counts_on = match params.basis {
            Basis::Universe => fact.submitted,
            Basis::Due => fact.due.or(fact.assigned),
        };
        let row = AssignmentRow {
            user: fact.user,
            grade,
            path: self.paths.intern(&fact.path)?,
            event_day: offset(counts_on),
            submitted_day: offset(fact.submitted),
            submitted,
            late: submitted && fact.late,
            dated: counts_on.is_some() || submitted,
        };
        Ok(Some(row))
    }
}
