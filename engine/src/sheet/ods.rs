//! OpenDocument spreadsheets.

use quick_xml::events::{BytesStart, Event};

use super::archive::Archive;
use super::cell::{Cell, Grid};
use super::dates::{iso_date, open_document_serial};
use super::xml::{append_text, attribute, name_attribute, Xml};
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

pub(super) const FORMAT: &str = "ODS";
const CONTENT: &str = "content.xml";
const MOST_SHEETS: usize = 4096;

pub(super) struct Ods<'a> {
    archive: Archive<'a>,
    names: Vec<String>,
}

impl<'a> Ods<'a> {
    pub fn open(ctx: &Context, bytes: &'a [u8]) -> Result<Self> {
        let archive = Archive::open(FORMAT, bytes)?;
        if let Some(entry) = archive.entry(ctx, "META-INF/manifest.xml")? {
            let mut xml = Xml::new(ctx, FORMAT, entry);
            loop {
                match xml.next()? {
                    Event::Start(e) if e.local_name().as_ref() == "encryption-data" => {
                        return Err(SheetError::Protected { format: FORMAT }.into());
                    }
                    Event::Eof => break,
                    _ => {}
                }
            }
        }
        let mut file = Self {
            archive,
            names: Vec::new(),
        };
        let mut xml = file.content(ctx)?;
        let mut depth = 0usize;
        let mut names = Vec::new();
        loop {
            match xml.next()? {
                Event::Start(e) if e.local_name().as_ref() == "table" => {
                    if depth == 0 && names.len() < MOST_SHEETS {
                        names.push(name_attribute(&e, "name"));
                    }
                    depth += 1;
                }
                Event::End(e) if e.local_name().as_ref() == "table" => depth = depth.saturating_sub(1),
                Event::Eof => break,
                _ => {}
            }
        }
        file.names = names;
        Ok(file)
    }

    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn content(&self, ctx: &Context) -> Result<Xml<'a>> {
        let entry = self.archive.entry(ctx, CONTENT)?;
        let entry = entry.ok_or_else(|| SheetError::damaged(FORMAT, "it has no content"))?;
        Ok(Xml::new(ctx, FORMAT, entry))
    }

    pub fn read(&self, ctx: &Context, index: usize, max_rows: usize) -> Result<Grid> {
        let mut sheet = Sheet {
            grid: Grid::new(ctx, max_rows)?,
            row: 0,
            column: 0,
            row_repeats: 1,
            cells: Vec::new(),
            bytes: 0,
            open: None,
            text: String::new(),
        };
        let mut xml = self.content(ctx)?;
        let (mut table, mut depth, mut in_paragraph) = (0usize, 0usize, false);
        loop {
            match xml.next()? {
                Event::Start(e) => match e.local_name().as_ref() {
                    "table" => depth += 1,
                    // tables inside of cells are not the sheet's
                    _ if depth != 1 || table != index => {}
                    "table-row" => sheet.row_repeats = repeats(&e, "number-rows-repeated"),
                    "table-cell" | "covered-table-cell" => sheet.open_cell(&e),
                    "p" => in_paragraph = sheet.begin_paragraph(),
                    "s" if in_paragraph => sheet.text.push(' '),
                    "annotation" => sheet.skip_annotation(&mut xml)?,
                    _ => {}
                },
                Event::End(e) => match e.local_name().as_ref() {
                    "table" => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            if table == index {
                                return Ok(sheet.grid);
                            }
                            table += 1;
                        }
                    }
                    _ if depth != 1 || table != index => {}
                    "p" => in_paragraph = false,
                    "table-cell" | "covered-table-cell" => sheet.close_cell()?,
                    "table-row" => sheet.close_row(ctx)?,
                    _ => {}
                },
                Event::Eof => return Err(SheetError::damaged(FORMAT, "a sheet breaks off").into()),
                event if in_paragraph => append_text(&event, &mut sheet.text),
                _ => {}
            }
            if sheet.text.len() > super::watched::LONGEST {
                return Err(SheetError::damaged(FORMAT, "a cell without end").into());
            }
        }
    }
}

fn repeats(element: &BytesStart<'_>, name: &str) -> u32 {
    attribute(element, name)
        .and_then(|count| count.parse().ok())
        .unwrap_or(1)
        .max(1)
}

#[derive(Clone)]
enum Content {
    Cell(Cell),
    Text(String),
    Error(String),
}

