//! Plans of queries that a session runs again and again, kept between statements: planning a look-up by key takes longer than the look-up.
//!
//! PostgreSQL itself plans a kept query anew when a table, a function or the search path that it depends on is another.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;

use super::read::check_spi;
use crate::error::Result;

/// Most plans that are kept: other queries are planned whenever they run. None is ever freed, since it may be running.
const KEPT: usize = 256;

/// Text and types of the parameters.
type Key = (String, Vec<pg_sys::Oid>);

thread_local! {
    static PLANS: RefCell<HashMap<Key, pg_sys::SPIPlanPtr>> = RefCell::new(HashMap::new());
}

/// The plan of `sql` with parameters of `types`, by `prepare` where it is not kept. For the connection of SPI that is open.
///
/// # Errors
/// Those of `prepare`.
pub(super) fn kept(
    sql: &str,
    types: &mut [pg_sys::Oid],
    prepare: impl FnOnce(&mut [pg_sys::Oid]) -> Result<pg_sys::SPIPlanPtr>,
) -> Result<pg_sys::SPIPlanPtr> {
    let key = (sql.to_owned(), types.to_vec());
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(&key).copied()) {
        return Ok(plan);
    }
    let plan = prepare(types)?;
    if PLANS.with_borrow(HashMap::len) >= KEPT {
        return Ok(plan);
    }
    // SAFETY: prepared by this connection of SPI, which is still open; from now on the plan lives as long as the session.
    check_spi("SPI_keepplan", unsafe { pg_sys::SPI_keepplan(plan) })?;
    PLANS.with_borrow_mut(|plans| plans.insert(key, plan));
    Ok(plan)
}
