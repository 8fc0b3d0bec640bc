//! Spreadsheets and delimited text: bytes to cells to typed rows, by a definition of the columns.
//!
//! [`import()`] is the whole: it recognises the format, reads each sheet, finds the header, and turns cells into values. What it changed
//! or refused it says, cell by cell. Files come from anybody, so nothing in a file decides how much is allocated: sizes that a file
//! declares are not believed, what is kept is reserved in the [`Context`](crate::context::Context) first, cells are kept sparsely, and
//! readers look at the cancel flag per block of bytes. The readers are our own where the common ones size a buffer by what a file says.

mod archive;
mod biff;
mod cell;
mod cfb;
mod convert;
mod dates;
mod definition;
mod delimited;
mod detect;
mod error;
mod fold;
mod hash;
mod header;
mod import;
mod numbers;
mod ods;
mod output;
mod rows;
mod rules;
mod spellings;
mod watched;
mod workbook;
mod xls;
mod xlsx;
mod xlsx_cells;
mod xlsx_styles;
mod xml;

pub use definition::{Categories, Column, Definition, Kind, LetterCase, Role};
pub use error::SheetError;
pub use fold::fold;
pub use hash::sha256;
pub use import::{import, Options};
pub use output::{Import, Note, Reject, RowOf, SheetRows, Value};
pub use rules::Rule;
pub use spellings::{Spellings, Spelt};
pub use workbook::read_cells;

pub use cell::{Cell, Grid, Text, Texts};
