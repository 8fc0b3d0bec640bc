//! One case, given as JSON, as a row of a table.

use serde::Serialize;
use serde_json::{Map, Value};

use super::name::folded;
use super::schema::{FieldKind, Place, Schema};
use crate::calendar::CivilDate;
use crate::classifier::{Bins, ClassifierModel};
use crate::data::{Column, Table, MAX_MAGNITUDE};
use crate::error::Result;
use crate::sheet::{Spellings, Spelt};

/// A value that cannot be read as what the column holds; it counts as missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub column: String,
    pub value: String,
    pub expected: &'static str,
}

/// What was understood of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// By column of the model: a number, a text, or null where it is missing.
    pub values: Vec<Value>,
    /// The key, its parts joined by `/`; none where a part is missing.
    pub key: Option<String>,
    /// Columns without a value, in the order of the model.
    pub missing: Vec<String>,
    /// Names that nobody knows, as they were given.
    pub unknown: Vec<String>,
    pub refused: Vec<Refused>,
}

impl Input {
    /// Reads `given` by the names that `schema` knows, in any order, case and punctuation, and by those of the dataset that the table is of; its values are
    /// written as in the dataset's files. A name given twice counts once.
    pub fn read(
        schema: &Schema,
        spellings: Option<&Spellings>,
        model: &ClassifierModel,
        given: &Map<String, Value>,
    ) -> Self {
        let places = schema.places();
        let mut input = Self {
            values: vec![Value::Null; schema.columns.len()],
            key: None,
            missing: Vec::new(),
            unknown: Vec::new(),
            refused: Vec::new(),
        };
        let mut key: Vec<Option<String>> = vec![None; schema.key.len()];
        for (name, value) in given {
            // the exact name before its spellings
            let exact = schema
                .columns
                .iter()
                .position(|column| column.name == *name)
                .map(Place::Column);
            let found = exact.or_else(|| places.get(&folded(name)).copied());
            let of_dataset = || spellings.map_or(&[][..], |spellings| spellings.columns(name));
            if found.is_none() && of_dataset().is_empty() {
                input.unknown.push(name.clone());
            }
            // one header may stand for several columns
            let others = of_dataset().iter().filter(|_| found.is_none());
            let others = others.filter_map(|column| places.get(&folded(column)).copied());
            for place in found.into_iter().chain(others) {
                match place {
                    Place::Column(at) => input.take(schema, spellings, model, at, value),
                    Place::Key(at) => {
                        let spelt = spellings.and_then(|spellings| spellings.value(&schema.key[at], value));
                        key[at] = match spelt {
                            Some(Spelt::Text(text)) => Some(text),
                            _ => text(value),
                        };
                    }
                    Place::Unused => {}
                }
            }
        }
        // a key that is also a column
        for (at, name) in schema.key.iter().enumerate() {
            let column = schema.columns.iter().position(|column| column.name == *name);
            if let (None, Some(column)) = (&key[at], column) {
                key[at] = text(&input.values[column]);
            }
        }
        input.key = key
            .into_iter()
            .collect::<Option<Vec<String>>>()
            .filter(|key| !key.is_empty())
            .map(|key| key.join("/"));
        let columns = schema.columns.iter().zip(&input.values);
        input.missing = columns
            .filter(|(_, value)| value.is_null())
            .map(|(column, _)| column.name.clone())
            .collect();
        input
    }

    fn take(
        &mut self,
        schema: &Schema,
        spellings: Option<&Spellings>,
        model: &ClassifierModel,
        at: usize,
        value: &Value,
    ) {
        let column = &schema.columns[at];
        let spelt = spellings.and_then(|spellings| spellings.value(&column.name, value));
        let found = match (spelt, column.kind) {
            (Some(Spelt::Missing), _) => Ok(Value::Null),
            (Some(Spelt::Refused(expected)), _) => Err(expected),
            (Some(Spelt::Text(text)), FieldKind::Text) => Ok(known_level(model, &column.name, text)),
            (Some(Spelt::Number(number)), FieldKind::Number) => self::number(&number.into()).ok_or("a number"),
            (Some(Spelt::Bool(is)), FieldKind::Boolean | FieldKind::Number) => Ok(Value::from(f64::from(u8::from(is)))),
            (Some(Spelt::Date(days)), FieldKind::Date | FieldKind::Instant) => Ok(Value::from(f64::from(days))),
            // no dataset, or a column that is no longer what the dataset says
            (_, FieldKind::Number) => number(value).ok_or("a number"),
            (_, FieldKind::Boolean) => boolean(value).ok_or("true or false"),
            (_, FieldKind::Text) => Ok(text(value).map_or(Value::Null, |text| known_level(model, &column.name, text))),
            (_, FieldKind::Date | FieldKind::Instant) => day(value).ok_or("a date as 2026-03-01"),
        };
        match found {
            Ok(found) if !found.is_null() => self.values[at] = found,
            Ok(_) => {}
            Err(expected) => self.refused.push(Refused {
                column: column.name.clone(),
                value: text(value).unwrap_or_default(),
                expected,
            }),
        }
    }

    /// The values of an input that was recorded, by column; none of what no input can be: not an object, a number that no column takes.
    pub fn of_recorded(schema: &Schema, inputs: &Value) -> Option<Vec<Value>> {
        let given = inputs.as_object()?;
        let of = |column: &super::SchemaColumn| {
            let value = given.get(&column.name).cloned().unwrap_or(Value::Null);
            let fits = value.as_f64().is_none_or(|x| x.abs() <= MAX_MAGNITUDE);
            fits.then_some(value)
        };
        schema.columns.iter().map(of).collect()
    }

