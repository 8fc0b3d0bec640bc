//! Indexes of a table that is being appended to, built from its rows as they come.
//!
//! PostgreSQL's own build reads the table back when it is there, from disk once it is larger than memory, and sorts the keys in temporary
//! files. Keys that come in order need neither. Otherwise this is what REINDEX does: a new file in place of the old one, whose pages are
//! logged and synced before the transaction may commit, and which goes when the transaction is undone.

use pgrx::pg_sys;

use super::btree_leaves::{Pages, Tree, PAGE};
#[cfg(feature = "pg15")]
use super::btree_page::Layout;
#[cfg(feature = "pg15")]
use super::column::attribute;
use super::column::{ColumnType, Tid};
use super::heap_pages::{log_page, storage};

/// Pages that wait for those before them, which inner pages are written after.
const BATCH: usize = 4;
const MAIN: pg_sys::ForkNumber::Type = pg_sys::ForkNumber::MAIN_FORKNUM;

/// What an index takes of memory while it is built, besides what PostgreSQL has for every open index.
pub const BUILD_BYTES: usize = (BATCH + 6) * PAGE;

/// An index that is being built.
pub(super) struct IndexBuild {
    pub oid: pg_sys::Oid,
    /// By column of the key, its position in the table's rows.
    columns: Vec<(usize, ColumnType)>,
    /// None once a key did not ascend: then PostgreSQL builds it.
    tree: Option<Tree>,
    key: Vec<i64>,
    file: Batch,
}

impl IndexBuild {
    /// Gives the index a new file; none for an index that only PostgreSQL builds: of another kind than btree, of expressions or some rows, of
    /// other types than whole numbers and dates, or in another order than the usual.
    ///
    /// # Safety
    /// `table` is open; `oid` is one of its indexes, locked against everybody. Both stay so until the transaction ends, and nobody looks into the index before
    /// [`Self::finish`].
    pub unsafe fn new(table: pg_sys::Relation, oid: pg_sys::Oid) -> Option<Self> {
        // SAFETY: by contract.
        unsafe {
            let index = pg_sys::index_open(oid, pg_sys::NoLock as pg_sys::LOCKMODE);
            let build = Self::of(table, index);
            pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
            build
        }
    }

    /// PostgreSQL 15 is where it was tried.
    #[cfg(not(feature = "pg15"))]
    unsafe fn of(_table: pg_sys::Relation, _index: pg_sys::Relation) -> Option<Self> {
        None
    }

    /// # Safety
    /// As [`Self::new`].
    #[cfg(feature = "pg15")]
    unsafe fn of(table: pg_sys::Relation, index: pg_sys::Relation) -> Option<Self> {
        // SAFETY: by contract; the arrays of an open index have an entry per column of its key.
        unsafe {
            let form = &*(*index).rd_index;
            let count = form.indnkeyatts as usize;
            let plain = (*(*index).rd_rel).relam.to_u32() == pg_sys::BTREE_AM_OID.to_u32()
                && form.indnatts == form.indnkeyatts
                && form.indisvalid
                && pg_sys::RelationGetIndexExpressions(index).is_null()
                && pg_sys::RelationGetIndexPredicate(index).is_null();
            if !plain || cfg!(target_endian = "big") {
                return None;
            }
            let numbers = form.indkey.values.as_ptr();
            let columns = (0..count).map(|column| {
                let position = usize::try_from(*numbers.add(column) - 1).ok()?;
                let of_type = type_of(attribute((*table).rd_att, position))?;
                let usual = super::btree::is_usual(index, column, of_type);
                usual.then_some((position, of_type))
            });
            let columns = columns.collect::<Option<Vec<_>>>()?;
            let types: Vec<_> = columns.iter().map(|(_, of_type)| *of_type).collect();
            let layout = Layout::new(&types)?;
            pg_sys::RelationSetNewRelfilenode(index, (*(*index).rd_rel).relpersistence);
            Some(Self {
                oid: (*index).rd_id,
                tree: Some(Tree::new(layout, count, fill_factor(index))),
                key: vec![0; count],
                columns,
                file: Batch {
                    index: std::ptr::null_mut(),
                    first: 0,
                    pages: Vec::with_capacity(BATCH),
                },
            })
        }
    }

    /// Before rows come: what [`Self::close`] ends.
    ///
    /// # Safety
    /// As [`Self::new`].
    pub unsafe fn open(&mut self) {
        // SAFETY: by contract.
        self.file.index = unsafe { pg_sys::index_open(self.oid, pg_sys::NoLock as pg_sys::LOCKMODE) };
    }

    /// # Safety
    /// It was opened.
    pub unsafe fn close(&mut self) {
        // SAFETY: by contract.
        unsafe { pg_sys::index_close(self.file.index, pg_sys::NoLock as pg_sys::LOCKMODE) };
        self.file.index = std::ptr::null_mut();
    }

