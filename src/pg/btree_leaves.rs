//! Pages of a btree as bytes, from its leaves up, out of keys that ascend: what nbtsort.c makes of sorted keys.
//!
//! The format is that of [`btree_page`](super::btree_page), which the tests read these pages with. Fill factors are PostgreSQL's
//! own for a build; keys of inner pages are cut to the columns that tell two leaves apart (`_bt_truncate`).

use super::btree_page::{Layout, ENTRY_HEADER, HEADER, LINE, LOWER, MAGIC, SPECIAL, VERSION};
use super::column::Tid;

pub(super) const PAGE: usize = pgrx::pg_sys::BLCKSZ as usize;
/// In the header: where entries begin, after [`LOWER`]; and size and version of the page, after [`SPECIAL`].
const UPPER: usize = 14;
const SIZE: usize = 18;
/// What is special to a btree, at the end of its pages: neighbours, level, flags.
const OPAQUE: usize = 16;
/// `PG_PAGE_LAYOUT_VERSION` beside the size of a page.
const SIZE_AND_VERSION: u16 = PAGE as u16 | 4;
/// Of pages above the leaves, `BTREE_NONLEAF_FILLFACTOR`.
const INNER_FILL: usize = 70;

const LEAF: u16 = 1;
const ROOT: u16 = 2;
const META: u16 = 8;
/// The place of a row in an entry's header holds the number of its columns.
const CUT: u16 = 0x2000;

/// Takes pages, once they are whole, with their number in the file.
pub(super) trait Pages {
    fn page(&mut self, block: u32, bytes: &[u8; PAGE]);
}

/// A key's bytes as an entry has them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry(Vec<u8>);

impl Entry {
    /// The first `count` columns, of an inner page or the end of a leaf's range.
    fn cut(layout: &Layout, key: &[i64], count: usize) -> Self {
        let length = layout.end(count).next_multiple_of(8);
        let mut bytes = vec![0; length];
        layout.write(key, count, &mut bytes);
        put_u16(&mut bytes, 4, count as u16);
        put_u16(&mut bytes, 6, length as u16 | CUT);
        Self(bytes)
    }

    /// The page that it leads to.
    fn lead_to(&mut self, block: u32) {
        put_block(&mut self.0, block);
    }
}

/// The open page of a level.
struct Open {
    bytes: Box<[u8; PAGE]>,
    block: u32,
    left: u32,
    level: u32,
    count: usize,
    /// What the page's first key is said to be above; before everything for the first page.
    low: Entry,
    /// Bytes to leave free.
    spare: usize,
}

impl Open {
    fn new(level: u32, block: u32, left: u32, low: Entry, fill: usize) -> Self {
        let mut page = Self {
            bytes: Box::new([0; PAGE]),
            block,
            left,
            level,
            count: 0,
            low,
            spare: PAGE * (100 - fill) / 100,
        };
        let bytes = &mut page.bytes[..];
        // a line for the end of the range, which a page without a right neighbour does not have
        begin(bytes, HEADER + LINE);
        page
    }

    fn lower(&self) -> usize {
        usize::from(u16_at(&self.bytes[..], LOWER))
    }

    fn upper(&self) -> usize {
        usize::from(u16_at(&self.bytes[..], UPPER))
    }

    /// Whether there is room for an entry, besides the end of the range and what is to stay free.
    fn takes(&self, length: usize, end: usize) -> bool {
        let free = self.upper() - self.lower();
        free >= length + end + LINE && (self.count < 2 || free >= self.spare + length + LINE)
    }

    fn store(&mut self, line: usize, entry: &[u8]) {
        let at = self.upper() - entry.len();
        self.bytes[at..at + entry.len()].copy_from_slice(entry);
        put_u16(&mut self.bytes[..], UPPER, at as u16);
        let pointer = at as u32 | 1 << 15 | (entry.len() as u32) << 17;
        self.bytes[line..line + LINE].copy_from_slice(&pointer.to_ne_bytes());
    }

    fn add(&mut self, entry: &[u8]) {
        let line = self.lower();
        put_u16(&mut self.bytes[..], LOWER, (line + LINE) as u16);
        self.store(line, entry);
        self.count += 1;
    }

    /// Closes the page: `end` of its range and the page to the right, or neither.
    fn close(&mut self, right: Option<(&Entry, u32)>, flags: u16) {
        match right {
            Some((end, _)) => self.store(HEADER, &end.0),
            None => {
                let lower = self.lower();
                self.bytes.copy_within(HEADER + LINE..lower, HEADER);
                put_u16(&mut self.bytes[..], LOWER, (lower - LINE) as u16);
            }
        }
        let leaf = if self.level == 0 { LEAF } else { 0 };
        let (left, level) = (self.left, self.level);
        opaque(
            &mut self.bytes,
            left,
            right.map_or(0, |(_, block)| block),
            level,
            leaf | flags,
        );
    }
}

