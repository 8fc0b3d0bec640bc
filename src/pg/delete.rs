//! Deletion of rows by their places.

use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::spi::quote_qualified_identifier;

use super::column::Tid;
use super::memory::RestoreContext;
use super::read::check_spi;
use super::settings::with_settings;
use super::snapshot::with_active_snapshot;
use crate::error::{Error, Result};

/// Deletes the rows of `schema.table` (as stored, not quoted) at `rows`, by a DELETE like any other: privileges, policies
/// and triggers apply. Returns how many were deleted. The places were read in this transaction: until it ends no place
/// becomes another row's.
///
/// # Errors
/// Raised, as errors of PostgreSQL: whatever the DELETE raises.
pub fn delete_rows(schema: &str, table: &str, rows: &[Tid]) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let sql = format!(
        "DELETE FROM {} WHERE ctid = ANY ($1)",
        quote_qualified_identifier(schema, table)
    );
    let sql = CString::new(sql).map_err(|_| Error::internal("query contains a NUL byte"))?;
    // a scan of the table would be chosen where its statistics are those of an empty one
    with_settings(&[(c"enable_seqscan", c"off")], || {
        with_active_snapshot(|| run(&sql, rows))
    })
}

pub(super) fn pointer(place: &Tid) -> pg_sys::ItemPointerData {
    pg_sys::ItemPointerData {
        ip_blkid: pg_sys::BlockIdData {
            bi_hi: (place.block >> 16) as u16,
            bi_lo: place.block as u16,
        },
        ip_posid: place.position,
    }
}

fn run(sql: &CString, rows: &[Tid]) -> Result<u64> {
    let _context = RestoreContext::new();
    // SAFETY: called on the backend's thread inside a transaction. An error of PostgreSQL unwinds past SPI_finish, as in
    // `query`. construct_array copies the places into the memory of SPI.
    unsafe {
        check_spi("SPI_connect", pg_sys::SPI_connect())?;
        let pointers: Vec<pg_sys::ItemPointerData> = rows.iter().map(pointer).collect();
        let mut datums: Vec<pg_sys::Datum> = pointers
            .iter()
            .map(|row| pg_sys::Datum::from(&raw const *row))
            .collect();
        let array = pg_sys::construct_array(
            datums.as_mut_ptr(),
            datums.len() as i32,
            pg_sys::TIDOID,
            size_of::<pg_sys::ItemPointerData>() as i32,
            false,
            pg_sys::TYPALIGN_SHORT as std::ffi::c_char,
        );
        drop((datums, pointers));
        let code = pg_sys::SPI_execute_with_args(
            sql.as_ptr(),
            1,
            [pg_sys::TIDARRAYOID].as_mut_ptr(),
            [pg_sys::Datum::from(array)].as_mut_ptr(),
            std::ptr::null(),
            false,
            0,
        );
        check_spi("SPI_execute_with_args", code)?;
        let deleted = pg_sys::SPI_processed;
        check_spi("SPI_finish", pg_sys::SPI_finish())?;
        Ok(deleted)
    }
}
