//! Which column of a file is which column of the definition.

use std::collections::HashMap;

use super::cell::{Cell, Grid};
use super::convert::plain_text;
use super::definition::{Definition, Role};
use super::fold::{fold, split_year};

/// Longer texts are no headers.
const LONGEST: usize = 1000;
/// Rows that may stand above the header.
const ABOVE: usize = 50;

/// Folded names and aliases, and the columns they mean.
pub(super) struct Known {
    names: HashMap<String, Vec<u16>>,
    keys: Vec<u16>,
}

/// A header of the file.
pub(super) struct Header {
    /// Position in the file.
    pub source: u16,
    pub text: String,
    pub meaning: Meaning,
}

pub(super) enum Meaning {
    /// Columns of the definition, and the year that the header says.
    Columns(Vec<u16>, Option<i32>),
    /// A known column of a year that the sheet is not of.
    OtherYear,
    Unknown,
}

/// The header row of a sheet.
pub(super) struct Found {
    /// Index among the grid's rows.
    pub index: usize,
    pub headers: Vec<Header>,
    /// The years of the rows where the headers say them.
    pub wide: Vec<i32>,
}

impl Known {
    pub fn new(definition: &Definition) -> Self {
        let mut names: HashMap<String, Vec<u16>> = HashMap::new();
        for (index, column) in (0u16..).zip(&definition.columns) {
            for name in column.names() {
                let columns = names.entry(name).or_default();
                if !columns.contains(&index) {
                    columns.push(index);
                }
            }
        }
        let keys = (0u16..)
            .zip(&definition.columns)
            .filter(|(_, c)| c.role == Role::Key)
            .map(|(index, _)| index)
            .collect();
        Self { names, keys }
    }

    /// How many of these texts are headers, with or without a year.
    pub fn count(&self, texts: &[&str]) -> usize {
        texts.iter().filter(|text| self.any(&fold(text)).is_some()).count()
    }

    fn exact(&self, folded: &str) -> Option<&Vec<u16>> {
        self.names.get(folded)
    }

    fn any(&self, folded: &str) -> Option<&Vec<u16>> {
        self.exact(folded).or_else(|| self.exact(split_year(folded)?.0))
    }

    /// What a header means on a sheet of that year; `None`: the headers may say the year themselves.
    fn meaning(&self, text: &str, year: Option<i32>) -> Meaning {
        let folded = fold(text);
        let of_year = split_year(&folded).and_then(|(base, found)| Some((self.exact(base)?, found)));
        match (of_year, self.exact(&folded), year) {
            (Some((columns, found)), _, Some(year)) if found == year => Meaning::Columns(columns.clone(), Some(found)),
            (Some((columns, found)), _, None) => Meaning::Columns(columns.clone(), Some(found)),
            (_, Some(columns), _) => Meaning::Columns(columns.clone(), None),
            (Some(_), None, Some(_)) => Meaning::OtherYear,
            (None, None, _) => Meaning::Unknown,
        }
    }

    /// The first row that names every column of the key.
    pub fn find(&self, grid: &Grid, year: Option<i32>) -> Option<Found> {
        (0..grid.rows().min(ABOVE)).find_map(|index| {
            let headers: Vec<Header> = texts(grid, index)
                .map(|(source, text)| Header {
                    source,
                    meaning: self.meaning(&text, year),
                    text,
                })
                .collect();
            let named = |key: &u16| {
                headers
                    .iter()
                    .any(|h| matches!(&h.meaning, Meaning::Columns(columns, _) if columns.contains(key)))
            };
            if self.keys.is_empty() || !self.keys.iter().all(named) {
                return None;
            }
            let mut wide: Vec<i32> = headers
                .iter()
                .filter_map(|header| match header.meaning {
                    Meaning::Columns(_, said) if year.is_none() => said,
                    _ => None,
                })
                .collect();
            wide.sort_unstable();
            wide.dedup();
            Some(Found { index, headers, wide })
        })
    }
}

fn texts(grid: &Grid, index: usize) -> impl Iterator<Item = (u16, String)> + '_ {
    grid.row(index).1.map(|(column, cell)| {
        let text = match cell {
            Cell::Text(text) | Cell::Error(text) => grid.texts().get(*text).chars().take(LONGEST).collect(),
            other => plain_text(other.seen(grid.texts())).into_owned(),
        };
        (*column, text)
    })
}

/// The texts of the first row, for a message.
pub(super) fn first_row(grid: &Grid) -> String {
    if grid.rows() == 0 {
        return "nothing".to_owned();
    }
    let shown: Vec<String> = texts(grid, 0)
        .take(8)
        .map(|(_, text)| text.chars().take(30).collect())
        .collect();
    shown.join(", ")
}
