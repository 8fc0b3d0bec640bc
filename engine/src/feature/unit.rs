//! The rows of one unit.

use std::sync::Arc;

use super::cell::{check, first_cells, sum, within};
use super::kinds::Kinds;
use super::layout::Layout;
use super::ranks::Ranks;
use super::recipe::ASSIGNED;
use super::summary::UnitSummary;
use super::{Attributes, Basis, Cell, Details, FeatureRecipe, Member, COUNTS};
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Rows between two looks at the cancel flag.
const POLL_ROWS: usize = 1_024;

/// A row of its own: the member has cells in its window.
#[derive(Debug, Clone, Copy)]
pub struct OwnRow<'a> {
    /// Position among the members.
    pub member: u32,
    /// Position among the periods.
    pub period: u32,
    /// Whether the member was active in the window; cells may hold nothing but assignments.
    pub active: bool,
    pub vector: &'a [f64],
}

/// Rows that are alike since their members have nothing in the window.
#[derive(Debug, Clone, Copy)]
pub struct SharedRows<'a> {
    pub period: u32,
    /// Of each of the members; 0 with [`Basis::Due`].
    pub assigned: i64,
    /// Of each of the members; 0 where the recipe has none.
    pub attributes: u32,
    /// Of each of the members.
    pub group: u32,
    /// The only member, where no two are alike; else 0.
    pub who: u32,
    /// How many members.
    pub members: usize,
    pub vector: &'a [f64],
}

/// The rows of a unit: all of them, though only the cells are there.
#[derive(Debug)]
pub struct UnitRows<'a> {
    pub(super) ctx: &'a Context,
    pub(super) layout: Layout,
    pub(super) history: usize,
    by_assigned: bool,
    pub(super) basis: Basis,
    pub(super) periods: usize,
    pub(super) members: &'a [Member],
    cells: &'a [Cell],
    pub(super) attributes: &'a Attributes,
    pub(super) details: Details<'a>,
    /// First cell of each member, and their number at the end.
    first: Vec<u32>,
    pub(super) summary: Arc<UnitSummary>,
    _reserved: Reservation,
}

impl<'a> UnitRows<'a> {
    /// Takes the unit's members, by user, and their cells, by member and period, at most one each.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a recipe that is none or cells out of order, [`EngineError::Memory`],
    /// [`EngineError::Cancelled`].
    #[allow(clippy::too_many_arguments)] // what a unit is made of
    pub fn build(
        ctx: &'a Context,
        recipe: &FeatureRecipe,
        basis: Basis,
        periods: usize,
        members: &'a [Member],
        cells: &'a [Cell],
        attributes: &'a Attributes,
    ) -> Result<Self> {
        recipe.check()?;
        check(periods, members, cells)?;
        if recipe.attributes.len() != attributes.columns().len() {
            return Err(EngineError::Dimension {
                what: "attributes",
                expected: recipe.attributes.len(),
                found: attributes.columns().len(),
            });
        }
        let layout = Layout::new(recipe, basis);
        let windows = if layout.sum_rank.is_some() {
            recipe.history + 2
        } else {
            1
        };
        let reserved = ctx.reserve(
            (members.len() + 1) * size_of::<u32>() + 2 * cells.len() * windows.min(periods + 1) * size_of::<i64>(),
        )?;
        let activity = |cell: &&Cell| cell.activity(basis) != 0;
        let mut rows = Self {
            ctx,
            history: recipe.history,
            by_assigned: basis == Basis::Universe,
            basis,
            periods,
            members,
            cells,
            attributes,
            details: Details::default(),
            first: first_cells(members.len(), cells),
            summary: Arc::new(UnitSummary {
                members: members.len(),
                began: cells.iter().filter(activity).map(|cell| cell.period as usize).min(),
                ..UnitSummary::default()
            }),
            layout,
            _reserved: reserved,
        };
        let (activity, sums) = rows.rank()?;
        if let Some(summary) = Arc::get_mut(&mut rows.summary) {
            (summary.activity, summary.sums) = (activity, sums);
        }
        Ok(rows)
    }

