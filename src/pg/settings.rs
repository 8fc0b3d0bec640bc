//! What the settings need from PostgreSQL beyond pgrx's registry.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Runs `work` while the settings `(name, value)` hold, as a function's SET clause would. For settings that anybody may change.
pub fn with_settings<R>(settings: &[(&CStr, &CStr)], work: impl FnOnce() -> R) -> R {
    // SAFETY: what a function's SET clause does: the nest level is closed below, or by the abort of the transaction.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        // raises where the setting refuses the value
        set(name, value, pg_sys::GucContext::PGC_USERSET, 0);
    }
    let result = work();
    // SAFETY: closes the level opened above and restores the settings.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Until the next level ends.
fn set(name: &CStr, value: &CStr, context: pg_sys::GucContext::Type, level: i32) {
    // SAFETY: both are NUL-terminated and copied.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            level,
            false,
        );
    }
}

/// Runs `work` while whole pages go into the log compressed, by lz4, where the server knows it and compresses them in no other way: pages that
/// are logged one after the other are what the log of a build consists of, and they shrink to a fraction. What is replayed is the same.
pub fn with_compressed_log<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(not(feature = "pg14"))]
    {
        // SAFETY: reads a variable of the backend; the nest level is closed below, or by the abort of the transaction.
        let level = unsafe {
            if pg_sys::wal_compression != 0 {
                return work();
            }
            pg_sys::NewGUCNestLevel()
        };
        // a setting that only superusers may change, since it takes processor time of everybody: here of this build alone. Where the server
        // was built without lz4 it says so, to nobody, and nothing changes.
        set(
            c"wal_compression",
            c"lz4",
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::DEBUG2 as i32,
        );
        let result = work();
        // SAFETY: closes the level opened above and restores the setting.
        unsafe { pg_sys::AtEOXact_GUC(true, level) };
        result
    }
    #[cfg(feature = "pg14")]
    work()
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
