//! A new version of a row beside the old one, where nothing but numbers changes that no index knows.
//!
//! PostgreSQL's own update looks the page up, forms the row, evaluates constraints and compares columns with those of each index, for every row anew;
//! a refresh changes a hundred thousand rows of which all that is known beforehand. Here is what `heap_update()` does in the simplest case: a heap-only
//! tuple on the same page, of a row whose writer committed and that nobody has locked or changed since, with the same record of the log. In
//! every other case nothing is done, and PostgreSQL does it.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use super::column::attribute;
use super::value::Value;

/// `SizeofHeapTupleHeader`, `SizeOfHeapHeader` and `SizeOfHeapUpdate`.
const TUPLE_HEADER: usize = 23;
const LOGGED_HEADER: c_int = 5;
const LOGGED_UPDATE: c_int = 14;
/// From access/heapam_xlog.h.
const HOT_UPDATE: u8 = 0x40;
const ALL_VISIBLE_CLEARED: u8 = 1;
const PREFIX_FROM_OLD: u8 = 1 << 5;
const SUFFIX_FROM_OLD: u8 = 1 << 6;
/// Shorter ends than this are logged, as PostgreSQL does.
const WORTH_WHILE: usize = 3;
/// `TOAST_TUPLE_THRESHOLD` of pages of the usual size is above this.
const LONGEST: usize = 2000;
/// `VISIBILITYMAP_VALID_BITS`.
const MAP_BITS: u8 = 3;
const LOGICAL: c_int = 2;
const REPLICA: c_int = 1;

/// `xl_heap_update`.
#[repr(C)]
struct Logged {
    old_xmax: pg_sys::TransactionId,
    old_position: u16,
    old_infobits: u8,
    flags: u8,
    new_xmax: pg_sys::TransactionId,
    new_position: u16,
}

/// `xl_heap_header`.
#[repr(C)]
struct LoggedHeader {
    infomask2: u16,
    infomask: u16,
    hoff: u8,
}

// Called where an error ends the server anyway, or inside one boundary for all of them.
extern "C-unwind" {
    fn RelationGetPartitionQual(relation: pg_sys::Relation) -> *mut pg_sys::List;
    fn LockBuffer(buffer: pg_sys::Buffer, mode: c_int);
    fn MarkBufferDirty(buffer: pg_sys::Buffer);
    fn PageGetHeapFreeSpace(page: pg_sys::Page) -> usize;
    fn PageAddItemExtended(page: pg_sys::Page, item: *mut c_char, size: usize, position: u16, flags: c_int) -> u16;
    fn TransactionIdIsCurrentTransactionId(transaction: pg_sys::TransactionId) -> bool;
    fn TransactionIdPrecedes(one: pg_sys::TransactionId, other: pg_sys::TransactionId) -> bool;
    fn visibilitymap_pin_ok(block: pg_sys::BlockNumber, map: pg_sys::Buffer) -> bool;
    fn visibilitymap_clear(table: pg_sys::Relation, block: pg_sys::BlockNumber, map: pg_sys::Buffer, flags: u8)
        -> bool;
    fn XLogBeginInsert();
    fn XLogSetRecordFlags(flags: u8);
    fn XLogRegisterBuffer(block: u8, buffer: pg_sys::Buffer, flags: u8);
    fn XLogRegisterData(data: *mut c_char, length: c_int);
    fn XLogRegisterBufData(block: u8, data: *mut c_char, length: c_int);
    fn XLogInsert(manager: u8, info: u8) -> u64;
}

/// Updates rows of one table in one transaction.
pub(super) struct HotUpdate {
    table: pg_sys::Relation,
    transaction: pg_sys::TransactionId,
    command: pg_sys::CommandId,
    /// Length and alignment of each column up to the last that changes.
    columns: Vec<(i16, usize)>,
    /// Positions of the columns to change, ascending, and of their values.
    changing: Vec<(usize, usize)>,
    /// The new version, aligned as rows are.
    row: Vec<u64>,
    /// Pinned, if any: a page of the visibility map.
    map: pg_sys::Buffer,
    /// How many rows it was asked for, and how many it changed.
    asked: u64,
    changed: u64,
}

