//! ZIP containers: entries by name, inflated as they are read. The directory is walked, not kept, and sizes are not believed.

use std::io::{self, BufReader, Read};

use flate2::read::DeflateDecoder;

use super::watched::Watched;
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// What an entry may expand to, as a multiple of its compressed size (deflate ends at 1 032) - beyond this it is a bomb if it is also large.
const RATIO: u64 = 200;
const RATIO_FREE: u64 = 16 << 20;

/// An entry, opened.
pub(super) type Entry<'a> = BufReader<Watched<Inflated<'a>>>;

pub(super) struct Archive<'a> {
    format: &'static str,
    bytes: &'a [u8],
    directory: &'a [u8],
}

struct Found<'a> {
    method: u16,
    flags: u16,
    crc: u32,
    compressed: u64,
    offset: u64,
    name: &'a [u8],
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

impl<'a> Archive<'a> {
    /// Finds the directory at the end of `bytes`.
    pub fn open(format: &'static str, bytes: &'a [u8]) -> Result<Self> {
        let directory =
            directory(bytes).ok_or_else(|| SheetError::damaged(format, "it has no directory of its entries"))?;
        Ok(Self {
            format,
            bytes,
            directory,
        })
    }

    /// Whether there is an entry of that name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Opens the entry, `None` if there is none.
    pub fn entry(&self, ctx: &Context, name: &str) -> Result<Option<Entry<'a>>> {
        let Some(found) = self.find(name) else {
            return Ok(None);
        };
        let damaged = |reason: &str| SheetError::damaged(self.format, format!("{reason} of {name}"));
        if found.flags & 1 != 0 {
            return Err(SheetError::Protected { format: self.format }.into());
        }
        let data = self.data(&found).ok_or_else(|| damaged("no data"))?;
        let content: Box<dyn Read + 'a> = match found.method {
            0 => Box::new(data),
            8 => Box::new(DeflateDecoder::new(data)),
            _ => return Err(damaged("unknown compression").into()),
        };
        let inflated = Inflated {
            content,
            limit: found.compressed.saturating_mul(RATIO).max(RATIO_FREE),
            read: 0,
            crc: found.crc,
            hasher: crc32fast::Hasher::new(),
        };
        Ok(Some(BufReader::with_capacity(64 << 10, Watched::new(ctx, inflated))))
    }

    fn find(&self, name: &str) -> Option<Found<'a>> {
        let mut at = 0;
        let mut folded = None;
        while let Some((found, next)) = parse_entry(self.directory, at) {
            if found.name == name.as_bytes() {
                return Some(found);
            }
            // Some writers differ in case, or write backslashes.
            let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*a == b'\\' && *b == b'/');
            if folded.is_none() && found.name.len() == name.len() && found.name.iter().zip(name.as_bytes()).all(same) {
                folded = Some(found);
            }
            at = next;
        }
        folded
    }

    fn data(&self, found: &Found<'_>) -> Option<&'a [u8]> {
        let at = usize::try_from(found.offset).ok()?;
        if self.bytes.get(at..at.checked_add(4)?)? != LOCAL {
            return None;
        }
        let names = usize::from(u16_at(self.bytes, at + 26)?) + usize::from(u16_at(self.bytes, at + 28)?);
        let start = at.checked_add(30)?.checked_add(names)?;
        let end = start.checked_add(usize::try_from(found.compressed).ok()?)?;
        self.bytes.get(start..end)
    }
}

fn directory(bytes: &[u8]) -> Option<&[u8]> {
    // 22 bytes and a comment of up to 65 535.
    let from = bytes.len().saturating_sub(22 + 65_535);
    let end = (from..bytes.len().checked_sub(21)?)
        .rev()
        .find(|at| bytes[*at..].starts_with(&END))?;
    let (mut size, mut start) = (u64::from(u32_at(bytes, end + 12)?), u64::from(u32_at(bytes, end + 16)?));
    if size == u64::from(u32::MAX) || start == u64::from(u32::MAX) {
        let locator = end.checked_sub(20)?;
        if !bytes[locator..].starts_with(&LOCATOR_64) {
            return None;
        }
        let at = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
        if !bytes.get(at..)?.starts_with(&END_64) {
            return None;
        }
        (size, start) = (u64_at(bytes, at.checked_add(40)?)?, u64_at(bytes, at.checked_add(48)?)?);
    }
    let start = usize::try_from(start).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

fn parse_entry(directory: &[u8], at: usize) -> Option<(Found<'_>, usize)> {
    if directory.get(at..at.checked_add(4)?)? != ENTRY {
        return None;
    }
    let (name, extra, comment) = (
        usize::from(u16_at(directory, at + 28)?),
        usize::from(u16_at(directory, at + 30)?),
        usize::from(u16_at(directory, at + 32)?),
    );
    let name_end = at + 46 + name;
    let mut found = Found {
        flags: u16_at(directory, at + 8)?,
        method: u16_at(directory, at + 10)?,
        crc: u32_at(directory, at + 16)?,
        compressed: u64::from(u32_at(directory, at + 20)?),
        offset: u64::from(u32_at(directory, at + 42)?),
        name: directory.get(at + 46..name_end)?,
    };
    let size = u64::from(u32_at(directory, at + 24)?);
    wide(directory.get(name_end..name_end + extra)?, size, &mut found);
    Some((found, name_end + extra + comment))
}

/// Sizes of more than 32 bits stand in the extra field 1, only those that do not fit.
fn wide(extra: &[u8], size: u64, found: &mut Found<'_>) {
    let mut at = 0;
    while let (Some(id), Some(length)) = (u16_at(extra, at), u16_at(extra, at + 2)) {
        if id == 1 {
            let mut next = at + 4;
            let mut take = |value: &mut u64| {
                if *value == u64::from(u32::MAX) {
                    if let Some(wide) = u64_at(extra, next) {
                        *value = wide;
                    }
                    next += 8;
                }
            };
            take(&mut { size });
            take(&mut found.compressed);
            take(&mut found.offset);
        }
        at += 4 + usize::from(length);
    }
}

/// The content of an entry: bounded, its checksum compared at the end.
pub(super) struct Inflated<'a> {
    content: Box<dyn Read + 'a>,
    limit: u64,
    read: u64,
    crc: u32,
    hasher: crc32fast::Hasher,
}

impl Read for Inflated<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(into)?;
        if read == 0 && !into.is_empty() && self.hasher.clone().finalize() != self.crc {
            return Err(io::Error::other("the checksum of an entry differs"));
        }
        self.hasher.update(&into[..read]);
        self.read += read as u64;
        if self.read > self.limit {
            return Err(io::Error::other(format!(
                "an entry expands to more than {RATIO} times its size"
            )));
        }
        Ok(read)
    }
}
