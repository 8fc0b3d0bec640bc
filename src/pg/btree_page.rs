//! Pages of a btree index as bytes: which of its entries a key equals, and where the others are.
//!
//! This is the format of btrees since PostgreSQL 12 (version 4: access/nbtree.h), in which the column values that tell two pages
//! apart are all that inner pages and the end of a page hold.

use std::cmp::Ordering;

use super::column::{ColumnType, Tid};
use super::memory_hints::ask;

/// The version whose pages these are.
pub(super) const VERSION: u32 = 4;
pub(super) const MAGIC: u32 = 0x0005_3162;

const CACHE_LINE: usize = 64;

/// Comparisons that are prepared at once.
const STEPS: usize = 3;

pub(super) const HEADER: usize = 24;
pub(super) const LINE: usize = 4;
/// Where the header says how far the lines reach; then come where the entries begin and where what is special to a btree does.
pub(super) const LOWER: usize = 12;
pub(super) const SPECIAL: usize = 16;
/// Header of an entry; then come its columns, since none is null.
pub(super) const ENTRY_HEADER: usize = 8;

/// Deleted, or about to be: what was on it is to the right.
const IGNORE: u16 = 4 | 16;

/// The place of a row in an entry's header holds something else.
const NO_ROW: u16 = 0x2000;
/// Several rows, of the same key.
const POSTING: u16 = 0x2000;
/// Up to this entry's row, not all of its key.
const WITH_ROW: u16 = 0x1000;
const COUNT: u16 = 0x0fff;

/// Where the columns of a key lie in an entry: all of fixed length, none null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout(Vec<(usize, ColumnType)>);

impl Layout {
    /// None for types that are not compared as whole numbers.
    pub fn new(types: &[ColumnType]) -> Option<Self> {
        let mut end = ENTRY_HEADER;
        let columns = types.iter().map(|column| {
            let length = match column {
                ColumnType::Int4 | ColumnType::Date => 4,
                ColumnType::Int8 => 8,
                _ => return None,
            };
            let offset = end.next_multiple_of(length);
            end = offset + length;
            Some((offset, *column))
        });
        columns.collect::<Option<Vec<_>>>().map(Self)
    }

    /// Where an entry of the first `count` columns ends.
    pub fn end(&self, count: usize) -> usize {
        let last = count.checked_sub(1).and_then(|last| self.0.get(last));
        last.map_or(ENTRY_HEADER, |(offset, column)| offset + width(*column))
    }

    /// Puts the first `count` columns of a key where an entry has them.
    #[inline]
    pub fn write(&self, key: &[i64], count: usize, entry: &mut [u8]) {
        for ((offset, column), value) in self.0.iter().zip(key).take(count) {
            match column {
                ColumnType::Int8 => entry[*offset..offset + 8].copy_from_slice(&value.to_ne_bytes()),
                _ => entry[*offset..offset + 4].copy_from_slice(&(*value as i32).to_ne_bytes()),
            }
        }
    }
}

fn width(column: ColumnType) -> usize {
    match column {
        ColumnType::Int8 => 8,
        _ => 4,
    }
}

/// The bytes of a page.
pub(super) trait Bytes: Copy {
    fn at<const N: usize>(self, at: usize) -> [u8; N];

    /// Asks for the cache line of a byte before it is needed.
    fn fetch(self, at: usize);
}

impl Bytes for &[u8] {
    #[inline]
    fn at<const N: usize>(self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self[at + i])
    }

    #[inline]
    fn fetch(self, at: usize) {
        if let Some(byte) = self.get(at..).and_then(<[u8]>::first) {
            ask(byte);
        }
    }
}

/// Where a key is looked for on a leaf, before its turn comes: among the entries from `low` to before `high`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    low: usize,
    high: usize,
}

impl Span {
    /// The entries that the next [`STEPS`] comparisons may be with.
    fn candidates(self) -> impl Iterator<Item = usize> {
        // in the order of a binary search's tree: the middle, those of both halves, those of the quarters
        let mut spans = [(0, 0); (1 << STEPS) - 1];
        spans[0] = (self.low, self.high);
        for parent in 0..spans.len() / 2 {
            let (low, high) = spans[parent];
            let middle = (low + high) / 2;
            spans[2 * parent + 1] = (low, middle);
            spans[2 * parent + 2] = (high.min(middle + 1), high);
        }
        spans
            .into_iter()
            .filter(|(low, high)| low < high)
            .map(|(low, high)| (low + high) / 2)
    }
}

/// One page; positions count from 1.
#[derive(Clone, Copy)]
pub(super) struct Page<B> {
    bytes: B,
    special: usize,
}

impl<B: Bytes> Page<B> {
    pub fn new(bytes: B) -> Self {
        let special = usize::from(u16_at(bytes, SPECIAL));
        Self { bytes, special }
    }

    /// Of the first page of an index: block of the root, 0 for none; `None` for another version of the format.
    pub fn root(&self) -> Option<u32> {
        let at = |index: usize| u32_at(self.bytes, HEADER + 4 * index);
        // the fast root, which knows that the pages above have one child each
        (at(0) == MAGIC && at(1) == VERSION).then(|| at(4))
    }

    pub fn left(&self) -> u32 {
        u32_at(self.bytes, self.special)
    }

    pub fn right(&self) -> u32 {
        u32_at(self.bytes, self.special + 4)
    }

    /// How many levels are below.
    pub fn level(&self) -> u32 {
        u32_at(self.bytes, self.special + 8)
    }

    fn flags(&self) -> u16 {
        u16_at(self.bytes, self.special + 12)
    }

    pub fn is_gone(&self) -> bool {
        self.flags() & IGNORE != 0
    }

