//! What a model of a table knows of the table: kept beside the model in the registry.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::name::folded;

/// How a column of the table became a column of numbers or categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    Number,
    /// 1 and 0.
    Boolean,
    Text,
    /// Days since 2000-01-01.
    Date,
    /// The same, with fractions.
    Instant,
}

/// A column that the model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaColumn {
    pub name: String,
    pub kind: FieldKind,
}

/// The columns of a model and the names that they go by. What else the registry keeps with them is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Schema {
    pub columns: Vec<SchemaColumn>,
    /// Columns that say whose row it is.
    pub key: Vec<String>,
    /// Columns of the table that the model does not use.
    pub others: Vec<String>,
    /// Further names of columns.
    pub aliases: BTreeMap<String, String>,
}

/// What a given name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Column(usize),
    Key(usize),
    /// Known, but the model does not use it.
    Unused,
}

impl Schema {
    /// Names without their spelling; of names that fold to the same the first counts, columns before others.
    pub(super) fn places(&self) -> HashMap<String, Place> {
        let mut places = HashMap::new();
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| (&column.name, Place::Column(at)));
        let keys = self.key.iter().enumerate().map(|(at, key)| (key, Place::Key(at)));
        let others = self.others.iter().map(|other| (other, Place::Unused));
        for (name, place) in columns.chain(keys).chain(others) {
            places.entry(folded(name)).or_insert(place);
        }
        for (alias, name) in &self.aliases {
            if let Some(place) = places.get(&folded(name)).copied() {
                places.entry(folded(alias)).or_insert(place);
            }
        }
        places
    }
}