/// A tree that grows.
pub(super) struct Tree {
    layout: Layout,
    columns: usize,
    /// From the leaves up.
    levels: Vec<Open>,
    next_block: u32,
    last: Vec<i64>,
    /// Of leaves, in percent.
    fill: usize,
    entry: Vec<u8>,
    pub rows: u64,
}

impl Tree {
    pub fn new(layout: Layout, columns: usize, fill: usize) -> Self {
        let length = layout.end(columns).next_multiple_of(8);
        Self {
            layout,
            columns,
            levels: Vec::new(),
            next_block: 1,
            last: Vec::with_capacity(columns),
            fill,
            entry: vec![0; length],
            rows: 0,
        }
    }

    /// Adds a key that is greater than all before it; false, and nothing added, where it is not.
    pub fn add(&mut self, key: &[i64], row: Tid, pages: &mut impl Pages) -> bool {
        if self.rows > 0 && key <= self.last.as_slice() {
            return false;
        }
        let mut entry = std::mem::take(&mut self.entry);
        self.layout.write(key, self.columns, &mut entry);
        put_block(&mut entry, row.block);
        put_u16(&mut entry, 4, row.position);
        let length = entry.len() as u16;
        put_u16(&mut entry, 6, length);
        match self.levels.first() {
            None => {
                let block = self.block();
                let low = Entry::cut(&self.layout, key, 0);
                self.levels.push(Open::new(0, block, 0, low, self.fill));
            }
            // the end of a range is at most as long as a whole key
            Some(leaf) if !leaf.takes(entry.len(), entry.len()) => {
                let differing = self.last.iter().zip(key).take_while(|(a, b)| a == b).count() + 1;
                let end = Entry::cut(&self.layout, key, differing.min(self.columns));
                self.turn(0, end, pages);
            }
            Some(_) => {}
        }
        self.levels[0].add(&entry);
        self.entry = entry;
        self.last.clear();
        self.last.extend_from_slice(key);
        self.rows += 1;
        true
    }

    fn block(&mut self) -> u32 {
        self.next_block += 1;
        self.next_block - 1
    }

    /// Closes the open page of a level, whose range ends at `end`, and opens the next.
    fn turn(&mut self, level: usize, end: Entry, pages: &mut impl Pages) {
        let next = self.block();
        let page = &mut self.levels[level];
        page.close(Some((&end, next)), 0);
        pages.page(page.block, &page.bytes);
        let fill = if level == 0 { self.fill } else { INNER_FILL };
        let open = Open::new(level as u32, next, page.block, end, fill);
        let closed = std::mem::replace(page, open);
        self.lead_to(level + 1, closed.low, closed.block, pages);
    }

    /// Adds an entry that leads to `block`.
    fn lead_to(&mut self, level: usize, low: Entry, block: u32, pages: &mut impl Pages) {
        if level == self.levels.len() {
            let own = self.block();
            let before_all = Entry::cut(&self.layout, &[], 0);
            self.levels
                .push(Open::new(level as u32, own, 0, before_all, INNER_FILL));
        }
        if !self.levels[level].takes(
            low.0.len(),
            self.entry.len().max(ENTRY_HEADER) + self.layout.end(self.columns),
        ) {
            self.turn(level, low.clone(), pages);
        }
        // the first entry of an inner page stands for everything before the second
        let mut entry = match self.levels[level].count {
            0 => Entry::cut(&self.layout, &[], 0),
            _ => low,
        };
        entry.lead_to(block);
        self.levels[level].add(&entry.0);
    }

    /// Closes what is open, writes the first page; returns how many pages there are.
    pub fn finish(mut self, same_when_equal: bool, pages: &mut impl Pages) -> u32 {
        let mut level = 0;
        while level < self.levels.len() {
            let top = level + 1 == self.levels.len();
            let page = &mut self.levels[level];
            page.close(None, if top { ROOT } else { 0 });
            pages.page(page.block, &page.bytes);
            if !top {
                let (low, block) = (page.low.clone(), page.block);
                self.lead_to(level + 1, low, block, pages);
            }
            level += 1;
        }
        let (root, height) = self.levels.last().map_or((0, 0), |top| (top.block, top.level));
        pages.page(0, &first_page(root, height, same_when_equal));
        self.next_block
    }
}

/// As `_bt_initmetapage()`.
fn first_page(root: u32, level: u32, same_when_equal: bool) -> [u8; PAGE] {
    let mut bytes = [0; PAGE];
    for (index, value) in [MAGIC, VERSION, root, level, root, level, 0].into_iter().enumerate() {
        bytes[HEADER + 4 * index..][..4].copy_from_slice(&value.to_ne_bytes());
    }
    // number of rows when last cleaned up: unknown; then the flag
    bytes[HEADER + 32..][..8].copy_from_slice(&(-1f64).to_ne_bytes());
    bytes[HEADER + 40] = u8::from(same_when_equal);
    begin(&mut bytes, HEADER + 48);
    opaque(&mut bytes, 0, 0, 0, META);
    bytes
}

