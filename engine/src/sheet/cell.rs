//! Cells as they stand in the file, sparsely, in memory that was asked for.

use crate::context::{Context, Reservation};
use crate::error::Result;
use crate::sheet::SheetError;

/// Text in a [`Texts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    chunk: u32,
    start: u32,
    length: u32,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Number(f64),
    /// A number that the file shows as a date: its serial, and whether it counts from 1904.
    Date(f64, bool),
    Text(Text),
    Bool(bool),
    /// `#N/A` and its like, as text.
    Error(Text),
}

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen<'a> {
    Number(f64),
    /// As [`Cell::Date`].
    Date(f64, bool),
    Text(&'a str),
    Bool(bool),
    Error(&'a str),
}

impl Cell {
    pub(super) fn seen<'a>(&self, texts: &'a Texts) -> Seen<'a> {
        match self {
            Self::Number(number) => Seen::Number(*number),
            Self::Date(serial, from_1904) => Seen::Date(*serial, *from_1904),
            Self::Text(text) => Seen::Text(texts.get(*text)),
            Self::Bool(value) => Seen::Bool(*value),
            Self::Error(text) => Seen::Error(texts.get(*text)),
        }
    }
}

/// Texts one after another in chunks: dropping millions of them takes no time, so a cancel does not wait for it.
#[derive(Debug)]
pub struct Texts {
    ctx: Context,
    held: Reservation,
    chunks: Vec<String>,
}

const CHUNK_BYTES: usize = 256 << 10;
const CHUNK_ITEMS: usize = 4096;

impl Texts {
    pub(super) fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            ctx: ctx.clone(),
            held: ctx.reserve(0)?,
            chunks: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, text: &str) -> Result<Text> {
        let room = self.chunks.last().is_some_and(|c| c.capacity() - c.len() >= text.len());
        if !room {
            self.ctx.check()?;
            let bytes = text.len().max(CHUNK_BYTES);
            self.held.grow(bytes)?;
            self.chunks.push(String::with_capacity(bytes));
        }
        let chunk = self.chunks.len() - 1;
        let into = &mut self.chunks[chunk];
        let start = into.len();
        into.push_str(text);
        match (u32::try_from(chunk), u32::try_from(start), u32::try_from(text.len())) {
            (Ok(chunk), Ok(start), Ok(length)) => Ok(Text { chunk, start, length }),
            _ => Err(SheetError::TooLarge {
                what: "bytes in a cell",
                limit: u32::MAX as usize,
                place: String::new(),
            }
            .into()),
        }
    }

    /// The text; empty for one of another `Texts` that is not in this one.
    pub fn get(&self, text: Text) -> &str {
        let (start, length) = (text.start as usize, text.length as usize);
        self.chunks
            .get(text.chunk as usize)
            .and_then(|chunk| chunk.get(start..start + length))
            .unwrap_or("")
    }
}

/// A list in chunks of equal size: growing never copies, and what it holds was reserved.
#[derive(Debug)]
pub(super) struct Chunked<T> {
    ctx: Context,
    held: Reservation,
    chunks: Vec<Vec<T>>,
    length: usize,
}

impl<T> Chunked<T> {
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            ctx: ctx.clone(),
            held: ctx.reserve(0)?,
            chunks: Vec::new(),
            length: 0,
        })
    }

    pub fn push(&mut self, item: T) -> Result<()> {
        if self.length.is_multiple_of(CHUNK_ITEMS) {
            self.ctx.check()?;
            self.held.grow(CHUNK_ITEMS * size_of::<T>() + size_of::<Vec<T>>())?;
            self.chunks.push(Vec::with_capacity(CHUNK_ITEMS));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(item);
            self.length += 1;
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_ITEMS)?.get(index % CHUNK_ITEMS)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Items `from..to`.
    pub fn range(&self, from: usize, to: usize) -> impl Iterator<Item = &T> {
        (from..to).filter_map(|index| self.get(index))
    }
}

#[derive(Clone, Copy, Debug)]
struct RowStart {
    number: u32,
    first: usize,
}

/// The cells of a sheet, row by row; empty cells and rows are not there.
#[derive(Debug)]
pub struct Grid {
    texts: Texts,
    rows: Chunked<RowStart>,
    cells: Chunked<(u16, Cell)>,
    max_rows: usize,
}

impl Grid {
    pub(super) fn new(ctx: &Context, max_rows: usize) -> Result<Self> {
        Ok(Self {
            texts: Texts::new(ctx)?,
            rows: Chunked::new(ctx)?,
            cells: Chunked::new(ctx)?,
            max_rows,
        })
    }

    /// Adds a cell; rows and columns count from 0.
    pub(super) fn push(&mut self, row: u32, column: u32, cell: Cell) -> Result<()> {
        let Ok(column) = u16::try_from(column) else {
            return Err(SheetError::TooLarge {
                what: "columns",
                limit: usize::from(u16::MAX),
                place: format!(" in row {}", u64::from(row) + 1),
            }
            .into());
        };
        let last = self.rows.len().checked_sub(1).and_then(|index| self.rows.get(index));
        if last.is_none_or(|last| last.number != row) {
            if self.rows.len() >= self.max_rows {
                return Err(SheetError::TooLarge {
                    what: "rows",
                    limit: self.max_rows,
                    place: String::new(),
                }
                .into());
            }
            self.rows.push(RowStart {
                number: row,
                first: self.cells.len(),
            })?;
        }
        self.cells.push((column, cell))
    }

    /// [`Grid::push`] for a text: nothing where it is empty.
    pub(super) fn push_text(&mut self, row: u32, column: u32, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let text = self.texts.add(text)?;
        self.push(row, column, Cell::Text(text))
    }

    pub(super) fn push_error(&mut self, row: u32, column: u32, text: &str) -> Result<()> {
        let text = self.texts.add(text)?;
        self.push(row, column, Cell::Error(text))
    }

    /// Rows that hold something.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Number in the file, counted from 0, and the cells of the `index`-th row that holds something.
    pub fn row(&self, index: usize) -> (u32, impl Iterator<Item = &(u16, Cell)>) {
        let (number, first) = self.rows.get(index).map_or((0, 0), |row| (row.number, row.first));
        let end = self.rows.get(index + 1).map_or(self.cells.len(), |next| next.first);
        (number, self.cells.range(first, end))
    }

    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn texts_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    pub(super) fn into_texts(self) -> Texts {
        self.texts
    }
}
