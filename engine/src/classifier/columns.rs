//! The raw columns of a model, and a table made to fit them.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::data::{Column, Table, Values, MISSING};
use crate::error::{EngineError, Result};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    Numeric,
    Category,
}

/// A raw column that a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelColumn {
    pub name: String,
    pub kind: ColumnKind,
}

impl ModelColumn {
    /// The columns of `table`.
    pub fn of(table: &Table) -> Vec<Self> {
        let of = |column: &Column| Self {
            name: column.name.clone(),
            kind: kind(&column.values),
        };
        table.columns().iter().map(of).collect()
    }
}

fn kind(values: &Values) -> ColumnKind {
    match values {
        Values::Numeric(_) => ColumnKind::Numeric,
        Values::Category { .. } => ColumnKind::Category,
    }
}

/// Whether no row has a value.
fn is_missing(values: &Values) -> bool {
    match values {
        Values::Numeric(values) => values.iter().all(|x| x.is_nan()),
        Values::Category { codes, .. } => codes.iter().all(|code| *code == MISSING),
    }
}

/// The names of those columns that `table` does not have.
pub(super) fn missing<'a>(columns: &'a [ModelColumn], table: &Table) -> Vec<&'a str> {
    let present: std::collections::HashSet<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
    let names = columns.iter().map(|column| column.name.as_str());
    names.filter(|name| !present.contains(name)).collect()
}

/// `table` with every one of `columns`: one that it does not have has no value in any row.
///
/// # Errors
/// [`EngineError::Column`] for a column that has values of another kind, [`EngineError::Memory`].
pub(super) fn complete<'a>(ctx: &Context, columns: &[ModelColumn], table: &'a Table) -> Result<Cow<'a, Table>> {
    let present: HashMap<&str, &Values> = table
        .columns()
        .iter()
        .map(|column| (column.name.as_str(), &column.values))
        .collect();
    let fits = |column: &ModelColumn| {
        present
            .get(column.name.as_str())
            .is_some_and(|v| kind(v) == column.kind)
    };
    if columns.iter().all(fits) {
        return Ok(Cow::Borrowed(table));
    }
    let _copy = ctx.reserve_for::<f64>(table.n_rows().saturating_mul(columns.len()))?;
    let absent = |kind: ColumnKind| match kind {
        ColumnKind::Numeric => Values::Numeric(vec![f64::NAN; table.n_rows()]),
        ColumnKind::Category => Values::Category {
            levels: Vec::new().into(),
            codes: vec![MISSING; table.n_rows()],
        },
    };
    let filled = |column: &ModelColumn| {
        let values = match present.get(column.name.as_str()) {
            Some(values) if kind(values) == column.kind => (*values).clone(),
            None => absent(column.kind),
            Some(values) if is_missing(values) => absent(column.kind),
            Some(values) => {
                return Err(EngineError::Column {
                    name: column.name.clone(),
                    expected: match column.kind {
                        ColumnKind::Numeric => "numeric",
                        ColumnKind::Category => "categorical",
                    },
                    found: values.kind(),
                })
            }
        };
        Ok(Column {
            name: column.name.clone(),
            values,
        })
    };
    Ok(Cow::Owned(Table::new(
        columns.iter().map(filled).collect::<Result<_>>()?,
    )?))
}