    /// Enters a row.
    ///
    /// # Safety
    /// It is open; `values` has an entry per column of the table, none of them null.
    #[inline]
    pub unsafe fn add(&mut self, values: *const pg_sys::Datum, row: Tid) {
        for (value, (position, of_type)) in self.key.iter_mut().zip(&self.columns) {
            // SAFETY: by contract.
            let datum = unsafe { *values.add(*position) }.value();
            *value = match of_type {
                ColumnType::Int8 => datum as i64,
                _ => i64::from(datum as i32),
            };
        }
        if let Some(tree) = &mut self.tree {
            if !tree.add(&self.key, row, &mut self.file) {
                self.tree = None;
            }
        }
    }

    /// Writes what is left; how many rows it has, none where PostgreSQL has to build it.
    ///
    /// # Safety
    /// It is open.
    pub unsafe fn finish(&mut self) -> Option<u64> {
        let tree = self.tree.take()?;
        let rows = tree.rows;
        // SAFETY: by contract.
        unsafe {
            // equal numbers are equal bytes
            let pages = tree.finish(true, &mut self.file);
            self.file.write();
            pg_sys::smgrimmedsync(storage(self.file.index), MAIN);
            note_size(self.file.index, pages, rows);
        }
        Some(rows)
    }
}

/// What building an index writes down: PostgreSQL plans by it until statistics are gathered.
///
/// # Safety
/// `relation` is open, locked against writers.
#[cfg(feature = "pg15")]
pub(super) unsafe fn note_size(relation: pg_sys::Relation, pages: u32, rows: u64) {
    // SAFETY: by contract; null pointers say that nobody asks.
    unsafe {
        let (none, nobody) = (pg_sys::InvalidTransactionId, std::ptr::null_mut());
        let has_index = (*(*relation).rd_rel).relhasindex;
        pg_sys::vac_update_relstats(
            relation,
            pages,
            rows as f64,
            0,
            has_index,
            none,
            none,
            nobody,
            nobody,
            true,
        );
    }
}

/// Nothing is built where this would be called.
#[cfg(not(feature = "pg15"))]
pub(super) unsafe fn note_size(_relation: pg_sys::Relation, _pages: u32, _rows: u64) {}

#[cfg(feature = "pg15")]
fn type_of(attribute: &pg_sys::FormData_pg_attribute) -> Option<ColumnType> {
    [ColumnType::Int4, ColumnType::Int8, ColumnType::Date]
        .into_iter()
        .find(|of_type| attribute.attnotnull && of_type.accepts(attribute.atttypid))
}

/// The beginning of `BTOptions`, which the bindings do not have.
#[cfg(feature = "pg15")]
#[repr(C)]
struct BtreeOptions {
    header: i32,
    fillfactor: std::ffi::c_int,
}

/// `BTREE_DEFAULT_FILLFACTOR`.
#[cfg(feature = "pg15")]
const DEFAULT_FILL: usize = 90;

/// # Safety
/// `index` is open, a btree.
#[cfg(feature = "pg15")]
unsafe fn fill_factor(index: pg_sys::Relation) -> usize {
    // SAFETY: by contract; the options of a btree are these, or none.
    let options = unsafe { (*index).rd_options.cast::<BtreeOptions>().as_ref() };
    options.map_or(DEFAULT_FILL, |options| options.fillfactor as usize)
}

/// Pages on their way into the index's file.
struct Batch {
    index: pg_sys::Relation,
    /// Number in the file of the first page here.
    first: u32,
    pages: Vec<Box<[u8; PAGE]>>,
}

impl Pages for Batch {
    fn page(&mut self, block: u32, bytes: &[u8; PAGE]) {
        let mut page = Box::new(*bytes);
        // SAFETY: the index is open; the page is whole.
        unsafe { log_page(self.index, block, page.as_mut_ptr().cast()) };
        let Some(position) = block.checked_sub(self.first) else {
            // one that was left out, as all above the leaves are
            // SAFETY: as above; there are zeros where it belongs.
            unsafe {
                pg_sys::PageSetChecksumInplace(page.as_mut_ptr().cast(), block);
                pg_sys::smgrwrite(storage(self.index), MAIN, block, page.as_mut_ptr().cast(), true);
            }
            return;
        };
        while self.pages.len() <= position as usize {
            self.pages.push(Box::new([0; PAGE]));
        }
        self.pages[position as usize] = page;
        if self.pages.len() >= BATCH {
            self.write();
        }
    }
}

impl Batch {
    /// Adds the pages to the file.
    fn write(&mut self) {
        for page in &mut self.pages {
            // SAFETY: the index is open; the page is the file's next. A page of zeros has no checksum.
            unsafe {
                let bytes = page.as_mut_ptr();
                if page.iter().any(|byte| *byte != 0) {
                    pg_sys::PageSetChecksumInplace(bytes.cast(), self.first);
                }
                pg_sys::smgrextend(storage(self.index), MAIN, self.first, bytes.cast(), true);
            }
            self.first += 1;
        }
        self.pages.clear();
    }
}
