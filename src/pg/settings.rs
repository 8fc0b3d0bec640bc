//! What the settings need from PostgreSQL beyond pgrx's registry.

use pgrx::pg_sys;

/// Makes an unknown `empatia.something` an error (a warning for those set before the library was loaded).
///
/// Call it after the last setting is defined.
pub fn reserve_prefix() {
    // SAFETY: called from _PG_init with a static NUL-terminated string.
    #[cfg(not(feature = "pg14"))]
    unsafe {
        pg_sys::MarkGUCPrefixReserved(c"empatia".as_ptr());
    }
    // SAFETY: as above; 14 can only warn.
    #[cfg(feature = "pg14")]
    unsafe {
        pg_sys::EmitWarningsOnPlaceholders(c"empatia".as_ptr());
    }
}
