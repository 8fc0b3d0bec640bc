//! Workbooks of Excel 97 to 2003 (BIFF8).

use std::collections::HashMap;

use super::biff::{f64_at, rk, u16_at, u32_at, Continued, Record, Records};
use super::cell::{Cell, Chunked, Grid, Text, Texts};
use super::cfb::{Compound, Stream};
use super::xlsx_styles::{built_in_date, shows_date};
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

const FORMAT: &str = "XLS";

const CONTINUE: u16 = 0x3c;
const BEGIN: u16 = 0x809;
const END: u16 = 0x0a;
const MOST_SHEETS: usize = 4096;

pub(super) struct Xls<'a> {
    stream: Stream,
    sheets: Vec<(String, usize)>,
    texts: Texts,
    strings: Chunked<Text>,
    date_styles: Vec<bool>,
    from_1904: bool,
    _file: std::marker::PhantomData<&'a [u8]>,
}

/// What is gathered while the workbook's own records are read.
struct Globals {
    sheets: Vec<(String, usize)>,
    formats: HashMap<u16, bool>,
    styles: Vec<u16>,
    from_1904: bool,
}

impl<'a> Xls<'a> {
    pub fn open(ctx: &Context, bytes: &'a [u8]) -> Result<Self> {
        let container = Compound::open(ctx, bytes)?;
        if container.stream(ctx, "EncryptedPackage")?.is_some() {
            return Err(SheetError::Protected { format: "XLSX" }.into());
        }
        let Some(stream) = container.stream(ctx, "Workbook")? else {
            let found = match container.stream(ctx, "Book")? {
                Some(_) => "a workbook of Excel 95 or older",
                None => "an old Office document that is no workbook",
            };
            return Err(SheetError::Format {
                found: found.to_owned(),
            }
            .into());
        };
        let mut file = Self {
            stream,
            sheets: Vec::new(),
            texts: Texts::new(ctx)?,
            strings: Chunked::new(ctx)?,
            date_styles: Vec::new(),
            from_1904: false,
            _file: std::marker::PhantomData,
        };
        let globals = file.read_globals(ctx)?;
        file.sheets = globals.sheets;
        file.from_1904 = globals.from_1904;
        let date = |format: &u16| {
            globals
                .formats
                .get(format)
                .copied()
                .unwrap_or_else(|| built_in_date(u32::from(*format)))
        };
        file.date_styles = globals.styles.iter().map(date).collect();
        Ok(file)
    }

    pub fn names(&self) -> Vec<String> {
        self.sheets.iter().map(|(name, _)| name.clone()).collect()
    }

    fn read_globals(&mut self, ctx: &Context) -> Result<Globals> {
        let mut globals = Globals {
            sheets: Vec::new(),
            formats: HashMap::new(),
            styles: Vec::new(),
            from_1904: false,
        };
        let mut records = Records::new(&self.stream.bytes, 0);
        let mut text = String::new();
        let first = records.next().filter(|record| record.kind == BEGIN);
        if first.and_then(|record| u16_at(record.data, 0)) != Some(0x600) {
            return Err(SheetError::Format {
                found: "a workbook of Excel 95 or older".to_owned(),
            }
            .into());
        }
        let mut seen = 0usize;
        while let Some(record) = records.next() {
            seen += 1;
            if seen.is_multiple_of(1024) {
                ctx.check()?;
            }
            match record.kind {
                END => break,
                0x2f => return Err(SheetError::Protected { format: FORMAT }.into()),
                0x22 => globals.from_1904 = u16_at(record.data, 0) == Some(1),
                0x85 if globals.sheets.len() < MOST_SHEETS => globals.sheets.extend(sheet(record.data)),
                0x41e => {
                    let mut parts = Continued::new(vec![record.data]);
                    if let (Some(id), Some(length)) = (parts.u16(), parts.u16()) {
                        if parts.characters(usize::from(length), &mut text).is_some() {
                            globals.formats.insert(id, shows_date(&text));
                        }
                    }
                }
                0xe0 => globals.styles.push(u16_at(record.data, 2).unwrap_or(0)),
                0xfc => {
                    let (mut parts, mut held) = (vec![record.data], ctx.reserve(0)?);
                    while records.peek() == Some(CONTINUE) {
                        // a list that grows by doubling
                        held.grow(2 * size_of::<&[u8]>())?;
                        parts.extend(records.next().map(|record| record.data));
                    }
                    read_strings(parts, &mut self.texts, &mut self.strings)?;
                }
                _ => {}
            }
        }
        Ok(globals)
    }

    pub fn read(&self, ctx: &Context, index: usize, max_rows: usize) -> Result<Grid> {
        let mut grid = Grid::new(ctx, max_rows)?;
        let Some((_, start)) = self.sheets.get(index) else {
            return Ok(grid);
        };
        let mut records = Records::new(&self.stream.bytes, *start);
        if records.next().is_none_or(|record| record.kind != BEGIN) {
            return Err(SheetError::damaged(FORMAT, "a sheet is not where it should be").into());
        }
        let (mut seen, mut nested) = (0usize, 0usize);
        // the place of a formula whose text follows
        let mut awaited = None;
        while let Some(record) = records.next() {
            seen += 1;
            if seen.is_multiple_of(1024) {
                ctx.check()?;
            }
            match record.kind {
                BEGIN => nested += 1,
                END if nested == 0 => return Ok(grid),
                END => nested -= 1,
                // charts inside the sheet have cells of their own
                _ if nested > 0 => {}
                0x207 => {
                    if let Some((row, column)) = awaited.take() {
                        let mut parts = vec![record.data];
                        while records.peek() == Some(CONTINUE) {
                            parts.extend(records.next().map(|record| record.data));
                        }
                        push_string(&mut grid, row, column, parts)?;
                    }
                }
                _ => {
                    if let Some(place) = self.push(&mut grid, record)? {
                        awaited = Some(place);
                    }
                }
            }
        }
        Err(SheetError::damaged(FORMAT, "a sheet breaks off").into())
    }

