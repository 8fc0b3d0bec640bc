//! Delimited text: encoding, delimiter, line ends and quotes as they are found.

use std::io::{self, Read};

use csv::{ByteRecord, ReaderBuilder, Terminator};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_16BE, UTF_16LE, UTF_8, WINDOWS_1252};

use super::cell::Grid;
use super::watched::Watched;
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

pub(super) const FORMAT: &str = "CSV";

const DELIMITERS: [u8; 4] = *b";,\t|";
/// Records that are looked at to tell the delimiter.
const SAMPLE: usize = 30;

pub(super) struct Delimited<'a> {
    bytes: &'a [u8],
    encoding: &'static Encoding,
    delimiter: u8,
}

impl<'a> Delimited<'a> {
    pub fn open(ctx: &Context, bytes: &'a [u8], known: &dyn Fn(&[&str]) -> usize) -> Result<Self> {
        let (encoding, start) = encoding(ctx, bytes)?;
        let mut file = Self {
            bytes: &bytes[start..],
            encoding,
            delimiter: b',',
        };
        if let Some((delimiter, length)) = file.declared() {
            file.delimiter = delimiter;
            file.bytes = &file.bytes[length..];
        } else {
            file.delimiter = file.best_delimiter(ctx, known)?;
        }
        Ok(file)
    }

    pub fn dialect(&self) -> (&'static str, char) {
        (self.encoding.name(), char::from(self.delimiter))
    }

    pub fn read(&self, ctx: &Context, max_rows: usize) -> Result<Grid> {
        let mut grid = Grid::new(ctx, max_rows)?;
        let mut row = 0u32;
        self.records(ctx, self.delimiter, |record| {
            for (column, field) in record.iter().enumerate() {
                let field = std::str::from_utf8(field).unwrap_or("");
                grid.push_text(row, u32::try_from(column).unwrap_or(u32::MAX), field)?;
            }
            row = row.saturating_add(1);
            Ok(true)
        })?;
        Ok(grid)
    }

    /// Excel's first line `sep=;` and its length in bytes of this encoding; only where a byte is a character.
    fn declared(&self) -> Option<(u8, usize)> {
        let line = self.bytes.get(..5)?;
        let delimiter = *line.last()?;
        let rest = self.bytes.get(5..)?;
        let end = if rest.starts_with(b"\r\n") {
            2
        } else {
            usize::from(rest.starts_with(b"\n") || rest.starts_with(b"\r"))
        };
        (line[..4].eq_ignore_ascii_case(b"sep=") && DELIMITERS.contains(&delimiter) && end > 0)
            .then_some((delimiter, 5 + end))
    }

    /// The one that finds the most known headers; then the one whose records have most often the same number of fields, above one; then the
    /// one with the most fields in the first record, in which no decimal commas stand.
    fn best_delimiter(&self, ctx: &Context, known: &dyn Fn(&[&str]) -> usize) -> Result<u8> {
        let (mut best, mut chosen) = ((0, 0, 0), b',');
        for delimiter in DELIMITERS {
            let (mut headers, mut widths) = (0, Vec::new());
            let looked = self.records(ctx, delimiter, |record| {
                let fields: Vec<&str> = record
                    .iter()
                    .map(|field| std::str::from_utf8(field).unwrap_or(""))
                    .collect();
                headers = headers.max(known(&fields));
                widths.push(fields.len());
                Ok(widths.len() < SAMPLE)
            });
            // With a wrong delimiter quotes may not end: then it is not this one.
            if let Err(error) = looked {
                ctx.check()?;
                drop(error);
                continue;
            }
            let common = widths
                .iter()
                .map(|width| widths.iter().filter(|other| *other == width).count() * usize::from(*width > 1))
                .max();
            let score = (headers, common.unwrap_or(0), widths.first().copied().unwrap_or(0));
            if score > best {
                (best, chosen) = (score, delimiter);
            }
        }
        Ok(chosen)
    }

    /// Hands each record to `take` until it returns false.
    fn records(&self, ctx: &Context, delimiter: u8, mut take: impl FnMut(&ByteRecord) -> Result<bool>) -> Result<()> {
        let decoding = Decoding::new(self.encoding, self.bytes);
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .terminator(Terminator::CRLF)
            .buffer_capacity(64 << 10)
            .from_reader(Watched::new(ctx, decoding));
        let mut record = ByteRecord::new();
        loop {
            reader.get_mut().mark();
            match reader.read_byte_record(&mut record) {
                Ok(true) => {
                    if !take(&record)? {
                        return Ok(());
                    }
                }
                Ok(false) => return Ok(()),
                Err(_) => {
                    ctx.check()?;
                    let line = reader.position().line();
                    return Err(SheetError::damaged(
                        FORMAT,
                        format!("the record at line {line} does not end, a quote may be missing"),
                    )
                    .into());
                }
            }
        }
    }
}

