//! The core: all cells of one student from that student's facts.
//!
//! Events are sorted by day once. Per level, sorting (unit rank, position) then gives (unit, day) order; equal (unit, day)
//! are merged into day entries, and every grain is one scan over those, since periods are runs of days. Distinct days are
//! exact at every grain because a day lies in one period only.

use super::cell::{AssignedCell, Cell, Measures};
use super::error::CubeError;
use super::facts::{AssignmentRow, CubeSummary, InteractionRow, NO_DAY};
use super::members::Members;
use super::memory::grow;
use super::params::{Basis, CubePlan};
use super::path::Level;
use super::paths::{LevelUnits, Units, NO_UNIT};
use crate::calendar::Periods;
use crate::context::Reservation;
use crate::error::Result;

/// What every task reads.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub plan: &'a CubePlan,
    pub units: &'a Units,
    pub members: &'a Members,
}

/// Cells of the students of one task, per level and grain; assigned counts per level.
#[derive(Debug, Default)]
pub(super) struct TaskOutput {
    pub cells: [[Vec<Cell>; 7]; 5],
    pub assigned: [Vec<AssignedCell>; 5],
    /// Facts only; cells are counted when they are emitted.
    pub summary: CubeSummary,
}

impl TaskOutput {
    /// Forgets the cells, keeps the memory.
    pub fn clear(&mut self) {
        self.cells.iter_mut().flatten().for_each(Vec::clear);
        self.assigned.iter_mut().for_each(Vec::clear);
        self.summary = CubeSummary::default();
    }

    pub fn cells_of(&self, level: Level, periods: &Periods) -> &[Cell] {
        &self.cells[level.index()][periods.grain().index()]
    }
}

/// One thing that happened on a day: an interaction (`what` < 5 is its kind, `value` its amount) or an assignment's
/// due day or submission (`what` is a set of the flags below, `value` the grade's bits).
#[derive(Debug, Clone, Copy)]
struct Event {
    value: u64,
    path: u32,
    day: u32,
    what: u8,
}

const ACTIVE: u8 = 8;
const ASSIGNED: u8 = 16;
const SUBMITTED: u8 = 32;
const LATE: u8 = 64;
const GRADED: u8 = 128;

/// All that a student did in one unit on one day.
#[derive(Debug, Clone, Copy)]
struct DayEntry {
    measures: Measures,
    unit: u32,
    day: u32,
}

/// Buffers of the core, reused from student to student.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    unsorted: Vec<Event>,
    events: Vec<Event>,
    keys: Vec<u64>,
    days: Vec<DayEntry>,
    /// Paths of the student's assignments, basis universe.
    assigned_paths: Vec<u32>,
    assignments: Vec<AssignmentRow>,
}

impl Scratch {
    /// Appends the student's cells to `out`. `interactions` and `assignments` are all of `user`'s, in any order.
    ///
    /// # Errors
    /// `Memory`, `Allocation`, [`CubeError::AmountOverflow`], [`CubeError::TooMany`].
    pub fn student(
        &mut self,
        shared: Shared<'_>,
        user: i64,
        interactions: &[InteractionRow],
        assignments: &[AssignmentRow],
        out: &mut TaskOutput,
        memory: &mut Reservation,
    ) -> Result<()> {
        let spaces = shared.members.spaces_of(user);
        if spaces.is_empty() {
            out.summary.interactions.not_member += interactions.len() as u64;
            out.summary.assignments.not_member += assignments.len() as u64;
            return Ok(());
        }
        let events = assignments.len().saturating_mul(2).saturating_add(interactions.len());
        if u32::try_from(events).is_err() {
            let what = "facts of one student";
            return Err(CubeError::TooMany { what, max: u32::MAX }.into());
        }
        self.unsorted.clear();
        self.assigned_paths.clear();
        grow(&mut self.unsorted, events, memory)?;
        self.take_interactions(shared, user, spaces, interactions, &mut out.summary)?;
        if !assignments.is_empty() {
            grow(&mut self.assignments, assignments.len(), memory)?;
            grow(&mut self.assigned_paths, assignments.len(), memory)?;
            self.take_assignments(shared, spaces, assignments, &mut out.summary);
        }
        self.sort_events(memory)?;
        grow(&mut self.days, self.events.len(), memory)?;
        grow(&mut self.keys, self.assigned_paths.len(), memory)?;
        for level in shared.plan.params().combinations.levels() {
            let units = shared.units.level(level);
            self.merge_days(units);
            for periods in shared.plan.periods_of(level) {
                let cells = &mut out.cells[level.index()][periods.grain().index()];
                emit(&self.days, units, periods, user, cells, memory)?;
            }
            self.count_assigned(units, user, &mut out.assigned[level.index()], memory)?;
        }
        Ok(())
    }

