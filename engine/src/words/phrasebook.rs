//! The words for the features of one model.

use std::collections::HashMap;

use super::number::Language;
use super::template::{Filling, Template};
use crate::error::{EngineError, Result};
use crate::feature::ACTIVITY_IN;

/// The words for a feature: a row of the table `feature_text`. Texts are templates (see `template.rs`).
///
/// Names that begin with `_` are patterns: `_lag1`, `_lag` and `_sum` say when a measure was, around its `{phrase}`; `_despite` is around
/// the phrase of what speaks against; `_activity_in` is for the use of each kind of lectures, whose `{name}` is what `_kind_NAME` calls it; `_other` is for features that have no row, such as attributes.
#[derive(Debug, Clone, Default)]
pub struct FeatureText {
    pub feature: String,
    /// Plural noun, for patterns.
    pub name: Option<String>,
    /// For the value 0.
    pub zero: Option<String>,
    pub low: Option<String>,
    pub middle: Option<String>,
    pub high: Option<String>,
    pub missing: Option<String>,
    pub format: Format,
}

/// What kind of number a feature is: how it is written, and when it is little or much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Little and much by what is typical; fewer than three are never many.
    #[default]
    Count,
    /// By what is typical.
    Decimal,
    /// A share of 0..1, by what is typical; two thirds are never little and a third is never much.
    Percent,
    /// Below zero, zero, above zero; `{size}` is the number without its sign.
    Signed,
    /// A share of 0..1 of the others: below or above the middle; `{percentile}` is that of 100, `{complement}` the rest.
    Rank,
    /// Periods since something; `{capped}` is known for those at least as long ago as one looked.
    Since,
}

impl Format {
    /// # Errors
    /// [`EngineError::InvalidParameter`] for an unknown name.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "count" => Self::Count,
            "decimal" => Self::Decimal,
            "percent" => Self::Percent,
            "signed" => Self::Signed,
            "rank" => Self::Rank,
            "since" => Self::Since,
            _ => {
                let expected = "count, decimal, percent, signed, rank or since";
                return Err(EngineError::invalid("format", expected, format!("\"{name}\"")));
            }
        })
    }
}

/// What is usual for a feature: a third of the rows that a model was trained on are at most `low`, a third at least `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Typical {
    pub low: f64,
    pub high: f64,
}

/// A value of a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// NaN is missing.
    Number(f64),
    Category(Option<&'a str>),
}

/// The words for the columns of a model, prepared.
#[derive(Debug)]
pub struct Phrasebook {
    language: Language,
    /// Periods that a window has.
    window: usize,
    entries: Vec<Entry>,
    despite: Template,
}

#[derive(Debug)]
struct Entry {
    name: String,
    texts: Texts,
    format: Format,
    typical: Option<Typical>,
    /// Around the phrase.
    when: Option<(Template, Option<Template>)>,
    lag: Option<usize>,
    /// Columns that tell how many were to be handed in, and how many were.
    assigned: Option<usize>,
    submitted: Option<usize>,
}

#[derive(Debug)]
struct Texts {
    zero: Option<Template>,
    low: Option<Template>,
    middle: Template,
    high: Option<Template>,
    missing: Option<Template>,
}

const SUBMITTED: &str = "submitted_exercises";
const ASSIGNED: &str = "assigned_exercises";
/// Counts below this are never called many.
const MANY: f64 = 3.0;

impl Phrasebook {
    /// The words for `columns`, whose typical values are `typical`; windows are of `window` periods.
    pub fn new(
        language: Language,
        texts: &[FeatureText],
        columns: &[String],
        typical: &[Option<Typical>],
        window: usize,
    ) -> Self {
        let by_name: HashMap<&str, &FeatureText> = texts.iter().map(|text| (text.feature.as_str(), text)).collect();
        let place: HashMap<&str, usize> = columns.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let entry = |(at, column): (usize, &String)| {
            let typical = typical.get(at).copied().flatten();
            Entry::new(column, typical, &by_name, &place)
        };
        let despite = by_name.get("_despite").and_then(|text| text.middle.as_deref());
        Self {
            language,
            window,
            entries: columns.iter().enumerate().map(entry).collect(),
            despite: Template::parse(despite.unwrap_or("- {phrase}")),
        }
    }

    /// The column's number in words. `row`: numbers of the other columns; `supports`: whether it speaks for the row's class.
    pub fn reason(&self, column: usize, value: Value<'_>, row: &dyn Fn(usize) -> f64, supports: bool) -> String {
        let Some(entry) = self.entries.get(column) else {
            return String::new();
        };
        let phrase = entry.phrase(self, value, row, !supports);
        match supports {
            true => phrase,
            false => around(&self.despite, &phrase, true),
        }
    }

