//! The words for reasons, as the database has them.

use empatia_engine::words::{FeatureText, Format, Language, Phrasebook, Typical, Value};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::pg::column::ColumnType::Text;
use crate::pg::read::query_kept;
use crate::pg::row::Row;

/// Language and texts.
#[derive(Debug)]
pub(super) struct ReasonTexts {
    pub language: Language,
    pub texts: Vec<FeatureText>,
}

impl ReasonTexts {
    /// Those of the setting `language`.
    ///
    /// # Errors
    /// 22023 for a language that there is none of.
    pub fn read() -> Result<Self> {
        let mut language = Language::Portuguese;
        query_kept("SELECT empatia._setting_value('language')", &[], &[Text], |row| {
            if let Some(code) = row.text(0)? {
                language = Language::parse(code)?;
            }
            Ok(())
        })?;
        Self::read_in(language)
    }

    /// Those of a language.
    ///
    /// # Errors
    /// As [`query`].
    fn read_in(language: Language) -> Result<Self> {
        let sql = "SELECT t.feature, t.format, t.name, t.zero, t.low, t.middle, t.high, t.missing
                   FROM empatia.feature_text t WHERE t.language = $1";
        let mut texts = Vec::new();
        query_kept(sql, &[language.code().into()], &[Text; 8], |row| {
            let text = |at: usize| -> Result<Option<String>> { Ok(row.text(at)?.map(str::to_owned)) };
            texts.push(FeatureText {
                feature: name(row)?,
                format: Format::parse(row.text(1)?.unwrap_or_default())?,
                name: text(2)?,
                zero: text(3)?,
                low: text(4)?,
                middle: text(5)?,
                high: text(6)?,
                missing: text(7)?,
            });
            Ok(())
        })?;
        Ok(Self { language, texts })
    }
}

fn name(row: &Row<'_>) -> Result<String> {
    let name = row.text(0)?.map(str::to_owned);
    name.ok_or_else(|| Error::internal("found a feature without a name in feature_text"))
}

/// The words for one number, to try texts out. `typical`: what a third of the rows have at most and at least; `beside`, `numbers`:
/// other features of the row.
#[pg_extern(name = "_reason_words", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments)] // the SQL function's
fn reason_words(
    language: &str,
    feature: &str,
    value: Option<f64>,
    supports: bool,
    history: i32,
    typical: default!(Vec<f64>, "'{}'"),
    beside: default!(Vec<String>, "'{}'"),
    numbers: default!(Vec<f64>, "'{}'"),
) -> Result<String, ErrorReport> {
    let language = Language::parse(language).map_err(Error::from)?;
    let texts = ReasonTexts::read_in(language)?.texts;
    let columns: Vec<String> = std::iter::once(feature.to_owned()).chain(beside).collect();
    let typical = match typical[..] {
        [low, high] => Some(Typical { low, high }),
        _ => None,
    };
    let window = usize::try_from(history).unwrap_or(0) + 1;
    let book = Phrasebook::new(language, &texts, &columns, &[typical], window);
    let number = |column: usize| match column {
        0 => value.unwrap_or(f64::NAN),
        _ => numbers.get(column - 1).copied().unwrap_or(f64::NAN),
    };
    Ok(book.reason(0, Value::Number(number(0)), &number, supports))
}
