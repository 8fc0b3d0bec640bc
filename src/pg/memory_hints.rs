//! Bytes of the shared buffers asked for some time before they are read. Nothing here reads what it may not: a hint that is out of
//! date by the time it is used costs a little time and nothing else.

use pgrx::pg_sys;

use super::column::Tid;

const NOTHING: pg_sys::Buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
const PAGE: usize = pg_sys::BLCKSZ as usize;
/// Header of a page; then come its line pointers.
const HEADER: usize = 24;
const LINE: usize = 4;
const CACHE_LINE: usize = 64;

/// Asks for the byte at this address.
#[inline]
pub(super) fn ask(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an instruction that does nothing but to fill a cache, whatever the address.
    unsafe {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for what tells where on its page a row is; returns the buffer that the page is in. A page that is in none is asked of the system.
///
/// # Safety
/// `table` is open and no temporary table.
pub(super) unsafe fn page(table: pg_sys::Relation, place: Tid) -> pg_sys::Buffer {
    // SAFETY: by contract.
    let buffer = unsafe { pg_sys::PrefetchBuffer(table, pg_sys::ForkNumber::MAIN_FORKNUM, place.block).recent_buffer };
    if buffer > NOTHING {
        // SAFETY: shared buffers stay where they are.
        let bytes = unsafe { pg_sys::BufferGetBlock(buffer) }.cast::<u8>();
        ask(bytes);
        ask(bytes.wrapping_add(line(place)));
    }
    buffer
}

fn line(place: Tid) -> usize {
    HEADER + LINE * usize::from(place.position.max(1) - 1)
}

/// Asks for the row itself, some time after [`page`] found `buffer`.
///
/// # Safety
/// `buffer` is what [`page`] returned.
pub(super) unsafe fn row(buffer: pg_sys::Buffer, place: Tid) {
    if buffer <= NOTHING || line(place) + LINE > PAGE {
        return;
    }
    // SAFETY: inside the buffer. Somebody may be writing there: whatever is read is good enough for a hint.
    unsafe {
        let bytes = pg_sys::BufferGetBlock(buffer).cast::<u8>();
        let entry = bytes.add(line(place)).cast::<u32>().read_volatile() as usize & 0x7fff;
        ask(bytes.wrapping_add(entry % PAGE));
        ask(bytes.wrapping_add((entry + CACHE_LINE) % PAGE));
    }
}

/// Pins a page in place of `before` (or nothing), in the buffer `hint` if it is there still.
///
/// # Safety
/// `table` is open; `before` is pinned.
pub(super) unsafe fn pin(
    table: pg_sys::Relation,
    before: pg_sys::Buffer,
    block: pg_sys::BlockNumber,
    hint: pg_sys::Buffer,
) -> pg_sys::Buffer {
    // SAFETY: by contract.
    unsafe {
        if hint <= NOTHING {
            return pg_sys::ReleaseAndReadBuffer(before, table, block);
        }
        if before != NOTHING {
            pg_sys::ReleaseBuffer(before);
        }
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let storage = (*table).rd_node;
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let storage = (*table).rd_locator;
        if pg_sys::ReadRecentBuffer(storage, pg_sys::ForkNumber::MAIN_FORKNUM, block, hint) {
            return hint;
        }
        pg_sys::ReadBuffer(table, block)
    }
}