struct Opened {
    repeats: u32,
    value: Option<Cell>,
    is_text: bool,
    is_error: bool,
    has_text: bool,
}

struct Sheet {
    grid: Grid,
    row: u32,
    column: u32,
    row_repeats: u32,
    /// Of the open row: first column, how many, content.
    cells: Vec<(u32, u32, Content)>,
    /// Bytes of their texts.
    bytes: usize,
    open: Option<Opened>,
    text: String,
}

impl Sheet {
    fn open_cell(&mut self, element: &BytesStart<'_>) {
        self.text.clear();
        let mut cell = Opened {
            repeats: repeats(element, "number-columns-repeated"),
            value: None,
            is_text: false,
            is_error: false,
            has_text: false,
        };
        let number = || {
            attribute(element, "value")
                .and_then(|value| value.parse::<f64>().ok())
                .filter(|v| v.is_finite())
        };
        // calcext:value-type says "error" where office:value-type says "string"
        let mut kind = None;
        for found in element.attributes().with_checks(false).flatten() {
            match found.key.as_ref() {
                "office:value-type" => kind = Some(found.value.into_owned()),
                "calcext:value-type" => cell.is_error = &*found.value == "error",
                _ => {}
            }
        }
        match kind.as_deref() {
            Some("float" | "percentage" | "currency") => cell.value = number().map(Cell::Number),
            Some("date") => {
                let serial = attribute(element, "date-value")
                    .and_then(|text| iso_date(&text))
                    .map(open_document_serial);
                cell.value = serial.map(|serial| Cell::Date(serial, false));
                cell.is_text = cell.value.is_none();
            }
            Some("boolean") => {
                cell.value = attribute(element, "boolean-value").map(|value| Cell::Bool(value == "true"))
            }
            Some(_) => cell.is_text = true,
            None => {}
        }
        if let Some(text) = attribute(element, "string-value").filter(|_| cell.is_text) {
            self.text.push_str(&text);
            cell.is_text = false;
            cell.has_text = true;
        }
        self.open = Some(cell);
    }

    /// Whether the paragraph's text is the cell's.
    fn begin_paragraph(&mut self) -> bool {
        match &mut self.open {
            Some(cell) if cell.is_text => {
                if cell.has_text {
                    self.text.push('\n');
                }
                cell.has_text = true;
                true
            }
            _ => false,
        }
    }

    fn skip_annotation(&self, xml: &mut Xml<'_>) -> Result<()> {
        loop {
            match xml.next()? {
                Event::End(e) if e.local_name().as_ref() == "annotation" => return Ok(()),
                Event::Eof => return Err(SheetError::damaged(FORMAT, "a comment breaks off").into()),
                _ => {}
            }
        }
    }

    fn close_cell(&mut self) -> Result<()> {
        let Some(cell) = self.open.take() else {
            return Ok(());
        };
        let content = match cell.value {
            Some(value) if !cell.is_error => Some(Content::Cell(value)),
            _ if self.text.is_empty() => None,
            _ if cell.is_error => Some(Content::Error(self.text.clone())),
            _ => Some(Content::Text(self.text.clone())),
        };
        if let Some(content) = content {
            self.bytes += self.text.len();
            if self.cells.len() > usize::from(u16::MAX) || self.bytes > 4 * super::watched::LONGEST {
                return Err(SheetError::damaged(FORMAT, "a row of too many cells").into());
            }
            self.cells.push((self.column, cell.repeats, content));
        }
        self.column = self.column.saturating_add(cell.repeats);
        Ok(())
    }

    fn close_row(&mut self, ctx: &Context) -> Result<()> {
        if !self.cells.is_empty() {
            for row in 0..self.row_repeats {
                ctx.check()?;
                self.push_row(self.row.saturating_add(row))?;
            }
        }
        self.cells.clear();
        self.bytes = 0;
        self.row = self.row.saturating_add(self.row_repeats);
        self.column = 0;
        Ok(())
    }

    fn push_row(&mut self, row: u32) -> Result<()> {
        for (first, count, content) in &self.cells {
            for column in *first..first.saturating_add(*count) {
                match content {
                    Content::Cell(cell) => self.grid.push(row, column, *cell)?,
                    Content::Text(text) => self.grid.push_text(row, column, text)?,
                    Content::Error(text) => self.grid.push_error(row, column, text)?,
                }
            }
        }
        Ok(())
    }
}
