//! The classes of a part of the cube as they are stored: read, compared with what they should be, and brought up to date.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::data::{CellKey, LookUp};
use pgrx::prelude::*;

use super::part::{by_users, key_of, look_for_interrupts, Part};
use crate::error::{Error, Result};
use crate::pg::append::{append_rows, lock_empty, Indexes};
use crate::pg::column::ColumnType::{self, Date, Int2, Int4, Int8, Text, Tid};
use crate::pg::column::Tid as Place;
use crate::pg::freed_later::FreedLater;
use crate::pg::read::query;
use crate::pg::row_writer::RowWriter;
use crate::pg::write::{copy_rows, Relation};

const COLUMNS: [(&str, ColumnType); 7] = [
    ("client_id", Int4),
    ("level", Text),
    ("grain", Text),
    ("user_id", Int8),
    ("unit_id", Int8),
    ("period_start", Date),
    ("class", Int2),
];
/// New rows that are written at once; a COPY costs about as much to start as 100 rows to write.
const CHUNK: usize = 1 << 14;
/// Rows that one DELETE names.
const DELETED: usize = 1 << 14;
/// Instead of a class: the row has none any more.
const GONE: i16 = i16::MIN;

/// A stored class, and what it should be.
#[derive(Debug)]
struct Stored {
    block: u32,
    position: u16,
    class: i16,
    wanted: i16,
}

/// What was written to the classes of a part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Rows that got a class, or another one.
    pub rows: u64,
    /// Rows deleted because there is no cell any more.
    pub removed: u64,
}

/// The classes of a client's part of the cube, of some users.
pub(super) struct Classes<'a> {
    part: &'a Part,
    /// Schema of the results, not quoted.
    results: &'a str,
    client: i32,
    appended: Option<&'a mut Indexes>,
    stored: FreedLater<LookUp<Stored>>,
    /// Of cells that had no class, to be written.
    added: Vec<(CellKey, i16)>,
    written: Written,
    _added: Reservation,
}

impl<'a> Classes<'a> {
    /// The indexes, where the classes of a part are appended, since there are none, of no client: [`Classes::index`] completes them when
    /// all are written.
    ///
    /// # Errors
    /// As [`lock_empty`].
    pub fn appended(part: &Part, results: &str) -> Result<Option<Indexes>> {
        let table = part.partition("cube_class");
        let empty = lock_empty(Relation::Named {
            schema: results,
            table: &table,
        })?;
        Ok(empty.then(Indexes::default))
    }

