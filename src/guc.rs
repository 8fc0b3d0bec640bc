//! Settings. Read them on the backend's own thread, before threads are started.

use std::thread::available_parallelism;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// In kB, the largest that a GUC with unit kB can hold: 2 TB.
const MEMORY_LIMIT_MAX_KB: i32 = i32::MAX;
const MEMORY_LIMIT_MIN_KB: i32 = 16 * 1024;
const MEMORY_LIMIT_DEFAULT_KB: i32 = 1024 * 1024;
/// Upper bound of `empatia.threads`; what is used is bounded by the cores anyway.
const THREADS_MAX: i32 = 256;

static MEMORY_LIMIT_KB: GucSetting<i32> = GucSetting::<i32>::new(MEMORY_LIMIT_DEFAULT_KB);
static THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);

/// Defines every setting, then reserves the prefix `empatia`. For `_PG_init`.
///
/// `empatia.memory_limit` is for superusers, other than `work_mem`, which anybody may set: memory of Rust that the
/// system cannot deliver ends in an abort and a restart of the whole cluster, so a user must not lift the budget on
/// his own. A role is trusted with it by `GRANT SET ON PARAMETER` (15 and later) or gets a value by `ALTER ROLE ... SET`.
/// `empatia.threads` is anybody's, like `max_parallel_workers_per_gather`: cores are shared by the operating system,
/// and the number never exceeds them.
pub fn register() {
    GucRegistry::define_int_guc(
        c"empatia.memory_limit",
        c"Memory that one statement may use for its computation.",
        c"What a computation needs is added up beforehand; beyond this limit it is refused with an error that names \
          the amount. It comes on top of work_mem and shared_buffers, for each session that computes.",
        &MEMORY_LIMIT_KB,
        MEMORY_LIMIT_MIN_KB,
        MEMORY_LIMIT_MAX_KB,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"empatia.threads",
        c"Threads that one statement may use for its computation.",
        c"0 means one per core; more than there are cores means one per core. They live only as long as the \
          computation and do not count as parallel workers. Results do not depend on their number.",
        &THREADS,
        0,
        THREADS_MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    crate::pg::settings::reserve_prefix();
}

/// `empatia.memory_limit` in bytes.
pub fn memory_limit() -> usize {
    // The minimum is positive, so the conversion cannot fail.
    usize::try_from(MEMORY_LIMIT_KB.get()).map_or(0, |kb| kb.saturating_mul(1024))
}

/// Threads to start: `empatia.threads`, at least 1 and at most one per core (cgroup limits count).
pub fn threads() -> usize {
    let cores = available_parallelism().map_or(1, usize::from).min(THREADS_MAX as usize);
    match usize::try_from(THREADS.get()) {
        Ok(0) | Err(_) => cores,
        Ok(asked) => asked.min(cores),
    }
}
