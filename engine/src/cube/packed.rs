//! Interactions as bytes, for the way from one process to another: pages of rows that name their path by number.
//!
//! A packer numbers the paths that it meets and says each once, in the page that first names it; so whoever unpacks
//! keeps what it learned, and takes the pages of one packer in their order. Amounts, days and kinds travel as they are
//! stored: what counts is for the reader to say.
//!
//! A page: whether numbering begins anew (1 byte), how many paths are new (4), those (41 each), then rows (26 each).

use super::memory::grow;
use super::path::Path;
use super::paths::PathTable;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Rows per page: some 26 kB, so that few pages are worth a queue of their own.
const PAGE_ROWS: usize = 1024;
/// Beyond so many paths a packer numbers them anew: neither side's memory grows with them. With those of one more page it is a power of two.
const MAX_PATHS: usize = (1 << 16) - PAGE_ROWS;
const HEAD: usize = 5;
const PATH: usize = 41;
const ROW: usize = 26;

/// Bytes that a packer takes at most, page included.
pub const PACKER_BYTES: usize = 8 << 20;

/// An interaction on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedFact {
    pub user: i64,
    pub amount: i64,
    /// Day number, in the range or not.
    pub day: i32,
    /// Number of its path, see [`Unpacker::unpack`].
    pub path: u32,
    /// As stored.
    pub kind: i16,
}

/// Makes pages.
#[derive(Debug)]
pub struct Packer {
    paths: PathTable,
    /// How many of them earlier pages told.
    told: usize,
    /// Of each row; their numbers are looked up together, once the page is full.
    waiting: Vec<Path>,
    numbers: Vec<u32>,
    /// Without the numbers of their paths.
    rows: Vec<u8>,
    page: Vec<u8>,
    begins_anew: bool,
    _reservation: Reservation,
}

impl Packer {
    /// # Errors
    /// [`EngineError::Memory`].
    pub fn new(ctx: &Context) -> Result<Self> {
        let mut reservation = ctx.reserve(0)?;
        let mut rows = Vec::new();
        grow(&mut rows, PAGE_ROWS * ROW, &mut reservation)?;
        let (mut waiting, mut numbers, mut page) = (Vec::new(), Vec::new(), Vec::new());
        grow(&mut waiting, PAGE_ROWS, &mut reservation)?;
        grow(&mut numbers, PAGE_ROWS, &mut reservation)?;
        grow(&mut page, HEAD + PAGE_ROWS * (ROW + PATH), &mut reservation)?;
        Ok(Self {
            paths: PathTable::new(ctx)?,
            told: 0,
            waiting,
            numbers,
            rows,
            page,
            begins_anew: true,
            _reservation: reservation,
        })
    }

    /// Takes a fact in; true when the page is full and has to be [taken](Packer::page).
    #[inline]
    pub fn push(&mut self, user: i64, path: &Path, day: i32, kind: i16, amount: i64) -> bool {
        let mut row = [0; ROW];
        row[..8].copy_from_slice(&user.to_le_bytes());
        row[8..16].copy_from_slice(&amount.to_le_bytes());
        row[16..20].copy_from_slice(&day.to_le_bytes());
        row[24..].copy_from_slice(&kind.to_le_bytes());
        self.rows.extend_from_slice(&row);
        self.waiting.push(*path);
        self.waiting.len() >= PAGE_ROWS
    }

    /// The page, none without rows; a new one begins.
    ///
    /// # Errors
    /// [`EngineError::Memory`].
    pub fn page(&mut self) -> Result<Option<&[u8]>> {
        if self.waiting.is_empty() {
            return Ok(None);
        }
        self.paths.intern_all(&self.waiting, &mut self.numbers)?;
        self.waiting.clear();
        for (row, number) in self.rows.as_chunks_mut::<ROW>().0.iter_mut().zip(&self.numbers) {
            row[20..24].copy_from_slice(&number.to_le_bytes());
        }
        let new = self.paths.since(self.told);
        self.page.clear();
        self.page.push(u8::from(self.begins_anew));
        self.page.extend_from_slice(&(new.len() as u32).to_le_bytes());
        new.iter()
            .for_each(|path| self.page.extend_from_slice(&path.to_bytes()));
        self.page.extend_from_slice(&self.rows);
        self.rows.clear();
        self.begins_anew = self.paths.len() > MAX_PATHS;
        if self.begins_anew {
            self.paths.clear();
        }
        self.told = self.paths.len();
        Ok(Some(&self.page))
    }
}

