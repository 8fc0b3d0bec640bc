//! Pages of a heap, filled in memory and appended whole.
//!
//! This is how PostgreSQL itself writes a table or an index of which it knows that nobody else does (rewriteheap.c,
//! nbtsort.c): no buffer is looked up per row, and no page is first extended with zeros and written again when it is evicted.
//! Each page is logged whole before it is written, and synced before the transaction may commit, because a checkpoint
//! does not know of pages outside the shared buffers.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use super::memory::{child_context, RestoreContext};
use super::row_template::RowTemplate;
use crate::error::{Error, Result};

const PAGE: usize = pg_sys::BLCKSZ as usize;
/// Beyond it a row would have to be toasted.
const MOST_BYTES: usize = PAGE / 4;
const WAL_LEVEL_LOGICAL: c_int = 2;

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
unsafe fn is_logged(table: pg_sys::Relation) -> bool {
    // SAFETY: by contract.
    unsafe { (*(*table).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT }
}

/// # Safety
/// `table` is open.
unsafe fn storage(table: pg_sys::Relation) -> pg_sys::SMgrRelation {
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
    page: *mut c_char,
    /// Where the page will be.
    block: pg_sys::BlockNumber,
    rows: u16,
    /// Whether the log on disk knows of this transaction.
    flushed: bool,
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
                page: pg_sys::palloc0(PAGE).cast(),
                block: pg_sys::smgrnblocks(storage(table), pg_sys::ForkNumber::MAIN_FORKNUM),
                rows: 0,
                flushed: false,
                spare: spare(table),
                transaction: pg_sys::GetCurrentTransactionId(),
                command: pg_sys::GetCurrentCommandId(true),
                template: None,
                scratch: child_context(c"empatia page"),
            };
            pg_sys::PageInit(pages.page.cast(), PAGE, 0);
            pages
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
            let full = self.rows > 0 && pg_sys::PageGetHeapFreeSpace(self.page.cast()) < wanted;
            if full {
                self.finish();
            }
            self.rows += 1;
            self.stamp(row);
            let heap = pg_sys::PAI_IS_HEAP as c_int;
            let place = pg_sys::PageAddItemExtended(self.page.cast(), row.cast(), length, 0, heap);
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
            header.t_ctid.ip_blkid.bi_hi = (self.block >> 16) as u16;
            header.t_ctid.ip_blkid.bi_lo = self.block as u16;
            header.t_ctid.ip_posid = self.rows;
        }
    }

    /// Writes the page, if there are rows on it, and begins the next.
    pub fn finish(&mut self) {
        if self.rows == 0 {
            return;
        }
        self.write();
        self.block += 1;
        self.rows = 0;
        // SAFETY: the page has PAGE bytes.
        unsafe { pg_sys::PageInit(self.page.cast(), PAGE, 0) };
    }

    fn write(&mut self) {
        // SAFETY: the table is open; the page is whole, and its number is the table's next.
        unsafe {
            let main = pg_sys::ForkNumber::MAIN_FORKNUM;
            if is_logged(self.table) {
                #[cfg(any(feature = "pg14", feature = "pg15"))]
                let node = &mut (*self.table).rd_node;
                #[cfg(not(any(feature = "pg14", feature = "pg15")))]
                let node = &mut (*self.table).rd_locator;
                let logged = pg_sys::log_newpage(node, main, self.block, self.page.cast(), true);
                // Pages reach the file at once. After a crash that took the log with it PostgreSQL would give the number of this transaction
                // to another one, and rows of the two could not be told apart: so the log says first that the number is taken.
                if !self.flushed {
                    pg_sys::XLogFlush(logged);
                    self.flushed = true;
                }
            }
            pg_sys::PageSetChecksumInplace(self.page.cast(), self.block);
            pg_sys::smgrextend(storage(self.table), main, self.block, self.page.cast(), true);
            pg_sys::pgstat_count_heap_insert(self.table, pg_sys::PgStat_Counter::from(self.rows));
        }
    }
}
