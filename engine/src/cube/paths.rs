//! The dictionary of distinct paths, and the ranks of the units they name.

use super::error::CubeError;
use super::memory::{grow, grow_to};
use super::path::{Level, Path};
use crate::context::{Context, Reservation};
use crate::error::Result;

/// Distinct paths, numbered as they come. Open addressing over a power of two of slots, at most a quarter full: most look-ups end at their
/// first slot, and each further one is a wait for memory.
#[derive(Debug)]
pub(super) struct PathTable {
    paths: Vec<Path>,
    slots: Vec<u32>,
    reservation: Reservation,
}

const EMPTY: u32 = u32::MAX;
const SLOTS_PER_PATH: usize = 4;

impl PathTable {
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            paths: Vec::new(),
            slots: Vec::new(),
            reservation: ctx.reserve(0)?,
        })
    }

    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Forgets all paths, keeps the memory.
    pub fn clear(&mut self) {
        self.paths.clear();
        self.slots.fill(EMPTY);
    }

    /// The path's number, a new one for a new path.
    ///
    /// # Errors
    /// `Memory`, `Allocation`, or [`CubeError::TooMany`] beyond 2^32 - 1 paths.
    #[inline]
    pub fn intern(&mut self, path: &Path) -> Result<u32> {
        if self.slots.len() < (self.paths.len() + 1) * SLOTS_PER_PATH {
            self.rehash()?;
        }
        let mask = self.slots.len() - 1;
        let mut slot = path.hash() as usize & mask;
        loop {
            let number = self.slots[slot];
            match self.paths.get(number as usize) {
                Some(known) if known == path => return Ok(number),
                Some(_) => slot = (slot + 1) & mask,
                None => break,
            }
        }
        if self.paths.len() >= EMPTY as usize {
            let what = "distinct paths";
            return Err(CubeError::TooMany { what, max: EMPTY }.into());
        }
        grow(&mut self.paths, 1, &mut self.reservation)?;
        self.slots[slot] = self.paths.len() as u32;
        self.paths.push(*path);
        Ok(self.slots[slot])
    }

    /// The numbers of many paths, new ones in the order of `paths`.
    ///
    /// Once there are more paths than the caches hold, a look-up is two waits for memory, one after the other. Here the slots of all paths are
    /// read first, then the paths that those name, none waiting for another.
    ///
    /// # Errors
    /// As [`PathTable::intern`].
    pub fn intern_all(&mut self, paths: &[Path], numbers: &mut Vec<u32>) -> Result<()> {
        numbers.clear();
        match self.slots.len().checked_sub(1) {
            Some(mask) => numbers.extend(paths.iter().map(|path| self.slots[path.hash() as usize & mask])),
            None => numbers.resize(paths.len(), EMPTY),
        }
        for (number, path) in numbers.iter_mut().zip(paths) {
            if self.paths.get(*number as usize) != Some(path) {
                *number = EMPTY;
            }
        }
        for (number, path) in numbers.iter_mut().zip(paths) {
            if *number == EMPTY {
                *number = self.intern(path)?;
            }
        }
        Ok(())
    }

    /// Paths from a number on.
    pub fn since(&self, number: usize) -> &[Path] {
        &self.paths[number..]
    }

    fn rehash(&mut self) -> Result<()> {
        let slots = (self.slots.len() * 2).max(64);
        grow_to(&mut self.slots, slots, &mut self.reservation)?;
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        for (number, path) in self.paths.iter().enumerate() {
            let mut slot = path.hash() as usize & (slots - 1);
            while self.slots[slot] != EMPTY {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = number as u32;
        }
        Ok(())
    }
}

/// The units of one level, by rank: ascending id, so that sorting by rank is sorting by id.
#[derive(Debug, Default)]
pub(super) struct LevelUnits {
    /// Distinct unit ids, ascending.
    pub ids: Vec<i64>,
    /// Position in `ids` of each path's unit; [`NO_UNIT`] where the path names none.
    pub rank_of_path: Vec<u32>,
}

pub(super) const NO_UNIT: u32 = u32::MAX;

/// What the tasks need to know of every path in the table, as of the last [`Units::refresh`].
#[derive(Debug)]
pub(super) struct Units {
    levels: [LevelUnits; 5],
    /// Space id of each path.
    pub space_of_path: Vec<i64>,
    reservation: Reservation,
}

impl Units {
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            levels: Default::default(),
            space_of_path: Vec::new(),
            reservation: ctx.reserve(0)?,
        })
    }

    pub fn level(&self, level: Level) -> &LevelUnits {
        &self.levels[level.index()]
    }

    /// Forgets all paths, keeps the memory.
    pub fn clear(&mut self) {
        self.space_of_path.clear();
        for units in &mut self.levels {
            units.ids.clear();
            units.rank_of_path.clear();
        }
    }

    /// Takes in the paths that came since the last call; ranks change where new units sort between the old.
    ///
    /// # Errors
    /// `Memory`, `Allocation`.
    pub fn refresh(&mut self, table: &PathTable, levels: impl Iterator<Item = Level>) -> Result<()> {
        let known = self.space_of_path.len();
        let added = table.since(known);
        if added.is_empty() {
            return Ok(());
        }
        let reservation = &mut self.reservation;
        grow(&mut self.space_of_path, added.len(), reservation)?;
        // a path without space never reaches the table
        let spaces = added.iter().map(|p| p.unit(Level::Space).unwrap_or(0));
        self.space_of_path.extend(spaces);
        for level in levels {
            let LevelUnits { ids, rank_of_path } = &mut self.levels[level.index()];
            grow(ids, added.len(), reservation)?;
            ids.extend(added.iter().filter_map(|path| path.unit(level)));
            // the old ids are one sorted run, which this sort finds and merges
            ids.sort();
            ids.dedup();
            grow(rank_of_path, added.len(), reservation)?;
            rank_of_path.clear();
            rank_of_path.extend(table.paths.iter().map(|path| {
                path.unit(level)
                    .and_then(|id| ids.binary_search(&id).ok())
                    .map_or(NO_UNIT, |rank| rank as u32)
            }));
        }
        Ok(())
    }
}
