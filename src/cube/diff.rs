//! Computed cells into a part that may hold rows already: only what differs is written.

use empatia_engine::calendar::Grain;
use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{Cell, Level};
use empatia_engine::error::EngineError;

use super::changed::Changed;
use super::stored::{key_of, same, Key, Part};
use super::structure::Source;
use super::write_cells::{partition, write_cells};
use crate::error::Result;
use crate::pg::append::{lock_empty, Indexes};
use crate::pg::column::Tid;
use crate::pg::delete::delete_rows;
use crate::pg::write::Relation;

/// Stored rows read and deleted at a time.
pub(super) const PAGE: usize = 1 << 14;

/// What became of the rows of a part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Rows that it has now, where all were compared.
    pub cells: Option<u64>,
    pub inserted: u64,
    pub deleted: u64,
}

/// A part that cells come for in the order of their keys.
#[derive(Debug)]
pub(super) struct Target {
    pub level: Level,
    pub grain: Grain,
    /// The client has no rows to compare with.
    empty: bool,
    /// Rows are appended where nobody has any: [`Target::finish`] completes the indexes.
    appended: Option<Indexes>,
    /// Everything up to this key is done.
    behind: Option<Key>,
    pub counts: Counts,
    changed: Changed,
}

/// Buffers of the comparison, one set for all parts.
#[derive(Debug)]
pub(super) struct Differ {
    gone: Vec<Tid>,
    /// Positions of the cells to write.
    new: Vec<u32>,
    _reservation: Reservation,
}

impl Differ {
    /// # Errors
    /// [`EngineError::Memory`].
    pub fn new(context: &Context, chunk: usize) -> Result<Self, EngineError> {
        let reservation = context.reserve(PAGE * size_of::<Tid>() + chunk * size_of::<u32>())?;
        Ok(Self {
            gone: Vec::with_capacity(PAGE),
            new: Vec::with_capacity(chunk),
            _reservation: reservation,
        })
    }
}

fn relation<'a>(source: &'a Source, table: &'a str) -> Relation<'a> {
    Relation::Named {
        schema: &source.results_name,
        table,
    }
}

impl Target {
    /// Looks for rows; an empty part is locked, see [`lock_empty`].
    pub fn new(source: &Source, level: Level, grain: Grain, changed: Changed) -> Result<Self> {
        let part = Part { source, level, grain };
        let append = lock_empty(relation(source, &partition(level, grain)))?;
        Ok(Self {
            level,
            grain,
            empty: append || !part.holds_rows()?,
            appended: append.then(Indexes::default),
            behind: None,
            counts: Counts::default(),
            changed,
        })
    }

    /// Writes what differs between `cells`, the next ones of the part, and its rows up to the last of them; without cells,
    /// up to its end.
    pub fn take(&mut self, source: &Source, differ: &mut Differ, cells: &[Cell]) -> Result<()> {
        *self.counts.cells.get_or_insert(0) += cells.len() as u64;
        if self.empty {
            if !cells.is_empty() {
                cells.iter().for_each(|cell| self.changed.push(key_of(cell)));
                self.changed.write(self.level, self.grain)?;
                self.counts.inserted += self.write(source, cells.iter())?;
            }
            return Ok(());
        }
        let part = Part {
            source,
            level: self.level,
            grain: self.grain,
        };
        let to = cells.last().map(key_of);
        differ.new.clear();
        let mut next = 0;
        loop {
            differ.gone.clear();
            let (gone, new, changed) = (&mut differ.gone, &mut differ.new, &mut self.changed);
            let behind = &mut self.behind;
            let read = part.range(*behind, to, PAGE, |row| {
                *behind = Some(row.key);
                while let Some(cell) = cells.get(next).filter(|cell| key_of(cell) < row.key) {
                    changed.push(key_of(cell));
                    new.push(next as u32);
                    next += 1;
                }
                if let Some(cell) = cells.get(next).filter(|cell| key_of(cell) == row.key) {
                    next += 1;
                    if same(&cell.measures, &row.measures) {
                        return Ok(());
                    }
                    new.push(next as u32 - 1);
                }
                changed.push(row.key);
                gone.push(row.tid);
                Ok(())
            })?;
            self.counts.deleted += delete_rows(&source.results_name, &partition(self.level, self.grain), gone)?;
            self.changed.write(self.level, self.grain)?;
            if read < PAGE as u64 {
                break;
            }
        }
        for (position, cell) in cells.iter().enumerate().skip(next) {
            self.changed.push(key_of(cell));
            differ.new.push(position as u32);
        }
        self.changed.write(self.level, self.grain)?;
        self.behind = to;
        if !differ.new.is_empty() {
            let new = differ.new.iter().filter_map(|position| cells.get(*position as usize));
            self.counts.inserted += self.write(source, new)?;
        }
        Ok(())
    }

    pub fn is_appended(&self) -> bool {
        self.appended.is_some()
    }

    /// When all cells are there.
    pub fn finish(&mut self, source: &Source) -> Result<()> {
        match &mut self.appended {
            Some(indexes) => indexes.finish(relation(source, &partition(self.level, self.grain))),
            None => Ok(()),
        }
    }

    fn write<'a>(&mut self, source: &Source, cells: impl Iterator<Item = &'a Cell>) -> Result<u64> {
        write_cells(
            self.appended.as_mut(),
            &source.results_name,
            source.client_id,
            (self.level, self.grain),
            cells.copied(),
        )
    }
}