    /// Some members of a unit of which `summary` is known, from [`UnitRows::summary`] with the same recipe: for [`UnitRows::vector`], which
    /// says of them what it would say among all.
    ///
    /// # Errors
    /// As [`UnitRows::build`].
    #[allow(clippy::too_many_arguments)] // as above
    pub fn some(
        ctx: &'a Context,
        recipe: &FeatureRecipe,
        basis: Basis,
        periods: usize,
        members: &'a [Member],
        cells: &'a [Cell],
        attributes: &'a Attributes,
        summary: Arc<UnitSummary>,
    ) -> Result<Self> {
        check(periods, members, cells)?;
        let layout = Layout::new(recipe, basis);
        let fits = |ranks: &[Ranks], wanted: bool| !wanted || ranks.len() == periods;
        if !fits(&summary.activity, true) || !fits(&summary.sums, layout.sum_rank.is_some()) {
            return Err(EngineError::Dimension {
                what: "periods of a unit",
                expected: periods,
                found: summary.activity.len(),
            });
        }
        Ok(Self {
            ctx,
            history: recipe.history,
            by_assigned: basis == Basis::Universe,
            basis,
            periods,
            members,
            cells,
            attributes,
            details: Details::default(),
            first: first_cells(members.len(), cells),
            summary,
            layout,
            _reserved: ctx.reserve(0)?,
        })
    }

    /// What there is to know of all cells.
    pub fn summary(&self) -> Arc<UnitSummary> {
        Arc::clone(&self.summary)
    }

    /// Sorts the activities of each period and, where asked for, of each window.
    fn rank(&self) -> Result<(Vec<Ranks>, Vec<Ranks>)> {
        let mut activity = vec![Ranks::default(); self.periods];
        for cell in self.cells {
            activity[cell.period as usize].push(cell.activity(self.basis));
        }
        activity.iter_mut().for_each(Ranks::sort);
        if self.layout.sum_rank.is_none() {
            return Ok((activity, Vec::new()));
        }
        let mut sums = vec![Ranks::default(); self.periods];
        for member in 0..self.members.len() {
            if member % POLL_ROWS == 0 {
                self.ctx.check()?;
            }
            self.windows(member, |period, window| sums[period].push(sum(window, self.basis)));
        }
        sums.iter_mut().for_each(Ranks::sort);
        Ok((activity, sums))
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.layout.attributes + self.attributes.columns().len()
    }

