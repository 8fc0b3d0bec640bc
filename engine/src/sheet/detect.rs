//! What a file is, from its first bytes: names lie.

use super::archive::Archive;
use super::SheetError;
use crate::error::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Xlsx,
    Ods,
    Xls,
    Delimited,
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Self::Xlsx => "XLSX",
            Self::Ods => "ODS",
            Self::Xls => "XLS",
            Self::Delimited => "CSV",
        }
    }
}

pub(super) fn detect(bytes: &[u8]) -> Result<Format> {
    let other = |found: &str| {
        Err(SheetError::Format {
            found: found.to_owned(),
        }
        .into())
    };
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        let archive = Archive::open("ZIP", bytes)?;
        return if archive.has("xl/workbook.xml")
            || archive.has("_rels/.rels") && !archive.has("xl/workbook.bin") && !archive.has("word/document.xml")
        {
            Ok(Format::Xlsx)
        } else if archive.has("content.xml") {
            Ok(Format::Ods)
        } else if archive.has("xl/workbook.bin") {
            other("an XLSB workbook")
        } else {
            other("a ZIP archive of something else")
        };
    }
    if bytes.starts_with(&super::cfb::MAGIC) {
        return Ok(Format::Xls);
    }
    for (magic, found) in [
        (&b"%PDF"[..], "a PDF"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"PAR1", "a Parquet file"),
        (b"{\\rtf", "an RTF document"),
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"7z\xbc\xaf", "a 7z archive"),
    ] {
        if bytes.starts_with(magic) {
            return other(found);
        }
    }
    let start = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(start)
        .trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t'])
        .to_ascii_lowercase();
    if text.starts_with("<html")
        || text.starts_with("<!doctype")
        || text.starts_with("<?xml")
        || text.starts_with("<table")
    {
        return other("HTML or XML");
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return other("an empty file");
    }
    Ok(Format::Delimited)
}
