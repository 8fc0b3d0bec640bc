//! Look-ups in a unique btree of many keys, ascending: a key that belongs to the page where the one before it was found
//! needs no way down from the root.
//!
//! PostgreSQL's own scan begins each look-up at the root, which costs more than all that is done with the row that it finds
//! (`_bt_first`). The rules of nbtree/README are kept: pages are pinned and locked to be read, one at a time; who comes to a page
//! whose range ends before the key, since it was split or removed meanwhile, goes on to the right.

use std::cmp::Ordering;

use pgrx::pg_sys;

use super::btree_page::{Layout, Page, Span};
use super::buffers::{self, Places};
use super::column::{ColumnType, Tid};
use super::memory_hints::{self, Glimpse};

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
    /// The leaf of the key before, and the page above that of the key announced before.
    pages: [Pinned; 2],
    buffers: Option<Places>,
}

/// A page of an index, and the last key that went there.
struct Pinned {
    buffer: pg_sys::Buffer,
    key: Vec<i64>,
}

/// How far a key is that was announced: its leaf, and where on it.
#[derive(Default)]
pub(super) struct Way {
    leaf: pg_sys::BlockNumber,
    buffer: pg_sys::Buffer,
    span: Span,
}

/// Steps from [`Btree::begin`] until a key had better be looked up.
pub(super) const PREPARED: usize = 6;

const LEAF: usize = 0;
const ABOVE: usize = 1;

impl Pinned {
    /// Pins a page in place of the one before, and locks it; it may be in the buffer `hint`.
    ///
    /// # Safety
    /// `index` is open; no page is locked.
    unsafe fn go(&mut self, index: pg_sys::Relation, block: pg_sys::BlockNumber, hint: pg_sys::Buffer) {
        // SAFETY: by contract.
        unsafe {
            self.buffer = memory_hints::pin(index, self.buffer, block, hint);
            self.lock();
        }
    }

