//! Rows made in Rust into an empty table, page by page, and into its indexes leaf by leaf: a fraction of the time that COPY takes, which
//! looks the place up of every row in every index and writes every page twice.
//!
//! What makes this sound: the table has not one page when [`lock_empty`] says yes, so that nothing but these rows is missing
//! in the indexes; from then on nobody else can write to it or look into its indexes, until the transaction ends;
//! and a transaction that ends early leaves rows that nobody sees, which need no entries. Whoever calls [`append_rows`]
//! calls [`Indexes::finish`] before anything reads the table.

use std::ffi::c_int;

use pgrx::prelude::*;

use super::column::{ColumnType, Tid};
use super::heap_pages::{self, HeapPages};
pub use super::index_build::BUILD_BYTES;
use super::index_build::{note_size, IndexBuild};
use super::memory::{child_context, RestoreContext};
use super::row_writer::RowWriter;
use super::settings::with_compressed_log;
use super::snapshot::with_active_snapshot;
use super::write::{open, prepare, to_cstring, Relation};
use crate::error::{Error, Result};

/// Whether rows may be appended to `relation` without its indexes: it is an ordinary table without a page, has nothing that
/// looks at each row (triggers, checks, generated columns, row-level security, logical decoding), and nobody uses it, or is asked to wait:
/// then it is locked against writers, its indexes against everybody.
///
/// # Errors
/// Raised: an unknown table (42P01).
pub fn lock_empty(relation: Relation<'_>) -> Result<bool> {
    let table = open(relation)?;
    // SAFETY: open and locked until the transaction ends; the list is allocated in the current memory context.
    unsafe {
        let empty = is_plain(table) && pages(table) == 0 && lock(table) && pages(table) == 0;
        pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
        Ok(empty)
    }
}

/// # Safety
/// `table` is open.
unsafe fn is_plain(table: pg_sys::Relation) -> bool {
    // SAFETY: by contract; the descriptor of a relation is never null, its constraints may be.
    unsafe {
        let class = &*(*table).rd_rel;
        let constraints = (*(*table).rd_att).constr.as_ref();
        class.relkind as u8 == pg_sys::RELKIND_RELATION
            && !class.relhastriggers
            && !class.relrowsecurity
            && heap_pages::takes(table)
            && constraints.is_none_or(|found| found.num_check == 0 && !found.has_generated_stored)
    }
}

/// # Safety
/// `table` is open.
unsafe fn pages(table: pg_sys::Relation) -> u32 {
    // SAFETY: by contract.
    unsafe { pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM) }
}

/// Locks without waiting; locks that were granted before one was not are harmless.
///
/// # Safety
/// `table` is open.
unsafe fn lock(table: pg_sys::Relation) -> bool {
    // SAFETY: by contract; the list is one of OIDs.
    unsafe {
        let writers = pg_sys::ShareRowExclusiveLock as pg_sys::LOCKMODE;
        let everybody = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;
        pg_sys::ConditionalLockRelationOid((*table).rd_id, writers)
            && indexes_of(table)
                .into_iter()
                .all(|index| pg_sys::ConditionalLockRelationOid(index, everybody))
    }
}

/// # Safety
/// `table` is open.
unsafe fn indexes_of(table: pg_sys::Relation) -> Vec<pg_sys::Oid> {
    // SAFETY: by contract; the list is one of OIDs.
    unsafe {
        let list = pg_sys::RelationGetIndexList(table);
        let count = list.as_ref().map_or(0, |list| list.length as usize);
        (0..count).map(|i| (*(*list).elements.add(i)).oid_value).collect()
    }
}

/// The indexes of a table that rows are appended to.
#[derive(Default)]
pub struct Indexes {
    begun: bool,
    builds: Vec<IndexBuild>,
    /// Those that PostgreSQL builds when all rows are there.
    others: Vec<pg_sys::Oid>,
    rows: u64,
}

impl std::fmt::Debug for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} indexes with {} rows", self.builds.len(), self.rows)
    }
}

impl Indexes {
    /// # Safety
    /// `table` is open and locked, its indexes are locked: [`lock_empty`].
    unsafe fn open(&mut self, table: pg_sys::Relation) {
        // SAFETY: by contract.
        unsafe {
            if !std::mem::replace(&mut self.begun, true) {
                // an index has to know all rows of its table
                let empty = pages(table) == 0;
                for index in indexes_of(table) {
                    match empty.then(|| IndexBuild::new(table, index)).flatten() {
                        Some(build) => self.builds.push(build),
                        None => self.others.push(index),
                    }
                }
            }
            self.builds.iter_mut().for_each(|build| build.open());
        }
    }

    /// # Safety
    /// They are open.
    unsafe fn close(&mut self) {
        // SAFETY: by contract.
        self.builds.iter_mut().for_each(|build| unsafe { build.close() });
    }

