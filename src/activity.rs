//! For the functions in PL/pgSQL: which part of a long statement is under way.
use pgrx::prelude::*;

use crate::pg::activity;

/// Shows `phase` in front of the statement's text in `pg_stat_activity`; null gives the statement its own text back.
#[pg_extern(name = "_doing", volatile, parallel_unsafe)]
fn doing(phase: Option<&str>) {
    activity::show(phase);
}