impl HotUpdate {
    /// None where a change of these columns is more than that: triggers, constraints or generated columns, an index or the partition's bounds that
    /// look at one, logical decoding, serializable transactions, tables that the log does not know.
    ///
    /// # Safety
    /// `table` is open, locked to be written, a heap and not temporary; the numbers are those of columns of fixed length; `info` is its, with its indexes open.
    pub unsafe fn new(
        table: pg_sys::Relation,
        info: *const pg_sys::ResultRelInfo,
        numbers: &[i16],
        command: pg_sys::CommandId,
    ) -> Option<Self> {
        if !cfg!(feature = "pg15") {
            return None; // nobody compared with another version's heap_update()
        }
        // SAFETY: by contract.
        unsafe {
            let desc = (*table).rd_att;
            let checked = (*desc)
                .constr
                .as_ref()
                .is_some_and(|constr| constr.num_check > 0 || constr.has_generated_stored);
            let class = &*(*table).rd_rel;
            let permanent = class.relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT;
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            let first_file = (*table).rd_firstRelfilenodeSubid;
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            let first_file = (*table).rd_firstRelfilelocatorSubid;
            let new_file = (*table).rd_createSubid != 0 || first_file != 0;
            let logged = permanent && (pg_sys::wal_level >= REPLICA || !new_file);
            if checked
                || !(*info).ri_TrigDesc.is_null()
                || !logged
                || pg_sys::wal_level >= LOGICAL
                // which looks for conflicts row by row
                || pg_sys::XactIsoLevel >= pg_sys::XACT_SERIALIZABLE as c_int
                || is_looked_at(table, numbers)
            {
                return None;
            }
            let mut changing: Vec<(usize, usize)> = numbers
                .iter()
                .enumerate()
                .map(|(value, number)| (*number as usize - 1, value))
                .collect();
            changing.sort_unstable();
            let last = changing.last()?.0;
            let columns = (0..=last)
                .map(|index| attribute(desc, index))
                .map(|a| (a.attlen, alignment(a.attalign as u8)))
                .collect();
            pg_sys::CheckCmdReplicaIdentity(table, pg_sys::CmdType::CMD_UPDATE);
            // others may lock the rows that this transaction changed
            pg_sys::MultiXactIdSetOldestMember();
            Some(Self {
                table,
                transaction: pg_sys::GetCurrentTransactionId(),
                command,
                columns,
                changing,
                row: Vec::new(),
                map: pg_sys::InvalidBuffer as pg_sys::Buffer,
                asked: 0,
                changed: 0,
            })
        }
    }

