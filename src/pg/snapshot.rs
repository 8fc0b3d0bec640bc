//! An active snapshot where there may be none: in a procedure, after it committed.

use pgrx::pg_sys;

/// Runs `work` with an active snapshot, pushing the transaction's if none is set.
///
/// When `work` unwinds nothing is popped: the abort of the (sub)transaction does it, and popping here would take
/// whichever snapshot the interrupted executor left on top.
pub(super) fn with_active_snapshot<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: both read the backend's own snapshot stack; called on the backend's thread inside a transaction.
    let pushed = unsafe {
        if pg_sys::ActiveSnapshotSet() {
            false
        } else {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            true
        }
    };
    let result = work();
    if pushed {
        // SAFETY: `work` returned normally, so the top of the stack is the snapshot pushed above.
        unsafe { pg_sys::PopActiveSnapshot() };
    }
    result
}
