//! Tests of the layer that talks to PostgreSQL, run inside a server by `cargo pgrx test`.
//!
//! They share one database and run in parallel: names are unique, nothing is committed. Errors are caught in PL/pgSQL
//! blocks, because only a subtransaction may catch an error of PostgreSQL.

mod append;
mod classify;
mod cube;
mod edit;
mod find;
mod freed_later;
mod kept;
mod measure;
mod read;
mod settings;
mod threads;
mod train_cube;
mod version;
mod write;

use crate::error::Result;
use crate::pg::column::ColumnType;
use crate::pg::read::query;

/// The only value of a query that returns one text.
fn text(sql: &str) -> Result<Option<String>> {
    let mut found = None;
    query(sql, &[], &[ColumnType::Text], |row| {
        found = row.text(0)?.map(str::to_owned);
        Ok(())
    })?;
    Ok(found)
}

/// The only value of a query that returns one bigint.
fn bigint(sql: &str) -> Result<Option<i64>> {
    let mut found = None;
    query(sql, &[], &[ColumnType::Int8], |row| {
        found = row.i64(0);
        Ok(())
    })?;
    Ok(found)
}
