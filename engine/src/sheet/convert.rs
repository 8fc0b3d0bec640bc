//! A cell as a value of its column.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::cell::Seen;
use super::dates;
use super::definition::{Column, Kind, LetterCase};
use super::fold::fold;
use super::numbers;
use super::rules::Rule;

/// What spreadsheets and people write where nothing is known; not in columns of text, where it may be a name.
const MISSING: [&str; 12] = [
    "-", "--", "—", ".", "?", "na", "n/a", "nan", "null", "none", "nd", "n/d",
];
/// Errors as spreadsheets in English and Portuguese show them.
const ERRORS: [&str; 17] = [
    "#n/a",
    "#n/d",
    "#null!",
    "#nulo!",
    "#div/0!",
    "#value!",
    "#valor!",
    "#ref!",
    "#name?",
    "#nome?",
    "#num!",
    "#núm!",
    "#spill!",
    "#calc!",
    "#getting_data",
    "#field!",
    "#blocked!",
];
/// Up to here a number shown as a date is one that was meant, if the column has no range: the days of 1900.
const LARGEST_UNBOUNDED: f64 = 366.0;
/// Numbers that are taken for dates in a column of dates: of 1950 to 2100.
const SERIALS: std::ops::RangeInclusive<f64> = 18_264.0..=73_415.0;
/// Whole numbers beyond are no longer exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value and what was done to get it; nothing where the cell says it plainly.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Converted<'a> {
    pub value: Plain<'a>,
    pub rule: Option<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain<'a> {
    Null,
    Integer(i64),
    Number(f64),
    Bool(bool),
    Date(i32),
    Text(Cow<'a, str>),
}

/// A column of the definition, ready to convert cells.
pub(super) struct Converter {
    kind: Kind,
    min: f64,
    max: f64,
    bounded: bool,
    missing: HashSet<String>,
    missing_numbers: Vec<f64>,
    words: HashMap<String, f64>,
    extract: bool,
    case: Option<LetterCase>,
    categories: Option<HashMap<String, String>>,
    /// Its decimal mark, where the column or the file tells.
    pub comma: Option<bool>,
    /// Whether the file tells numbers from texts.
    pub typed: bool,
}

impl Converter {
    pub fn new(column: &Column, missing: &[String], typed: bool) -> Self {
        let usual: &[&str] = if column.kind == Kind::Text { &[] } else { &MISSING };
        let own = missing.iter().chain(&column.missing);
        Self {
            kind: column.kind,
            min: column.min.unwrap_or(f64::NEG_INFINITY),
            max: column.max.unwrap_or(f64::INFINITY),
            bounded: column.min.is_some() && column.max.is_some(),
            missing: usual
                .iter()
                .map(|m| (*m).to_owned())
                .chain(own.clone().map(|m| m.trim().to_lowercase()))
                .collect(),
            missing_numbers: own.filter_map(|m| m.trim().parse().ok()).collect(),
            words: column.words().collect(),
            extract: column.extract,
            case: column.case,
            categories: column.category_names().map(|names| names.into_iter().collect()),
            comma: None,
            typed,
        }
    }

