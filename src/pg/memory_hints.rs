//! Bytes of the shared buffers asked for some time before they are read. Nothing here reads what it may not: a hint that is out of
//! date by the time it is used costs a little time and nothing else.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use pgrx::pg_sys;

use super::btree_page::Bytes;
use super::column::Tid;

const NOTHING: pg_sys::Buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
const PAGE: usize = pg_sys::BLCKSZ as usize;
/// Header of a page; then come its line pointers.
const HEADER: usize = 24;
const LINE: usize = 4;
/// Of a page's header: where its free room ends.
const UPPER: usize = 14;
const CACHE_LINE: usize = 64;
/// Of a line pointer: it names another one.
const REDIRECTED: usize = 2;

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

/// The buffer that a page is in; one that is in none is asked of the system.
///
/// # Safety
/// `table` is open and no temporary table.
pub(super) unsafe fn find(table: pg_sys::Relation, block: pg_sys::BlockNumber) -> pg_sys::Buffer {
    // SAFETY: by contract.
    unsafe { pg_sys::PrefetchBuffer(table, pg_sys::ForkNumber::MAIN_FORKNUM, block).recent_buffer }
}

/// A page that nothing keeps from being written, or from becoming another one, while it is looked at: whatever is
/// found there is good enough for a hint.
#[derive(Clone, Copy)]
pub(super) struct Glimpse(*const u8);

impl Glimpse {
    /// None for no buffer.
    pub fn of(buffer: pg_sys::Buffer) -> Option<Self> {
        // SAFETY: there is such a buffer, and shared buffers stay where they are.
        (buffer > NOTHING).then(|| Self(unsafe { pg_sys::BufferGetBlock(buffer) }.cast()))
    }
}

impl Bytes for Glimpse {
    #[inline]
    fn at<const N: usize>(self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        if !at.is_multiple_of(N) || at + N > PAGE {
            return bytes;
        }
        let address = self.0.wrapping_add(at).cast_mut();
        // SAFETY: inside the buffer, and aligned.
        unsafe {
            match N {
                2 => bytes.copy_from_slice(
                    &AtomicU16::from_ptr(address.cast())
                        .load(Ordering::Relaxed)
                        .to_ne_bytes(),
                ),
                4 => bytes.copy_from_slice(
                    &AtomicU32::from_ptr(address.cast())
                        .load(Ordering::Relaxed)
                        .to_ne_bytes(),
                ),
                8 => bytes.copy_from_slice(
                    &AtomicU64::from_ptr(address.cast())
                        .load(Ordering::Relaxed)
                        .to_ne_bytes(),
                ),
                _ => {}
            }
        }
        bytes
    }

    #[inline]
    fn fetch(self, at: usize) {
        ask(self.0.wrapping_add(at % PAGE));
    }
}

/// Asks for what says who has a buffer pinned and locked, and for the header of its page.
pub(super) fn buffer(buffer: pg_sys::Buffer) {
    if let Some(page) = Glimpse::of(buffer) {
        // SAFETY: the array has an entry per buffer.
        ask(unsafe { pg_sys::BufferDescriptors.add(buffer as usize - 1) }.cast());
        page.fetch(0);
    }
}

/// Asks for what tells where on its page in `buffer` a row is.
pub(super) fn line_of(buffer: pg_sys::Buffer, place: Tid) {
    if let Some(page) = Glimpse::of(buffer) {
        page.fetch(line(place));
    }
}

fn line(place: Tid) -> usize {
    HEADER + LINE * usize::from(place.position.max(1) - 1)
}

/// Asks for the row itself, some time after [`line_of`], and for where a version of it that is `length` bytes long would go.
pub(super) fn row(buffer: pg_sys::Buffer, place: Tid, length: Option<usize>) {
    let Some(page) = Glimpse::of(buffer) else { return };
    let mut found = u32::from_ne_bytes(page.at(line(place))) as usize;
    if found >> 15 & 3 == REDIRECTED {
        let position = found as u16 & 0x7fff;
        found = u32::from_ne_bytes(page.at(line(Tid { position, ..place }))) as usize;
    }
    let entry = found & 0x7fff;
    page.fetch(entry);
    page.fetch(entry + CACHE_LINE);
    if let Some(length) = length {
        let upper = usize::from(u16::from_ne_bytes(page.at(UPPER)));
        let free = upper.saturating_sub(length.next_multiple_of(8));
        (free..upper).step_by(CACHE_LINE).for_each(|at| page.fetch(at));
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
