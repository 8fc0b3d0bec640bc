//! What is stored of a unit: its members and their cells.

use std::ops::Range;

use super::recipe::{Basis, ACTIVITY, SUBMITTED};
use crate::error::{EngineError, Result};

/// A member of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub user: i64,
    /// Assignments in the unit; of no meaning with [`Basis::Due`].
    pub assigned: i64,
    /// Combination in [`Attributes`]; of no meaning where there are none.
    pub attributes: u32,
    /// What else tells members apart whose rows are shared, such as the fold that they test.
    pub group: u32,
}

/// A stored cell of a member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Position among the members.
    pub member: u32,
    /// Position among the periods.
    pub period: u32,
    /// In the order of [`COUNTS`](super::COUNTS).
    pub counts: [i64; 9],
    pub grade_sum: f64,
    pub grade_count: i64,
}

impl Cell {
    /// Posts, replies, help, accesses and submissions; with [`Basis::Due`] without these, which may be of any period.
    pub fn activity(&self, basis: Basis) -> i64 {
        let counts = ACTIVITY
            .iter()
            .filter(|count| basis == Basis::Universe || **count != SUBMITTED);
        counts.fold(0, |sum, count| sum.saturating_add(self.counts[*count]))
    }
}

/// Activity of cells.
pub(super) fn sum(cells: &[Cell], basis: Basis) -> i64 {
    cells
        .iter()
        .fold(0, |sum, cell| sum.saturating_add(cell.activity(basis)))
}

pub(super) fn total(cells: &[Cell], count: usize) -> i64 {
    cells.iter().fold(0, |sum, cell| sum.saturating_add(cell.counts[count]))
}

/// The cells of periods `from..=to`.
pub(super) fn within(cells: &[Cell], from: usize, to: usize) -> Range<usize> {
    let begin = cells.partition_point(|cell| (cell.period as usize) < from);
    let end = cells.partition_point(|cell| cell.period as usize <= to);
    begin..end.max(begin)
}

pub(super) fn first_cells(members: usize, cells: &[Cell]) -> Vec<u32> {
    let mut first = vec![0; members + 1];
    for cell in cells {
        first[cell.member as usize + 1] += 1;
    }
    for member in 0..members {
        first[member + 1] += first[member];
    }
    first
}

/// What all the rest relies on.
pub(super) fn check(periods: usize, members: &[Member], cells: &[Cell]) -> Result<()> {
    let ordered = members.windows(2).all(|pair| pair[0].user < pair[1].user)
        && cells
            .windows(2)
            .all(|pair| (pair[0].member, pair[0].period) < (pair[1].member, pair[1].period));
    let inside = |cell: &Cell| (cell.member as usize) < members.len() && (cell.period as usize) < periods;
    if !ordered || !cells.iter().all(inside) || cells.len() > u32::MAX as usize {
        let expected = "by member and period, of these members and periods";
        return Err(EngineError::invalid("cells of a unit", expected, "others"));
    }
    Ok(())
}
