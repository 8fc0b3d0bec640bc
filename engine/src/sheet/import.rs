//! A file by a definition: sheets, headers, rows.

use super::cell::{Chunked, Grid};
use super::convert::Converter;
use super::definition::{Definition, Role};
use super::fold::{fold, year_of_name};
use super::header::{first_row, Found, Known, Meaning};
use super::output::{Import, SheetRows};
use super::rows::{clipped, Keys, Out, Plan, Sheet, Slot};
use super::workbook::Workbook;
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

/// Which part of a file is imported, and what is known about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sheet; all that have a header if `None`.
    pub sheet: Option<String>,
    /// The year of the rows; else the sheet's name, the file's name or the headers say it.
    pub year: Option<i32>,
    /// Name of the file.
    pub file: String,
    /// Rows that a sheet may have.
    pub max_rows: usize,
}

/// Reads `bytes` by `definition`.
///
/// # Errors
/// * [`SheetError`]: the file cannot be read, is larger than it may be, has no header that names the key, or no year
/// * `Memory`, `Cancelled`
pub fn import(ctx: &Context, bytes: &[u8], definition: &Definition, options: &Options) -> Result<Import> {
    let known = Known::new(definition);
    let book = Workbook::open(ctx, bytes, &|texts| known.count(texts))?;
    let names = book.names();
    let chosen: Vec<usize> = match &options.sheet {
        None => (0..names.len()).collect(),
        Some(asked) => vec![choose(&names, asked)?],
    };
    let mut import = Import {
        format: book.format().name(),
        dialect: book.dialect(),
        sheets: Vec::new(),
        skipped: Vec::new(),
    };
    let mut missing = None;
    for index in chosen {
        let name = &names[index];
        let grid = book.read(ctx, index, options.max_rows)?;
        let year = options
            .year
            .or_else(|| year_of_name(name))
            .or_else(|| year_of_name(&options.file));
        // A dataset without years has none to find in its headers.
        let year_of_headers = if definition.yearly { year } else { Some(0) };
        match known.find(&grid, year_of_headers) {
            Some(found) => import.sheets.push(read_sheet(
                ctx,
                definition,
                name,
                grid,
                found,
                year,
                book.dialect().is_none(),
            )?),
            None => {
                import.skipped.push(name.clone());
                missing.get_or_insert_with(|| (name.clone(), first_row(&grid)));
            }
        }
    }
    if import.sheets.is_empty() {
        let (name, found) = missing.unwrap_or_default();
        let keys: Vec<&str> = definition
            .columns
            .iter()
            .filter(|c| c.role == Role::Key)
            .map(|c| c.name.as_str())
            .collect();
        return Err(SheetError::NoHeader {
            place: place(&name),
            expected: keys.join(", "),
            found,
        }
        .into());
    }
    Ok(import)
}

fn place(sheet: &str) -> String {
    if sheet.is_empty() {
        "the file".to_owned()
    } else {
        format!("sheet \"{sheet}\"")
    }
}

fn choose(names: &[String], asked: &str) -> Result<usize> {
    let same = names.iter().position(|name| name == asked);
    let alike = || names.iter().position(|name| fold(name) == fold(asked));
    same.or_else(alike).ok_or_else(|| {
        let named: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !name.is_empty())
            .take(20)
            .collect();
        SheetError::NoSheet {
            name: asked.to_owned(),
            found: if named.is_empty() {
                "no named sheets".to_owned()
            } else {
                named.join(", ")
            },
        }
        .into()
    })
}

fn read_sheet(
    ctx: &Context,
    definition: &Definition,
    name: &str,
    mut grid: Grid,
    found: Found,
    year: Option<i32>,
    typed: bool,
) -> Result<SheetRows> {
    let has_year_column = found.headers.iter().any(|header| match &header.meaning {
        Meaning::Columns(columns, _) => columns
            .iter()
            .any(|c| definition.columns[usize::from(*c)].role == Role::Year),
        _ => false,
    });
    if definition.yearly && year.is_none() && found.wide.is_empty() && !has_year_column {
        return Err(SheetError::NoYear { place: place(name) }.into());
    }
    let years: Vec<Option<i32>> = match (definition.yearly, &found.wide[..]) {
        (false, _) => vec![None],
        (true, []) => vec![year],
        (true, wide) => wide.iter().copied().map(Some).collect(),
    };
    let plans = years
        .iter()
        .map(|year| plan(definition, &found, *year))
        .collect::<Vec<_>>();
    let (header_index, header_row) = (found.index, grid.row(found.index).0);
    let mut headers = Vec::with_capacity(found.headers.len());
    for header in found.headers {
        let text = grid.texts_mut().add(&clipped(&header.text))?;
        headers.push((header, text));
    }
    let converters = definition
        .columns
        .iter()
        .map(|column| Converter::new(column, &definition.missing, typed))
        .collect();
    let mut sheet = Sheet {
        definition,
        converters,
        filled: vec![0; headers.len()],
        headers,
        out: Out {
            rows: Chunked::new(ctx)?,
            values: Chunked::new(ctx)?,
            notes: Chunked::new(ctx)?,
            rejects: Chunked::new(ctx)?,
        },
        grid,
        headless: std::collections::BTreeMap::new(),
        keys: Keys::new(ctx)?,
    };
    sheet.learn_marks(&plans, header_index);
    let cells = sheet.read_rows(ctx, &plans, header_index, has_year_column)?;
    sheet.note_headers(header_row, &plans)?;
    Ok(sheet.finish(name, header_row, &plans, cells))
}

fn plan(definition: &Definition, found: &Found, year: Option<i32>) -> Plan {
    let mut slots: Vec<Vec<Slot>> = definition.columns.iter().map(|_| Vec::new()).collect();
    // A header that names the year goes before one that does not.
    for with_year in [true, false] {
        for (index, header) in found.headers.iter().enumerate() {
            let Meaning::Columns(columns, said) = &header.meaning else {
                continue;
            };
            if said.is_some() != with_year || (said.is_some() && !found.wide.is_empty() && *said != year) {
                continue;
            }
            for column in columns {
                slots[usize::from(*column)].push(Slot {
                    source: header.source,
                    header: index,
                    of_year: said.is_some() && found.wide.len() > 1,
                });
            }
        }
    }
    Plan { year, slots }
}