/// The encoding and the length of its mark: by the mark, by zeros, by whether it is UTF-8, else Windows-1252, which is any bytes.
fn encoding(ctx: &Context, bytes: &[u8]) -> Result<(&'static Encoding, usize)> {
    if let Some(found) = Encoding::for_bom(bytes) {
        return Ok(found);
    }
    let start = &bytes[..bytes.len().min(4096)];
    let zeros = |odd: usize| start.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let half = start.len() / 2;
    for (odd, encoding) in [(1, UTF_16LE), (0, UTF_16BE)] {
        if half > 0 && zeros(odd) * 10 > half * 6 && zeros(1 - odd) == 0 {
            return Ok((encoding, 0));
        }
    }
    if start.contains(&0) {
        return Err(SheetError::Format {
            found: "binary data".to_owned(),
        }
        .into());
    }
    let utf8 = is_utf8(ctx, bytes)?;
    Ok((if utf8 { UTF_8 } else { WINDOWS_1252 }, 0))
}

fn is_utf8(ctx: &Context, bytes: &[u8]) -> Result<bool> {
    let mut rest = bytes;
    while !rest.is_empty() {
        ctx.check()?;
        let (block, last) = (&rest[..rest.len().min(1 << 20)], rest.len() <= 1 << 20);
        let valid = match std::str::from_utf8(block) {
            Ok(_) => block.len(),
            // a character cut in two by the end of the block
            Err(error) if error.error_len().is_none() && !last && error.valid_up_to() > 0 => error.valid_up_to(),
            Err(_) => return Ok(false),
        };
        rest = &rest[valid..];
    }
    Ok(true)
}

/// Any encoding as UTF-8, a block at a time.
struct Decoding<'a> {
    decoder: Decoder,
    rest: &'a [u8],
    done: bool,
}

impl<'a> Decoding<'a> {
    fn new(encoding: &'static Encoding, bytes: &'a [u8]) -> Self {
        Self {
            decoder: encoding.new_decoder_without_bom_handling(),
            rest: bytes,
            done: false,
        }
    }
}

impl Read for Decoding<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.done && into.len() >= 16 {
            let (result, read, written, _) = self.decoder.decode_to_utf8(self.rest, into, true);
            self.rest = &self.rest[read..];
            self.done = result == CoderResult::InputEmpty;
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Cell;

    fn rows(bytes: &[u8]) -> (Vec<Vec<String>>, (&'static str, char)) {
        let ctx = Context::builder().build().unwrap();
        let file = Delimited::open(&ctx, bytes, &|_| 0).unwrap();
        let grid = file.read(&ctx, 1000).unwrap();
        let row = |index| {
            let texts = |(_, cell): &(u16, Cell)| match cell {
                Cell::Text(text) => grid.texts().get(*text).to_owned(),
                other => panic!("{other:?}"),
            };
            grid.row(index).1.map(texts).collect()
        };
        ((0..grid.rows()).map(row).collect(), file.dialect())
    }

    #[test]
    fn line_ends_quotes_and_marks() {
        let expected = vec![vec!["nome", "nota"], vec!["São \"x\"; y", "7,5"], vec!["b", "8"]];
        for end in ["\n", "\r\n", "\r"] {
            let text = ["nome;nota", "\"São \"\"x\"\"; y\";7,5", "b;8", ""].join(end);
            let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let utf16be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            for (bytes, name) in [
                (text.clone().into_bytes(), "UTF-8"),
                ([b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(), "UTF-8"),
                (utf16.clone(), "UTF-16LE"),
                ([b"\xff\xfe".as_slice(), &utf16].concat(), "UTF-16LE"),
                ([b"\xfe\xff".as_slice(), &utf16be].concat(), "UTF-16BE"),
                (latin, "windows-1252"),
            ] {
                let (found, dialect) = rows(&bytes);
                assert_eq!(found, expected, "{name} {end:?}");
                assert_eq!(dialect, (name, ';'), "{end:?}");
            }
        }
    }

    #[test]
    fn delimiters_told_by_their_regularity() {
        assert_eq!(rows(b"a,b,c;d\n1,2,3;4\n").1 .1, ',');
        assert_eq!(rows(b"a\tb\n1,5\t2\n").1 .1, '\t');
        assert_eq!(rows(b"a;b\n1,5;2\n1,5;3,0\n2;3\n").1 .1, ';');
        assert_eq!(rows(b"a|b\n1|2\n").1 .1, '|');
        let (found, dialect) = rows(b"sep=|\r\na;b|c\r\n");
        assert_eq!((found, dialect.1), (vec![vec!["a;b".to_owned(), "c".to_owned()]], '|'));
    }

    #[test]
    fn a_quote_that_never_ends_is_an_error_of_bounded_size() {
        let ctx = Context::builder().memory_budget(64 << 20).build().unwrap();
        let mut bytes = b"a;b\n\"".to_vec();
        bytes.resize(20 << 20, b'x');
        let file = Delimited::open(&ctx, &bytes, &|_| 0).unwrap();
        let error = file.read(&ctx, 1000).unwrap_err().to_string();
        assert!(error.contains("does not end"), "{error}");
    }
}
