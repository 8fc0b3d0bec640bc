//! Empatia: the extension. Thin: it moves rows between PostgreSQL and [`empatia_engine`], and installs the SQL
//! of `sql/`. All `unsafe` lives under `pg/`.
// SQL functions have to return an `ErrorReport` by value for pgrx to keep its SQLSTATE and HINT.
#![allow(clippy::result_large_err)]

use pgrx::prelude::*;

mod activity;
mod cube;
pub mod error;
pub mod guc;
mod ingest;
mod model;
pub mod pg;
#[cfg(any(test, feature = "pg_test"))]
mod pg_tests;
mod risk;
mod sql;
mod warehouse;

::pgrx::pg_module_magic!(name, version);

#[pg_guard]
extern "C-unwind" fn _PG_init() {
    guc::register();
}

/// The version of the library that is loaded, which may be newer than the SQL objects until `ALTER EXTENSION`.
#[pg_extern(immutable, parallel_safe)]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