    /// # Safety
    /// They are open; `values` are those of the row at `row`.
    #[inline]
    unsafe fn add(&mut self, values: *const pg_sys::Datum, row: Tid) {
        self.rows += 1;
        for build in &mut self.builds {
            // SAFETY: by contract.
            unsafe { build.add(values, row) };
        }
    }

    /// When all rows of `relation` are there: they can be read from now on.
    ///
    /// # Errors
    /// Raised: a key that is there twice (23505).
    pub fn finish(&mut self, relation: Relation<'_>) -> Result<()> {
        let table = open(relation)?;
        // SAFETY: the table and its indexes are locked since `lock_empty`; both are closed before PostgreSQL builds any.
        unsafe {
            self.open(table);
            heap_pages::sync(table);
            with_compressed_log(|| {
                for build in &mut self.builds {
                    if build.finish().is_none() {
                        self.others.push(build.oid);
                    }
                }
            });
            self.close();
            note_size(table, pages(table), self.rows);
            let persistence = (*(*table).rd_rel).relpersistence;
            pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
            pg_sys::CommandCounterIncrement();
            with_compressed_log(|| {
                let others = self.others.drain(..);
                others.for_each(|index| rebuild(index, persistence));
            });
        }
        Ok(())
    }
}

/// Builds an index from the table's rows; a key that is there twice is raised.
///
/// # Safety
/// `index` is one that nobody uses, locked against everybody.
unsafe fn rebuild(index: pg_sys::Oid, persistence: std::ffi::c_char) {
    let mut params = pg_sys::ReindexParams {
        options: 0,
        tablespaceOid: pg_sys::InvalidOid,
    };
    // SAFETY: by contract.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
        pg_sys::reindex_index(index, false, persistence, &mut params);
        #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
        pg_sys::reindex_index(std::ptr::null(), index, false, persistence, &mut params);
        pg_sys::CommandCounterIncrement();
    }
}

/// Appends rows, every column given, to a table of which [`lock_empty`] said yes in this transaction; `indexes`, the same ones in each
/// call, do not know them until [`Indexes::finish`]. Otherwise as [`copy_rows`](super::write::copy_rows), also for rights.
///
/// # Errors
/// Returned: 42804 and 0A000 as there, and what `produce` returned. Raised: no INSERT privilege (42501), a row that the
/// partition does not take (23514; the first of a batch is checked, so `produce` must not change the partition's key).
pub fn append_rows(
    relation: Relation<'_>,
    columns: &[(&str, ColumnType)],
    indexes: &mut Indexes,
    mut produce: impl FnMut(&mut AppendRow<'_>) -> Result<bool>,
) -> Result<u64> {
    let names = columns
        .iter()
        .map(|(name, _)| to_cstring(name))
        .collect::<Result<Vec<_>>>()?;
    let types: Vec<ColumnType> = columns.iter().map(|(_, column_type)| *column_type).collect();
    let append = || {
        let restore = RestoreContext::new();
        let context = child_context(c"empatia append");
        // SAFETY: just made. It is deleted only where nothing was raised; else it goes with its parent.
        unsafe { pg_sys::CurrentMemoryContext = context };
        let table = open(relation)?;
        // SAFETY: `table` is open and locked; what `prepare` allocates lives in the context.
        let (_, numbers) = unsafe { prepare(table, &names, &types)? };
        // SAFETY: as above.
        let mut appender = unsafe { Appender::new(table, numbers, &types) }?;
        // SAFETY: as above, and `lock_empty` locked the indexes.
        unsafe { indexes.open(table) };
        let done = appender.run(indexes, &mut produce);
        // SAFETY: opened above.
        unsafe { indexes.close() };
        appender.close();
        drop(restore);
        // SAFETY: opened above; the lock is kept until the transaction ends. Nothing of the context is used any more.
        unsafe {
            pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
            pg_sys::MemoryContextDelete(context);
            pg_sys::CommandCounterIncrement();
        }
        done
    };
    with_active_snapshot(|| with_compressed_log(append))
}

/// One call's work.
struct Appender<'a> {
    types: &'a [ColumnType],
    numbers: Vec<i32>,
    /// Every row in turn.
    slot: *mut pg_sys::TupleTableSlot,
    table: pg_sys::Relation,
    pages: HeapPages,
    /// The last text of each column and its datum: the same in most rows.
    texts: Vec<(String, pg_sys::Datum)>,
}

impl<'a> Appender<'a> {
    /// # Safety
    /// `table` is open, locked, and stays so; `numbers` are its attribute numbers.
    unsafe fn new(table: pg_sys::Relation, numbers: Vec<i32>, types: &'a [ColumnType]) -> Result<Self> {
        // SAFETY: by contract; everything lives in the current memory context.
        unsafe {
            if numbers.len() != (*(*table).rd_att).natts as usize {
                return Err(Error::internal("expected every column of the table in an append"));
            }
            pg_sys::pgstat_progress_start_command(pg_sys::ProgressCommandType::PROGRESS_COMMAND_COPY, (*table).rd_id);
            Ok(Self {
                types,
                slot: pg_sys::table_slot_create(table, std::ptr::null_mut()),
                table,
                pages: HeapPages::new(table),
                texts: vec![(String::new(), pg_sys::Datum::from(0usize)); numbers.len()],
                numbers,
            })
        }
    }