    /// Gives the row in the slot other values in the columns of `new`; false where PostgreSQL has to do it.
    ///
    /// # Safety
    /// The slot holds a row of the table that the transaction's snapshot sees, on a page that it has pinned and nobody in this process has locked; the values have the columns' types.
    pub unsafe fn set(&mut self, slot: *mut pg_sys::TupleTableSlot, values: &[Value]) -> bool {
        // SAFETY: by contract; the row stays where it is as long as its page is pinned, and its columns never change.
        unsafe {
            self.asked += 1;
            let slot: *mut pg_sys::BufferHeapTupleTableSlot = slot.cast();
            let (tuple, buffer) = ((*slot).base.tuple, (*slot).buffer);
            if tuple.is_null() || buffer <= 0 || !self.form(&*tuple, values) {
                return false;
            }
            let (tuple, update) = (*tuple, &raw mut *self);
            if is_all_visible(buffer) {
                // before the lock, which is not held while the map is read
                pg_sys::visibilitymap_pin(self.table, block_of(&tuple), &mut self.map);
            }
            // errors of the server must not cross Rust's frames
            let done = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                LockBuffer(buffer, pg_sys::BUFFER_LOCK_EXCLUSIVE as c_int);
                let done = (*update).put(&tuple, buffer);
                LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as c_int);
                done
            });
            if done {
                #[cfg(any(feature = "pg14", feature = "pg15"))]
                pg_sys::pgstat_count_heap_update(self.table, true);
                #[cfg(not(any(feature = "pg14", feature = "pg15")))]
                pg_sys::pgstat_count_heap_update(self.table, true, false);
                self.changed += 1;
            }
            done
        }
    }

    /// Gives back what it has pinned, and says what it did, for tests.
    pub fn close(&self) {
        if self.map > 0 {
            // SAFETY: pinned.
            unsafe { pg_sys::ReleaseBuffer(self.map) };
        }
        // SAFETY: the table is open as long as this is used.
        let table = unsafe { pgrx::name_data_to_str(&(*(*self.table).rd_rel).relname) };
        pgrx::debug2!(
            "{} of {} rows of {table} changed on their pages",
            self.changed,
            self.asked
        );
    }

    /// Copies a row and puts the values into the copy; false for a row that is not plain.
    ///
    /// # Safety
    /// `tuple` is a row of the table; the values have the columns' types.
    unsafe fn form(&mut self, tuple: &pg_sys::HeapTupleData, values: &[Value]) -> bool {
        let length = tuple.t_len as usize;
        // SAFETY: by contract; what is read and written lies within the row, which is checked.
        unsafe {
            let header = &*tuple.t_data;
            let special = (pg_sys::HEAP_HASNULL | pg_sys::HEAP_HASEXTERNAL) as u16;
            let present = usize::from(header.t_infomask2 & pg_sys::HEAP_NATTS_MASK as u16);
            if length > LONGEST || header.t_infomask & special != 0 || present < self.columns.len() {
                return false;
            }
            self.row.resize(length.div_ceil(8), 0);
            let row: *mut u8 = self.row.as_mut_ptr().cast();
            std::ptr::copy_nonoverlapping(tuple.t_data.cast::<u8>(), row, length);
            let bytes = std::slice::from_raw_parts_mut(row, length);
            let mut at = usize::from(header.t_hoff);
            let mut changing = self.changing.iter().peekable();
            for (index, (fixed, alignment)) in self.columns.iter().enumerate() {
                let Some(size) = place(bytes, &mut at, *fixed, *alignment) else {
                    return false;
                };
                if let Some((_, value)) = changing.next_if(|(position, _)| *position == index) {
                    let datum = values[*value].datum().value().to_ne_bytes();
                    let (Some(to), Some(from)) = (bytes.get_mut(at..at + size), datum.get(..size)) else {
                        return false;
                    };
                    to.copy_from_slice(from);
                }
                at += size;
            }
        }
        true
    }

    /// What `heap_update()` does, if the page has room and all that is to be known of the old version is on it; else nothing.
    ///
    /// # Safety
    /// The page is pinned and locked to be written; `old` is on it, and `form` has made the new version.
    unsafe fn put(&mut self, old: &pg_sys::HeapTupleData, buffer: pg_sys::Buffer) -> bool {
        // SAFETY: by contract. Between the two changes of CritSectionCount an error ends the server, as it must: the page is changed and not logged.
        unsafe {
            let page = pg_sys::BufferGetBlock(buffer).cast::<c_char>();
            let header = page.cast::<pg_sys::PageHeaderData>();
            let (was, length) = (&mut *old.t_data, old.t_len as usize);
            // who else came was undone, or never came: that is known, not to be found out
            let unchanged = was.t_infomask & pg_sys::HEAP_XMAX_INVALID as u16 != 0;
            let plain = unchanged && was.t_infomask & pg_sys::HEAP_MOVED as u16 == 0 && self.is_of_others(was);
            let block = block_of(old);
            let all_visible = is_all_visible(buffer);
            let has_map = !all_visible || visibilitymap_pin_ok(block, self.map);
            if !plain || !has_map || PageGetHeapFreeSpace(page) < length.next_multiple_of(8) {
                return false;
            }
            let new = self.row.as_mut_ptr().cast::<pg_sys::HeapTupleHeaderData>();
            self.mark_new(&mut *new);
            pg_sys::CritSectionCount += 1;
            let position = PageAddItemExtended(page, new.cast(), length, 0, pg_sys::PAI_IS_HEAP as c_int);
            if position == 0 {
                pg_sys::CritSectionCount -= 1;
                return false;
            }
            let mut place = old.t_self;
            place.ip_posid = position;
            let line = page
                .add(size_of::<pg_sys::PageHeaderData>())
                .cast::<u32>()
                .add(usize::from(position) - 1);
            let offset = (line.read() & 0x7fff) as usize;
            (*page.add(offset).cast::<pg_sys::HeapTupleHeaderData>()).t_ctid = place;
            self.mark_old(was, place);
            let prunable = (*header).pd_prune_xid;
            if prunable == pg_sys::InvalidTransactionId || TransactionIdPrecedes(self.transaction, prunable) {
                (*header).pd_prune_xid = self.transaction;
            }
            if all_visible {
                (*header).pd_flags &= !(pg_sys::PD_ALL_VISIBLE as u16);
                visibilitymap_clear(self.table, block, self.map, MAP_BITS);
            }
            MarkBufferDirty(buffer);
            let end = self.log(old, buffer, position, all_visible);
            (*header).pd_lsn = pg_sys::PageXLogRecPtr {
                xlogid: (end >> 32) as u32,
                xrecoff: end as u32,
            };
            pg_sys::CritSectionCount -= 1;
        }
        true
    }

    /// Whether another transaction wrote the row, which committed then, since the snapshot sees it. The row itself may not say so yet:
    /// not before the log of an asynchronous commit is on disk.
    ///
    /// # Safety
    /// The snapshot sees the row.
    unsafe fn is_of_others(&self, row: &pg_sys::HeapTupleHeaderData) -> bool {
        let committed = row.t_infomask & pg_sys::HEAP_XMIN_COMMITTED as u16 != 0;
        // SAFETY: on a page these are the fields of the union.
        committed || unsafe { !TransactionIdIsCurrentTransactionId(row.t_choice.t_heap.t_xmin) }
    }

    fn mark_new(&self, header: &mut pg_sys::HeapTupleHeaderData) {
        header.t_infomask &= !(pg_sys::HEAP_XACT_MASK as u16);
        header.t_infomask |= (pg_sys::HEAP_UPDATED | pg_sys::HEAP_XMAX_INVALID) as u16;
        header.t_infomask2 &= pg_sys::HEAP_NATTS_MASK as u16;
        header.t_infomask2 |= pg_sys::HEAP_ONLY_TUPLE as u16;
        header.t_choice.t_heap = pg_sys::HeapTupleFields {
            t_xmin: self.transaction,
            t_xmax: pg_sys::InvalidTransactionId,
            t_field3: pg_sys::HeapTupleFields__bindgen_ty_1 { t_cid: self.command },
        };
    }

    fn mark_old(&self, header: &mut pg_sys::HeapTupleHeaderData, next: pg_sys::ItemPointerData) {
        header.t_infomask &= !((pg_sys::HEAP_XMAX_BITS | pg_sys::HEAP_MOVED | pg_sys::HEAP_COMBOCID) as u16);
        header.t_infomask2 &= !(pg_sys::HEAP_KEYS_UPDATED as u16);
        header.t_infomask2 |= pg_sys::HEAP_HOT_UPDATED as u16;
        // on a page these are the fields of the union: the first of them stays
        header.t_choice.t_heap.t_xmax = self.transaction;
        header.t_choice.t_heap.t_field3.t_cid = self.command;
        header.t_ctid = next;
    }

    /// What `log_heap_update()` does; returns where the record ends.
    ///
    /// # Safety
    /// In a critical section; the page of `old` has been changed.
    unsafe fn log(
        &mut self,
        old: &pg_sys::HeapTupleData,
        buffer: pg_sys::Buffer,
        position: u16,
        was_all_visible: bool,
    ) -> u64 {
        let length = old.t_len as usize;
        // SAFETY: by contract; what is registered lives until the record is written.
        unsafe {
            let row: *mut u8 = self.row.as_mut_ptr().cast();
            let new = &*row.cast::<pg_sys::HeapTupleHeaderData>();
            let begin = usize::from(new.t_hoff);
            let before = std::slice::from_raw_parts(old.t_data.cast::<u8>().add(begin), length - begin);
            let after = std::slice::from_raw_parts(row.add(begin), length - begin);
            let common = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(a, b)| a == b).count();
            let mut prefix = common(&mut before.iter().zip(after));
            prefix = if prefix < WORTH_WHILE { 0 } else { prefix };
            let mut suffix = common(&mut before[prefix..].iter().rev().zip(after[prefix..].iter().rev()));
            suffix = if suffix < WORTH_WHILE { 0 } else { suffix };
            let mut logged = Logged {
                old_xmax: self.transaction,
                old_position: old.t_self.ip_posid,
                old_infobits: 0,
                flags: [
                    (was_all_visible, ALL_VISIBLE_CLEARED),
                    (prefix > 0, PREFIX_FROM_OLD),
                    (suffix > 0, SUFFIX_FROM_OLD),
                ]
                .iter()
                .fold(0, |flags, (is_so, flag)| if *is_so { flags | flag } else { flags }),
                new_xmax: pg_sys::InvalidTransactionId,
                new_position: position,
            };
            let mut header = LoggedHeader {
                infomask2: new.t_infomask2,
                infomask: new.t_infomask,
                hoff: new.t_hoff,
            };
            let mut ends = [prefix as u16, suffix as u16];
            let first = usize::from(prefix == 0);
            let count = 2 - first - usize::from(suffix == 0);
            XLogBeginInsert();
            XLogRegisterBuffer(0, buffer, pg_sys::REGBUF_STANDARD as u8);
            XLogRegisterData((&raw mut logged).cast(), LOGGED_UPDATE);
            if count > 0 {
                XLogRegisterBufData(0, (&raw mut ends[first]).cast(), 2 * count as c_int);
            }
            XLogRegisterBufData(0, (&raw mut header).cast(), LOGGED_HEADER);
            if begin > TUPLE_HEADER {
                XLogRegisterBufData(0, row.add(TUPLE_HEADER).cast(), (begin - TUPLE_HEADER) as c_int);
            }
            let rest = length - begin - prefix - suffix;
            XLogRegisterBufData(0, row.add(begin + prefix).cast(), rest as c_int);
            XLogSetRecordFlags(pg_sys::XLOG_INCLUDE_ORIGIN as u8);
            XLogInsert(pg_sys::RmgrIds::RM_HEAP_ID as u8, HOT_UPDATE)
        }
    }
}