    pub fn is_numeric(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Integer)
    }

    pub fn convert<'a>(&self, cell: Seen<'a>) -> Converted<'a> {
        let null = |rule| Converted {
            value: Plain::Null,
            rule: Some(rule),
        };
        let text = match cell {
            Seen::Error(_) => return null(Rule::SpreadsheetError),
            Seen::Text(text) => text,
            _ => "",
        };
        let trimmed = text.trim();
        if matches!(cell, Seen::Text(_)) {
            if trimmed.is_empty() {
                return Converted {
                    value: Plain::Null,
                    rule: None,
                };
            }
            if trimmed.len() <= 64 {
                let lower = trimmed.to_lowercase();
                if ERRORS.contains(&lower.as_str()) {
                    return null(Rule::SpreadsheetError);
                }
                if self.missing.contains(&lower) {
                    return null(Rule::MissingMarker);
                }
            }
        }
        match self.kind {
            Kind::Number | Kind::Integer => self.number(cell, text),
            Kind::Boolean => boolean(cell, trimmed),
            Kind::Date => date(cell, trimmed),
            Kind::Text => self.text(cell),
            Kind::Category => self.category(cell),
        }
    }

    fn number<'a>(&self, cell: Seen<'a>, text: &str) -> Converted<'a> {
        let read = match cell {
            Seen::Number(number) => Ok((number, None)),
            Seen::Date(serial, _) => self.serial(serial),
            Seen::Bool(value) => Ok((f64::from(u8::from(value)), Some(Rule::BooleanAsNumber))),
            _ => self.number_of_text(text),
        };
        match read.and_then(|(number, rule)| Ok((self.checked(number)?, rule))) {
            Ok((value, rule)) => Converted { value, rule },
            Err(rule) => Converted {
                value: Plain::Null,
                rule: Some(rule),
            },
        }
    }

    /// A number that was shown, or written, as a date: the serial is what was meant if the column can hold it.
    fn serial(&self, serial: f64) -> Result<(f64, Option<Rule>), Rule> {
        let whole = self.kind == Kind::Number || serial.fract() == 0.0;
        let fits = if self.bounded {
            (self.min..=self.max).contains(&serial)
        } else {
            serial >= self.min && serial <= self.max && (0.0..=LARGEST_UNBOUNDED).contains(&serial)
        };
        if whole && fits {
            Ok((serial, Some(Rule::DateAsNumber)))
        } else {
            Err(Rule::DateNotRecovered)
        }
    }

    fn number_of_text(&self, text: &str) -> Result<(f64, Option<Rule>), Rule> {
        if let Some((number, rule)) = numbers::parse(text, self.comma) {
            return Ok((number, rule.or(self.typed.then_some(Rule::NumberAsText))));
        }
        if let Some((day, _)) = dates::parse(text) {
            return self.serial(f64::from(dates::excel_serial(day)));
        }
        if self.words.is_empty() && !self.extract {
            return Err(Rule::NotANumber);
        }
        let folded = fold(text);
        if let Some(number) = self.words.get(&folded) {
            return Ok((*number, Some(Rule::WordAsNumber)));
        }
        if self.extract {
            for word in folded.split(' ') {
                if let Some(number) = self.words.get(word) {
                    return Ok((*number, Some(Rule::WordAsNumber)));
                }
                let digits = word.bytes().take_while(u8::is_ascii_digit).count();
                if let Ok(number) = word[..digits].parse::<f64>() {
                    return Ok((number, Some(Rule::NumberInText)));
                }
            }
        }
        Err(Rule::NotANumber)
    }

    fn checked<'a>(&self, number: f64) -> Result<Plain<'a>, Rule> {
        if self.missing_numbers.contains(&number) {
            return Err(Rule::MissingMarker);
        }
        if number < self.min || number > self.max {
            return Err(Rule::OutOfRange);
        }
        if self.kind == Kind::Number {
            return Ok(Plain::Number(number));
        }
        if number.fract() != 0.0 {
            return Err(Rule::NotWhole);
        }
        if number.abs() > EXACT {
            return Err(Rule::OutOfRange);
        }
        Ok(Plain::Integer(number as i64))
    }

    fn text<'a>(&self, cell: Seen<'a>) -> Converted<'a> {
        let plain = plain_text(cell);
        let trimmed = match plain {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            owned => owned,
        };
        let cased: Cow<'a, str> = match self.case {
            None => trimmed,
            Some(LetterCase::Upper) => with_case(trimmed, str::to_uppercase),
            Some(LetterCase::Lower) => with_case(trimmed, str::to_lowercase),
        };
        let rule = match cell {
            Seen::Text(text) if cased == text => None,
            Seen::Text(text) if cased == text.trim() => Some(Rule::Trimmed),
            Seen::Text(_) => Some(Rule::LetterCase),
            _ => None,
        };
        Converted {
            value: Plain::Text(cased),
            rule,
        }
    }

    fn category<'a>(&self, cell: Seen<'a>) -> Converted<'a> {
        let Some(names) = &self.categories else {
            return self.text(cell);
        };
        let plain = plain_text(cell);
        match names.get(&fold(&plain)) {
            None => Converted {
                value: Plain::Null,
                rule: Some(Rule::UnknownCategory),
            },
            Some(category) => Converted {
                rule: (*category != plain).then_some(Rule::CategoryAlias),
                value: Plain::Text(Cow::Owned(category.clone())),
            },
        }
    }
}

fn with_case<'a>(text: Cow<'a, str>, change: impl Fn(&str) -> String) -> Cow<'a, str> {
    let changed = change(&text);
    if changed == text {
        text
    } else {
        Cow::Owned(changed)
    }
}

fn boolean<'a>(cell: Seen<'a>, text: &str) -> Converted<'a> {
    let value = match cell {
        Seen::Bool(value) => Some(value),
        Seen::Number(number) if number == 0.0 || number == 1.0 => Some(number == 1.0),
        Seen::Text(_) => match fold(text).as_str() {
            "sim" | "s" | "yes" | "y" | "true" | "t" | "verdadeiro" | "v" | "1" | "on" => Some(true),
            "nao" | "n" | "no" | "false" | "f" | "falso" | "0" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    };
    match value {
        Some(value) => Converted {
            value: Plain::Bool(value),
            rule: None,
        },
        None => Converted {
            value: Plain::Null,
            rule: Some(Rule::NotABoolean),
        },
    }
}

fn date<'a>(cell: Seen<'a>, text: &str) -> Converted<'a> {
    let read = match cell {
        Seen::Date(serial, from_1904) => dates::from_excel_serial(serial, from_1904).map(|day| (day, None)),
        Seen::Number(number) if SERIALS.contains(&number) => {
            dates::from_excel_serial(number, false).map(|day| (day, Some(Rule::SerialAsDate)))
        }
        Seen::Text(_) => dates::parse(text).map(|(day, sure)| (day, (!sure).then_some(Rule::DayFirst))),
        _ => None,
    };
    match read {
        Some((day, rule)) => Converted {
            value: Plain::Date(day),
            rule,
        },
        None => Converted {
            value: Plain::Null,
            rule: Some(Rule::NotADate),
        },
    }
}

/// What a cell says, as text.
pub(super) fn plain_text(cell: Seen<'_>) -> Cow<'_, str> {
    match cell {
        Seen::Text(text) | Seen::Error(text) => Cow::Borrowed(text),
        Seen::Number(number) => Cow::Owned(number.to_string()),
        Seen::Bool(value) => Cow::Borrowed(if value { "TRUE" } else { "FALSE" }),
        Seen::Date(serial, from_1904) => Cow::Owned(match dates::from_excel_serial(serial, from_1904) {
            Some(day) => dates::iso(day),
            None => serial.to_string(),
        }),
    }
}

/// A value as the report shows it; `None` is null.
pub(super) fn shown<'a>(value: &'a Plain<'_>) -> Option<Cow<'a, str>> {
    Some(match value {
        Plain::Null => return None,
        Plain::Integer(number) => Cow::Owned(number.to_string()),
        Plain::Number(number) => Cow::Owned(number.to_string()),
        Plain::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Plain::Date(day) => Cow::Owned(dates::iso(*day)),
        Plain::Text(text) => Cow::Borrowed(text),
    })
}
