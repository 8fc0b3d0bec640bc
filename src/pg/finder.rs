//! Rows of a table by the columns of a unique index, or by their places, one at a time into a slot.

use std::collections::VecDeque;
use std::mem::MaybeUninit;

use pgrx::prelude::*;

use super::btree::{Btree, Way as ToLeaf, PREPARED};
use super::buffers::{self, Places};
use super::column::{deform, ColumnType, Tid};
use super::delete::pointer;
use super::memory_hints;
use super::value::Value;
use crate::error::{Error, Result};

const NOTHING: pg_sys::Buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
/// So many keys had better be announced beyond the one that is found next.
pub const AHEAD: usize = PREPARED + 4;
/// The memory of a row itself is asked for so many keys before it is found.
const NEAR: usize = 2;

/// Looks for rows that the active snapshot sees; the row found last is in the slot.
pub(super) struct Finder {
    table: pg_sys::Relation,
    slot: *mut pg_sys::TupleTableSlot,
    snapshot: pg_sys::Snapshot,
    types: Vec<ColumnType>,
    /// Numbers of the key's columns in the table.
    key: Vec<i16>,
    /// Pages that the table has.
    blocks: pg_sys::BlockNumber,
    way: Way,
    /// Pinned: the page of the row that was looked for last.
    page: pg_sys::Buffer,
    block: pg_sys::BlockNumber,
    /// Bytes of the last row, if rows are to be changed: their new versions shall find room on the page.
    length: Option<usize>,
    /// Where the table's pages are, as far as that is known.
    buffers: Option<Places>,
    /// Keys that are about to be asked for.
    ahead: VecDeque<Announced>,
    spare: Vec<Announced>,
}

/// A key, and what is known of its rows.
#[derive(Default)]
struct Announced {
    key: Vec<Value>,
    whole: Vec<i64>,
    way: Option<ToLeaf>,
    /// Whether the places are known.
    looked_up: bool,
    places: Vec<Tid>,
    /// The buffer in which the first place was.
    buffer: pg_sys::Buffer,
}

enum Way {
    Tree(Btree),
    /// PostgreSQL's own.
    Scan {
        scan: pg_sys::IndexScanDesc,
        keys: Vec<pg_sys::ScanKeyData>,
    },
}

/// Whether a scan of this open index finds rows by these columns, and at most one each.
///
/// # Safety
/// `index` is open.
pub(super) unsafe fn is_key(index: pg_sys::Relation, key: &[i16]) -> bool {
    // SAFETY: by contract; its form holds as many attributes as it says.
    unsafe {
        let form = &*(*index).rd_index;
        form.indisunique
            && form.indisvalid
            && usize::from(form.indnkeyatts.unsigned_abs()) == key.len()
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && pg_sys::RelationGetIndexPredicate(index).is_null()
            && form.indkey.values.as_slice(key.len()) == key
    }
}

pub(super) fn no_key(table: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("table \"{table}\" has no unique index on its key"),
    )
    .hint("Restore its primary key.")
}