/// Whether an index or the partition's bounds look at one of these columns.
///
/// # Safety
/// `table` is open.
unsafe fn is_looked_at(table: pg_sys::Relation, numbers: &[i16]) -> bool {
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    use pg_sys::IndexAttrBitmapKind::INDEX_ATTR_BITMAP_ALL as LOOKED_AT;
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    use pg_sys::IndexAttrBitmapKind::INDEX_ATTR_BITMAP_HOT_BLOCKING as LOOKED_AT;
    // SAFETY: by contract; whole rows are column 0 of what is looked at.
    unsafe {
        let mut looked_at = pg_sys::RelationGetIndexAttrBitmap(table, LOOKED_AT);
        if (*(*table).rd_rel).relispartition {
            let qual = pg_sys::ffi::pg_guard_ffi_boundary(|| RelationGetPartitionQual(table));
            pg_sys::pull_varattnos(qual.cast(), 1, &raw mut looked_at);
        }
        let is_member = |number: i16| {
            pg_sys::bms_is_member(
                c_int::from(number) - pg_sys::FirstLowInvalidHeapAttributeNumber,
                looked_at,
            )
        };
        is_member(0) || numbers.iter().any(|number| is_member(*number))
    }
}

/// # Safety
/// The page is pinned.
unsafe fn is_all_visible(buffer: pg_sys::Buffer) -> bool {
    // SAFETY: by contract.
    unsafe {
        let header = pg_sys::BufferGetBlock(buffer).cast::<pg_sys::PageHeaderData>();
        (&raw const (*header).pd_flags).read_volatile() & pg_sys::PD_ALL_VISIBLE as u16 != 0
    }
}