    /// The column that goes into the words of `column` beside its own value, if there is one.
    pub fn companion(&self, column: usize) -> Option<usize> {
        self.entries.get(column).and_then(|entry| entry.assigned)
    }
}

impl Entry {
    fn new(
        column: &str,
        typical: Option<Typical>,
        texts: &HashMap<&str, &FeatureText>,
        place: &HashMap<&str, usize>,
    ) -> Self {
        let (base, suffix) = match texts.contains_key(column) {
            true => (column, ""),
            false => split(column),
        };
        let known = texts.get(base).filter(|_| !base.starts_with('_'));
        let kind = column.strip_prefix(ACTIVITY_IN).filter(|_| known.is_none());
        let suffix = if known.is_some() { suffix } else { "" };
        let lag = suffix.strip_prefix("_lag").and_then(|lag| lag.parse().ok());
        let pattern = match lag {
            Some(1) => texts.get("_lag1").or_else(|| texts.get("_lag")),
            Some(_) => texts.get("_lag"),
            None => texts.get(suffix),
        };
        let parse = |text: &Option<String>| text.as_deref().map(Template::parse);
        let when = pattern.and_then(|text| parse(&text.middle).map(|middle| (middle, parse(&text.missing))));
        let of_kind = kind.and_then(|_| texts.get("_activity_in"));
        let called = |kind| {
            let text = texts.get(format!("_kind_{kind}").as_str());
            text.and_then(|text| text.middle.as_deref()).unwrap_or(kind)
        };
        let text = known.or(of_kind).or_else(|| texts.get("_other"));
        let name = text
            .and_then(|text| text.name.clone())
            .unwrap_or_else(|| kind.filter(|_| of_kind.is_some()).map_or(column, called).to_owned());
        let middle = text
            .and_then(|text| text.middle.as_deref())
            .unwrap_or("{name}: {value}");
        let of = |measure: &str| place.get(format!("{measure}{suffix}").as_str()).copied();
        let (assigned, submitted) = match base {
            SUBMITTED => (of(ASSIGNED).or_else(|| place.get(ASSIGNED).copied()), None),
            "conclusion" => {
                let of_window = |measure: &str| place.get(format!("{measure}_sum").as_str()).copied();
                let of_period = |measure: &str| place.get(measure).copied();
                (
                    of_window(ASSIGNED).or_else(|| of_period(ASSIGNED)),
                    of_window(SUBMITTED).or_else(|| of_period(SUBMITTED)),
                )
            }
            _ => (None, None),
        };
        Self {
            texts: Texts {
                zero: text.and_then(|text| parse(&text.zero)),
                low: text.and_then(|text| parse(&text.low)),
                middle: Template::parse(middle),
                high: text.and_then(|text| parse(&text.high)),
                missing: text.and_then(|text| parse(&text.missing)),
            },
            format: text.map_or(Format::Decimal, |text| text.format),
            name,
            typical,
            when,
            lag,
            assigned,
            submitted,
        }
    }

    fn phrase(&self, book: &Phrasebook, value: Value<'_>, row: &dyn Fn(usize) -> f64, despite: bool) -> String {
        let number = match value {
            Value::Number(number) => number,
            Value::Category(Some(level)) => {
                return self.fill(book, &self.texts.middle, Shown::Text(level), row, despite)
            }
            Value::Category(None) => f64::NAN,
        };
        let missing = number.is_nan();
        // a lag that is missing lies before the first period: what is missing is the period
        if let (true, Some((_, Some(text)))) = (missing, &self.when) {
            return self.fill(book, text, Shown::Number(number), row, despite);
        }
        let text = match missing {
            true => self.texts.missing.as_ref(),
            false => self.text_of(number, self.known(self.assigned, row)),
        };
        let phrase = self.fill(
            book,
            text.unwrap_or(&self.texts.middle),
            Shown::Number(number),
            row,
            despite,
        );
        match &self.when {
            Some((when, _)) => {
                let fill = |hole: &str| match hole {
                    "phrase" => Some(as_text(phrase.clone())),
                    _ => self.hole(book, hole, Shown::Number(number), row),
                };
                when.fill(despite, &fill)
            }
            None => phrase,
        }
    }

