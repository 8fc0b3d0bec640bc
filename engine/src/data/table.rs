//! A table of raw columns, numbers or categories, with missing values: what a classifier's recipe is fitted on.

use std::sync::Arc;

use super::check_value;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Code of a category that is missing.
pub const MISSING: u32 = u32::MAX;

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// NaN is missing.
    Numeric(Vec<f64>),
    /// `codes` are positions in `levels`, or [`MISSING`]. Levels are compared by name between tables, never by code.
    Category { levels: Arc<[String]>, codes: Vec<u32> },
}

impl Values {
    /// Categories from their names; levels in the order of appearance.
    pub fn from_names<'a>(names: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut known = std::collections::HashMap::new();
        let mut levels: Vec<String> = Vec::new();
        let code = |name: Option<&'a str>| match name {
            None => MISSING,
            Some(name) => *known.entry(name).or_insert_with(|| {
                levels.push(name.to_owned());
                levels.len() as u32 - 1
            }),
        };
        let codes = names.into_iter().map(code).collect();
        Self::Category {
            levels: levels.into(),
            codes,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Numeric(values) => values.len(),
            Self::Category { codes, .. } => codes.len(),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Numeric(_) => "numeric",
            Self::Category { .. } => "categorical",
        }
    }

    /// Value `from[i]` at place i.
    pub(crate) fn gather(&self, from: &[u32]) -> Self {
        match self {
            Self::Numeric(values) => Self::Numeric(from.iter().map(|row| values[*row as usize]).collect()),
            Self::Category { levels, codes } => Self::Category {
                levels: Arc::clone(levels),
                codes: from.iter().map(|row| codes[*row as usize]).collect(),
            },
        }
    }
}

/// A named column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub values: Values,
}

impl Column {
    /// Numbers; NaN is missing.
    pub fn numeric(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            values: Values::Numeric(values),
        }
    }

    /// Categories by name; `None` is missing.
    pub fn category<'a>(name: impl Into<String>, names: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        Self {
            name: name.into(),
            values: Values::from_names(names),
        }
    }
}

/// Columns of equal length.
///
/// Guarantees: at least one column, names distinct; numbers are NaN (missing) or finite and at most
/// [`MAX_MAGNITUDE`](super::MAX_MAGNITUDE) in absolute value; codes are within their levels; fewer than 2^32 - 1 rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    n_rows: usize,
    columns: Vec<Column>,
}

impl Table {
    /// Takes the columns.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when the lengths differ, [`EngineError::NonFinite`] for an infinity,
    /// [`EngineError::OutOfDomain`], [`EngineError::InvalidParameter`] for repeated names, no columns, or a code
    /// without level.
    pub fn new(columns: Vec<Column>) -> Result<Self> {
        super::recipe::check_names(columns.iter().map(|column| column.name.as_str()))?;
        let n_rows = columns.first().map_or(0, |column| column.values.len());
        if n_rows >= MISSING as usize {
            return Err(EngineError::invalid("rows", format!("less than {MISSING}"), n_rows));
        }
        for (index, column) in columns.iter().enumerate() {
            if column.values.len() != n_rows {
                return Err(EngineError::Dimension {
                    what: "values in a column",
                    expected: n_rows,
                    found: column.values.len(),
                });
            }
            match &column.values {
                Values::Numeric(values) => {
                    for (row, x) in values.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
                        check_value(*x, row, index)?;
                    }
                }
                Values::Category { levels, codes } => {
                    let valid = |code: u32| code == MISSING || (code as usize) < levels.len();
                    if let Some(bad) = codes.iter().find(|code| !valid(**code)) {
                        return Err(EngineError::invalid(
                            "code of a category",
                            format!("less than {}", levels.len()),
                            bad,
                        ));
                    }
                }
            }
        }
        Ok(Self { n_rows, columns })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The values of the column called `name`.
    ///
    /// # Errors
    /// [`EngineError::Column`].
    pub fn values(&self, name: &str) -> Result<&Values> {
        let column = self.columns.iter().find(|column| column.name == name);
        column.map(|column| &column.values).ok_or_else(|| EngineError::Column {
            name: name.to_owned(),
            expected: "present",
            found: "absent",
        })
    }

    /// As [`Table::values`], looking at position `index` first: in a wide table every search from the front would add up.
    ///
    /// # Errors
    /// [`EngineError::Column`].
    pub(crate) fn values_near(&self, index: usize, name: &str) -> Result<&Values> {
        match self.columns.get(index) {
            Some(column) if column.name == name => Ok(&column.values),
            _ => self.values(name),
        }
    }

    /// The rows numbered `rows`, in that order. The result is not reserved for.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a row number out of range, [`EngineError::Cancelled`].
    pub fn select(&self, ctx: &Context, rows: &[u32]) -> Result<Table> {
        check_rows(rows, self.n_rows)?;
        let take = |column: &Column| {
            ctx.check()?;
            Ok(Column {
                name: column.name.clone(),
                values: column.values.gather(rows),
            })
        };
        Ok(Self {
            n_rows: rows.len(),
            columns: self.columns.iter().map(take).collect::<Result<_>>()?,
        })
    }

    /// The table with the values of column `index` replaced.
    pub(crate) fn with_values(&self, index: usize, values: Values) -> Table {
        let mut table = self.clone();
        table.columns[index].values = values;
        table
    }
}

pub(crate) fn check_rows(rows: &[u32], n_rows: usize) -> Result<()> {
    match rows.iter().find(|row| **row as usize >= n_rows) {
        Some(bad) => Err(EngineError::invalid("row number", format!("less than {n_rows}"), bad)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinity_is_refused_and_nan_is_missing() {
        let ok = Table::new(vec![Column::numeric("a", vec![1.0, f64::NAN])]).unwrap();
        assert_eq!(ok.n_rows(), 2);
        let error = Table::new(vec![Column::numeric("a", vec![1.0, f64::INFINITY])]).unwrap_err();
        assert!(matches!(error, EngineError::NonFinite { row: 1, column: 0 }), "{error}");
    }

    #[test]
    fn columns_of_different_length_equal_names_and_unknown_codes_are_refused() {
        let a = || Column::numeric("a", vec![1.0]);
        assert!(Table::new(vec![a(), a()]).is_err());
        assert!(Table::new(vec![a(), Column::numeric("b", vec![])]).is_err());
        assert!(Table::new(vec![]).is_err());
        let values = Values::Category {
            levels: Arc::from(vec!["x".to_owned()]),
            codes: vec![1],
        };
        let name = "c".to_owned();
        assert!(Table::new(vec![Column { name, values }]).is_err());
    }

    #[test]
    fn select_keeps_names_and_order_and_refuses_rows_that_are_not_there() {
        let ctx = Context::builder().build().unwrap();
        let table = Table::new(vec![Column::category("c", [Some("x"), None, Some("y")])]).unwrap();
        let part = table.select(&ctx, &[2, 1]).unwrap();
        let Values::Category { levels, codes } = part.values("c").unwrap() else {
            panic!("{part:?}")
        };
        assert_eq!((levels[1].as_str(), codes.as_slice()), ("y", &[1, MISSING][..]));
        assert!(table.select(&ctx, &[3]).is_err());
        assert!(matches!(table.values("d"), Err(EngineError::Column { .. })));
    }
}
