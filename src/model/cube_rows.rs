//! The rows of a client's part of the cube, unit by unit, as the engine makes features of them.
//!
//! Cells come ordered by unit, member and period, so that one unit's are in memory at a time, besides the structure.

use empatia_engine::context::{Context, Reservation};
use empatia_engine::feature::{Cell, FeatureRecipe, Member, UnitRows, COUNTS};

use super::cube_structure::{null, push, Build, Structure};
use super::fact_details::{FactDetails, Only, UnitDetails};
use super::part::Part;
use super::student_attributes::StudentAttributes;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Date, Float8, Int4, Int8};
use crate::pg::memory::with_short_sorts;
use crate::pg::read::{query, query_writing};
use crate::pg::row::Row;

/// What is read, and how.
pub(super) struct CubeRows<'a> {
    pub ctx: &'a Context,
    pub part: &'a Part,
    pub recipe: &'a FeatureRecipe,
    pub attributes: &'a StudentAttributes,
    pub build: &'a Build,
    /// Of the units that are to be read.
    pub structure: &'a Structure,
    /// The only unit, if not all.
    pub only: Option<i64>,
    /// Whether rows are written while the cells are read.
    pub writing: bool,
}

/// A unit while its cells are read.
struct Collected {
    /// Place of the unit among the units; all before it are done.
    place: usize,
    members: Vec<Member>,
    cells: Vec<Cell>,
    /// Member of the last cell.
    member: usize,
    /// What the facts say besides.
    details: FactDetails,
    of_unit: UnitDetails,
    reserved: Reservation,
}

impl CubeRows<'_> {
    /// Calls `on_unit` for every unit that has members, ascending, with its rows. `group_of`: see [`Member::group`].
    ///
    /// # Errors
    /// Those of `on_unit`; 53200 when a unit does not fit the budget.
    pub fn each_unit(
        &self,
        group_of: impl Fn(i64) -> u32,
        on_unit: impl FnMut(i64, &UnitRows<'_>) -> Result<()>,
    ) -> Result<()> {
        with_short_sorts(|| self.unit_by_unit(group_of, on_unit))
    }

    fn unit_by_unit(
        &self,
        group_of: impl Fn(i64) -> u32,
        mut on_unit: impl FnMut(i64, &UnitRows<'_>) -> Result<()>,
    ) -> Result<()> {
        let units: Vec<i64> = self.structure.units().collect();
        let only = Only {
            unit: self.only,
            user: None,
        };
        let mut unit = Collected {
            place: 0,
            members: Vec::new(),
            cells: Vec::new(),
            member: 0,
            details: FactDetails::read(self.ctx, self.part, self.recipe, self.build, only)?,
            of_unit: UnitDetails::default(),
            reserved: self.ctx.reserve(0)?,
        };
        let start = |unit: &mut Collected| {
            if unit.place < units.len() {
                let members = &mut unit.members;
                self.structure
                    .members(unit.place, self.build.client, self.attributes, &group_of, members);
            }
        };
        start(&mut unit);
        let mut next = |unit: &mut Collected| -> Result<()> {
            if !unit.members.is_empty() {
                self.give(units[unit.place], unit, &mut on_unit)?;
            }
            unit.cells.clear();
            unit.member = 0;
            unit.place += 1;
            start(unit);
            Ok(())
        };
        let take = |row: &Row<'_>| {
            let (Some(id), Some(user)) = (row.i64(0), row.i64(1)) else {
                return Err(null());
            };
            while unit.place < units.len() && units[unit.place] < id {
                next(&mut unit)?;
            }
            match units.get(unit.place) {
                Some(wanted) if *wanted == id => self.take(&mut unit, user, row),
                _ => Ok(()),
            }
        };
        self.read(take)?;
        while unit.place < units.len() {
            next(&mut unit)?;
        }
        Ok(())
    }

    fn give(
        &self,
        id: i64,
        unit: &mut Collected,
        on_unit: &mut impl FnMut(i64, &UnitRows<'_>) -> Result<()>,
    ) -> Result<()> {
        pgrx::check_for_interrupts!();
        unit.details.of_unit(id, &unit.members, &mut unit.of_unit)?;
        let rows = UnitRows::build(
            self.ctx,
            self.recipe,
            self.build.basis,
            self.build.periods.len(),
            &unit.members,
            &unit.cells,
            self.attributes.attributes(),
        )?
        .with_details(unit.of_unit.details())?;
        on_unit(id, &rows)
    }

    fn read(&self, take: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        let table = self.part.table(&self.part.partition("cube"));
        let sql = format!(
            "SELECT {CELL_COLUMNS} FROM {table} x
             WHERE x.client_id = $1 AND ($2 IS NULL OR x.unit_id = $2 AND x.user_id = ANY ($3)) ORDER BY 1, 2, 3"
        );
        // the key of the cells begins with the user
        let users = match self.only {
            Some(_) if self.structure.units().next().is_some() => self.structure.users(0).to_vec(),
            _ => Vec::new(),
        };
        let columns = cell_types();
        let args = [self.build.client.into(), self.only.into(), users.into()];
        if self.writing {
            query_writing(&sql, &args, &columns, take)?;
        } else {
            query(&sql, &args, &columns, take)?;
        }
        Ok(())
    }

    /// Adds a cell of the unit; one of somebody who is no member any more counts for nothing, as in the view.
    fn take(&self, unit: &mut Collected, user: i64, row: &Row<'_>) -> Result<()> {
        while unit.members.get(unit.member).is_some_and(|member| member.user < user) {
            unit.member += 1;
        }
        if unit.members.get(unit.member).is_none_or(|member| member.user != user) {
            return Ok(());
        }
        let cell = cell(row, unit.member as u32, &self.build.periods)?;
        push(&mut unit.cells, cell, &mut unit.reserved)
    }
}

/// What is read of a cell `x`: its key, [`COUNTS`], grades.
pub(super) const CELL_COLUMNS: &str = "x.unit_id, x.user_id, x.period_start, x.posts, x.post_replies, x.help_requests, x.help_request_replies, \
    x.accesses, x.active_days, x.assigned_exercises, x.submitted_exercises, x.late_exercises, x.grade_sum, x.grade_count";

/// Types of [`CELL_COLUMNS`].
pub(super) fn cell_types() -> [ColumnType; 14] {
    let mut types = [Int8; 14];
    types[2] = Date;
    types[8..12].fill(Int4);
    (types[12], types[13]) = (Float8, Int4);
    types
}

/// A cell of member `member` from [`CELL_COLUMNS`].
///
/// # Errors
/// XX000 for a null, or a day that is none of `periods`.
pub(super) fn cell(row: &Row<'_>, member: u32, periods: &[i32]) -> Result<Cell> {
    let day = row.date(2).ok_or_else(null)?;
    let Ok(period) = periods.binary_search(&day) else {
        return Err(Error::internal(format!(
            "found a cell of day {day}, which is no period of its part"
        )));
    };
    let mut counts = [0; COUNTS.len()];
    for (at, count) in counts.iter_mut().enumerate() {
        let found = if at < 5 {
            row.i64(3 + at)
        } else {
            row.i32(3 + at).map(i64::from)
        };
        *count = found.ok_or_else(null)?;
    }
    let (Some(grade_sum), Some(grade_count)) = (row.f64(12), row.i32(13)) else {
        return Err(null());
    };
    Ok(Cell {
        member,
        period: period as u32,
        counts,
        grade_sum,
        grade_count: i64::from(grade_count),
    })
}