    /// Rows of such values as a table of the schema's columns.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub fn table(schema: &Schema, rows: &[Vec<Value>]) -> Result<Table> {
        let column = |(at, column): (usize, &super::SchemaColumn)| match column.kind {
            FieldKind::Text => {
                Column::category(&column.name, rows.iter().map(|row| row.get(at).and_then(Value::as_str)))
            }
            _ => {
                let of = |row: &Vec<Value>| row.get(at).and_then(Value::as_f64).unwrap_or(f64::NAN);
                Column::numeric(&column.name, rows.iter().map(of).collect())
            }
        };
        Table::new(schema.columns.iter().enumerate().map(column).collect())
    }
}

/// What a JSON value is called as a text; none for null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(match number.as_f64() {
            // 7.0 is 7, as a table would have it
            Some(x) if x.fract() == 0.0 && x.abs() < 1e15 => format!("{x:.0}"),
            _ => number.to_string(),
        }),
        other => Some(other.to_string()),
    }
}

/// A number, also one in a text with a decimal point or comma; null for an empty text.
fn number(value: &Value) -> Option<Value> {
    let x = match value {
        Value::Null => return Some(Value::Null),
        Value::Number(number) => number.as_f64()?,
        Value::Bool(is) => f64::from(u8::from(*is)),
        Value::String(text) if text.trim().is_empty() => return Some(Value::Null),
        Value::String(text) => {
            let text = text.trim();
            let comma = text
                .rfind(',')
                .filter(|_| !text.contains('.') || text.rfind('.') < text.rfind(','));
            match comma {
                Some(_) => text.replace('.', "").replace(',', ".").parse().ok()?,
                None => text.replace(',', "").parse().ok()?,
            }
        }
        _ => return None,
    };
    (x.is_finite() && x.abs() <= MAX_MAGNITUDE).then(|| Value::from(x))
}

fn boolean(value: &Value) -> Option<Value> {
    let is = match value {
        Value::Null => return Some(Value::Null),
        Value::Bool(is) => *is,
        Value::Number(number) if number.as_f64() == Some(0.0) => false,
        Value::Number(number) if number.as_f64() == Some(1.0) => true,
        Value::String(text) => match folded(text).as_str() {
            "" => return Some(Value::Null),
            "true" | "t" | "yes" | "y" | "sim" | "s" | "1" | "on" => true,
            "false" | "f" | "no" | "n" | "nao" | "0" | "off" => false,
            _ => return None,
        },
        _ => return None,
    };
    Some(Value::from(f64::from(u8::from(is))))
}

/// Days since 2000-01-01 of an ISO 8601 date, with or without a time of day.
fn day(value: &Value) -> Option<Value> {
    let text = match value {
        Value::Null => return Some(Value::Null),
        Value::String(text) if text.trim().is_empty() => return Some(Value::Null),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let (date, time) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let mut next = || parts.next()?.parse::<u16>().ok();
    let date = CivilDate {
        year: i64::from(next()?),
        month: next()? as u8,
        day: next()? as u8,
    };
    let days = i32::try_from(date.to_days()).ok()?;
    // what is no date comes back as another
    if !(1..=12).contains(&date.month) || CivilDate::from_days(days) != date {
        return None;
    }
    let mut clock = time
        .get(1..)
        .unwrap_or("")
        .split([':', '.', '+', 'Z'])
        .map(|part| part.parse::<f64>().unwrap_or(0.0));
    let mut unit = || clock.next().unwrap_or(0.0);
    let fraction = (unit() * 3600.0 + unit() * 60.0 + unit()) / 86_400.0;
    Some(Value::from(f64::from(days) + fraction))
}

/// The level of the training that `text` is but for case and accents, else the text.
fn known_level(model: &ClassifierModel, column: &str, text: String) -> Value {
    let histogram = model.histograms().iter().find(|histogram| histogram.name == column);
    let Some(Bins::Levels { levels }) = histogram.map(|histogram| &histogram.bins) else {
        return Value::from(text);
    };
    if levels.contains(&text) {
        return Value::from(text);
    }
    let wanted = folded(&text);
    let mut alike = levels.iter().filter(|level| folded(level) == wanted);
    match (alike.next(), alike.next()) {
        (Some(level), None) => Value::from(level.as_str()),
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (given, expected) in [
            (json!(7.5), json!(7.5)),
            (json!("7,5"), json!(7.5)),
            (json!("1.234,5"), json!(1234.5)),
            (json!("1,234.5"), json!(1234.5)),
            (json!(" "), Value::Null),
            (json!(true), json!(1.0)),
        ] {
            assert_eq!(number(&given), Some(expected), "{given}");
        }
        for given in [json!("INCLUIR"), json!([1]), json!("1e400"), json!("inf")] {
            assert_eq!(number(&given), None, "{given}");
        }
    }

    #[test]
    fn days_count_from_2000() {
        assert_eq!(day(&json!("2000-01-01")), Some(json!(0.0)));
        // SELECT date '2026-11-22' - date '2000-01-01'
        assert_eq!(day(&json!("2026-11-22")), Some(json!(9822.0)));
        assert_eq!(day(&json!("1999-12-31T12:00:00")), Some(json!(-0.5)));
        assert_eq!(day(&json!("2026-13-01")), None);
        assert_eq!(day(&json!("ontem")), None);
    }
}
