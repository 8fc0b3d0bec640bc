//! The words for reasons, as the database has them.

use empatia_engine::words::{FeatureText, Format, Language};

use crate::error::{Error, Result};
use crate::pg::column::ColumnType::Text;
use crate::pg::read::query;
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
        query("SELECT empatia._setting_value('language')", &[], &[Text], |row| {
            if let Some(code) = row.text(0)? {
                language = Language::parse(code)?;
            }
            Ok(())
        })?;
        let sql =
            "SELECT t.feature, t.format, t.name, t.zero, t.low, t.middle, t.high, t.missing FROM empatia.feature_text t
                   WHERE t.language = $1";
        let mut texts = Vec::new();
        query(sql, &[language.code().into()], &[Text; 8], |row| {
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
