//! Look-ups in a unique btree of many keys, ascending: a key that belongs to the page where the one before it was found
//! needs no way down from the root.
//!
//! PostgreSQL's own scan begins each look-up at the root, which costs more than all that is done with the row that it finds
//! (`_bt_first`). The rules of nbtree/README are kept: pages are pinned and locked to be read, one at a time; who comes to a page
//! whose range ends before the key, since it was split or removed meanwhile, goes on to the right.

use std::cmp::Ordering;

use pgrx::pg_sys;

use super::btree_page::{Layout, Page};
use super::column::{ColumnType, Tid};

/// `datetime_ops`, which PostgreSQL names nowhere.
const DATETIME_BTREE_FAM: u32 = 434;
const NOTHING: pg_sys::Buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;

/// Whether a column of an index is ordered as its type is by itself.
///
/// # Safety
/// `index` is open and has more than `column` columns in its key.
pub(super) unsafe fn is_usual(index: pg_sys::Relation, column: usize, of_type: ColumnType) -> bool {
    // SAFETY: by contract; both arrays have an entry per column of the key.
    let (family, option) = unsafe { (*(*index).rd_opfamily.add(column), *(*index).rd_indoption.add(column)) };
    let wanted = match of_type {
        ColumnType::Date => DATETIME_BTREE_FAM,
        _ => pg_sys::INTEGER_BTREE_FAM_OID.to_u32(),
    };
    family.to_u32() == wanted && option == 0
}

/// What a unique index is looked up with.
pub(super) struct Btree {
    index: pg_sys::Relation,
    layout: Layout,
    root: pg_sys::BlockNumber,
    /// Pinned: the leaf where `last` was looked for.
    leaf: pg_sys::Buffer,
    last: Vec<i64>,
}

impl Btree {
    /// None for an index that only PostgreSQL's own scan should read: of other types or another order than the usual, of an
    /// older format, or where a scan has more to do than to read (serializable transactions, snapshots that grow old).
    ///
    /// # Safety
    /// `index` is open and locked for as long as the result is used, a btree on columns of these types.
    pub unsafe fn new(index: pg_sys::Relation, types: &[ColumnType]) -> Option<Self> {
        // SAFETY: by contract; both arrays have an entry per column of the key.
        unsafe {
            let layout = Layout::new(types)?;
            let usual = (0..types.len()).all(|column| is_usual(index, column, types[column]));
            let plain = cfg!(target_endian = "little")
                && (*(*index).rd_rel).relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP
                && pg_sys::XactIsoLevel < pg_sys::XACT_SERIALIZABLE as std::ffi::c_int
                && !snapshots_grow_old();
            if !usual || !plain {
                return None;
            }
            let mut tree = Self {
                index,
                layout,
                root: 0,
                leaf: NOTHING,
                last: Vec::with_capacity(types.len()),
            };
            let known = tree.read_root();
            known.then_some(tree)
        }
    }

    /// Reads where the root is; false for another format.
    ///
    /// # Safety
    /// As [`Self::new`].
    unsafe fn read_root(&mut self) -> bool {
        // SAFETY: by contract; every index has a first page.
        unsafe {
            self.go(0);
            let root = self.page().root();
            self.unlock();
            self.root = root.unwrap_or(0);
            root.is_some()
        }
    }

    /// Pins a page in place of the one before, and locks it.
    ///
    /// # Safety
    /// As [`Self::new`]; no page is locked.
    unsafe fn go(&mut self, block: pg_sys::BlockNumber) {
        // SAFETY: by contract.
        unsafe {
            self.leaf = pg_sys::ReleaseAndReadBuffer(self.leaf, self.index, block);
            self.lock();
        }
    }

    /// # Safety
    /// A page is pinned and not locked.
    unsafe fn lock(&self) {
        // SAFETY: by contract.
        unsafe { pg_sys::LockBuffer(self.leaf, pg_sys::BUFFER_LOCK_SHARE as std::ffi::c_int) };
    }