    fn take_interactions(
        &mut self,
        shared: Shared<'_>,
        user: i64,
        spaces: &[i64],
        interactions: &[InteractionRow],
        summary: &mut CubeSummary,
    ) -> Result<()> {
        let mut absolute = 0u64;
        for row in interactions {
            if !is_member(shared, spaces, row.path) {
                continue;
            }
            absolute = absolute.saturating_add(row.amount.unsigned_abs());
            self.unsorted.push(Event {
                value: row.amount as u64,
                path: row.path,
                day: row.day(),
                what: row.kind() as u8,
            });
        }
        // no cell's sum can then overflow, whatever the order of adding
        if i64::try_from(absolute).is_err() {
            return Err(CubeError::AmountOverflow { user }.into());
        }
        let counted = self.unsorted.len();
        summary.interactions.counted += counted as u64;
        summary.interactions.not_member += (interactions.len() - counted) as u64;
        Ok(())
    }

    fn take_assignments(
        &mut self,
        shared: Shared<'_>,
        spaces: &[i64],
        assignments: &[AssignmentRow],
        summary: &mut CubeSummary,
    ) {
        let universe = shared.plan.params().basis == Basis::Universe;
        self.assignments.clear();
        self.assignments.extend_from_slice(assignments);
        // grades of one day are then added in ascending order, however the facts came
        self.assignments.sort_unstable_by(|a, b| a.grade.total_cmp(&b.grade));
        let counts = &mut summary.assignments;
        for row in &self.assignments {
            if !is_member(shared, spaces, row.path) {
                counts.not_member += 1;
                continue;
            }
            let mut what = 0;
            for (flag, is_set) in [
                (SUBMITTED, row.submitted),
                (LATE, row.late),
                (GRADED, !row.grade.is_nan()),
                (ASSIGNED, !universe),
                (ACTIVE, universe),
            ] {
                what |= if is_set { flag } else { 0 };
            }
            let mut event = Event {
                value: row.grade.to_bits(),
                path: row.path,
                day: row.event_day,
                what,
            };
            if event.day != NO_DAY {
                self.unsorted.push(event);
            }
            if !universe && row.submitted_day != NO_DAY {
                event.day = row.submitted_day;
                event.what = ACTIVE;
                self.unsorted.push(event);
            }
            if row.event_day != NO_DAY || row.submitted_day != NO_DAY {
                counts.counted += 1;
            } else if row.dated {
                counts.outside_range += 1;
            } else if universe {
                counts.counted += 1;
            } else {
                counts.undated += 1;
            }
            if universe {
                self.assigned_paths.push(row.path);
            }
        }
    }

    /// `unsorted` by day, ties as they stand, into `events`.
    fn sort_events(&mut self, memory: &mut Reservation) -> Result<()> {
        self.keys.clear();
        grow(&mut self.keys, self.unsorted.len(), memory)?;
        let keyed = self.unsorted.iter().enumerate();
        self.keys
            .extend(keyed.map(|(i, event)| (u64::from(event.day) << 32) | i as u64));
        self.keys.sort_unstable();
        self.events.clear();
        grow(&mut self.events, self.unsorted.len(), memory)?;
        let unsorted = &self.unsorted;
        self.events
            .extend(self.keys.iter().map(|key| unsorted[*key as u32 as usize]));
        Ok(())
    }

