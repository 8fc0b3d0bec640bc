//! Definitions of datasets, checked.

use empatia_engine::sheet::{Definition, Role};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};

pub(super) fn definition(text: &str) -> Result<Definition> {
    Definition::from_json(text).map_err(|e| Error::from(empatia_engine::error::EngineError::from(e)))
}

/// The columns that a table of the dataset has, in order; an error for a definition that contradicts itself.
#[pg_extern(name = "_dataset_columns", immutable, parallel_safe)]
#[allow(clippy::type_complexity)]
fn dataset_columns(
    definition: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(sql_type, &'static str),
            name!(is_key, bool),
            name!(description, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let definition = self::definition(definition)?;
    let columns: Vec<_> = definition
        .stored()
        .map(|(_, column)| {
            (
                column.name.clone(),
                column.kind.sql_type(),
                column.role == Role::Key,
                column.description.clone(),
            )
        })
        .collect();
    Ok(TableIterator::new(columns))
}
