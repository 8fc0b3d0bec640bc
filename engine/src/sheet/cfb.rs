//! Compound files, the container of XLS: streams by name. A chain that loops, or leaves the file, ends.

use super::SheetError;
use crate::context::{Context, Reservation};
use crate::error::Result;

pub(super) const MAGIC: [u8; 8] = *b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const FORMAT: &str = "XLS";
/// Sectors above this are marks.
const LAST_SECTOR: u32 = 0xffff_fff9;

pub(super) struct Compound<'a> {
    bytes: &'a [u8],
    sector: usize,
    mini_sector: usize,
    mini_cutoff: u64,
    fat: Vec<u32>,
    mini_fat: Vec<u32>,
    directory: Vec<u8>,
    held: Reservation,
}

/// A stream's content, and the memory it was given.
pub(super) struct Stream {
    pub bytes: Vec<u8>,
    _held: Reservation,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl<'a> Compound<'a> {
    pub fn open(ctx: &Context, bytes: &'a [u8]) -> Result<Self> {
        let damaged = || SheetError::damaged(FORMAT, "its container cannot be read");
        let shift = u16_at(bytes, 30)
            .filter(|shift| (7..=16).contains(shift))
            .ok_or_else(damaged)?;
        let mini_shift = u16_at(bytes, 32)
            .filter(|mini| (2..=shift).contains(mini))
            .ok_or_else(damaged)?;
        let mut file = Self {
            bytes,
            sector: 1 << shift,
            mini_sector: 1 << mini_shift,
            mini_cutoff: u64::from(u32_at(bytes, 56).ok_or_else(damaged)?),
            fat: Vec::new(),
            mini_fat: Vec::new(),
            directory: Vec::new(),
            // The tables: at most four bytes per sector each, and the directory.
            held: ctx.reserve(bytes.len() / (1 << mini_shift) * 8 + 4096)?,
        };
        file.fat = file.read_fat(ctx)?;
        let mini_start = u32_at(bytes, 60).ok_or_else(damaged)?;
        let mini_fat = file.chain(ctx, mini_start, u64::MAX)?;
        file.mini_fat = numbers(&mini_fat).collect();
        let directory_start = u32_at(bytes, 48).ok_or_else(damaged)?;
        file.directory = file.chain(ctx, directory_start, u64::MAX)?;
        file.held.grow(file.directory.len() + mini_fat.len())?;
        Ok(file)
    }

    fn sectors(&self) -> usize {
        self.bytes.len() / self.sector
    }

    fn sector_at(&self, number: u32) -> Option<&'a [u8]> {
        let start = (number as usize).checked_add(1)?.checked_mul(self.sector)?;
        let end = start.checked_add(self.sector)?.min(self.bytes.len());
        self.bytes.get(start..end)
    }

    /// The allocation table: its sectors are listed in the header, then in a chain of their own.
    fn read_fat(&self, ctx: &Context) -> Result<Vec<u32>> {
        let mut listed: Vec<u32> = self
            .bytes
            .get(76..512)
            .map(|list| numbers(list).collect())
            .unwrap_or_default();
        let (mut next, mut left) = (u32_at(self.bytes, 68).unwrap_or(u32::MAX), self.sectors());
        while next <= LAST_SECTOR && left > 0 {
            ctx.check()?;
            let Some(sector) = self.sector_at(next) else { break };
            let mut list: Vec<u32> = numbers(sector).collect();
            next = list.pop().unwrap_or(u32::MAX);
            listed.extend(list);
            left -= 1;
        }
        let mut fat = Vec::new();
        let places = listed.into_iter().filter(|place| *place <= LAST_SECTOR);
        for place in places.take(self.sectors() * 4 / self.sector + 1) {
            match self.sector_at(place) {
                Some(sector) => fat.extend(numbers(sector)),
                None => break,
            }
        }
        Ok(fat)
    }

    /// The content of a chain of sectors, at most `size` bytes.
    fn chain(&self, ctx: &Context, start: u32, size: u64) -> Result<Vec<u8>> {
        let (mut content, mut next, mut left) = (Vec::new(), start, self.sectors());
        while next <= LAST_SECTOR && left > 0 && (content.len() as u64) < size {
            if left.is_multiple_of(4096) {
                ctx.check()?;
            }
            let Some(sector) = self.sector_at(next) else { break };
            content.extend_from_slice(sector);
            next = self.fat.get(next as usize).copied().unwrap_or(u32::MAX);
            left -= 1;
        }
        content.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(content)
    }

    /// The stream of that name, whatever its case; `None` if there is none.
    pub fn stream(&self, ctx: &Context, name: &str) -> Result<Option<Stream>> {
        let found = self.directory.chunks_exact(128).find(|entry| {
            let length = usize::from(u16_at(entry, 64).unwrap_or(0)).min(64) / 2;
            let units = (0..length.saturating_sub(1)).filter_map(|index| u16_at(entry, index * 2));
            let found: String = char::decode_utf16(units).map(|c| c.unwrap_or('?')).collect();
            entry[66] == 2 && found.eq_ignore_ascii_case(name)
        });
        let Some(entry) = found else {
            return Ok(None);
        };
        let (start, size) = (
            u32_at(entry, 116).unwrap_or(u32::MAX),
            u64::from(u32_at(entry, 120).unwrap_or(0)),
        );
        // Never more than the file itself; a vector that grows may hold twice that for a moment.
        let bytes = usize::try_from(size).unwrap_or(usize::MAX).min(self.bytes.len());
        let held = ctx.reserve(bytes.saturating_mul(3))?;
        let bytes = if size >= self.mini_cutoff {
            self.chain(ctx, start, size)?
        } else {
            self.mini_chain(ctx, start, size)?
        };
        Ok(Some(Stream { bytes, _held: held }))
    }

    /// A small stream stands in the root entry's stream, in smaller sectors.
    fn mini_chain(&self, ctx: &Context, start: u32, size: u64) -> Result<Vec<u8>> {
        let root = self
            .directory
            .get(..128)
            .and_then(|root| u32_at(root, 116))
            .unwrap_or(u32::MAX);
        let _held = ctx.reserve(self.bytes.len().saturating_mul(2))?;
        let pool = self.chain(ctx, root, u64::MAX)?;
        let (mut content, mut next) = (Vec::new(), start);
        while next <= LAST_SECTOR && (content.len() as u64) < size {
            let at = (next as usize).saturating_mul(self.mini_sector);
            let Some(sector) = pool.get(at..at.saturating_add(self.mini_sector)) else {
                break;
            };
            content.extend_from_slice(sector);
            next = self.mini_fat.get(next as usize).copied().unwrap_or(u32::MAX);
        }
        content.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(content)
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}
