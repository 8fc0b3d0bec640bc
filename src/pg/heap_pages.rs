//! Pages of a heap, filled in memory and appended whole.
//!
//! This is how PostgreSQL itself writes a table or an index of which it knows that nobody else does (rewriteheap.c,
//! nbtsort.c): no buffer is looked up per row, and no page is first extended with zeros and written again when it is evicted.
//! Each page is logged whole, and the log is on disk before the page is: these pages stay in the file when the transaction is undone, so
//! that after a crash one written in part must be written again from the log, and the number of a transaction that the log does not
//! know would be given to another one, whose rows could not be told from these. Pages are synced before the transaction may commit, because
//! a checkpoint does not know of pages outside the shared buffers.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use super::column::Tid;
use super::memory::{child_context, RestoreContext};
use super::row_template::RowTemplate;
use crate::error::{Error, Result};

const PAGE: usize = pg_sys::BLCKSZ as usize;
/// Beyond it a row would have to be toasted.
const MOST_BYTES: usize = PAGE / 4;
const WAL_LEVEL_LOGICAL: c_int = 2;
/// Pages that are written together, after one wait for the log.
const BATCH: usize = 512;

/// Whether pages of this table can be made here: a heap, not a temporary one, that nobody decodes logically from
/// the log; and no serializable transaction, which would have to look for conflicts row by row.
///
/// # Safety
/// `table` is open.
pub(super) unsafe fn takes(table: pg_sys::Relation) -> bool {
    // SAFETY: by contract.
    unsafe {
        std::ptr::eq((*table).rd_tableam, pg_sys::GetHeapamTableAmRoutine())
            && (*(*table).rd_rel).relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP
            && pg_sys::wal_level < WAL_LEVEL_LOGICAL
            && pg_sys::XactIsoLevel < pg_sys::XACT_SERIALIZABLE as c_int
    }
}

/// Waits until the table's pages are on disk.
///
/// # Safety
/// `table` is open.
pub(super) unsafe fn sync(table: pg_sys::Relation) {
    // SAFETY: by contract.
    unsafe {
        pg_sys::smgrimmedsync(storage(table), pg_sys::ForkNumber::MAIN_FORKNUM);
    }
}

/// # Safety
/// `table` is open.
pub(super) unsafe fn is_logged(table: pg_sys::Relation) -> bool {
    // SAFETY: by contract.
    unsafe { (*(*table).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT }
}

/// Logs a whole page, unless the relation is one that the log does not know; where the record ends.
///
/// # Safety
/// `relation` is open; the page is whole.
pub(super) unsafe fn log_page(
    relation: pg_sys::Relation,
    block: u32,
    page: pg_sys::Page,
) -> Option<pg_sys::XLogRecPtr> {
    // SAFETY: by contract.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let node = &mut (*relation).rd_node;
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let node = &mut (*relation).rd_locator;
        is_logged(relation).then(|| pg_sys::log_newpage(node, pg_sys::ForkNumber::MAIN_FORKNUM, block, page, true))
    }
}

/// # Safety
/// `table` is open.
pub(super) unsafe fn storage(table: pg_sys::Relation) -> pg_sys::SMgrRelation {
    // SAFETY: by contract.
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    unsafe {
        pg_sys::smgropen((*table).rd_node, (*table).rd_backend)
    }
    // SAFETY: by contract.
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    unsafe {
        pg_sys::smgropen((*table).rd_locator, (*table).rd_backend)
    }
}

/// What RelationGetTargetPageFreeSpace() says.
///
/// # Safety
/// `table` is open, a heap.
unsafe fn spare(table: pg_sys::Relation) -> usize {
    // SAFETY: by contract; the options of a heap are these, or none.
    let options = unsafe { (*table).rd_options.cast::<pg_sys::StdRdOptions>().as_ref() };
    let percent = options.map_or(pg_sys::HEAP_DEFAULT_FILLFACTOR as usize, |options| {
        options.fillfactor as usize
    });
    PAGE * 100usize.saturating_sub(percent) / 100
}

/// Appends rows to a table that only this backend writes to.
pub(super) struct HeapPages {
    table: pg_sys::Relation,
    /// As many pages as a batch has.
    pages: *mut c_char,
    /// Those that are full.
    full: usize,
    /// Where the first of them will be.
    first: pg_sys::BlockNumber,
    /// Rows on the page after these.
    rows: u16,
    /// Up to where the log has to be on disk before the full pages are.
    logged: pg_sys::XLogRecPtr,
    /// Bytes of each page that stay free for new versions of its rows, as the table's fillfactor says.
    spare: usize,
    transaction: pg_sys::TransactionId,
    command: pg_sys::CommandId,
    template: Option<RowTemplate>,
    /// Rows that the template does not make.
    scratch: pg_sys::MemoryContext,
}

impl HeapPages {
    /// Starts after the last page of the table.
    ///
    /// # Safety
    /// `table` is open and locked against writers for as long as the result is used; [`takes`] it.
    pub unsafe fn new(table: pg_sys::Relation) -> Self {
        // SAFETY: by contract; memory comes from the current context.
        unsafe {
            let pages = Self {
                table,
                // each page is cleared when it is begun
                pages: pg_sys::palloc(BATCH * PAGE).cast(),
                full: 0,
                first: pg_sys::smgrnblocks(storage(table), pg_sys::ForkNumber::MAIN_FORKNUM),
                rows: 0,
                logged: 0,
                spare: spare(table),
                transaction: pg_sys::GetCurrentTransactionId(),
                command: pg_sys::GetCurrentCommandId(true),
                template: None,
                scratch: child_context(c"empatia page"),
            };
            pg_sys::PageInit(pages.page(0).cast(), PAGE, 0);
            pages
        }
    }

