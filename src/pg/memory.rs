//! Memory contexts of our own.

use pgrx::pg_sys;

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