    /// The day entries of one level, in (unit, day) order, into `days`.
    fn merge_days(&mut self, units: &LevelUnits) {
        self.keys.clear();
        for (i, event) in self.events.iter().enumerate() {
            let rank = units.rank_of_path[event.path as usize];
            if rank != NO_UNIT {
                self.keys.push((u64::from(rank) << 32) | i as u64);
            }
        }
        self.keys.sort_unstable();
        self.days.clear();
        let mut last = None;
        for key in &self.keys {
            let event = &self.events[*key as u32 as usize];
            let unit = (*key >> 32) as u32;
            if last != Some((unit, event.day)) {
                last = Some((unit, event.day));
                self.days.push(DayEntry {
                    measures: Measures::default(),
                    unit,
                    day: event.day,
                });
            }
            if let Some(entry) = self.days.last_mut() {
                entry.measures.add_event(event);
            }
        }
    }

    fn count_assigned(
        &mut self,
        units: &LevelUnits,
        user: i64,
        out: &mut Vec<AssignedCell>,
        memory: &mut Reservation,
    ) -> Result<()> {
        if self.assigned_paths.is_empty() {
            return Ok(());
        }
        self.keys.clear();
        let ranks = self.assigned_paths.iter();
        self.keys.extend(
            ranks
                .map(|path| u64::from(units.rank_of_path[*path as usize]))
                .filter(|rank| *rank != u64::from(NO_UNIT)),
        );
        self.keys.sort_unstable();
        grow(out, self.keys.len(), memory)?;
        out.extend(self.keys.chunk_by(|a, b| a == b).map(|same| AssignedCell {
            unit: units.ids[same[0] as usize],
            user,
            assigned: same.len() as u32,
        }));
        Ok(())
    }
}

impl Measures {
    #[inline]
    fn add_event(&mut self, event: &Event) {
        if let Some(sum) = self.amounts.get_mut(usize::from(event.what)) {
            *sum = sum.wrapping_add(event.value as i64);
            self.active_days = 1;
            return;
        }
        let has = |flag: u8| u32::from(event.what & flag != 0);
        self.active_days |= has(ACTIVE);
        self.assigned_exercises += has(ASSIGNED);
        self.submitted_exercises += has(SUBMITTED);
        self.late_exercises += has(LATE);
        if event.what & GRADED != 0 {
            self.grade_count += 1;
            self.grade_sum += f64::from_bits(event.value);
        }
    }
}

fn is_member(shared: Shared<'_>, spaces: &[i64], path: u32) -> bool {
    let space = shared.units.space_of_path[path as usize];
    spaces.binary_search(&space).is_ok()
}

/// Appends the cells of one grain: runs of day entries of one unit and period.
fn emit(
    days: &[DayEntry],
    units: &LevelUnits,
    periods: &Periods,
    user: i64,
    cells: &mut Vec<Cell>,
    memory: &mut Reservation,
) -> Result<()> {
    let ordinals = periods.ordinals();
    let same = |a: &DayEntry, b: &DayEntry| a.unit == b.unit && ordinals[a.day as usize] == ordinals[b.day as usize];
    if cells.capacity() - cells.len() < days.len() {
        // there may be far fewer cells than days
        grow(cells, days.chunk_by(same).count(), memory)?;
    }
    let mut rest = days.iter();
    let Some(first) = rest.next() else {
        return Ok(());
    };
    let mut cell = start_cell(first, units, periods, user);
    let mut unit = first.unit;
    for day in rest {
        if day.unit == unit && ordinals[day.day as usize] == cell.period {
            cell.measures.add(&day.measures);
        } else {
            cells.push(cell);
            cell = start_cell(day, units, periods, user);
            unit = day.unit;
        }
    }
    cells.push(cell);
    Ok(())
}

#[inline]
fn start_cell(day: &DayEntry, units: &LevelUnits, periods: &Periods, user: i64) -> Cell {
    let period = periods.ordinals()[day.day as usize];
    Cell {
        unit: units.ids[day.unit as usize],
        user,
        period_start: periods.as_slice()[period as usize].start,
        period,
        measures: day.measures,
    }
}