/// The header of a page without entries, whose lines reach to `lower`.
fn begin(bytes: &mut [u8], lower: usize) {
    let end = (PAGE - OPAQUE) as u16;
    for (at, value) in [
        (LOWER, lower as u16),
        (UPPER, end),
        (SPECIAL, end),
        (SIZE, SIZE_AND_VERSION),
    ] {
        put_u16(bytes, at, value);
    }
}

fn opaque(bytes: &mut [u8; PAGE], left: u32, right: u32, level: u32, flags: u16) {
    for (index, value) in [left, right, level].into_iter().enumerate() {
        bytes[PAGE - OPAQUE + 4 * index..][..4].copy_from_slice(&value.to_ne_bytes());
    }
    put_u16(bytes, PAGE - 4, flags);
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
}

/// A block number, whose halves are stored the greater first.
fn put_block(entry: &mut [u8], block: u32) {
    put_u16(entry, 0, (block >> 16) as u16);
    put_u16(entry, 2, block as u16);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::btree_page::Page;
    use super::super::column::ColumnType::{Date, Int4, Int8};
    use super::*;

    #[derive(Default)]
    struct Written(BTreeMap<u32, Vec<u8>>);

    impl Pages for Written {
        fn page(&mut self, block: u32, bytes: &[u8; PAGE]) {
            assert!(self.0.insert(block, bytes.to_vec()).is_none(), "page {block} again");
        }
    }

    fn layout() -> Layout {
        Layout::new(&[Int4, Int8, Int8, Date]).unwrap()
    }

    fn key(n: i64) -> [i64; 4] {
        [1, n / 20 - 5000, n / 4 % 5 * 1_000_000_007, n % 4 * 31 - 60]
    }

    fn tree(keys: i64) -> (Written, u32) {
        let mut pages = Written::default();
        let mut tree = Tree::new(layout(), 4, 90);
        for n in 0..keys {
            let row = Tid {
                block: (n / 50) as u32,
                position: (n % 50) as u16 + 1,
            };
            assert!(tree.add(&key(n), row, &mut pages));
        }
        let pages_written = tree.finish(true, &mut pages);
        (pages, pages_written)
    }

    fn find(pages: &Written, key: &[i64]) -> Vec<Tid> {
        let mut block = Page::new(&pages.0[&0][..]).root().unwrap();
        loop {
            let page = Page::new(&pages.0[&block][..]);
            assert_eq!(page.compare_end(&layout(), key), std::cmp::Ordering::Less);
            if page.level() == 0 {
                let mut rows = Vec::new();
                page.rows(&layout(), key, &mut rows);
                return rows;
            }
            block = page.child(&layout(), key);
        }
    }

    #[test]
    fn every_key_is_found_where_its_row_is_and_others_are_not() {
        // of one leaf, of two levels, and of three
        for keys in [1, 100, 5000, 100_000] {
            let (pages, count) = tree(keys);
            assert_eq!(
                pages.0.keys().copied().collect::<Vec<_>>(),
                (0..count).collect::<Vec<_>>()
            );
            for n in (0..keys).step_by(if keys > 5000 { 7 } else { 1 }) {
                let found = find(&pages, &key(n));
                assert_eq!(found.len(), 1, "{n} of {keys}");
                assert_eq!(
                    (found[0].block, found[0].position),
                    ((n / 50) as u32, (n % 50) as u16 + 1)
                );
                let [a, b, c, d] = key(n);
                assert!(find(&pages, &[a, b, c, d + 1]).is_empty());
            }
            assert!(find(&pages, &[0, 0, 0, 0]).is_empty() && find(&pages, &[2, 0, 0, 0]).is_empty());
        }
    }

    #[test]
    fn leaves_are_linked_both_ways_and_as_full_as_postgresql_leaves_them() {
        let (pages, _) = tree(100_000);
        let leaves: Vec<u32> = (1..pages.0.len() as u32)
            .filter(|b| Page::new(&pages.0[b][..]).level() == 0)
            .collect();
        for (position, block) in leaves.iter().enumerate() {
            let page = Page::new(&pages.0[block][..]);
            assert_eq!(page.left(), position.checked_sub(1).map_or(0, |before| leaves[before]));
            assert_eq!(page.right(), leaves.get(position + 1).copied().unwrap_or(0));
        }
        // 40 bytes and a line each: CREATE INDEX puts 165 or 166 of them on a leaf that is to stay a tenth empty
        let of_leaf = 100_000 / leaves.len();
        assert!((160..=168).contains(&of_leaf), "{of_leaf}");
    }

    #[test]
    fn a_key_that_does_not_ascend_is_refused() {
        let (mut pages, row) = (Written::default(), Tid { block: 0, position: 1 });
        let mut tree = Tree::new(layout(), 4, 90);
        assert!(tree.add(&key(7), row, &mut pages));
        assert!(!tree.add(&key(7), row, &mut pages));
        assert!(!tree.add(&key(6), row, &mut pages));
        assert!(tree.add(&key(8), row, &mut pages));
        assert_eq!(tree.rows, 2);
    }
}
