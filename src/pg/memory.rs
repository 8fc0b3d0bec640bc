//! Memory contexts of our own, and what the allocator keeps of Rust's memory.

use std::ffi::{CStr, CString};

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
    // SAFETY: a setting, read on the backend's thread.
    with_at_most(
        c"maintenance_work_mem",
        unsafe { pg_sys::maintenance_work_mem },
        bytes,
        work,
    )
}

/// Runs `work` with a `work_mem` of which PostgreSQL can sort and write all within a twentieth of a second: it looks for no interrupts while it writes a
/// sort's memory to a temporary file (`dumptuples()`; 177 ms with 256 MB, 31 with this, and the whole sort took two thirds of the time).
pub fn with_short_sorts<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: as above.
    with_at_most(c"work_mem", unsafe { pg_sys::work_mem }, SORT_BYTES, work)
}

const SORT_BYTES: usize = 64 << 20;

/// With a setting in kB, which is `now`, of at most `bytes`.
fn with_at_most<R>(name: &CStr, now: i32, bytes: usize, work: impl FnOnce() -> R) -> R {
    /// The least that PostgreSQL takes.
    const LEAST_KB: usize = 1024;
    let most = (bytes / 1024).max(LEAST_KB);
    match CString::new(format!("{most}kB")) {
        Ok(value) if usize::try_from(now).is_ok_and(|now| most < now) => with_settings(&[(name, &value)], work),
        _ => work(),
    }
}