    /// Builds the indexes, where rows were appended.
    ///
    /// # Errors
    /// As [`Indexes::finish`].
    pub fn index(appended: Option<Indexes>, part: &Part, results: &str) -> Result<()> {
        let table = part.partition("cube_class");
        let relation = Relation::Named {
            schema: results,
            table: &table,
        };
        appended.map_or(Ok(()), |mut indexes| indexes.finish(relation))
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// 53200 when it does not fit the budget of `ctx`.
    pub fn read(
        ctx: &Context,
        part: &'a Part,
        results: &'a str,
        client: i32,
        users: &RangeInclusive<i64>,
        appended: Option<&'a mut Indexes>,
    ) -> Result<Self> {
        let _added = ctx.reserve_for::<(CellKey, i16)>(CHUNK)?;
        let mut stored = FreedLater::new(LookUp::new(ctx)?);
        let select = format!(
            "SELECT k.user_id, k.unit_id, k.period_start, k.class, k.ctid FROM {} k WHERE k.client_id = $1",
            part.table(&part.partition("cube_class"))
        );
        by_users(&select, "k", client, users, |sql, args| {
            query(sql, args, &[Int8, Int8, Date, Int2, Tid], |row| {
                let (Some(class), Some(Place { block, position })) = (row.i16(3), row.tid(4)) else {
                    return Err(Error::internal("found a class that is null"));
                };
                let wanted = GONE;
                Ok(stored.push(
                    key_of(row, 0)?,
                    Stored {
                        block,
                        position,
                        class,
                        wanted,
                    },
                )?)
            })
        })?;
        Ok(Self {
            part,
            results,
            client,
            appended,
            stored,
            added: Vec::with_capacity(CHUNK),
            written: Written::default(),
            _added,
        })
    }

    /// Sets the class of a cell; new ones are written now and then, the others by [`Classes::finish`].
    ///
    /// # Errors
    /// As [`copy_rows`].
    #[inline]
    pub fn set(&mut self, key: CellKey, class: i16) -> Result<()> {
        match self.stored.find(key, look_for_interrupts) {
            Some(stored) => stored.wanted = class,
            None => {
                self.added.push((key, class));
                if self.added.len() == CHUNK {
                    self.write_added()?;
                }
            }
        }
        Ok(())
    }

    /// Writes what differs: cells that were not set since reading lose their class.
    ///
    /// # Errors
    /// As [`copy_rows`]; raises what the DELETE raises.
    pub fn finish(mut self) -> Result<Written> {
        self.write_added()?;
        self.delete_differing()?;
        let wanted = |stored: &Stored| stored.wanted != GONE && stored.wanted != stored.class;
        let mut changed = self.stored.iter().filter(|(_, stored)| wanted(stored)).peekable();
        if changed.peek().is_some() {
            let rows = self.target().copy(self.appended.as_deref_mut(), || {
                changed.next().map(|(key, stored)| (*key, stored.wanted))
            })?;
            self.written.rows += rows;
        }
        drop(changed);
        // the next range of users needs the room
        self.stored.free();
        Ok(self.written)
    }

    fn delete_differing(&mut self) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} k WHERE k.ctid = ANY ($1::text::tid[]) AND k.client_id = $2",
            self.part.table(&self.part.partition("cube_class"))
        );
        // A place cannot have become another row's since it was read: rows that the snapshot of the calling statement
        // sees are not vacuumed, and the lock taken by reading keeps the table from being rewritten.
        let mut places = String::new();
        let mut named = 0;
        for (_, stored) in self.stored.iter().filter(|(_, stored)| stored.wanted != stored.class) {
            let separator = if named == 0 { '{' } else { ',' };
            let _ = write!(places, "{separator}\"({},{})\"", stored.block, stored.position);
            named += 1;
            self.written.removed += u64::from(stored.wanted == GONE);
            if named == DELETED {
                delete(&sql, &mut places, self.client)?;
                named = 0;
            }
        }
        if named > 0 {
            delete(&sql, &mut places, self.client)?;
        }
        Ok(())
    }

    fn write_added(&mut self) -> Result<()> {
        if !self.added.is_empty() {
            let mut rows = self.added.iter().copied();
            self.written.rows += self.target().copy(self.appended.as_deref_mut(), || rows.next())?;
            self.added.clear();
        }
        Ok(())
    }

    fn target(&self) -> Target<'a> {
        Target {
            part: self.part,
            results: self.results,
            client: self.client,
        }
    }
}

/// Where classes go.
#[derive(Clone, Copy)]
struct Target<'a> {
    part: &'a Part,
    results: &'a str,
    client: i32,
}

impl Target<'_> {
    fn copy(self, appended: Option<&mut Indexes>, mut next: impl FnMut() -> Option<(CellKey, i16)>) -> Result<u64> {
        let table = self.part.partition("cube_class");
        let relation = Relation::Named {
            schema: self.results,
            table: &table,
        };
        match appended {
            None => copy_rows(relation, &COLUMNS, |row| Ok(self.write(row, next()))),
            Some(indexes) => append_rows(relation, &COLUMNS, indexes, |row| Ok(self.write(row, next()))),
        }
    }

    #[inline]
    fn write(self, row: &mut impl RowWriter, class: Option<(CellKey, i16)>) -> bool {
        let Some((key, class)) = class else {
            return false;
        };
        row.i32(self.client);
        row.text(self.part.level());
        row.text(self.part.grain());
        row.i64(key.user);
        row.i64(key.unit);
        row.date(key.day);
        row.i16(class);
        true
    }
}

fn delete(sql: &str, places: &mut String, client: i32) -> Result<()> {
    places.push('}');
    Spi::run_with_args(sql, &[places.as_str().into(), client.into()])
        .map_err(|e| Error::internal(format!("cannot delete classes: {e}")))?;
    places.clear();
    Ok(())
}