    /// # Safety
    /// A page is pinned and not locked.
    unsafe fn lock(&self) {
        // SAFETY: by contract.
        unsafe { pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_SHARE as std::ffi::c_int) };
    }

    /// # Safety
    /// A page is locked.
    unsafe fn unlock(&self) {
        // SAFETY: by contract.
        unsafe { pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_UNLOCK as std::ffi::c_int) };
    }

    /// # Safety
    /// A page is locked for as long as the result is used: then nothing changes on it but marks of dead entries.
    unsafe fn page(&self) -> Page<&[u8]> {
        // SAFETY: by contract; a buffer holds BLCKSZ bytes.
        unsafe {
            let bytes = pg_sys::BufferGetBlock(self.buffer).cast::<u8>();
            Page::new(std::slice::from_raw_parts(bytes, pg_sys::BLCKSZ as usize))
        }
    }

    /// Whether the key belongs to the page of the one before, which is locked then. Its range never begins later than it did.
    ///
    /// # Safety
    /// As [`Btree::new`].
    unsafe fn holds(&self, layout: &Layout, key: &[i64]) -> bool {
        if self.buffer == NOTHING || self.key.is_empty() || self.key.as_slice() >= key {
            return false;
        }
        // SAFETY: the page is pinned.
        unsafe {
            self.lock();
            let page = self.page();
            let belongs = !page.is_gone() && page.compare_end(layout, key) != Ordering::Greater;
            if !belongs {
                self.unlock();
            }
            belongs
        }
    }

    /// From a locked page to the one of its level whose range the key is in.
    ///
    /// # Safety
    /// As [`Btree::new`]; a page is locked.
    unsafe fn go_right(&mut self, index: pg_sys::Relation, layout: &Layout, key: &[i64]) {
        // SAFETY: by contract; the last page of a level is never removed.
        unsafe {
            loop {
                let page = self.page();
                let right = page.right();
                if right == 0 || !page.is_gone() && page.compare_end(layout, key) != Ordering::Greater {
                    return;
                }
                self.unlock();
                self.go(index, right, NOTHING);
            }
        }
    }

    fn close(&self) {
        if self.buffer != NOTHING {
            // SAFETY: pinned.
            unsafe { pg_sys::ReleaseBuffer(self.buffer) };
        }
    }
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
            let pinned = || Pinned {
                buffer: NOTHING,
                key: Vec::with_capacity(types.len()),
            };
            let mut tree = Self {
                index,
                layout,
                root: 0,
                pages: [pinned(), pinned()],
                buffers: buffers::of(index),
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
            let first = &mut self.pages[LEAF];
            first.go(self.index, 0, NOTHING);
            let root = first.page().root();
            first.unlock();
            self.root = root.unwrap_or(0);
            root.is_some()
        }
    }

    /// Begins to look a key up; None where that is not worth while. Keys had better ascend.
    ///
    /// # Safety
    /// As [`Self::new`].
    pub unsafe fn begin(&mut self, key: &[i64]) -> Option<Way> {
        let places = self.buffers.clone()?;
        // SAFETY: by contract; where `reach` succeeds a page is locked.
        unsafe {
            if !self.reach(ABOVE, key) {
                return None;
            }
            let above = &self.pages[ABOVE];
            let leaf = above.page().child(&self.layout, key);
            above.unlock();
            let buffer = buffers::at(&places, leaf);
            memory_hints::buffer(buffer);
            Some(Way {
                leaf,
                buffer,
                span: Span::default(),
            })
        }
    }

    /// Goes on towards a key some steps after [`Self::begin`], from 1 on: each asks for the memory that the next one looks at.
    pub fn go_on(&self, way: &mut Way, key: &[i64], step: usize) {
        let Some(page) = Glimpse::of(way.buffer) else { return };
        let page = Page::new(page);
        match step {
            1 => {
                way.span = page.span();
                page.fetch_lines(way.span);
            }
            2 | 4 => page.fetch_entries(way.span),
            3 => {
                way.span = page.narrowed(&self.layout, key, way.span);
                page.fetch_lines(way.span);
            }
            5 => {
                way.span = page.narrowed(&self.layout, key, way.span);
                // what is left is side by side
                page.fetch_lines(way.span);
                page.fetch_entries(way.span);
            }
            _ => {}
        }
    }

    /// Puts the places of the rows with this key into `rows`: those that are there, that no transaction sees any more, or
    /// does not see yet. A later row of a place is not one that a snapshot taken before this call sees.
    ///
    /// # Safety
    /// As [`Self::new`]; `way` was begun with this key, by the same snapshot.
    pub unsafe fn look_up(&mut self, key: &[i64], way: Option<&Way>, rows: &mut Vec<Tid>) {
        rows.clear();
        // SAFETY: by contract; each way ends with a page locked, if there is a root. A page that went away since its number was read
        // is not used for anything else as long as a snapshot of that time is.
        unsafe {
            match way {
                Some(way) if !self.pages[LEAF].holds(&self.layout, key) => {
                    let leaf = &mut self.pages[LEAF];
                    leaf.go(self.index, way.leaf, way.buffer);
                    leaf.go_right(self.index, &self.layout, key);
                }
                Some(_) => {}
                None if !self.reach(LEAF, key) => return,
                None => {}
            }
            let leaf = &mut self.pages[LEAF];
            leaf.key.clear();
            leaf.key.extend_from_slice(key);
            while leaf.page().rows(&self.layout, key, rows) {
                let right = leaf.page().right();
                leaf.unlock();
                leaf.go(self.index, right, NOTHING);
                leaf.go_right(self.index, &self.layout, key);
            }
            leaf.unlock();
        }
    }

    /// Goes to the page of a key, of the leaves or of those above them, and leaves it locked; false where there is none.
    ///
    /// # Safety
    /// As [`Self::new`].
    unsafe fn reach(&mut self, level: usize, key: &[i64]) -> bool {
        // SAFETY: by contract.
        unsafe {
            if !self.pages[level].holds(&self.layout, key) && !self.descend(level, key) {
                self.pages[level].key.clear();
                return false;
            }
        }
        let last = &mut self.pages[level].key;
        last.clear();
        last.extend_from_slice(key);
        true
    }

    /// From the root.
    ///
    /// # Safety
    /// As [`Self::new`].
    unsafe fn descend(&mut self, level: usize, key: &[i64]) -> bool {
        // SAFETY: by contract.
        unsafe {
            if self.root != 0 {
                let page = &mut self.pages[level];
                page.go(self.index, self.root, NOTHING);
                let root = page.page();
                let still = !root.is_gone() && root.left() == 0 && root.right() == 0;
                if !still {
                    page.unlock();
                    self.root = 0;
                }
            }
            if self.root == 0 {
                self.read_root();
                self.pages[LEAF].key.clear();
                if self.root == 0 {
                    return false;
                }
                self.pages[level].go(self.index, self.root, NOTHING);
            }
            let page = &mut self.pages[level];
            loop {
                page.go_right(self.index, &self.layout, key);
                let at = page.page().level() as usize;
                if at <= level {
                    if at < level {
                        page.unlock();
                    }
                    return at == level;
                }
                let child = page.page().child(&self.layout, key);
                page.unlock();
                page.go(self.index, child, NOTHING);
            }
        }
    }

    pub fn close(self) {
        self.pages.iter().for_each(Pinned::close);
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
