//! What the columns of a dataset are, and how they may be written.

use std::collections::HashSet;

use serde::Deserialize;

use super::fold::fold;
use super::SheetError;

/// Columns that each row has besides those of its definition.
const RESERVED: [&str; 5] = ["import_id", "file", "sheet", "row", "year"];
/// Longest identifier of PostgreSQL.
const LONGEST_NAME: usize = 63;
const MOST_COLUMNS: usize = 1500;

/// The columns of a dataset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub columns: Vec<Column>,
    /// Texts that mean that nothing is known, in any column.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Whether each row is of a year, which is then part of the key.
    #[serde(default = "yes")]
    pub yearly: bool,
}

fn yes() -> bool {
    true
}

/// A column.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub role: Role,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub min: Option<f64>,
    #[serde(default)]
    pub max: Option<f64>,
    #[serde(default)]
    pub categories: Option<Categories>,
    /// Texts (or numbers as text) that mean that nothing is known.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Words that stand for a number, such as ALFA for phase 0.
    #[serde(default)]
    pub words: serde_json::Map<String, serde_json::Value>,
    /// Whether the number may stand inside of a text, such as 7E or FASE 7.
    #[serde(default)]
    pub extract: bool,
    #[serde(default)]
    pub case: Option<LetterCase>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Text,
    Category,
    Number,
    Integer,
    Boolean,
    Date,
}

/// What a column is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Key,
    #[default]
    Feature,
    Target,
    /// Says the target: known only afterwards, or computed from it.
    Leak,
    /// Stored, but neither feature nor target, such as a name.
    Info,
    /// Known, but not stored.
    Ignore,
    /// The year of the row.
    Year,
}

/// The values of a category: a list, or each with the texts that mean it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Categories {
    List(Vec<String>),
    Named(serde_json::Map<String, serde_json::Value>),
}

/// Case in which texts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterCase {
    Upper,
    Lower,
}

impl Definition {
    /// Reads and checks a definition.
    ///
    /// # Errors
    /// [`SheetError::Definition`], which names the column.
    pub fn from_json(text: &str) -> Result<Self, SheetError> {
        let definition: Self = serde_json::from_str(text).map_err(|e| {
            // without the place in a text that the user never saw
            let said = e.to_string();
            SheetError::Definition(said.split(" at line").next().unwrap_or(&said).to_owned())
        })?;
        definition.check()?;
        Ok(definition)
    }

    /// Positions of the columns that are stored.
    pub fn stored(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.is_stored())
    }

    fn check(&self) -> Result<(), SheetError> {
        let fail = |message: String| Err(SheetError::Definition(message));
        if !self.columns.iter().any(|column| column.role == Role::Key) {
            return fail("expected a column of role key, found none".to_owned());
        }
        if self.columns.len() > MOST_COLUMNS {
            return fail(format!(
                "expected at most {MOST_COLUMNS} columns, found {}",
                self.columns.len()
            ));
        }
        if self.columns.iter().filter(|column| column.role == Role::Year).count() > 1 {
            return fail("expected at most one column of role year, found several".to_owned());
        }
        let mut names = HashSet::new();
        for column in &self.columns {
            if !names.insert(&column.name) {
                return fail(format!("column \"{}\" is there twice", column.name));
            }
            column.check()?;
        }
        Ok(())
    }
}

impl Column {
    pub fn is_stored(&self) -> bool {
        !matches!(self.role, Role::Ignore | Role::Year)
    }

    /// Its name and aliases, folded.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::once(&self.name)
            .chain(&self.aliases)
            .map(|name| fold(name))
            .filter(|name| !name.is_empty())
    }

    /// Each word and its number.
    pub(super) fn words(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        self.words
            .iter()
            .filter_map(|(word, value)| Some((fold(word), value.as_f64()?)))
    }

    /// Each folded text of a category and the category it means; `None` if any text is one.
    pub(super) fn category_names(&self) -> Option<Vec<(String, String)>> {
        let mut names = Vec::new();
        match self.categories.as_ref()? {
            Categories::List(list) => names.extend(list.iter().map(|category| (fold(category), category.clone()))),
            Categories::Named(map) => {
                for (category, others) in map {
                    names.push((fold(category), category.clone()));
                    let others = others
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|other| other.as_str());
                    names.extend(others.map(|other| (fold(other), category.clone())));
                }
            }
        }
        Some(names)
    }

    fn check(&self) -> Result<(), SheetError> {
        let name = &self.name;
        let fail = |message: String| Err(SheetError::Definition(format!("column \"{name}\": {message}")));
        let letter = |c: char| c.is_ascii_lowercase() || c == '_';
        let good = name.len() <= LONGEST_NAME
            && name.starts_with(letter)
            && name.chars().all(|c| letter(c) || c.is_ascii_digit());
        if !good {
            return fail("expected a name of lower case letters, digits and underscores".to_owned());
        }
        if self.is_stored() && RESERVED.contains(&name.as_str()) {
            return fail(format!("the names {} are taken", RESERVED.join(", ")));
        }
        let numeric = matches!(self.kind, Kind::Number | Kind::Integer);
        if !numeric && (self.min.is_some() || self.max.is_some() || self.extract || !self.words.is_empty()) {
            return fail("min, max, extract and words are for type number and integer".to_owned());
        }
        if let (Some(min), Some(max)) = (self.min, self.max) {
            if min > max {
                return fail(format!("expected min <= max, found {min} and {max}"));
            }
        }
        if let Some((word, _)) = self.words.iter().find(|(_, value)| value.as_f64().is_none()) {
            return fail(format!("expected a number for the word \"{word}\""));
        }
        if self.role == Role::Year && self.kind != Kind::Integer {
            return fail("a column of role year is of type integer".to_owned());
        }
        if self.categories.is_some() && self.kind != Kind::Category {
            return fail("categories are for type category".to_owned());
        }
        if let Some(Categories::Named(map)) = &self.categories {
            let list_of_text =
                |value: &serde_json::Value| value.as_array().is_some_and(|list| list.iter().all(|v| v.is_string()));
            if let Some((category, _)) = map.iter().find(|(_, value)| !list_of_text(value)) {
                return fail(format!("expected a list of texts for the category \"{category}\""));
            }
        }
        let mut seen = std::collections::HashMap::new();
        for (text, category) in self.category_names().unwrap_or_default() {
            if let Some(other) = seen
                .insert(text.clone(), category.clone())
                .filter(|other| *other != category)
            {
                return fail(format!("\"{text}\" means both \"{other}\" and \"{category}\""));
            }
        }
        Ok(())
    }
}

impl Kind {
    /// The type of SQL that holds a column's values.
    pub fn sql_type(self) -> &'static str {
        match self {
            Self::Text | Self::Category => "text",
            Self::Number => "double precision",
            Self::Integer => "bigint",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }
}
