//! What the settings need from PostgreSQL beyond pgrx's registry.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Runs `work` while the settings `(name, value)` hold, as a function's SET clause would. For settings that anybody may change.
pub fn with_settings<R>(settings: &[(&CStr, &CStr)], work: impl FnOnce() -> R) -> R {
    // SAFETY: what a function's SET clause does: the nest level is closed below, or by the abort of the transaction.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        // SAFETY: both are NUL-terminated and copied; raises where the setting refuses the value.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
    let result = work();
    // SAFETY: closes the level opened above and restores the settings.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

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