    fn run(
        &mut self,
        indexes: &mut Indexes,
        produce: &mut dyn FnMut(&mut AppendRow<'_>) -> Result<bool>,
    ) -> Result<u64> {
        let mut rows = 0;
        loop {
            let mut row = AppendRow {
                slot: self.slot,
                types: self.types,
                numbers: &self.numbers,
                texts: &mut self.texts,
                written: 0,
                matches: true,
            };
            if !produce(&mut row)? {
                break;
            }
            row.finish()?;
            if rows == 0 {
                self.check_partition();
            }
            // SAFETY: every column of the slot was set.
            let page_filled = unsafe {
                let values = (*self.slot).tts_values;
                let filled = self.pages.add(values, (*self.slot).tts_isnull)?;
                indexes.add(values, self.pages.last());
                filled
            };
            rows += 1;
            if page_filled {
                // SAFETY: plain calls; an interrupt raises.
                unsafe {
                    pg_sys::pgstat_progress_update_param(pg_sys::PROGRESS_COPY_TUPLES_PROCESSED as c_int, rows as i64)
                };
                pg_sys::check_for_interrupts!();
            }
        }
        self.pages.finish();
        Ok(rows)
    }

    /// Raises for a row of another partition.
    fn check_partition(&mut self) {
        // SAFETY: the slot's columns are set; executor state and result relation live for this call.
        unsafe {
            let executor = pg_sys::CreateExecutorState();
            let result: *mut pg_sys::ResultRelInfo = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast();
            pg_sys::InitResultRelInfo(result, self.table, 0, std::ptr::null_mut(), 0);
            pg_sys::ExecStoreVirtualTuple(self.slot);
            if (*(*self.table).rd_rel).relispartition {
                pg_sys::ExecPartitionCheck(result, self.slot, executor, true);
            }
            pg_sys::ExecClearTuple(self.slot);
            pg_sys::FreeExecutorState(executor);
        }
    }

    fn close(self) {
        // SAFETY: made by `new`.
        unsafe {
            pg_sys::pgstat_progress_end_command();
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
        }
    }
}

/// The row being written: one call per column, in the declared order, no nulls.
pub struct AppendRow<'a> {
    slot: *mut pg_sys::TupleTableSlot,
    types: &'a [ColumnType],
    numbers: &'a [i32],
    texts: &'a mut [(String, pg_sys::Datum)],
    written: usize,
    matches: bool,
}

impl AppendRow<'_> {
    fn finish(self) -> Result<()> {
        if self.matches && self.written == self.types.len() {
            Ok(())
        } else {
            Err(Error::internal(
                "a row that was appended does not have the declared columns",
            ))
        }
    }

    #[inline]
    fn put(&mut self, column_type: ColumnType, datum: pg_sys::Datum) {
        if self.types.get(self.written) != Some(&column_type) {
            self.matches = false;
            return;
        }
        let index = self.numbers[self.written] as usize - 1;
        // SAFETY: attribute numbers are those of the slot's row type.
        unsafe {
            *(*self.slot).tts_values.add(index) = datum;
            *(*self.slot).tts_isnull.add(index) = false;
        }
        self.written += 1;
    }
}

impl RowWriter for AppendRow<'_> {
    #[inline]
    fn i16(&mut self, value: i16) {
        self.put(ColumnType::Int2, pg_sys::Datum::from(value));
    }

    #[inline]
    fn i32(&mut self, value: i32) {
        self.put(ColumnType::Int4, pg_sys::Datum::from(value));
    }

    #[inline]
    fn i64(&mut self, value: i64) {
        self.put(ColumnType::Int8, pg_sys::Datum::from(value));
    }

    #[inline]
    fn f64(&mut self, value: f64) {
        self.put(ColumnType::Float8, pg_sys::Datum::from(value.to_bits()));
    }

    #[inline]
    fn date(&mut self, value: i32) {
        self.put(ColumnType::Date, pg_sys::Datum::from(value));
    }

    #[inline]
    fn text(&mut self, value: &str) {
        let Some((last, datum)) = self.texts.get_mut(self.written) else {
            self.matches = false;
            return;
        };
        if datum.is_null() || last != value {
            value.clone_into(last);
            // SAFETY: copied into the current memory context, which outlives the call of append_rows.
            *datum = unsafe { pg_sys::cstring_to_text_with_len(value.as_ptr().cast(), value.len() as c_int) }.into();
        }
        let datum = *datum;
        self.put(ColumnType::Text, datum);
    }
}
