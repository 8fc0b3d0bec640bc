//! Memory contexts of our own, and what the allocator keeps of Rust's memory.

use std::ffi::CString;

use pgrx::pg_sys;

use super::settings::with_settings;

/// Restores the current memory context when dropped, also on the way of an unwinding error.
pub(super) struct RestoreContext(pg_sys::MemoryContext);

impl RestoreContext {
    /// Remembers the current memory context.
    pub(super) fn new() -> Self {
        // SAFETY: reads a variable of the backend on the backend's thread.
        Self(unsafe { pg_sys::CurrentMemoryContext })
    }
}

impl Drop for RestoreContext {
    fn drop(&mut self) {
        // SAFETY: the context was current in a frame that encloses this one, so it still exists.
        unsafe { pg_sys::CurrentMemoryContext = self.0 };
    }
}

/// A new child of the current memory context, freed with it at the latest.
pub(super) fn child_context(name: &'static std::ffi::CStr) -> pg_sys::MemoryContext {
    // SAFETY: called on the backend's thread; PostgreSQL keeps the pointer to the name, which is static.
    unsafe {
        pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            name.as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        )
    }
}

/// Gives free memory back to the system. The allocator keeps what was freed in small pieces, hundreds of megabytes after
/// a computation: as much again would then be taken by what PostgreSQL does next.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes no pointer, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Runs `work` with `maintenance_work_mem` of at most `bytes`.
pub fn with_maintenance_memory<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    /// The least that PostgreSQL takes.
    const LEAST_KB: usize = 1024;
    // SAFETY: a setting, read on the backend's thread.
    let now = usize::try_from(unsafe { pg_sys::maintenance_work_mem }).unwrap_or(LEAST_KB);
    let most = (bytes / 1024).max(LEAST_KB);
    match CString::new(format!("{most}kB")) {
        Ok(value) if most < now => with_settings(&[(c"maintenance_work_mem", &value)], work),
        _ => work(),
    }
}
