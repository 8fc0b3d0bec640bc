//! In which shared buffers the pages of relations are, as far as that can be told without asking PostgreSQL for each.
//!
//! PostgreSQL finds the buffer of a page by a hash table, whose entries are each somewhere else in memory: of a hundred thousand
//! pages that takes longer than to read what all buffers say of themselves, one after the other. Nothing is locked, so
//! what is known here may be out of date: it is good for hints ([`pg_sys::ReadRecentBuffer`] looks whether they still hold) and for nothing else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use pgrx::prelude::*;

/// By the number of a page the buffer that it is in, 0 for none.
pub(super) type Places = Arc<[pg_sys::Buffer]>;

/// Pages that may be known per buffer, those of relations included that are not in memory up to the last one that is. A part that was appended has few pages there.
const SPARSE: usize = 8;
/// Bytes per buffer that looking takes at most.
const TAKES: usize = size_of::<Page>() + SPARSE * size_of::<pg_sys::Buffer>();
/// Looking at so many buffers takes as long as looking up one page otherwise does.
const LOOKED_AT: usize = 32;
/// Relations found without hashing.
const RECENT: usize = 256;
/// Interrupts are let through after so many buffers.
const POLLED: usize = 1 << 16;

thread_local! {
    static KNOWN: RefCell<HashMap<u32, Places>> = RefCell::default();
}

/// As long as it lives, this session knows where pages are.
#[must_use]
#[derive(Debug)]
pub struct Known(());

impl Drop for Known {
    fn drop(&mut self) {
        KNOWN.with_borrow_mut(HashMap::clear);
    }
}

/// One page of this database in memory.
struct Page {
    /// Position among the relations.
    relation: u32,
    block: u32,
    buffer: pg_sys::Buffer,
}

/// The relations that have pages in memory, with the number of those and the end of the last.
#[derive(Default)]
struct Relations {
    all: Vec<(u32, usize, usize)>,
    positions: HashMap<u32, u32>,
    /// Neighbouring buffers hold pages of few relations: by the last bits of its number where one is.
    recent: Vec<(u32, u32)>,
}

impl Relations {
    /// Takes down a page; returns the position of its relation.
    fn add(&mut self, relation: u32, block: u32) -> u32 {
        self.recent.resize(RECENT, (0, 0));
        let recent = &mut self.recent[relation as usize % RECENT];
        if recent.0 != relation || relation == 0 {
            let next = self.all.len() as u32;
            let position = *self.positions.entry(relation).or_insert(next);
            if position == next {
                self.all.push((relation, 0, 0));
            }
            *recent = (relation, position);
        }
        let (_, pages, end) = &mut self.all[recent.1 as usize];
        *pages += 1;
        *end = (*end).max(block as usize + 1);
        recent.1
    }
}

/// How many bytes [`look`] takes, none where it is not worth while for looking up so many rows.
pub fn bytes(rows: usize) -> Option<usize> {
    let buffers = count();
    (rows > buffers / LOOKED_AT).then_some(buffers * TAKES)
}

fn count() -> usize {
    // SAFETY: set when the server starts.
    usize::try_from(unsafe { pg_sys::NBuffers }).unwrap_or(0)
}

/// Looks where the pages of this database are.
pub fn look() -> Known {
    let mut relations = Relations::default();
    let pages = pages(&mut relations);
    let mut places: Vec<Vec<pg_sys::Buffer>> = vec![Vec::new(); relations.all.len()];
    let mut dense: Vec<usize> = (0..places.len()).collect();
    dense.sort_by_key(|position| {
        let (_, pages, end) = relations.all[*position];
        end / pages
    });
    let mut room = SPARSE * count();
    for position in dense {
        let (.., end) = relations.all[position];
        if end <= room {
            room -= end;
            places[position] = vec![0; end];
        }
    }
    for page in &pages {
        if let Some(buffer) = places[page.relation as usize].get_mut(page.block as usize) {
            *buffer = page.buffer;
        }
    }
    let numbers = relations.all.iter().map(|(relation, ..)| *relation);
    KNOWN.set(numbers.zip(places.into_iter().map(Places::from)).collect());
    Known(())
}

fn pages(relations: &mut Relations) -> Vec<Page> {
    let mut pages = Vec::with_capacity(count());
    for index in 0..count() {
        if index.is_multiple_of(POLLED) {
            check_for_interrupts!();
        }
        // SAFETY: the array has an entry per buffer, and stays. Somebody may be writing to it: a tag that is torn names a place where
        // the page is not, as one does that is out of date.
        let (tag, database) = unsafe {
            let descriptor = pg_sys::BufferDescriptors.add(index);
            (
                (&raw const (*descriptor).bufferdesc.tag).read_volatile(),
                pg_sys::MyDatabaseId,
            )
        };
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let (of_database, relation) = (tag.rnode.dbNode, tag.rnode.relNode.to_u32());
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let (of_database, relation) = (tag.dbOid, tag.relNumber.to_u32());
        if of_database == database && tag.forkNum == pg_sys::ForkNumber::MAIN_FORKNUM {
            pages.push(Page {
                relation: relations.add(relation, tag.blockNum),
                block: tag.blockNum,
                buffer: index as pg_sys::Buffer + 1,
            });
        }
    }
    pages
}

/// Where the pages of a relation are, if somebody [`look`]ed and it has some in memory.
///
/// # Safety
/// `relation` is open.
pub(super) unsafe fn of(relation: pg_sys::Relation) -> Option<Places> {
    // SAFETY: by contract.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let number = (*relation).rd_node.relNode.to_u32();
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let number = (*relation).rd_locator.relNumber.to_u32();
        KNOWN.with_borrow(|known| known.get(&number).cloned())
    }
}

/// The buffer of a page as far as it is known, 0 for none.
#[inline]
pub(super) fn at(places: &Places, block: pg_sys::BlockNumber) -> pg_sys::Buffer {
    places.get(block as usize).copied().unwrap_or(0)
}

/// All pages of an index held in memory, for tests beside which others use the same buffers.
#[cfg(any(test, feature = "pg_test"))]
#[derive(Debug)]
pub struct Pinned(Vec<pg_sys::Buffer>);

#[cfg(any(test, feature = "pg_test"))]
impl Pinned {
    /// Raised: what opening and reading the index raises.
    pub fn all_of(index: pg_sys::Oid) -> Self {
        // SAFETY: the index is open, and locked until the transaction ends; it has the pages that are read.
        unsafe {
            let index = pg_sys::index_open(index, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            let pages = pg_sys::RelationGetNumberOfBlocksInFork(index, pg_sys::ForkNumber::MAIN_FORKNUM);
            let pinned = (0..pages).map(|block| pg_sys::ReadBuffer(index, block)).collect();
            pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
            Self(pinned)
        }
    }
}

#[cfg(any(test, feature = "pg_test"))]
impl Drop for Pinned {
    fn drop(&mut self) {
        for buffer in &self.0 {
            // SAFETY: pinned by `all_of`, once.
            unsafe { pg_sys::ReleaseBuffer(*buffer) };
        }
    }
}
