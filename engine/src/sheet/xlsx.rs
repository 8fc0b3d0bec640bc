//! Workbooks of Excel 2007 and later (OOXML): which sheets there are, and where their parts stand.

use quick_xml::events::Event;

use super::archive::Archive;
use super::cell::{Chunked, Grid, Text, Texts};
use super::xlsx_cells::{read_cells, Surroundings};
use super::xlsx_styles::read_date_styles;
use super::xml::{append_text, attribute, name_attribute, Xml};
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

pub(super) const FORMAT: &str = "XLSX";

/// More sheets than anybody has.
const MOST_SHEETS: usize = 4096;

pub(super) struct Xlsx<'a> {
    archive: Archive<'a>,
    sheets: Vec<(String, String)>,
    strings: Strings,
    date_styles: Vec<bool>,
    from_1904: bool,
}

/// The shared strings.
pub(super) struct Strings {
    texts: Texts,
    items: Chunked<Text>,
}

impl Strings {
    pub fn get(&self, index: usize) -> Option<&str> {
        Some(self.texts.get(*self.items.get(index)?))
    }
}

impl<'a> Xlsx<'a> {
    pub fn open(ctx: &Context, bytes: &'a [u8]) -> Result<Self> {
        let archive = Archive::open(FORMAT, bytes)?;
        let workbook = relations(ctx, &archive, "_rels/.rels")?
            .into_iter()
            .find(|relation| relation.kind.ends_with("/officeDocument"))
            .map_or_else(
                || "xl/workbook.xml".to_owned(),
                |relation| resolve("", &relation.target),
            );
        let (folder, file) = workbook.rsplit_once('/').unwrap_or(("", &workbook));
        let relations = relations(ctx, &archive, &format!("{folder}/_rels/{file}.rels"))?;
        let part = |kind: &str| {
            let found = relations.iter().find(|relation| relation.kind.ends_with(kind));
            found.map(|relation| resolve(folder, &relation.target))
        };
        let (sheets, from_1904) = read_workbook(ctx, &archive, &workbook, folder, &relations)?;
        let strings = read_strings(ctx, &archive, part("/sharedStrings"))?;
        let date_styles = read_date_styles(ctx, &archive, part("/styles"))?;
        Ok(Self {
            archive,
            sheets,
            strings,
            date_styles,
            from_1904,
        })
    }

    pub fn names(&self) -> Vec<String> {
        self.sheets.iter().map(|(name, _)| name.clone()).collect()
    }

    pub fn read(&self, ctx: &Context, index: usize, max_rows: usize) -> Result<Grid> {
        let mut grid = Grid::new(ctx, max_rows)?;
        let Some((name, path)) = self.sheets.get(index) else {
            return Ok(grid);
        };
        let Some(entry) = self.archive.entry(ctx, path)? else {
            return Err(SheetError::damaged(FORMAT, format!("sheet \"{name}\" is not in it")).into());
        };
        let around = Surroundings {
            strings: &self.strings,
            date_styles: &self.date_styles,
            from_1904: self.from_1904,
        };
        read_cells(&mut Xml::new(ctx, FORMAT, entry), &around, &mut grid)?;
        Ok(grid)
    }
}

struct Relation {
    id: String,
    kind: String,
    target: String,
}

/// The relations of a part; none where the file is missing.
fn relations(ctx: &Context, archive: &Archive<'_>, path: &str) -> Result<Vec<Relation>> {
    let mut relations = Vec::new();
    let Some(entry) = archive.entry(ctx, path)? else {
        return Ok(relations);
    };
    let mut xml = Xml::new(ctx, FORMAT, entry);
    loop {
        match xml.next()? {
            Event::Start(e) if e.local_name().as_ref() == "Relationship" => {
                if relations.len() >= MOST_SHEETS * 2 {
                    return Err(SheetError::damaged(FORMAT, "too many relations").into());
                }
                relations.push(Relation {
                    id: name_attribute(&e, "Id"),
                    kind: name_attribute(&e, "Type"),
                    target: name_attribute(&e, "Target"),
                });
            }
            Event::Eof => return Ok(relations),
            _ => {}
        }
    }
}

/// A relation's target as the name of an entry: absolute, or relative to the part's folder.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => folder.split('/').collect(),
    };
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            name => parts.push(name),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

type Sheets = Vec<(String, String)>;

fn read_workbook(
    ctx: &Context,
    archive: &Archive<'_>,
    path: &str,
    folder: &str,
    relations: &[Relation],
) -> Result<(Sheets, bool)> {
    let Some(entry) = archive.entry(ctx, path)? else {
        return Err(SheetError::damaged(FORMAT, "it has no workbook").into());
    };
    let mut xml = Xml::new(ctx, FORMAT, entry);
    let (mut sheets, mut from_1904) = (Sheets::new(), false);
    loop {
        match xml.next()? {
            Event::Start(e) if e.local_name().as_ref() == "workbookPr" => {
                from_1904 = matches!(attribute(&e, "date1904").as_deref(), Some("1" | "true" | "on"));
            }
            Event::Start(e) if e.local_name().as_ref() == "sheet" && sheets.len() < MOST_SHEETS => {
                let id = name_attribute(&e, "id");
                let relation = relations.iter().find(|relation| relation.id == id);
                // chart and dialogue sheets have no cells
                if let Some(relation) = relation.filter(|relation| relation.kind.ends_with("/worksheet")) {
                    let name = name_attribute(&e, "name");
                    sheets.push((name, resolve(folder, &relation.target)));
                }
            }
            Event::Eof => return Ok((sheets, from_1904)),
            _ => {}
        }
    }
}

fn read_strings(ctx: &Context, archive: &Archive<'_>, path: Option<String>) -> Result<Strings> {
    let mut strings = Strings {
        texts: Texts::new(ctx)?,
        items: Chunked::new(ctx)?,
    };
    let path = path.unwrap_or_else(|| "xl/sharedStrings.xml".to_owned());
    let Some(entry) = archive.entry(ctx, &path)? else {
        return Ok(strings);
    };
    let mut xml = Xml::new(ctx, FORMAT, entry);
    let mut text = String::new();
    // Of a string only <t>, also inside runs <r>, but not the pronunciation <rPh>.
    let (mut in_text, mut in_phonetic) = (false, false);
    loop {
        match xml.next()? {
            Event::Start(e) => match e.local_name().as_ref() {
                "si" => text.clear(),
                "t" => in_text = !in_phonetic,
                "rPh" => in_phonetic = true,
                _ => {}
            },
            Event::End(e) => match e.local_name().as_ref() {
                "si" => {
                    let text = strings.texts.add(&text)?;
                    strings.items.push(text)?;
                }
                "t" => in_text = false,
                "rPh" => in_phonetic = false,
                _ => {}
            },
            Event::Eof => return Ok(strings),
            event if in_text => append_text(&event, &mut text),
            _ => {}
        }
        if text.len() > super::watched::LONGEST {
            return Err(SheetError::damaged(FORMAT, "a text without end").into());
        }
    }
}
