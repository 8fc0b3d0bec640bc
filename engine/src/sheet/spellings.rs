//! How a case that comes by itself may name and write what a dataset has: as its files do.

use std::collections::HashMap;

use serde_json::Value;

use super::cell::Seen;
use super::convert::{Converter, Plain};
use super::definition::Definition;
use super::fold::{fold, split_year};
use super::rules::Rule;

/// The names and values of a dataset, ready to be recognised.
pub struct Spellings {
    /// Folded names and aliases, and the columns they mean.
    names: HashMap<String, Vec<String>>,
    columns: HashMap<String, Converter>,
}

/// What a value is, as the dataset's table would hold it.
#[derive(Debug, Clone, PartialEq)]
pub enum Spelt {
    Missing,
    /// What the column cannot hold, and what it could.
    Refused(&'static str),
    Number(f64),
    Bool(bool),
    /// Days since 2000-01-01.
    Date(i32),
    Text(String),
}

impl Spellings {
    pub fn new(definition: &Definition) -> Self {
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        let mut columns = HashMap::new();
        for column in &definition.columns {
            for name in column.names() {
                let of_name = names.entry(name).or_default();
                if !of_name.contains(&column.name) {
                    of_name.push(column.name.clone());
                }
            }
            // a case does not tell numbers from texts as a workbook does
            let converter = Converter::new(column, &definition.missing, false);
            columns.insert(column.name.clone(), converter);
        }
        Self { names, columns }
    }

    /// Columns of the dataset that a name means, with or without the year at its end; none where nobody knows it.
    pub fn columns(&self, name: &str) -> &[String] {
        let folded = fold(name);
        let of = |name: &str| self.names.get(name);
        let found = of(&folded).or_else(|| of(split_year(&folded)?.0));
        found.map_or(&[], Vec::as_slice)
    }

    /// What `given` is in a column of the dataset; none where the dataset does not have it.
    pub fn value(&self, column: &str, given: &Value) -> Option<Spelt> {
        let converter = self.columns.get(column)?;
        let seen = match given {
            Value::Null => return Some(Spelt::Missing),
            Value::Bool(value) => Seen::Bool(*value),
            Value::Number(number) => Seen::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Seen::Text(text),
            Value::Array(_) | Value::Object(_) => return Some(Spelt::Refused("one value")),
        };
        let converted = converter.convert(seen);
        Some(match converted.value {
            Plain::Null => converted.rule.and_then(expected).map_or(Spelt::Missing, Spelt::Refused),
            Plain::Integer(number) => Spelt::Number(number as f64),
            Plain::Number(number) => Spelt::Number(number),
            Plain::Bool(value) => Spelt::Bool(value),
            Plain::Date(day) => Spelt::Date(day),
            Plain::Text(text) => Spelt::Text(text.into_owned()),
        })
    }
}

/// What was expected where a rule refuses; none where it only says that nothing is known.
fn expected(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::NotANumber | Rule::DateNotRecovered => Some("a number"),
        Rule::NotWhole => Some("a whole number"),
        Rule::OutOfRange => Some("a number within the range of the dataset"),
        Rule::NotABoolean => Some("true or false"),
        Rule::NotADate => Some("a date"),
        Rule::UnknownCategory => Some("a category of the dataset"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spellings() -> Spellings {
        let definition = Definition::from_json(
            r##"{"missing": ["#NULO!"], "columns": [
                {"name": "ra", "type": "text", "role": "key", "case": "upper", "aliases": ["Aluno"]},
                {"name": "fase", "type": "integer", "min": 0, "max": 9, "words": {"ALFA": 0}, "extract": true, "aliases": ["Fase turma"]},
                {"name": "turma", "type": "text", "case": "upper", "aliases": ["Fase turma"]},
                {"name": "genero", "type": "category", "categories": {"Feminino": ["Menina"], "Masculino": []}},
                {"name": "inde", "type": "number", "min": 0, "max": 10},
                {"name": "bolsista", "type": "boolean"},
                {"name": "desde", "type": "date"}]}"##,
        );
        Spellings::new(&definition.unwrap())
    }

    #[test]
    fn names_are_those_of_headers() {
        let spellings = spellings();
        for (name, columns) in [
            ("GÊNERO", vec!["genero"]),
            ("INDE 2023", vec!["inde"]),
            ("inde_23", vec!["inde"]),
            ("Fase/Turma", vec!["fase", "turma"]),
            ("aluno", vec!["ra"]),
            ("shoe size", vec![]),
        ] {
            assert_eq!(spellings.columns(name), columns, "{name}");
        }
    }

    #[test]
    fn values_are_those_of_cells() {
        let spellings = spellings();
        for (column, given, is) in [
            ("fase", json!("ALFA"), Spelt::Number(0.0)),
            ("fase", json!("FASE 7"), Spelt::Number(7.0)),
            ("fase", json!("7E"), Spelt::Number(7.0)),
            ("fase", json!(2.5), Spelt::Refused("a whole number")),
            (
                "fase",
                json!(12),
                Spelt::Refused("a number within the range of the dataset"),
            ),
            ("turma", json!("2h"), Spelt::Text("2H".to_owned())),
            ("genero", json!(" menina "), Spelt::Text("Feminino".to_owned())),
            ("genero", json!("x"), Spelt::Refused("a category of the dataset")),
            ("inde", json!("7,5"), Spelt::Number(7.5)),
            ("inde", json!("#NULO!"), Spelt::Missing),
            ("inde", json!(""), Spelt::Missing),
            ("inde", json!([7]), Spelt::Refused("one value")),
            ("inde", json!("INCLUIR"), Spelt::Refused("a number")),
            ("bolsista", json!("Sim"), Spelt::Bool(true)),
            // SELECT date '2024-03-01' - date '2000-01-01'
            ("desde", json!("01/03/2024"), Spelt::Date(8826)),
        ] {
            assert_eq!(spellings.value(column, &given), Some(is), "{column} {given}");
        }
        assert_eq!(spellings.value("shoe", &json!(1)), None);
    }
}
