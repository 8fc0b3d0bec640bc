//! What an import is: typed rows, and what was done to them.

use super::cell::{Chunked, Text, Texts};
use super::rules::Rule;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Number(f64),
    Bool(bool),
    /// Days since 2000-01-01.
    Date(i32),
    Text(Text),
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug)]
pub struct RowOf {
    /// Counted from 1, as spreadsheets do.
    pub row: u32,
    pub year: Option<i32>,
}

/// A cell (or header) that was changed or refused.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    pub row: u32,
    /// Position in the definition.
    pub column: Option<u16>,
    /// What stands in the header.
    pub header: Text,
    pub raw: Text,
    /// `None`: null.
    pub result: Option<Text>,
    pub rule: Rule,
}

/// A row that was not imported.
#[derive(Clone, Copy, Debug)]
pub struct Reject {
    pub row: u32,
    pub rule: Rule,
    /// The row as a JSON object of texts.
    pub content: Text,
}

/// What became of a sheet.
#[derive(Debug)]
pub struct SheetRows {
    pub name: String,
    /// The years of its rows.
    pub years: Vec<i32>,
    /// Counted from 1.
    pub header_row: u32,
    /// Which columns of the definition it has; where the headers say the years, for each of them.
    pub present: Vec<(Option<i32>, Vec<bool>)>,
    pub unknown_headers: Vec<String>,
    /// Cells below the header that hold something.
    pub cells: u64,
    pub(super) width: usize,
    pub(super) texts: Texts,
    pub(super) rows: Chunked<RowOf>,
    pub(super) values: Chunked<Value>,
    pub(super) notes: Chunked<Note>,
    pub(super) rejects: Chunked<Reject>,
}

/// A file, imported.
#[derive(Debug)]
pub struct Import {
    pub format: &'static str,
    /// Encoding and delimiter of delimited text.
    pub dialect: Option<(&'static str, char)>,
    pub sheets: Vec<SheetRows>,
    /// Sheets without a header, where others have one.
    pub skipped: Vec<String>,
}

impl SheetRows {
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// A row and its values, in the order of the stored columns.
    pub fn row(&self, index: usize) -> Option<(RowOf, impl Iterator<Item = &Value>)> {
        let from = index * self.width;
        Some((*self.rows.get(index)?, self.values.range(from, from + self.width)))
    }

    pub fn text(&self, text: Text) -> &str {
        self.texts.get(text)
    }

    pub fn notes(&self) -> usize {
        self.notes.len()
    }

    pub fn note(&self, index: usize) -> Option<&Note> {
        self.notes.get(index)
    }

    pub fn rejects(&self) -> usize {
        self.rejects.len()
    }

    pub fn reject(&self, index: usize) -> Option<&Reject> {
        self.rejects.get(index)
    }

    /// Cells that were changed or refused.
    pub fn changed_cells(&self) -> usize {
        self.notes.iter().filter(|note| !note.rule.of_header()).count()
    }
}
