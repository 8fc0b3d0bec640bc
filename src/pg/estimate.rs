//! What the planner thinks of a query.

use std::ffi::CString;

use pgrx::pg_sys;

use super::memory::RestoreContext;
use super::read::{check_spi, prepare};
use super::snapshot::with_active_snapshot;
use crate::error::{Error, Result};

/// Rows, and their cost in the planner's unit.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub rows: f64,
    pub cost: f64,
}

/// What the planner expects of `sql`, one SELECT without parameters.
///
/// # Errors
/// As [`query`](super::read::query).
pub fn expected(sql: &str) -> Result<Expected> {
    let source = CString::new(sql).map_err(|_| Error::internal("query contains a NUL byte"))?;
    with_active_snapshot(|| {
        let _context = RestoreContext::new();
        // SAFETY: called on the backend's thread inside a transaction. An error of PostgreSQL unwinds past SPI_finish, as in
        // `query`. The plan is this connection's own, and its cached plan has one statement, since the query has.
        unsafe {
            check_spi("SPI_connect", pg_sys::SPI_connect())?;
            let expected = prepare(&source, &mut [], false).and_then(|plan| {
                let cached = pg_sys::SPI_plan_get_cached_plan(plan);
                if cached.is_null() {
                    return Err(Error::internal("SPI_plan_get_cached_plan returned no plan"));
                }
                let first = (*(*(*cached).stmt_list).elements).ptr_value;
                let top = &*(*first.cast::<pg_sys::PlannedStmt>()).planTree;
                let expected = Expected {
                    rows: top.plan_rows,
                    cost: top.total_cost,
                };
                pg_sys::ReleaseCachedPlan(cached, std::ptr::null_mut());
                Ok(expected)
            });
            check_spi("SPI_finish", pg_sys::SPI_finish())?;
            expected
        }
    })
}