fn block_of(tuple: &pg_sys::HeapTupleData) -> pg_sys::BlockNumber {
    let block = tuple.t_self.ip_blkid;
    u32::from(block.bi_hi) << 16 | u32::from(block.bi_lo)
}

fn alignment(code: u8) -> usize {
    match code {
        b'd' => 8,
        b'i' => 4,
        b's' => 2,
        _ => 1,
    }
}

/// Moves `at` to where a column of this length (below zero: told by itself) begins; its size. None for what is not plain.
fn place(row: &[u8], at: &mut usize, fixed: i16, alignment: usize) -> Option<usize> {
    if let Ok(size) = usize::try_from(fixed) {
        *at = at.next_multiple_of(alignment);
        return Some(size);
    }
    if fixed != -1 || !cfg!(target_endian = "little") {
        return None;
    }
    // a byte of zeros is padding: then comes a length of four bytes
    if *row.get(*at)? == 0 {
        *at = at.next_multiple_of(alignment);
    }
    let first = *row.get(*at)?;
    match (first, first & 3) {
        (1, _) => None,
        (_, 1 | 3) => Some(usize::from(first >> 1)),
        _ => {
            let length: [u8; 4] = row.get(*at..*at + 4)?.try_into().ok()?;
            Some((u32::from_ne_bytes(length) >> 2) as usize)
        }
    }
}