    /// # Safety
    /// A page is locked.
    unsafe fn unlock(&self) {
        // SAFETY: by contract.
        unsafe { pg_sys::LockBuffer(self.leaf, pg_sys::BUFFER_LOCK_UNLOCK as std::ffi::c_int) };
    }

    /// # Safety
    /// A page is locked for as long as the result is used: then nothing changes on it but marks of dead entries.
    unsafe fn page(&self) -> Page<'_> {
        // SAFETY: by contract; a buffer holds BLCKSZ bytes.
        unsafe {
            let bytes = pg_sys::BufferGetBlock(self.leaf).cast::<u8>();
            Page::new(std::slice::from_raw_parts(bytes, pg_sys::BLCKSZ as usize))
        }
    }

    /// Puts the places of the rows with this key into `rows`: those that are there, that no transaction sees any more, or
    /// does not see yet. A later row of a place is not one that a snapshot taken before this call sees.
    ///
    /// # Safety
    /// As [`Self::new`].
    pub unsafe fn look_up(&mut self, key: &[i64], rows: &mut Vec<Tid>) {
        rows.clear();
        // SAFETY: by contract; each way ends with a page locked, if there is a root.
        unsafe {
            if !self.is_on_leaf(key) && !self.descend(key) {
                return;
            }
            self.last.clear();
            self.last.extend_from_slice(key);
            while self.page().rows(&self.layout, key, rows) {
                let right = self.page().right();
                self.unlock();
                self.go(right);
                self.go_right(key);
            }
            self.unlock();
        }
    }

    /// Whether the key belongs to the leaf of the one before, which is locked then. Its range never begins later than it did.
    ///
    /// # Safety
    /// As [`Self::new`].
    unsafe fn is_on_leaf(&mut self, key: &[i64]) -> bool {
        if self.leaf == NOTHING || self.last.is_empty() || self.last.as_slice() >= key {
            return false;
        }
        // SAFETY: the leaf is pinned.
        unsafe {
            self.lock();
            let page = self.page();
            let belongs = !page.is_gone() && page.compare_end(&self.layout, key) != Ordering::Greater;
            if !belongs {
                self.unlock();
            }
            belongs
        }
    }

    /// Goes from the root to the leaf of the key and leaves it locked; false where there is no root.
    ///
    /// # Safety
    /// As [`Self::new`].
    unsafe fn descend(&mut self, key: &[i64]) -> bool {
        // SAFETY: by contract.
        unsafe {
            if self.root != 0 {
                self.go(self.root);
                let page = self.page();
                let still = !page.is_gone() && page.left() == 0 && page.right() == 0;
                if !still {
                    self.unlock();
                    self.root = 0;
                }
            }
            if self.root == 0 {
                self.read_root();
                if self.root == 0 {
                    self.last.clear();
                    return false;
                }
                self.go(self.root);
            }
            loop {
                self.go_right(key);
                if self.page().is_leaf() {
                    return true;
                }
                let child = self.page().child(&self.layout, key);
                self.unlock();
                self.go(child);
            }
        }
    }

    /// From a locked page to the one of its level whose range the key is in.
    ///
    /// # Safety
    /// As [`Self::new`]; a page is locked.
    unsafe fn go_right(&mut self, key: &[i64]) {
        // SAFETY: by contract; the last page of a level is never removed.
        unsafe {
            loop {
                let page = self.page();
                let right = page.right();
                if right == 0 || !page.is_gone() && page.compare_end(&self.layout, key) != Ordering::Greater {
                    return;
                }
                self.unlock();
                self.go(right);
            }
        }
    }

    pub fn close(self) {
        if self.leaf != NOTHING {
            // SAFETY: pinned.
            unsafe { pg_sys::ReleaseBuffer(self.leaf) };
        }
    }
}

/// Whether rows that a snapshot should see may have been removed, which each page read has to be asked for.
fn snapshots_grow_old() -> bool {
    // SAFETY: reads a variable of the backend.
    #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
    unsafe {
        pg_sys::old_snapshot_threshold >= 0
    }
    #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
    false
}