    /// First position that is not the end of the page's range.
    fn first(&self) -> usize {
        if self.right() == 0 {
            1
        } else {
            2
        }
    }

    fn last(&self) -> usize {
        usize::from(u16_at(self.bytes, LOWER)).saturating_sub(HEADER) / LINE
    }

    /// Begin of an entry, and whether it is known to be dead.
    fn entry(&self, position: usize) -> (usize, bool) {
        let line = u32_at(self.bytes, HEADER + (position - 1) * LINE);
        ((line & 0x7fff) as usize, (line >> 15) & 3 == 3)
    }

    /// How `key` compares with the end of the page's range; `Less` where there is none.
    pub fn compare_end(&self, layout: &Layout, key: &[i64]) -> Ordering {
        match self.right() {
            0 => Ordering::Less,
            _ => self.compare(layout, key, 1),
        }
    }

    /// As `_bt_compare()`: a key is greater than an entry that was cut short and equals its beginning.
    fn compare(&self, layout: &Layout, key: &[i64], position: usize) -> Ordering {
        let (entry, _) = self.entry(position);
        let (row, info) = (u16_at(self.bytes, entry + 4), u16_at(self.bytes, entry + 6));
        let inner = info & NO_ROW != 0 && row & POSTING == 0;
        let present = if inner { usize::from(row & COUNT) } else { key.len() };
        for ((offset, column), wanted) in layout.0.iter().zip(key).take(present) {
            let found = match column {
                ColumnType::Int8 => i64_at(self.bytes, entry + offset),
                _ => i64::from(u32_at(self.bytes, entry + offset) as i32),
            };
            match wanted.cmp(&found) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        if present < key.len() || inner && row & WITH_ROW == 0 {
            return Ordering::Greater;
        }
        Ordering::Equal
    }

    /// All entries of a leaf.
    pub fn span(&self) -> Span {
        Span {
            low: self.first(),
            high: self.last() + 1,
        }
    }

    /// Asks for what tells where the next entries are.
    pub fn fetch_lines(&self, span: Span) {
        for position in span.candidates() {
            self.bytes.fetch(HEADER + (position - 1) * LINE);
        }
    }

    /// Asks for the next entries themselves.
    pub fn fetch_entries(&self, span: Span) {
        for position in span.candidates() {
            self.bytes.fetch(self.entry(position).0 + ENTRY_HEADER);
        }
    }

    /// Compares with the entries that were asked for.
    pub fn narrowed(&self, layout: &Layout, key: &[i64], mut span: Span) -> Span {
        for _ in 0..STEPS {
            if span.low < span.high {
                let middle = (span.low + span.high) / 2;
                match self.compare(layout, key, middle) {
                    Ordering::Greater => span.low = middle + 1,
                    _ => span.high = middle,
                }
            }
        }
        span
    }

    /// First position from `from` on that `key` is not greater than.
    fn lower_bound(&self, layout: &Layout, key: &[i64], from: usize) -> usize {
        let (mut low, mut high) = (from, self.last() + 1);
        // nearly every entry that is looked at is far away in memory: both that may be next are fetched while one is compared
        (HEADER..HEADER + LINE * high)
            .step_by(CACHE_LINE)
            .for_each(|at| self.bytes.fetch(at));
        while low < high {
            let middle = (low + high) / 2;
            for next in [(low + middle) / 2, (middle + 1 + high) / 2] {
                if next < high {
                    self.bytes.fetch(self.entry(next).0 + ENTRY_HEADER);
                }
            }
            match self.compare(layout, key, middle) {
                Ordering::Greater => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// Of an inner page: the child in whose range the first entry of the key is.
    pub fn child(&self, layout: &Layout, key: &[i64]) -> u32 {
        // the first entry stands for everything before the second
        let position = self.lower_bound(layout, key, self.first() + 1) - 1;
        let (entry, _) = self.entry(position);
        block(self.bytes, entry)
    }

    /// Of a leaf: adds the rows of the key; whether there may be more on the page to the right.
    pub fn rows(&self, layout: &Layout, key: &[i64], rows: &mut Vec<Tid>) -> bool {
        let last = self.last();
        let mut position = self.lower_bound(layout, key, self.first());
        while position <= last && self.compare(layout, key, position) == Ordering::Equal {
            let (entry, dead) = self.entry(position);
            if !dead {
                self.rows_of(entry, rows);
            }
            position += 1;
        }
        position > last && self.compare_end(layout, key) == Ordering::Equal
    }

    fn rows_of(&self, entry: usize, rows: &mut Vec<Tid>) {
        let (row, info) = (u16_at(self.bytes, entry + 4), u16_at(self.bytes, entry + 6));
        if info & NO_ROW == 0 {
            rows.push(self.tid(entry));
        } else if row & POSTING != 0 {
            let list = entry + block(self.bytes, entry) as usize;
            rows.extend((0..usize::from(row & COUNT)).map(|index| self.tid(list + 6 * index)));
        }
    }

    fn tid(&self, at: usize) -> Tid {
        Tid {
            block: block(self.bytes, at),
            position: u16_at(self.bytes, at + 4),
        }
    }
}

fn u16_at(bytes: impl Bytes, at: usize) -> u16 {
    u16::from_ne_bytes(bytes.at(at))
}

fn u32_at(bytes: impl Bytes, at: usize) -> u32 {
    u32::from_ne_bytes(bytes.at(at))
}

fn i64_at(bytes: impl Bytes, at: usize) -> i64 {
    i64::from_ne_bytes(bytes.at(at))
}

/// A block number, whose halves are stored the greater first.
fn block(bytes: impl Bytes, at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) << 16 | u32::from(u16_at(bytes, at + 2))
}