impl Finder {
    /// `changing`: rows that are found are about to be changed.
    ///
    /// # Safety
    /// Table and index are open and locked, the latter [`is_key`] on columns of these types; `slot` is the table's; the active
    /// snapshot stays so; all that as long as the result is used, and the current memory context lives.
    pub unsafe fn new(
        table: pg_sys::Relation,
        index: pg_sys::Relation,
        types: Vec<ColumnType>,
        slot: *mut pg_sys::TupleTableSlot,
        changing: bool,
    ) -> Self {
        // SAFETY: by contract.
        unsafe {
            let snapshot = pg_sys::GetActiveSnapshot();
            let heap = std::ptr::eq((*table).rd_tableam, pg_sys::GetHeapamTableAmRoutine());
            let tree = heap.then(|| Btree::new(index, &types)).flatten();
            let way = tree.map_or_else(|| begin_scan(table, index, snapshot, types.len()), Way::Tree);
            Self {
                table,
                slot,
                snapshot,
                key: (*(*index).rd_index).indkey.values.as_slice(types.len()).to_vec(),
                blocks: pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM),
                types,
                way,
                page: NOTHING,
                block: 0,
                length: changing.then_some(0),
                buffers: buffers::of(table),
                ahead: VecDeque::new(),
                spare: Vec::new(),
            }
        }
    }

    /// Begins to look a key up in the index, and goes on with those announced before, asking for memory before it is looked at: nearly all of
    /// the time of finding a row is waiting for memory. Fast where keys come in ascending order.
    pub fn announce(&mut self, key: &[Value]) -> Result<()> {
        let typed = key.len() == self.types.len() && key.iter().zip(&self.types).all(|(value, t)| value.is_of(*t));
        if !typed {
            return Err(Error::internal("a key does not have the types of the index's columns"));
        }
        let mut announced = self.spare.pop().unwrap_or_default();
        announced.key.clear();
        announced.key.extend_from_slice(key);
        announced.buffer = NOTHING;
        announced.looked_up = false;
        announced.way = None;
        if let Way::Tree(tree) = &mut self.way {
            announced.whole.clear();
            announced.whole.extend(key.iter().map(|value| value.whole()));
            // SAFETY: by the contract of `new`.
            announced.way = unsafe { tree.begin(&announced.whole) };
        }
        self.ahead.push_back(announced);
        self.prepare();
        Ok(())
    }

    /// Each key that was announced gets one step further.
    fn prepare(&mut self) {
        let Way::Tree(tree) = &mut self.way else { return };
        let announced = self.ahead.len();
        for (position, next) in self.ahead.iter_mut().enumerate() {
            let step = announced - 1 - position;
            match &mut next.way {
                Some(way) if step < PREPARED => tree.go_on(way, &next.whole, step),
                _ => {}
            }
        }
        let Some(last) = announced.checked_sub(1 + PREPARED) else {
            return;
        };
        for position in 0..=last {
            self.look_up(position);
        }
        if let Some((next, place)) = self.ahead.get(NEAR).and_then(|next| Some((next, next.places.first()?))) {
            memory_hints::row(next.buffer, *place, self.length);
        }
    }

    /// Looks up the key at this position of those announced.
    fn look_up(&mut self, position: usize) {
        let (Way::Tree(tree), Some(next)) = (&mut self.way, self.ahead.get_mut(position)) else {
            return;
        };
        if next.looked_up {
            return;
        }
        next.looked_up = true;
        // SAFETY: by the contract of `new`; the way was begun with the key.
        unsafe { tree.look_up(&next.whole, next.way.as_ref(), &mut next.places) };
        if let Some(place) = next.places.first() {
            next.buffer = match self.buffers.as_ref().map(|places| buffers::at(places, place.block)) {
                // SAFETY: by the contract of `new`; the index of a temporary table is not read as a tree.
                None | Some(NOTHING) => unsafe { memory_hints::find(self.table, place.block) },
                Some(buffer) => buffer,
            };
            memory_hints::buffer(next.buffer);
            memory_hints::line_of(next.buffer, *place);
        }
    }

    /// Whether rows are found without PostgreSQL's scan: then the table is a heap like any other.
    pub fn is_plain(&self) -> bool {
        matches!(self.way, Way::Tree(_))
    }

    pub fn has_announced(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Whether there is a row with the key that was announced first.
    pub fn find_announced(&mut self) -> Result<bool> {
        self.look_up(0);
        let Some(announced) = self.ahead.pop_front() else {
            return Err(Error::internal("no key is announced"));
        };
        // SAFETY: by the contract of `new`.
        let found = unsafe {
            match &mut self.way {
                Way::Scan { scan, keys } => scan_for(*scan, keys, &announced.key, self.slot),
                Way::Tree(_) => announced
                    .places
                    .iter()
                    .any(|place| self.fetch(*place, announced.buffer)),
            }
        };
        self.spare.push(announced);
        Ok(found)
    }

    /// Whether there is a row with this key, which may be at the place `hint`. No key is announced.
    pub fn find_hinted(&mut self, key: &[Value], hint: Option<Tid>) -> Result<bool> {
        if let Some(place) = hint.filter(|place| self.is_plain() && place.block < self.blocks && place.position > 0) {
            let buffer = self.buffers.as_ref().map(|places| buffers::at(places, place.block));
            // SAFETY: by the contract of `new`; there is such a page. Of a unique key no more than one row is visible, however it was found.
            if unsafe { self.fetch(place, buffer.unwrap_or(NOTHING)) && self.has(key) } {
                return Ok(true);
            }
        }
        self.announce(key)?;
        self.find_announced()
    }

    /// Whether the row in the slot has this key.
    ///
    /// # Safety
    /// As [`Self::new`]; the slot holds a row of the table.
    unsafe fn has(&self, key: &[Value]) -> bool {
        // SAFETY: by contract; columns up to the last of the key are deformed first.
        unsafe {
            let last = self.key.iter().copied().max().unwrap_or(0);
            deform(self.slot, last);
            self.key
                .iter()
                .zip(&self.types)
                .zip(key)
                .all(|((number, column), value)| {
                    let position = *number as usize - 1;
                    let found = Value::from_datum(*(*self.slot).tts_values.add(position), *column);
                    !*(*self.slot).tts_isnull.add(position) && found.is_some_and(|found| found.whole() == value.whole())
                })
        }
    }

    /// A place that [`Self::at`] is about to be called with: soon, or after some others.
    pub fn announce_place(&self, place: Tid, soon: bool) {
        let Some(buffer) = self.buffers.as_ref().map(|places| buffers::at(places, place.block)) else {
            return;
        };
        if soon {
            memory_hints::row(buffer, place, self.length);
        } else {
            memory_hints::buffer(buffer);
            memory_hints::line_of(buffer, place);
        }
    }

    /// Whether the row version at this place is one that the snapshot sees.
    pub fn at(&mut self, place: Tid) -> bool {
        let mut pointer = pointer(&place);
        // SAFETY: by the contract of `new`. The function pointer is the table's access method's; its errors must not cross Rust's
        // frames, hence the boundary, and nothing that has to be dropped is held across it.
        unsafe {
            if let Way::Tree(_) = self.way {
                let known = self.buffers.as_ref().map(|places| buffers::at(places, place.block));
                self.turn_to(place.block, known.unwrap_or(NOTHING));
            }
            let fetch = (*(*self.table).rd_tableam).tuple_fetch_row_version;
            let (table, slot, snapshot) = (self.table, self.slot, self.snapshot);
            let pointer = &raw mut pointer;
            let found = pg_sys::ffi::pg_guard_ffi_boundary(|| match fetch {
                Some(fetch) => fetch(table, pointer, snapshot, slot),
                None => false,
            });
            if found && matches!(self.way, Way::Tree(_)) {
                self.measure();
            }
            found
        }
    }

    /// Takes down how long the row in the slot is.
    ///
    /// # Safety
    /// The slot is one for tuples in buffers and holds one.
    unsafe fn measure(&mut self) {
        // SAFETY: by contract.
        unsafe {
            let tuple = (*self.slot.cast::<pg_sys::BufferHeapTupleTableSlot>()).base.tuple;
            self.length = self.length.map(|_| (*tuple).t_len as usize);
        }
    }

    /// Pins a page of the heap, with room on it where rows are to be changed; it may be in the buffer `hint`.
    ///
    /// PostgreSQL frees the versions that nobody sees any more whenever it comes to a page that is nearly full: where rows are changed again
    /// and again that is always, and takes longer than the changes. Here only if the row would have to go to another page.
    ///
    /// # Safety
    /// As [`Self::new`]; the table is a heap.
    unsafe fn turn_to(&mut self, block: pg_sys::BlockNumber, hint: pg_sys::Buffer) {
        // SAFETY: by contract. The slot's pin is given back first, since only a page that nobody else has pinned is made room on.
        unsafe {
            if self.page == NOTHING || self.block != block {
                self.page = memory_hints::pin(self.table, self.page, block, hint);
                self.block = block;
            }
            let Some(length) = self.length else { return };
            let page = pg_sys::BufferGetBlock(self.page).cast::<std::ffi::c_char>();
            // for a row like the last one
            if pg_sys::PageGetHeapFreeSpace(page.cast()) < length.next_multiple_of(8) {
                pg_sys::ExecClearTuple(self.slot);
                pg_sys::heap_page_prune_opt(self.table, self.page);
            }
        }
    }

    /// What `heapam_index_fetch_tuple()` does: of the versions that hang together at this place the one that the snapshot sees.
    ///
    /// # Safety
    /// As [`Self::new`]; the table is a heap, and the slot one for tuples in buffers.
    unsafe fn fetch(&mut self, place: Tid, hint: pg_sys::Buffer) -> bool {
        // SAFETY: by contract.
        unsafe {
            self.turn_to(place.block, hint);
            let mut pointer = pointer(&place);
            let buffered: *mut pg_sys::BufferHeapTupleTableSlot = self.slot.cast();
            let tuple = &raw mut (*buffered).base.tupdata;
            let (share, unlock) = (pg_sys::BUFFER_LOCK_SHARE, pg_sys::BUFFER_LOCK_UNLOCK);
            pg_sys::LockBuffer(self.page, share as std::ffi::c_int);
            let all_dead = std::ptr::null_mut();
            let found = pg_sys::heap_hot_search_buffer(
                &mut pointer,
                self.table,
                self.page,
                self.snapshot,
                tuple,
                all_dead,
                true,
            );
            pg_sys::LockBuffer(self.page, unlock as std::ffi::c_int);
            if found {
                (*self.slot).tts_tableOid = (*self.table).rd_id;
                pg_sys::ExecStoreBufferHeapTuple(tuple, self.slot, self.page);
                self.measure();
            }
            found
        }
    }

    pub fn close(self) {
        // SAFETY: what `new` and the look-ups opened and pinned.
        unsafe {
            if self.page != NOTHING {
                pg_sys::ReleaseBuffer(self.page);
            }
            match self.way {
                Way::Tree(tree) => tree.close(),
                Way::Scan { scan, .. } => pg_sys::index_endscan(scan),
            }
        }
    }
}

