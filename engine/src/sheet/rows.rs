//! The rows of a sheet: cells to values, with notes of what was changed, and rows without a key refused.

use std::collections::{BTreeMap, HashMap};

use super::cell::{Cell, Chunked, Grid, Text};
use super::convert::{plain_text, shown, Converter, Plain};
use super::definition::{Definition, Role};
use super::header::{Header, Meaning};
use super::numbers;
use super::output::{Note, Reject, RowOf, SheetRows, Value};
use super::rules::Rule;
use crate::context::{Context, Reservation};
use crate::error::Result;

/// Longest text that the report repeats.
const SHOWN: usize = 200;

/// A column of the file that feeds a column of the definition.
pub(super) struct Slot {
    pub source: u16,
    pub header: usize,
    /// Of one of several years only.
    pub of_year: bool,
}

/// Where the cells of a row's year are.
pub(super) struct Plan {
    pub year: Option<i32>,
    /// Per column of the definition.
    pub slots: Vec<Vec<Slot>>,
}

pub(super) struct Sheet<'a> {
    pub definition: &'a Definition,
    pub grid: Grid,
    pub converters: Vec<Converter>,
    pub headers: Vec<(Header, Text)>,
    pub out: Out,
    /// Cells per header that hold something.
    pub filled: Vec<u64>,
    /// Columns of the file without a header, and the first row that has something there.
    pub headless: BTreeMap<u16, u32>,
    pub keys: Keys,
}

/// Rows by the hash of their key: the last of each, and for each row the one before it of the same hash.
pub(super) struct Keys {
    last: HashMap<u64, u32>,
    before: Chunked<u32>,
    held: Reservation,
}

impl Keys {
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            last: HashMap::new(),
            before: Chunked::new(ctx)?,
            held: ctx.reserve(0)?,
        })
    }

    /// The rows of that hash, the last first.
    fn of(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let next = |row: &u32| self.before.get(*row as usize).copied().filter(|row| *row != u32::MAX);
        std::iter::successors(self.last.get(&hash).copied(), next).map(|row| row as usize)
    }

    /// Adds the next row.
    fn push(&mut self, hash: u64) -> Result<()> {
        if self.last.len() == self.last.capacity() {
            let more = self.last.len().max(1024);
            // while it grows, the old table is there as well
            self.held.grow(more * 4 * size_of::<(u64, u32)>())?;
            self.last.reserve(more);
        }
        let row = u32::try_from(self.before.len()).unwrap_or(u32::MAX);
        let before = self.last.insert(hash, row).unwrap_or(u32::MAX);
        self.before.push(before)
    }
}

pub(super) struct Out {
    pub rows: Chunked<RowOf>,
    pub values: Chunked<Value>,
    pub notes: Chunked<Note>,
    pub rejects: Chunked<Reject>,
}

pub(super) fn clipped(text: &str) -> String {
    let mut text: String = text.chars().filter(|c| *c != '\0').take(SHOWN + 1).collect();
    if text.chars().count() > SHOWN {
        text.pop();
        text.push('…');
    }
    text
}