    /// A page of the batch.
    fn page(&self, index: usize) -> *mut c_char {
        debug_assert!(index < BATCH);
        // SAFETY: the batch has so many pages.
        unsafe { self.pages.add(index * PAGE) }
    }

    /// Number in the file of a page of the batch.
    fn block(&self, index: usize) -> pg_sys::BlockNumber {
        self.first + index as pg_sys::BlockNumber
    }

    /// Where the row is that was added last.
    #[inline]
    pub fn last(&self) -> Tid {
        Tid {
            block: self.block(self.full),
            position: self.rows,
        }
    }

    /// Adds a row; returns whether it begins a page.
    ///
    /// # Errors
    /// XX000 for a row that does not fit into a quarter of a page.
    ///
    /// # Safety
    /// Both arrays have an entry per column of the table.
    #[inline]
    pub unsafe fn add(&mut self, values: *mut pg_sys::Datum, nulls: *mut bool) -> Result<bool> {
        // SAFETY: by contract.
        unsafe {
            if let Some(mut template) = self.template.take() {
                let fits = template.fill(values);
                if fits {
                    let begins = self.place(template.header(), template.length())?;
                    self.template = Some(template);
                    return Ok(begins);
                }
            }
            self.add_formed(values, nulls)
        }
    }

    /// # Safety
    /// As [`Self::add`].
    #[cold]
    unsafe fn add_formed(&mut self, values: *mut pg_sys::Datum, nulls: *mut bool) -> Result<bool> {
        // SAFETY: by contract; the tuple is the scratch context's.
        unsafe {
            let restore = RestoreContext::new();
            pg_sys::CurrentMemoryContext = self.scratch;
            let row_type = (*self.table).rd_att;
            let tuple = pg_sys::heap_form_tuple(row_type, values, nulls);
            self.template = RowTemplate::observe(row_type, values, nulls);
            drop(restore);
            let begins = self.place((*tuple).t_data, (*tuple).t_len as usize)?;
            pg_sys::MemoryContextReset(self.scratch);
            Ok(begins)
        }
    }

    /// Puts a row on the page, the next one where it is full.
    ///
    /// # Safety
    /// `row` is a tuple of `length` bytes.
    #[inline]
    unsafe fn place(&mut self, row: pg_sys::HeapTupleHeader, length: usize) -> Result<bool> {
        if length > MOST_BYTES {
            return Err(Error::internal(format!(
                "expected a row of at most {MOST_BYTES} bytes, found {length}"
            )));
        }
        // SAFETY: by contract; the page is one, and the row fits.
        unsafe {
            let wanted = length.next_multiple_of(8) + self.spare;
            let full = self.rows > 0 && pg_sys::PageGetHeapFreeSpace(self.page(self.full).cast()) < wanted;
            if full {
                self.finish_page();
            }
            self.rows += 1;
            self.stamp(row);
            let heap = pg_sys::PAI_IS_HEAP as c_int;
            let place = pg_sys::PageAddItemExtended(self.page(self.full).cast(), row.cast(), length, 0, heap);
            if place != self.rows {
                return Err(Error::internal(format!(
                    "expected place {} of a heap page, found {place}",
                    self.rows
                )));
            }
            Ok(full)
        }
    }

    /// What heap_insert() writes into the header of a new row.
    ///
    /// # Safety
    /// `header` is that of a tuple in memory.
    unsafe fn stamp(&self, header: pg_sys::HeapTupleHeader) {
        // SAFETY: by contract.
        unsafe {
            let header = &mut *header;
            header.t_infomask &= !(pg_sys::HEAP_XACT_MASK as u16);
            header.t_infomask2 &= !(pg_sys::HEAP2_XACT_MASK as u16);
            header.t_infomask |= pg_sys::HEAP_XMAX_INVALID as u16;
            header.t_choice.t_heap.t_xmin = self.transaction;
            header.t_choice.t_heap.t_xmax = pg_sys::InvalidTransactionId;
            header.t_choice.t_heap.t_field3.t_cid = self.command;
            let block = self.block(self.full);
            header.t_ctid.ip_blkid.bi_hi = (block >> 16) as u16;
            header.t_ctid.ip_blkid.bi_lo = block as u16;
            header.t_ctid.ip_posid = self.rows;
        }
    }

    /// Writes what has not been written yet.
    pub fn finish(&mut self) {
        if self.rows > 0 {
            self.finish_page();
        }
        self.write();
    }

    /// Logs the page that is being filled, and begins the next.
    fn finish_page(&mut self) {
        // SAFETY: the table is open; the page is whole, and its number is the table's next.
        unsafe {
            let page = self.page(self.full).cast();
            self.logged = log_page(self.table, self.block(self.full), page).unwrap_or(self.logged);
            pg_sys::pgstat_count_heap_insert(self.table, pg_sys::PgStat_Counter::from(self.rows));
        }
        self.full += 1;
        self.rows = 0;
        if self.full == BATCH {
            self.write();
        }
        // SAFETY: there is a page after the full ones.
        unsafe { pg_sys::PageInit(self.page(self.full).cast(), PAGE, 0) };
    }

    /// Writes the full pages.
    fn write(&mut self) {
        let main = pg_sys::ForkNumber::MAIN_FORKNUM;
        // SAFETY: the table is open; the pages are whole, and their numbers are the table's next.
        unsafe {
            if self.full > 0 && is_logged(self.table) {
                pg_sys::XLogFlush(self.logged);
            }
            for index in 0..self.full {
                let (page, block) = (self.page(index), self.block(index));
                pg_sys::PageSetChecksumInplace(page.cast(), block);
                pg_sys::smgrextend(storage(self.table), main, block, page.cast(), true);
            }
        }
        self.first = self.block(self.full);
        self.full = 0;
    }
}
