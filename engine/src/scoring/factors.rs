//! The strongest reasons for a score, in words.

use serde::Serialize;
use serde_json::Value;

use super::schema::{FieldKind, Schema};
use crate::calendar::CivilDate;
use crate::classifier::{Bins, ClassifierModel, Contributions};

/// The language of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Portuguese,
    English,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Factor {
    pub feature: String,
    /// As given; null where it was missing.
    pub value: Value,
    /// Signed: above 0 it raises the risk. On the scale of the model's score: log-odds or probability.
    pub contribution: f64,
    pub direction: &'static str,
    pub text: String,
}

/// The `most` strongest reasons of `row`, strongest first. `values` are those of the row, by column of the schema.
pub fn factors(
    schema: &Schema,
    model: &ClassifierModel,
    contributions: &Contributions,
    row: usize,
    values: &[Value],
    most: usize,
    language: Language,
) -> Vec<Factor> {
    let strongest = contributions.strongest(row);
    let of = |(place, contribution): (usize, f64)| {
        let feature = &model.columns()[place].name;
        let at = schema.columns.iter().position(|column| column.name == *feature);
        let value = at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null);
        let kind = at.map_or(FieldKind::Text, |at| schema.columns[at].kind);
        let raises = contribution > 0.0;
        Factor {
            text: sentence(model, place, feature, kind, &value, raises, language),
            feature: feature.clone(),
            value: shown(kind, &value),
            contribution,
            direction: if raises { "raises" } else { "lowers" },
        }
    };
    strongest.into_iter().take(most).map(of).collect()
}

fn sentence(
    model: &ClassifierModel,
    place: usize,
    feature: &str,
    kind: FieldKind,
    value: &Value,
    raises: bool,
    language: Language,
) -> String {
    let portuguese = language == Language::Portuguese;
    let effect = match (portuguese, raises) {
        (true, true) => "aumenta o risco",
        (true, false) => "diminui o risco",
        (false, true) => "raises the risk",
        (false, false) => "lowers the risk",
    };
    let is = match (&shown(kind, value), kind) {
        (Value::Null, _) if portuguese => format!("{feature} não informado"),
        (Value::Null, _) => format!("{feature} not given"),
        (Value::Bool(true), _) => format!("{feature} {}", if portuguese { "sim" } else { "yes" }),
        (Value::Bool(false), _) => format!("{feature} {}", if portuguese { "não" } else { "no" }),
        (Value::Number(x), FieldKind::Number) => {
            let x = x.as_f64().unwrap_or(f64::NAN);
            match median(model, place) {
                Some(middle) if x < middle => {
                    let below = if portuguese {
                        "abaixo da mediana"
                    } else {
                        "below the median"
                    };
                    format!(
                        "{feature} {} ({below} {})",
                        short(x, portuguese),
                        short(middle, portuguese)
                    )
                }
                Some(middle) if x > middle => {
                    let above = if portuguese {
                        "acima da mediana"
                    } else {
                        "above the median"
                    };
                    format!(
                        "{feature} {} ({above} {})",
                        short(x, portuguese),
                        short(middle, portuguese)
                    )
                }
                _ => format!("{feature} {}", short(x, portuguese)),
            }
        }
        (Value::String(text), _) => format!("{feature} {text}"),
        (other, _) => format!("{feature} {other}"),
    };
    format!("{is}: {effect}")
}

/// A value as its column holds it.
fn shown(kind: FieldKind, value: &Value) -> Value {
    match (kind, value.as_f64()) {
        (FieldKind::Boolean, Some(x)) => Value::from(x != 0.0),
        (FieldKind::Date | FieldKind::Instant, Some(days)) => Value::from(civil(days.floor() as i64)),
        _ => value.clone(),
    }
}

/// The day so many days after 2000-01-01, as ISO 8601 has it.
fn civil(days: i64) -> String {
    let CivilDate { year, month, day } = CivilDate::from_days(i32::try_from(days).unwrap_or_default());
    format!("{year:04}-{month:02}-{day:02}")
}

/// Where half of the training rows that have a value lie below, as far as the bins tell.
fn median(model: &ClassifierModel, place: usize) -> Option<f64> {
    let histogram = model.histograms().get(place)?;
    let Bins::Numeric { edges, tenths } = &histogram.bins else {
        return None;
    };
    let half = (1.0 - histogram.missing_share()) / 2.0;
    let mut below = 0.0;
    let ends = edges.iter().zip(&histogram.shares).map(|(edge, share)| {
        below += share;
        (*edge, below)
    });
    match tenths {
        // the last bin that begins at or before it begins with it
        Some(_) => {
            let starts = ends.take_while(|(_, below)| *below <= half + 1e-12);
            starts.last().map(|(edge, _)| edge.next_up() + 0.0)
        }
        None => ends
            .into_iter()
            .find(|(_, below)| *below >= half - 1e-12)
            .map(|(edge, _)| edge),
    }
}

/// At most three digits after the point, without needless zeros.
fn short(x: f64, comma: bool) -> String {
    let text = format!("{x:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if comma {
        text.replace('.', ",")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates_again() {
        assert_eq!(civil(0), "2000-01-01");
        assert_eq!(civil(9822), "2026-11-22");
        assert_eq!(civil(-1), "1999-12-31");
        assert_eq!(civil(59), "2000-02-29");
    }

    #[test]
    fn numbers_are_short_and_have_the_comma_of_their_language() {
        assert_eq!((short(5.7830, true), short(10.0, false)), ("5,783".into(), "10".into()));
    }
}
