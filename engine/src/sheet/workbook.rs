//! A file of sheets, whatever its format.

use super::cell::Grid;
use super::delimited::Delimited;
use super::detect::{detect, Format};
use super::ods::Ods;
use super::xls::Xls;
use super::xlsx::Xlsx;
use crate::context::Context;
use crate::error::Result;

pub(super) enum Workbook<'a> {
    Xlsx(Xlsx<'a>),
    Ods(Ods<'a>),
    Xls(Xls<'a>),
    Delimited(Delimited<'a>),
}

impl<'a> Workbook<'a> {
    /// Opens `bytes`. `known` says how many of a row's texts are headers that the definition knows: it decides between delimiters.
    pub fn open(ctx: &Context, bytes: &'a [u8], known: &dyn Fn(&[&str]) -> usize) -> Result<Self> {
        Ok(match detect(bytes)? {
            Format::Xlsx => Self::Xlsx(Xlsx::open(ctx, bytes)?),
            Format::Ods => Self::Ods(Ods::open(ctx, bytes)?),
            Format::Xls => Self::Xls(Xls::open(ctx, bytes)?),
            Format::Delimited => Self::Delimited(Delimited::open(ctx, bytes, known)?),
        })
    }

    pub fn format(&self) -> Format {
        match self {
            Self::Xlsx(_) => Format::Xlsx,
            Self::Ods(_) => Format::Ods,
            Self::Xls(_) => Format::Xls,
            Self::Delimited(_) => Format::Delimited,
        }
    }

    /// Names of the sheets; one without a name for delimited text.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Xlsx(file) => file.names(),
            Self::Ods(file) => file.names(),
            Self::Xls(file) => file.names(),
            Self::Delimited(_) => vec![String::new()],
        }
    }

    pub fn read(&self, ctx: &Context, index: usize, max_rows: usize) -> Result<Grid> {
        match self {
            Self::Xlsx(file) => file.read(ctx, index, max_rows),
            Self::Ods(file) => file.read(ctx, index, max_rows),
            Self::Xls(file) => file.read(ctx, index, max_rows),
            Self::Delimited(file) => file.read(ctx, max_rows),
        }
    }

    /// Encoding and delimiter of delimited text.
    pub fn dialect(&self) -> Option<(&'static str, char)> {
        match self {
            Self::Delimited(file) => Some(file.dialect()),
            _ => None,
        }
    }
}

/// The sheets of a file as they stand in it, with their names: for whoever wants cells and not rows.
///
/// # Errors
/// As [`import`](super::import()), without what concerns a definition.
pub fn read_cells(ctx: &Context, bytes: &[u8], max_rows: usize) -> Result<Vec<(String, Grid)>> {
    let book = Workbook::open(ctx, bytes, &|_| 0)?;
    let names = book.names();
    names
        .into_iter()
        .enumerate()
        .map(|(index, name)| Ok((name, book.read(ctx, index, max_rows)?)))
        .collect()
}
