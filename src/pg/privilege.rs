//! What the current user may do beyond tables.

use pgrx::pg_sys;

/// Whether the user may read files of the server: is a superuser, or has the privileges of `pg_read_server_files`, as COPY FROM asks.
pub fn may_read_server_files() -> bool {
    // SAFETY: called on the backend's thread inside a transaction; looks up memberships by value.
    unsafe {
        pg_sys::has_privs_of_role(
            pg_sys::GetUserId(),
            pg_sys::Oid::from(pg_sys::ROLE_PG_READ_SERVER_FILES),
        )
    }
}