/// What a page says.
#[derive(Debug)]
pub struct Page<'a> {
    /// Paths are numbered from 0 again.
    pub begins_anew: bool,
    paths: &'a [u8],
    rows: &'a [u8],
}

impl<'a> Page<'a> {
    /// # Errors
    /// [`EngineError::InvalidParameter`] for bytes that no packer made.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let wrong = || {
            EngineError::invalid(
                "page of facts",
                "one that a packer made",
                format!("{} bytes", bytes.len()),
            )
        };
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(wrong)?;
        let told = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (paths, rows) = rest.split_at_checked(told.saturating_mul(PATH)).ok_or_else(wrong)?;
        if rows.len() % ROW != 0 {
            return Err(wrong());
        }
        Ok(Self {
            begins_anew: head[0] != 0,
            paths,
            rows,
        })
    }

    /// Those that follow the ones told before, in the order of their numbers.
    pub fn new_paths(&self) -> impl Iterator<Item = Path> + 'a {
        self.paths.as_chunks::<PATH>().0.iter().map(Path::from_bytes)
    }

    pub fn facts(&self) -> impl Iterator<Item = PackedFact> + 'a {
        self.rows.as_chunks::<ROW>().0.iter().map(|row| PackedFact {
            user: i64::from_le_bytes(part(row, 0)),
            amount: i64::from_le_bytes(part(row, 8)),
            day: i32::from_le_bytes(part(row, 16)),
            path: u32::from_le_bytes(part(row, 20)),
            kind: i16::from_le_bytes(part(row, 24)),
        })
    }
}

/// `N` bytes of a row or path of more than `at + N`.
#[inline]
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fact = (i64, Path, i32, i16, i64);

    fn context() -> Context {
        Context::builder().memory_budget(PACKER_BYTES).build().unwrap()
    }

    /// As a reader keeps it: the paths told so far, by number.
    fn unpack(page: &[u8], known: &mut Vec<Path>, found: &mut Vec<Fact>) {
        let page = Page::new(page).unwrap();
        if page.begins_anew {
            known.clear();
        }
        known.extend(page.new_paths());
        found.extend(
            page.facts()
                .map(|fact| (fact.user, known[fact.path as usize], fact.day, fact.kind, fact.amount)),
        );
    }

    fn round_trip(facts: &[Fact]) -> (Vec<Fact>, usize) {
        let mut packer = Packer::new(&context()).unwrap();
        let (mut known, mut found, mut most) = (Vec::new(), Vec::new(), 0);
        for (user, path, day, kind, amount) in facts {
            if packer.push(*user, path, *day, *kind, *amount) {
                unpack(packer.page().unwrap().unwrap(), &mut known, &mut found);
                most = most.max(known.len());
            }
        }
        if let Some(page) = packer.page().unwrap() {
            unpack(page, &mut known, &mut found);
        }
        assert_eq!(packer.page().unwrap(), None, "a page without rows");
        (found, most)
    }

    #[test]
    fn facts_arrive_as_they_were_sent() {
        let some = Path::new([Some(i64::MIN), None, Some(0), Some(-1), Some(i64::MAX)]);
        let facts = [
            (i64::MAX, some, i32::MIN, i16::MIN, i64::MIN),
            (i64::MIN, Path::new([None; 5]), i32::MAX, i16::MAX, i64::MAX),
            // an id of 0 is not the same as none
            (0, Path::new([Some(0), None, None, None, None]), 0, 0, 0),
            (-1, some, -1, -1, -1),
        ];
        assert_eq!(round_trip(&facts).0, facts);
    }

    #[test]
    fn paths_without_end_begin_anew_and_stay_within_the_budget() {
        // each fact another path, three times as many as a packer keeps, then the first ones again
        let path = |n: usize| Path::new([Some(1), None, Some(2), None, Some((n % (3 * MAX_PATHS)) as i64)]);
        let facts: Vec<_> = (0..4 * MAX_PATHS + 7)
            .map(|n| (n as i64, path(n), n as i32, (n % 5) as i16, -(n as i64)))
            .collect();
        let (found, most) = round_trip(&facts);
        assert!(found == facts, "some fact arrived as another");
        assert!(most > MAX_PATHS && most <= MAX_PATHS + PAGE_ROWS, "{most}");
    }

    #[test]
    fn bytes_that_no_packer_made_are_refused() {
        for bytes in [
            &[][..],
            &[0, 1, 0, 0, 0],
            &[0, 255, 255, 255, 255, 1],
            &[0, 0, 0, 0, 0, 1],
        ] {
            assert!(Page::new(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(Page::new(&[0; HEAD]).unwrap().facts().count(), 0);
    }
}