/// # Safety
/// As [`Finder::new`].
unsafe fn begin_scan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    columns: usize,
) -> Way {
    // SAFETY: by contract.
    unsafe {
        let count = columns as std::ffi::c_int;
        #[cfg(not(feature = "pg18"))]
        let scan = pg_sys::index_beginscan(table, index, snapshot, count, 0);
        #[cfg(feature = "pg18")]
        let scan = pg_sys::index_beginscan(table, index, snapshot, std::ptr::null_mut(), count, 0);
        Way::Scan {
            scan,
            keys: vec![MaybeUninit::<pg_sys::ScanKeyData>::zeroed().assume_init(); columns],
        }
    }
}

/// # Safety
/// The scan is open; the values have the types of its index's columns, and `slot` is its table's.
unsafe fn scan_for(
    scan: pg_sys::IndexScanDesc,
    keys: &mut [pg_sys::ScanKeyData],
    key: &[Value],
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: by contract.
    unsafe {
        for ((place, entry), value) in (1..).zip(keys.iter_mut()).zip(key) {
            let strategy = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
            pg_sys::ScanKeyInit(entry, place, strategy, value.equality().into(), value.datum());
        }
        let count = key.len() as std::ffi::c_int;
        pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, std::ptr::null_mut(), 0);
        pg_sys::index_getnext_slot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot)
    }
}
