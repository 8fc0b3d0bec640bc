//! The cells of a worksheet of OOXML.

use quick_xml::events::{BytesStart, Event};

use super::cell::{Cell, Grid};
use super::xlsx::{Strings, FORMAT};
use super::xml::{append_text, Xml};
use super::SheetError;
use crate::error::Result;

/// What cells refer to.
pub(super) struct Surroundings<'a> {
    pub strings: &'a Strings,
    pub date_styles: &'a [bool],
    pub from_1904: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Number,
    Shared,
    Text,
    Bool,
    Error,
}

struct Open {
    row: u32,
    column: u32,
    style: usize,
    kind: Type,
    value: String,
}

/// Reads the sheet's cells into `grid`.
pub(super) fn read_cells(xml: &mut Xml<'_>, around: &Surroundings<'_>, grid: &mut Grid) -> Result<()> {
    let (mut row, mut column) = (0u32, 0u32);
    let mut cell = Open {
        row,
        column,
        style: 0,
        kind: Type::Number,
        value: String::new(),
    };
    // Inside of <v> or <t>, but not of <f> and <rPh>.
    let (mut in_cell, mut in_value, mut in_phonetic) = (false, false, false);
    loop {
        match xml.next()? {
            Event::Start(e) => match e.local_name().as_ref() {
                "row" => {
                    row = value_of(&e, "r")
                        .and_then(|r| r.parse::<u32>().ok())
                        .map_or(row, |r| r.saturating_sub(1));
                    column = 0;
                }
                "c" => {
                    open(&e, row, column, &mut cell);
                    column = cell.column;
                    in_cell = true;
                }
                "v" | "t" if in_cell => in_value = !in_phonetic,
                "rPh" => in_phonetic = true,
                _ => {}
            },
            Event::End(e) => match e.local_name().as_ref() {
                "row" => row = row.saturating_add(1),
                "c" => {
                    close(&cell, around, grid)?;
                    in_cell = false;
                    column = column.saturating_add(1);
                }
                "v" | "t" => in_value = false,
                "rPh" => in_phonetic = false,
                "sheetData" => return Ok(()),
                _ => {}
            },
            Event::Eof => return Err(SheetError::damaged(FORMAT, "a sheet breaks off").into()),
            event if in_value => {
                append_text(&event, &mut cell.value);
                if cell.value.len() > super::watched::LONGEST {
                    return Err(SheetError::damaged(FORMAT, "a cell without end").into());
                }
            }
            _ => {}
        }
    }
}

/// An attribute without a prefix, as it stands: those of cells need no unescaping.
fn value_of<'e>(element: &'e BytesStart<'_>, name: &str) -> Option<std::borrow::Cow<'e, str>> {
    let mut attributes = element.attributes();
    attributes.with_checks(false);
    attributes.flatten().find(|a| a.key.as_ref() == name).map(|a| a.value)
}

fn open(element: &BytesStart<'_>, row: u32, column: u32, cell: &mut Open) {
    cell.value.clear();
    (cell.row, cell.column, cell.style, cell.kind) = (row, column, 0, Type::Number);
    for attribute in element.attributes().with_checks(false).flatten() {
        let value: &str = &attribute.value;
        match attribute.key.as_ref() {
            "r" => {
                if let Some(place) = reference(value) {
                    (cell.row, cell.column) = place;
                }
            }
            "s" => cell.style = value.parse().unwrap_or(0),
            "t" => {
                cell.kind = match value {
                    "s" => Type::Shared,
                    "b" => Type::Bool,
                    "e" => Type::Error,
                    "n" => Type::Number,
                    _ => Type::Text,
                }
            }
            _ => {}
        }
    }
}

/// `C7` is row 6, column 2.
fn reference(text: &str) -> Option<(u32, u32)> {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    if letters == 0 || letters > 3 {
        return None;
    }
    let column = text.bytes().take(letters).fold(0u32, |sum, letter| {
        sum * 26 + u32::from(letter.to_ascii_uppercase() - b'A') + 1
    });
    let row: u32 = text.get(letters..)?.parse().ok()?;
    Some((row.checked_sub(1)?, column - 1))
}

fn close(cell: &Open, around: &Surroundings<'_>, grid: &mut Grid) -> Result<()> {
    let (row, column, value) = (cell.row, cell.column, cell.value.as_str());
    match cell.kind {
        Type::Number => {
            let value = value.trim();
            if value.is_empty() {
                return Ok(());
            }
            match value.parse::<f64>() {
                Ok(number) if number.is_finite() => {
                    let date = around.date_styles.get(cell.style).copied().unwrap_or(false);
                    let content = if date {
                        Cell::Date(number, around.from_1904)
                    } else {
                        Cell::Number(number)
                    };
                    grid.push(row, column, content)
                }
                _ => grid.push_text(row, column, value),
            }
        }
        Type::Shared => {
            let index = value.trim().parse::<usize>().ok();
            let text = index.and_then(|index| around.strings.get(index));
            let text = text.ok_or_else(|| SheetError::damaged(FORMAT, "a cell refers to a text that is not there"))?;
            grid.push_text(row, column, text)
        }
        Type::Text => grid.push_text(row, column, value),
        Type::Bool => grid.push(row, column, Cell::Bool(matches!(value.trim(), "1" | "true"))),
        Type::Error => grid.push_error(row, column, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_cells() {
        assert_eq!(reference("A1"), Some((0, 0)));
        assert_eq!(reference("XFD1048576"), Some((1_048_575, 16_383)));
        assert_eq!(reference("AA10"), Some((9, 26)));
        for wrong in ["", "1", "A", "A0", "ABCD1", "A-1", "A99999999999"] {
            assert_eq!(reference(wrong), None, "{wrong}");
        }
    }
}