    /// The text for a number; none is the middle one.
    fn text_of(&self, value: f64, assigned: Option<f64>) -> Option<&Template> {
        let (low, high) = match self.typical {
            Some(Typical { low, high }) => (value <= low && value < high, value >= high && value > low),
            None if self.format == Format::Percent => (value < 1.0 / 3.0, value > 2.0 / 3.0),
            None => (false, false),
        };
        let (low, high) = match self.format {
            Format::Signed => (value < 0.0, value > 0.0),
            Format::Rank => (value < 0.45, value > 0.55),
            Format::Percent => (low && value < 2.0 / 3.0, high && value > 1.0 / 3.0),
            Format::Count => match assigned.filter(|assigned| *assigned > 0.0) {
                // less than half of what was to be done is little, unless others do even less
                Some(assigned) => (
                    value < assigned / 2.0 && !high,
                    value >= assigned / 2.0 && high && value >= MANY,
                ),
                None => (low, high && value >= MANY),
            },
            Format::Decimal | Format::Since => (low, high),
        };
        let zero = match self.format {
            Format::Signed => Language::English.number(value) == "0",
            Format::Rank => false,
            _ => value == 0.0,
        };
        let texts = &self.texts;
        match (zero, low, high) {
            (true, ..) if texts.zero.is_some() => texts.zero.as_ref(),
            (_, true, _) => texts.low.as_ref(),
            (_, _, true) => texts.high.as_ref(),
            _ => None,
        }
    }

    fn fill(
        &self,
        book: &Phrasebook,
        text: &Template,
        shown: Shown<'_>,
        row: &dyn Fn(usize) -> f64,
        despite: bool,
    ) -> String {
        text.fill(despite, &|hole| self.hole(book, hole, shown, row))
    }

    fn hole(&self, book: &Phrasebook, hole: &str, shown: Shown<'_>, row: &dyn Fn(usize) -> f64) -> Option<Filling> {
        let counted = |number: usize| Filling {
            text: number.to_string(),
            is_one: number == 1,
        };
        let numbered = |number: f64| Filling {
            text: book.language.number(number),
            is_one: number == 1.0,
        };
        match (hole, shown) {
            ("value", Shown::Text(text)) => Some(as_text(text.to_owned())),
            ("value", Shown::Number(value)) => (!value.is_nan()).then(|| match self.format {
                Format::Percent | Format::Rank => as_text(book.language.percent(value)),
                Format::Signed => Filling {
                    text: book.language.signed(value),
                    is_one: value.abs() == 1.0,
                },
                Format::Count | Format::Decimal | Format::Since => numbered(value),
            }),
            ("complement", Shown::Number(value)) => Some(as_text(book.language.percent(1.0 - value))),
            // a rank counts half of those alike: nobody is called below or above a share of the others
            ("percentile", Shown::Number(value)) => {
                (!value.is_nan()).then(|| counted((value * 100.0).round().clamp(0.0, 100.0) as usize))
            }
            ("size", Shown::Number(value)) => (!value.is_nan()).then(|| numbered(value.abs())),
            ("capped", Shown::Number(value)) => (value >= book.window as f64).then(|| as_text(String::new())),
            ("assigned", _) => self.known(self.assigned, row).filter(|n| *n > 0.0).map(numbered),
            ("submitted", _) => self.known(self.submitted, row).map(numbered),
            ("name", _) => Some(as_text(self.name.clone())),
            ("lag", _) => self.lag.map(counted),
            ("window", _) => Some(counted(book.window)),
            _ => None,
        }
    }

    fn known(&self, column: Option<usize>, row: &dyn Fn(usize) -> f64) -> Option<f64> {
        column.map(row).filter(|number| !number.is_nan())
    }
}

#[derive(Clone, Copy)]
enum Shown<'a> {
    Number(f64),
    Text(&'a str),
}

fn as_text(text: String) -> Filling {
    Filling { text, is_one: false }
}

fn around(template: &Template, phrase: &str, despite: bool) -> String {
    template.fill(despite, &|hole| (hole == "phrase").then(|| as_text(phrase.to_owned())))
}

/// The measure and what follows it: `posts_lag2` is `posts` and `_lag2`, `posts_sum` is `posts` and `_sum`.
fn split(column: &str) -> (&str, &str) {
    if let Some(base) = column.strip_suffix("_sum") {
        return (base, &column[base.len()..]);
    }
    match column.rfind("_lag") {
        Some(at) if column[at + 4..].parse::<usize>().is_ok() => column.split_at(at),
        _ => (column, ""),
    }
}

#[cfg(test)]
#[path = "phrasebook_tests.rs"]
mod tests;