    fn number(&self, style: u16, number: f64) -> Cell {
        if self.date_styles.get(usize::from(style)).copied().unwrap_or(false) {
            Cell::Date(number, self.from_1904)
        } else {
            Cell::Number(number)
        }
    }

    /// Adds the cells of a record; the place of a formula whose text is in the next record.
    fn push(&self, grid: &mut Grid, record: Record<'_>) -> Result<Option<(u32, u32)>> {
        let data = record.data;
        let (Some(row), Some(column)) = (u16_at(data, 0), u16_at(data, 2)) else {
            return Ok(None);
        };
        let (row, column, style) = (u32::from(row), u32::from(column), u16_at(data, 4).unwrap_or(0));
        match record.kind {
            0x203 => self.push_number(grid, row, column, style, f64_at(data, 6))?,
            0x27e => self.push_number(grid, row, column, style, u32_at(data, 6).map(rk))?,
            0xbd => {
                // pairs of style and number, then the last column
                for (offset, pair) in data
                    .get(4..data.len().saturating_sub(2))
                    .unwrap_or(&[])
                    .chunks_exact(6)
                    .enumerate()
                {
                    let style = u16_at(pair, 0).unwrap_or(0);
                    self.push_number(grid, row, column + offset as u32, style, u32_at(pair, 2).map(rk))?;
                }
            }
            0xfd => {
                let text = u32_at(data, 6).and_then(|index| self.strings.get(index as usize));
                let text =
                    text.ok_or_else(|| SheetError::damaged(FORMAT, "a cell refers to a text that is not there"))?;
                grid.push_text(row, column, self.texts.get(*text))?;
            }
            0x204 | 0xd6 => push_string(grid, row, column, vec![data.get(6..).unwrap_or(&[])])?,
            0x205 => match (data.get(6), data.get(7)) {
                (Some(value), Some(0)) => grid.push(row, column, Cell::Bool(*value != 0))?,
                (Some(code), Some(_)) => grid.push_error(row, column, error_text(*code))?,
                _ => {}
            },
            0x06 => return self.push_formula(grid, row, column, style, data),
            _ => {}
        }
        Ok(None)
    }

    fn push_number(&self, grid: &mut Grid, row: u32, column: u32, style: u16, number: Option<f64>) -> Result<()> {
        match number.filter(|number| number.is_finite()) {
            Some(number) => grid.push(row, column, self.number(style, number)),
            None => Ok(()),
        }
    }

    fn push_formula(
        &self,
        grid: &mut Grid,
        row: u32,
        column: u32,
        style: u16,
        data: &[u8],
    ) -> Result<Option<(u32, u32)>> {
        let Some(result) = data.get(6..14) else {
            return Ok(None);
        };
        if result[6..] != [0xff, 0xff] {
            self.push_number(grid, row, column, style, f64_at(data, 6))?;
            return Ok(None);
        }
        match result[0] {
            0 => return Ok(Some((row, column))),
            1 => grid.push(row, column, Cell::Bool(result[2] != 0))?,
            2 => grid.push_error(row, column, error_text(result[2]))?,
            _ => {}
        }
        Ok(None)
    }
}

/// Name and place of a worksheet; none for charts and macros.
fn sheet(data: &[u8]) -> Option<(String, usize)> {
    if data.get(5) != Some(&0) {
        return None;
    }
    let length = usize::from(*data.get(6)?);
    let mut name = String::new();
    Continued::new(vec![data.get(7..)?]).characters(length, &mut name)?;
    Some((name, u32_at(data, 0)? as usize))
}

fn push_string(grid: &mut Grid, row: u32, column: u32, parts: Vec<&[u8]>) -> Result<()> {
    let mut parts = Continued::new(parts);
    let mut text = String::new();
    if let Some(length) = parts.u16() {
        if parts.characters(usize::from(length), &mut text).is_some() {
            grid.push_text(row, column, &text)?;
        }
    }
    Ok(())
}

fn read_strings(parts: Vec<&[u8]>, texts: &mut Texts, strings: &mut Chunked<Text>) -> Result<()> {
    let mut parts = Continued::new(parts);
    let mut text = String::new();
    let count = parts.u32().and_then(|_| parts.u32()).unwrap_or(0);
    for _ in 0..count {
        let read = parts
            .u16()
            .and_then(|length| parts.characters(usize::from(length), &mut text));
        if read.is_none() {
            // cells that refer to what is missing are refused
            return Ok(());
        }
        let text = texts.add(&text)?;
        strings.push(text)?;
    }
    Ok(())
}

fn error_text(code: u8) -> &'static str {
    match code {
        0x00 => "#NULL!",
        0x07 => "#DIV/0!",
        0x0f => "#VALUE!",
        0x17 => "#REF!",
        0x1d => "#NAME?",
        0x24 => "#NUM!",
        _ => "#N/A",
    }
}