    /// The members, by user.
    pub fn members(&self) -> &'a [Member] {
        self.members
    }

    /// Whether features tell of a member what no cell does: attributes, assignments, lectures. Then no two members' rows need be alike.
    pub fn are_all_own(&self) -> bool {
        !self.attributes.columns().is_empty() || self.layout.tells_apart()
    }

    /// The cells of a member, by period.
    pub fn cells_of(&self, member: usize) -> &'a [Cell] {
        &self.cells[self.first[member] as usize..self.first[member + 1] as usize]
    }

    /// The features of any row, of its own or not.
    ///
    /// # Panics
    /// Where there is no such member or period.
    pub fn vector(&self, member: usize, period: usize, into: &mut Vec<f64>) {
        let cells = self.cells_of(member);
        let window = &cells[within(cells, period.saturating_sub(self.history), period)];
        self.fill(window, period, member, into);
    }

    /// The measures that are counts, of any row.
    pub fn counts(&self, member: usize, period: usize) -> [i64; COUNTS.len()] {
        let cells = self.cells_of(member);
        let found = cells.binary_search_by_key(&period, |cell| cell.period as usize);
        let mut counts = found.map_or([0; COUNTS.len()], |at| cells[at].counts);
        if self.basis == Basis::Universe {
            counts[ASSIGNED] = self.members[member].assigned;
        }
        counts
    }

    /// What the number of assignments is.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// Whether a member has cells in the window of a period.
    pub fn is_own(&self, member: usize, period: usize) -> bool {
        !within(self.cells_of(member), period.saturating_sub(self.history), period).is_empty()
    }

    /// Assignments, attributes and group of a member, and the member, as far as they tell shared rows apart.
    pub(super) fn kind(&self, member: usize) -> (i64, u32, u32, u32) {
        let Member {
            assigned,
            attributes,
            group,
            ..
        } = self.members[member];
        let by_attributes = !self.attributes.columns().is_empty();
        (
            if self.by_assigned { assigned } else { 0 },
            if by_attributes { attributes } else { 0 },
            group,
            if self.layout.tells_apart() { member as u32 } else { 0 },
        )
    }

    /// Number of periods.
    pub fn periods(&self) -> usize {
        self.periods
    }

    /// Calls `on_row` with member and period of each row of its own, and whether the member was active in the window; as
    /// [`UnitRows::own`], without the features.
    ///
    /// # Errors
    /// Those of `on_row`, [`EngineError::Cancelled`].
    pub fn own_places<E: From<EngineError>>(
        &self,
        mut on_row: impl FnMut(usize, usize, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        for member in 0..self.members.len() {
            if member % POLL_ROWS == 0 {
                self.ctx.check()?;
            }
            let mut outcome = Ok(());
            self.windows(member, |period, window| {
                if outcome.is_ok() {
                    let active = window.iter().any(|cell| cell.activity(self.basis) != 0);
                    outcome = on_row(member, period, active);
                }
            });
            outcome?;
        }
        Ok(())
    }

    /// Whether a member is active in one of the `horizon` periods after `period`; none where these are not all there.
    pub fn active_after(&self, member: usize, period: usize, horizon: usize) -> Option<bool> {
        let last = period.checked_add(horizon).filter(|last| *last < self.periods)?;
        let cells = self.cells_of(member);
        Some(sum(&cells[within(cells, period + 1, last)], self.basis) != 0)
    }

    /// Calls `on_row` for each row of its own, by member, then period.
    ///
    /// # Errors
    /// Those of `on_row`, [`EngineError::Cancelled`].
    pub fn own<E: From<EngineError>>(&self, mut on_row: impl FnMut(&OwnRow<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut vector = Vec::with_capacity(self.width());
        let mut rows = 0usize;
        for member in 0..self.members.len() {
            let mut outcome = Ok(());
            self.windows(member, |period, window| {
                if outcome.is_err() {
                    return;
                }
                rows += 1;
                if rows.is_multiple_of(POLL_ROWS) {
                    outcome = self.ctx.check().map_err(E::from);
                }
                self.fill(window, period, member, &mut vector);
                if outcome.is_ok() {
                    outcome = on_row(&OwnRow {
                        member: member as u32,
                        period: period as u32,
                        active: window.iter().any(|cell| cell.activity(self.basis) != 0),
                        vector: &vector,
                    });
                }
            });
            outcome?;
        }
        Ok(())
    }

    /// Calls `on_rows` for each group of rows that are not of their own, by period.
    ///
    /// # Errors
    /// Those of `on_rows`, [`EngineError::Cancelled`], [`EngineError::Memory`].
    pub fn shared<E: From<EngineError>>(
        &self,
        mut on_rows: impl FnMut(&SharedRows<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let kinds = Kinds::of(self);
        let _reserved = self.ctx.reserve_for::<u32>(kinds.kinds.len() * self.periods)?;
        let mut left: Vec<u32> = kinds.sizes.repeat(self.periods);
        for member in 0..self.members.len() {
            let kind = kinds.of_member[member] as usize;
            self.windows(member, |period, _| left[period * kinds.kinds.len() + kind] -= 1);
        }
        let mut vector = Vec::with_capacity(self.width());
        for (place, members) in left.iter().enumerate().filter(|(_, members)| **members > 0) {
            let (period, kind) = (place / kinds.kinds.len(), place % kinds.kinds.len());
            if place % POLL_ROWS == 0 {
                self.ctx.check()?;
            }
            let (assigned, attributes, group, who) = kinds.kinds[kind];
            self.fill(&[], period, kinds.members[kind] as usize, &mut vector);
            on_rows(&SharedRows {
                period: period as u32,
                assigned,
                attributes,
                group,
                who,
                members: *members as usize,
                vector: &vector,
            })?;
        }
        Ok(())
    }

    /// Calls `on_window` for each period in whose window the member has cells, with these.
    fn windows(&self, member: usize, mut on_window: impl FnMut(usize, &'a [Cell])) {
        let cells = self.cells_of(member);
        let (mut begin, mut end) = (0, 0);
        let Some(first) = cells.first() else { return };
        let mut period = first.period as usize;
        while period < self.periods {
            while end < cells.len() && cells[end].period as usize <= period {
                end += 1;
            }
            while begin < end && (cells[begin].period as usize) + self.history < period {
                begin += 1;
            }
            if begin < end {
                on_window(period, &cells[begin..end]);
                period += 1;
            } else {
                match cells.get(end) {
                    Some(next) => period = next.period as usize,
                    None => return,
                }
            }
        }
    }
}