impl Sheet<'_> {
    /// Tells the decimal mark of each column from its texts, else from all texts of the sheet.
    pub fn learn_marks(&mut self, plans: &[Plan], header_index: usize) {
        let mut of_source: HashMap<u16, Vec<usize>> = HashMap::new();
        for slots in plans.iter().map(|plan| &plan.slots) {
            for (column, slot) in slots
                .iter()
                .enumerate()
                .flat_map(|(column, slots)| slots.iter().map(move |slot| (column, slot)))
            {
                if self.converters[column].is_numeric() {
                    of_source.entry(slot.source).or_default().push(column);
                }
            }
        }
        let mut sums = vec![0i64; self.converters.len()];
        for index in header_index + 1..self.grid.rows() {
            for (source, cell) in self.grid.row(index).1 {
                if let (Cell::Text(text), Some(columns)) = (cell, of_source.get(source)) {
                    let said = i64::from(numbers::evidence(self.grid.texts().get(*text)));
                    columns.iter().for_each(|column| sums[*column] += said);
                }
            }
        }
        let all: i64 = sums.iter().sum();
        for (converter, own) in self.converters.iter_mut().zip(sums) {
            let sum = if own == 0 { all } else { own };
            converter.comma = (sum != 0).then_some(sum > 0);
        }
    }

    pub fn read_rows(
        &mut self,
        ctx: &Context,
        plans: &[Plan],
        header_index: usize,
        has_year_column: bool,
    ) -> Result<u64> {
        let _held = ctx.reserve_for::<Option<Cell>>(usize::from(u16::MAX) + 1)?;
        let mut line: Vec<Option<Cell>> = Vec::new();
        let mut named = vec![false; usize::from(u16::MAX) + 1];
        self.headers
            .iter()
            .for_each(|(header, _)| named[usize::from(header.source)] = true);
        let mut headless = Vec::new();
        let mut cells = 0;
        for index in header_index + 1..self.grid.rows() {
            if index.is_multiple_of(256) {
                ctx.check()?;
            }
            line.iter_mut().for_each(|cell| *cell = None);
            let (number, row) = self.grid.row(index);
            let mut held = 0;
            for (source, cell) in row {
                let blank = matches!(cell, Cell::Text(text) if self.grid.texts().get(*text).trim().is_empty());
                if blank {
                    continue;
                }
                let at = usize::from(*source);
                if line.len() <= at {
                    line.resize(at + 1, None);
                }
                line[at] = Some(*cell);
                held += 1;
                if !named[at] {
                    headless.push((*source, number));
                }
            }
            if held == 0 {
                continue;
            }
            cells += held;
            for (source, number) in headless.drain(..) {
                // at most as many as there are columns
                self.headless.entry(source).or_insert(number);
            }
            for (position, (header, _)) in self.headers.iter().enumerate() {
                let full = line.get(usize::from(header.source)).is_some_and(Option::is_some);
                self.filled[position] += u64::from(full);
            }
            self.read_row(plans, number.saturating_add(1), &line, has_year_column)?;
        }
        Ok(cells)
    }

    /// Makes the rows of a line: one, or one per year that it says something of.
    fn read_row(&mut self, plans: &[Plan], row: u32, line: &[Option<Cell>], has_year_column: bool) -> Result<()> {
        let full = |slot: &Slot| line.get(usize::from(slot.source)).is_some_and(Option::is_some);
        let mut first = true;
        for plan in plans {
            let mut of_year = plan.slots.iter().flatten().filter(|slot| slot.of_year).peekable();
            if of_year.peek().is_some() && !of_year.any(full) {
                continue;
            }
            let mut notes = Vec::new();
            let mut values = Vec::with_capacity(self.definition.columns.len());
            let mut year = plan.year;
            for column in 0..plan.slots.len() {
                let value = self.value(row, column, &plan.slots[column], line, first, &mut notes)?;
                match (self.definition.columns[column].role, value) {
                    (Role::Year, Value::Integer(said)) => year = i32::try_from(said).ok().or(year),
                    (Role::Year | Role::Ignore, _) => {}
                    _ => values.push(value),
                }
            }
            let refused = self.refusal(&values, year, has_year_column)?;
            if let Some(rule) = refused {
                let content = self.content(line)?;
                self.out.rejects.push(Reject { row, rule, content })?;
                if rule == Rule::NoKey {
                    return Ok(());
                }
                continue;
            }
            self.out.rows.push(RowOf { row, year })?;
            values.into_iter().try_for_each(|value| self.out.values.push(value))?;
            notes.into_iter().try_for_each(|note| self.out.notes.push(note))?;
            first = false;
        }
        Ok(())
    }

    /// The value of a column: of the first of its cells that has one. `first`: the line's cells of no year were not noted yet.
    fn value(
        &mut self,
        row: u32,
        column: usize,
        slots: &[Slot],
        line: &[Option<Cell>],
        first: bool,
        notes: &mut Vec<Note>,
    ) -> Result<Value> {
        let mut kept = Value::Null;
        for slot in slots {
            let Some(Some(cell)) = line.get(usize::from(slot.source)) else {
                continue;
            };
            let converted = self.converters[column].convert(cell.seen(self.grid.texts()));
            let (result, mut rule) = (converted.value, converted.rule);
            let shown = rule.and_then(|_| shown(&result).map(|text| clipped(&text)));
            let stored = match (result, cell) {
                (Plain::Null, _) => Value::Null,
                (Plain::Integer(value), _) => Value::Integer(value),
                (Plain::Number(value), _) => Value::Number(value),
                (Plain::Bool(value), _) => Value::Bool(value),
                (Plain::Date(value), _) => Value::Date(value),
                // unchanged text stays where it is
                (Plain::Text(text), Cell::Text(raw)) if text == self.grid.texts().get(*raw) && !text.contains('\0') => {
                    Value::Text(*raw)
                }
                (Plain::Text(text), _) => {
                    let text = text.replace('\0', "");
                    Value::Text(self.grid.texts_mut().add(&text)?)
                }
            };
            let differs = kept != Value::Null && stored != Value::Null && !self.same(kept, stored);
            if kept == Value::Null {
                kept = stored;
            } else if differs {
                rule = Some(Rule::DuplicateColumn);
            }
            if let Some(rule) = rule.filter(|_| first || slot.of_year) {
                let raw = clipped(&plain_text(cell.seen(self.grid.texts())));
                let texts = self.grid.texts_mut();
                let raw = texts.add(&raw)?;
                let result = match shown {
                    Some(text) if !differs => Some(texts.add(&text)?),
                    _ => None,
                };
                notes.push(Note {
                    row,
                    column: u16::try_from(column).ok(),
                    header: self.headers[slot.header].1,
                    raw,
                    result,
                    rule,
                });
            }
        }
        Ok(kept)
    }

    fn same(&self, a: Value, b: Value) -> bool {
        match (a, b) {
            (Value::Text(a), Value::Text(b)) => self.grid.texts().get(a) == self.grid.texts().get(b),
            _ => a == b,
        }
    }

    /// Why the row is none, if it is not.
    fn refusal(&mut self, values: &[Value], year: Option<i32>, has_year_column: bool) -> Result<Option<Rule>> {
        let keys: Vec<usize> = self
            .definition
            .stored()
            .enumerate()
            .filter(|(_, (_, c))| c.role == Role::Key)
            .map(|(at, _)| at)
            .collect();
        if keys.iter().any(|at| values[*at] == Value::Null) {
            return Ok(Some(Rule::NoKey));
        }
        if self.definition.yearly && year.is_none() {
            debug_assert!(has_year_column);
            return Ok(Some(Rule::NoYear));
        }
        let hash = self.hash(keys.iter().map(|at| values[*at]), year);
        let width = values.len();
        let known = self.keys.of(hash).any(|row| {
            let stored = |at: usize| self.out.values.get(row * width + at).copied().unwrap_or(Value::Null);
            self.out.rows.get(row).is_some_and(|of| of.year == year)
                && keys.iter().all(|at| self.same(stored(*at), values[*at]))
        });
        if known {
            return Ok(Some(Rule::DuplicateKey));
        }
        self.keys.push(hash)?;
        Ok(None)
    }

    fn hash(&self, key: impl Iterator<Item = Value>, year: Option<i32>) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        year.hash(&mut hasher);
        for value in key {
            match value {
                Value::Text(text) => self.grid.texts().get(text).hash(&mut hasher),
                Value::Integer(value) => value.hash(&mut hasher),
                Value::Number(value) => value.to_bits().hash(&mut hasher),
                Value::Bool(value) => value.hash(&mut hasher),
                Value::Date(value) => value.hash(&mut hasher),
                Value::Null => {}
            }
        }
        hasher.finish()
    }

    /// The line as a JSON object.
    fn content(&mut self, line: &[Option<Cell>]) -> Result<Text> {
        let mut content = serde_json::Map::new();
        for (source, cell) in line
            .iter()
            .enumerate()
            .filter_map(|(source, cell)| Some((source, cell.as_ref()?)))
        {
            let header = self
                .headers
                .iter()
                .find(|(header, _)| usize::from(header.source) == source);
            let mut name = header.map_or_else(|| column_letters(source), |(header, _)| clipped(&header.text));
            if content.contains_key(&name) {
                name = format!("{name} ({})", column_letters(source));
            }
            content.insert(name, clipped(&plain_text(cell.seen(self.grid.texts()))).into());
        }
        let content = serde_json::Value::Object(content).to_string();
        self.grid.texts_mut().add(&content)
    }

    /// What was made of the headers.
    pub fn note_headers(&mut self, header_row: u32, plans: &[Plan]) -> Result<()> {
        let mut taken: HashMap<(u16, Option<i32>), usize> = HashMap::new();
        for (position, (header, text)) in self.headers.iter().enumerate() {
            let mut note = Note {
                row: header_row.saturating_add(1),
                column: None,
                header: *text,
                raw: *text,
                result: None,
                rule: Rule::HeaderUnknown,
            };
            let mut rules = Vec::new();
            match &header.meaning {
                Meaning::Unknown => rules.push(Rule::HeaderUnknown),
                Meaning::OtherYear => rules.push(Rule::HeaderOtherYear),
                Meaning::Columns(columns, said) => {
                    for column in columns {
                        note.column = Some(*column);
                        let name = &self.definition.columns[usize::from(*column)].name;
                        let year = said
                            .filter(|_| plans.len() > 1)
                            .map(|year| format!(" {year}"))
                            .unwrap_or_default();
                        note.result = Some(self.grid.texts_mut().add(&format!("{name}{year}"))?);
                        if taken.insert((*column, *said), position).is_some() {
                            note.rule = Rule::HeaderDuplicate;
                            self.out.notes.push(note)?;
                        } else if *name != header.text {
                            note.rule = Rule::HeaderRenamed;
                            self.out.notes.push(note)?;
                        }
                    }
                }
            }
            if self.filled[position] == 0 {
                rules.push(Rule::EmptyColumn);
            }
            for rule in rules {
                note.rule = rule;
                self.out.notes.push(note)?;
            }
        }
        self.note_headless()
    }

    /// Columns that nobody named: what stands in them is not imported, and is said.
    fn note_headless(&mut self) -> Result<()> {
        for (source, row) in std::mem::take(&mut self.headless) {
            let letters = self.grid.texts_mut().add(&column_letters(usize::from(source)))?;
            self.out.notes.push(Note {
                row: row.saturating_add(1),
                column: None,
                header: letters,
                raw: letters,
                result: None,
                rule: Rule::HeaderMissing,
            })?;
        }
        Ok(())
    }

    pub fn finish(self, name: &str, header_row: u32, plans: &[Plan], cells: u64) -> SheetRows {
        let present = plans.iter().map(|plan| {
            let year = plan.year.filter(|_| plans.len() > 1);
            (year, plan.slots.iter().map(|slots| !slots.is_empty()).collect())
        });
        let unknown = self
            .headers
            .iter()
            .filter(|(h, _)| matches!(h.meaning, Meaning::Unknown))
            .map(|(h, _)| clipped(&h.text));
        let mut years: Vec<i32> = self.out.rows.iter().filter_map(|row| row.year).collect();
        years.sort_unstable();
        years.dedup();
        SheetRows {
            name: name.to_owned(),
            years,
            header_row: header_row.saturating_add(1),
            present: present.collect(),
            unknown_headers: unknown.collect(),
            cells,
            width: self.definition.stored().count(),
            texts: self.grid.into_texts(),
            rows: self.out.rows,
            values: self.out.values,
            notes: self.out.notes,
            rejects: self.out.rejects,
        }
    }
}

/// `A` for 0, as spreadsheets name columns.
fn column_letters(column: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        letters.push(b'A' + ((rest - 1) % 26) as u8);
        rest = (rest - 1) / 26;
    }
    letters.reverse();
    String::from_utf8(letters).unwrap_or_default()
}
