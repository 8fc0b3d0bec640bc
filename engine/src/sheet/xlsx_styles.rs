//! Which cell styles of a workbook show a number as a date or a time.

use std::collections::HashMap;

use quick_xml::events::Event;

use super::archive::Archive;
use super::xlsx::FORMAT;
use super::xml::{attribute, Xml};
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

/// Excel stops at 65 490.
const MOST_STYLES: usize = 1 << 17;

/// Per style index, whether it shows dates.
pub(super) fn read_date_styles(ctx: &Context, archive: &Archive<'_>, path: Option<String>) -> Result<Vec<bool>> {
    let (mut formats, mut styles) = (HashMap::new(), Vec::new());
    let path = path.unwrap_or_else(|| "xl/styles.xml".to_owned());
    let Some(entry) = archive.entry(ctx, &path)? else {
        return Ok(styles);
    };
    let mut xml = Xml::new(ctx, FORMAT, entry);
    let mut in_cells = false;
    loop {
        match xml.next()? {
            Event::Start(e) => match e.local_name().as_ref() {
                "numFmt" => {
                    let id = attribute(&e, "numFmtId").and_then(|id| id.parse::<u32>().ok());
                    if let (Some(id), Some(code)) = (id, attribute(&e, "formatCode")) {
                        formats.insert(id, shows_date(&code));
                    }
                }
                "cellXfs" => in_cells = true,
                "xf" if in_cells => {
                    let id = attribute(&e, "numFmtId")
                        .and_then(|id| id.parse::<u32>().ok())
                        .unwrap_or(0);
                    styles.push(formats.get(&id).copied().unwrap_or_else(|| built_in_date(id)));
                }
                _ => {}
            },
            Event::End(e) if e.local_name().as_ref() == "cellXfs" => in_cells = false,
            Event::Eof => return Ok(styles),
            _ => {}
        }
        if styles.len() > MOST_STYLES || formats.len() > MOST_STYLES {
            return Err(SheetError::damaged(FORMAT, "too many styles").into());
        }
    }
}

/// Formats that every reader knows without their code.
pub(super) fn built_in_date(id: u32) -> bool {
    matches!(id, 14..=22 | 27..=36 | 45..=47 | 50..=58)
}

/// Whether a format code has a letter of dates outside of quotes, escapes and brackets; of its first section.
pub(super) fn shows_date(code: &str) -> bool {
    let mut characters = code.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => drop(characters.by_ref().find(|c| *c == '"')),
            '\\' | '_' | '*' => drop(characters.next()),
            '[' => {
                let inside: String = characters.by_ref().take_while(|c| *c != ']').collect();
                // [h], [mm]: elapsed time; [Red], [$-409]: not
                let elapsed = |c: char| matches!(c, 'h' | 'H' | 'm' | 'M' | 's' | 'S');
                if !inside.is_empty() && inside.chars().all(elapsed) {
                    return true;
                }
            }
            ';' => return false,
            'd' | 'D' | 'm' | 'M' | 'y' | 'Y' | 'h' | 'H' | 's' | 'S' => return true,
            'G' | 'g' if code.to_ascii_lowercase().starts_with("general") => return false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_dates_and_of_numbers() {
        for date in ["yyyy-mm-dd h:mm:ss", "dd/mm/yy", "[h]:mm", "[$-416]d-mmm;@", "mmm/yy"] {
            assert!(shows_date(date), "{date}");
        }
        for number in [
            "General",
            "0.00",
            "#,##0",
            "\"dias\" 0",
            "[Red]0.0",
            "0\\d",
            "0.00E+00",
            "@",
            "R$ #,##0;[Red]-#,##0",
        ] {
            assert!(!shows_date(number), "{number}");
        }
    }
}
