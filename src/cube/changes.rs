//! What has to be written to a part so that its rows are the computed ones, collected first and written at once.

use empatia_engine::context::Reservation;
use empatia_engine::cube::{Cell, Measures};
use empatia_engine::error::EngineError;

use super::changed::Changed;
use super::diff::Counts;
use super::stored::{same, Key, Part};
use super::write_cells::{edit_cells, write_cells};
use crate::error::Result;
use crate::pg::column::Tid;
use crate::pg::edit::AHEAD;

/// One row: new, with another content, or gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub key: Key,
    /// Where it is stored.
    pub place: Option<Tid>,
    /// What it shall hold.
    pub measures: Option<Measures>,
}

/// How much more a row holds than before. Grades are no part of it: sums of them depend on the order of adding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    amounts: [i64; 5],
    /// Active days, assigned, submitted and late exercises.
    counts: [i64; 4],
}

fn counts_of(of: &Measures) -> [u32; 4] {
    [
        of.active_days,
        of.assigned_exercises,
        of.submitted_exercises,
        of.late_exercises,
    ]
}

/// A row that no build wrote.
#[derive(Debug)]
pub(super) struct Inconsistent;

impl Delta {
    pub fn between(old: &Measures, new: &Measures) -> Self {
        let (old_counts, new_counts) = (counts_of(old), counts_of(new));
        Self {
            amounts: std::array::from_fn(|i| new.amounts[i].wrapping_sub(old.amounts[i])),
            counts: std::array::from_fn(|i| i64::from(new_counts[i]) - i64::from(old_counts[i])),
        }
    }

    pub fn add(&mut self, other: &Delta) {
        for (sum, amount) in self.amounts.iter_mut().zip(other.amounts) {
            *sum = sum.wrapping_add(amount);
        }
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
    }

    /// What a row that held `old` holds now; none where that cannot be.
    fn applied(&self, old: &Measures) -> Option<Measures> {
        let mut new = *old;
        for (sum, amount) in new.amounts.iter_mut().zip(self.amounts) {
            *sum = sum.checked_add(amount)?;
        }
        let old_counts = counts_of(old);
        let mut counts = [0; 4];
        for (i, count) in counts.iter_mut().enumerate() {
            *count = u32::try_from(i64::from(old_counts[i]) + self.counts[i]).ok()?;
        }
        [
            new.active_days,
            new.assigned_exercises,
            new.submitted_exercises,
            new.late_exercises,
        ] = counts;
        Some(new)
    }

    /// What the row holds now; none where it holds nothing any more.
    ///
    /// # Errors
    /// What is stored cannot be what the difference was computed from.
    fn moved(&self, old: &Measures) -> Result<Option<Measures>, Inconsistent> {
        let new = self.applied(old).ok_or(Inconsistent)?;
        // every fact that counts in a cell is active on a day or assigned
        if new.active_days > 0 || new.assigned_exercises > 0 {
            return Ok(Some(new));
        }
        match same(&new, &Measures::default()) {
            true => Ok(None),
            false => Err(Inconsistent),
        }
    }
}

/// A difference on its way to the row of a coarser grain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub key: Key,
    pub delta: Delta,
}

/// One difference per key, ascending, and none that is nothing.
pub(super) fn sum_up(moved: &mut Vec<Moved>) {
    moved.sort_unstable_by_key(|moved| moved.key);
    moved.dedup_by(|next, sum| {
        let same = next.key == sum.key;
        if same {
            sum.delta.add(&next.delta);
        }
        same
    });
    moved.retain(|moved| moved.delta != Delta::default());
}

/// Writes the changes of a part, then moves rows of it by differences, which are summed up and whose rows may be where `hints` say; both in the order of
/// their keys. Returns the users that have a row which is not what its differences come from.
pub(super) fn write(
    changes: &mut [Change],
    moved: &[Moved],
    hints: &[Option<Tid>],
    part: Part<'_>,
    counts: &mut Counts,
    changed: &mut Changed,
) -> Result<Vec<i64>> {
    if changes.is_empty() && moved.is_empty() {
        return Ok(Vec::new());
    }
    changes.sort_unstable_by_key(|change| change.key);
    let (results, client) = (&part.source.results_name, part.source.client_id);
    let combination = (part.level, part.grain);
    let mut new: Vec<Cell> = changes
        .iter()
        .filter(|change| change.place.is_none())
        .filter_map(cell)
        .collect();
    let mut inconsistent = Vec::new();
    edit_cells(results, client, combination, |rows| {
        for (position, change) in changes.iter().enumerate() {
            changed.push(change.key);
            for (ahead, soon) in [(AHEAD, false), (AHEAD / 2, true)] {
                if let Some(place) = changes.get(position + ahead).and_then(|change| change.place) {
                    rows.announce_place(place, soon);
                }
            }
            let Some(place) = change.place else { continue };
            rows.at(place)?;
            counts.deleted += 1;
            match change.measures {
                Some(measures) => {
                    rows.set(&measures)?;
                    counts.inserted += 1;
                }
                None => rows.delete(),
            }
        }
        let hinted = hints.iter().flatten().count() > moved.len() / 2;
        let mut ahead = moved.iter().map(|moved| moved.key).filter(|_| !hinted);
        ahead.by_ref().take(AHEAD).try_for_each(|key| rows.announce(key))?;
        for (position, Moved { key, delta }) in moved.iter().enumerate() {
            let old = if hinted {
                for (ahead, soon) in [(AHEAD, false), (AHEAD / 2, true)] {
                    if let Some(place) = hints.get(position + ahead).copied().flatten() {
                        rows.announce_place(place, soon);
                    }
                }
                rows.find_hinted(*key, hints.get(position).copied().flatten())?
            } else {
                ahead.next().map_or(Ok(()), |key| rows.announce(key))?;
                rows.find_announced()?
            };
            let Ok(now) = delta.moved(&old.unwrap_or_default()) else {
                inconsistent.push(key.0);
                continue;
            };
            changed.push(*key);
            counts.deleted += u64::from(old.is_some());
            match (old, now) {
                (Some(_), Some(now)) => {
                    rows.set(&now)?;
                    counts.inserted += 1;
                }
                (Some(_), None) => rows.delete(),
                (None, now) => new.extend(cell(&Change {
                    key: *key,
                    place: None,
                    measures: now,
                })),
            }
        }
        Ok(())
    })?;
    changed.write(part.level, part.grain)?;
    if !new.is_empty() {
        counts.inserted += write_cells(None, results, client, combination, new.into_iter())?;
    }
    Ok(inconsistent)
}

fn cell(change: &Change) -> Option<Cell> {
    let (user, unit, period_start) = change.key;
    Some(Cell {
        unit,
        user,
        period_start,
        period: 0,
        measures: change.measures?,
    })
}

/// Makes room for one more value, at least doubling, after reserving the bytes.
///
/// # Errors
/// `Memory`.
pub(super) fn grow<T>(vec: &mut Vec<T>, reservation: &mut Reservation) -> Result<(), EngineError> {
    if vec.len() == vec.capacity() {
        let extra = vec.capacity().max(64);
        reservation.grow(extra * size_of::<T>())?;
        vec.reserve_exact(extra);
    }
    Ok(())
}
