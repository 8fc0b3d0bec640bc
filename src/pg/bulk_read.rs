//! Scans of ranges of blocks through a ring of buffers, as PostgreSQL reads a whole table that is large.
//!
//! Without it a range of a table that does not fit into shared buffers throws out what others use, a page of another process may have to be
//! written for each that is read, and a worker's address space comes to hold every buffer: taking it apart at the worker's end, which a cancelled
//! leader waits for, took 200 ms with 4 GB of them.

use std::cell::Cell;
use std::ffi::c_int;

use pgrx::prelude::*;

thread_local! {
    /// The hook that was there before ours.
    static BEFORE: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
}

/// From now on scans of ranges of blocks that this process makes ask for a ring, which they get where the table takes more than a quarter of
/// shared buffers. For a parallel worker, whose process ends with its work.
pub(super) fn read_in_bulk() {
    // SAFETY: a variable of the process, which is the worker's own; set once, before its first query.
    unsafe {
        BEFORE.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(start);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: PostgreSQL calls it in place of its own, whose work is done first; a query that was started has a state and a tree of nodes.
    unsafe {
        match BEFORE.get() {
            Some(before) => before(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
        ask_for_ring((*query).planstate, (*query).estate);
    }
}

/// For every scan of a range below `node`, through the partitions of a table.
///
/// # Safety
/// `node` is null or a node that was started under `state`.
unsafe fn ask_for_ring(node: *mut pg_sys::PlanState, state: *mut pg_sys::EState) {
    // SAFETY: by contract; a node's tag says what it is.
    unsafe {
        if node.is_null() {
            return;
        }
        match (*node).type_ {
            pg_sys::NodeTag::T_TidRangeScanState => begin(node.cast(), state),
            pg_sys::NodeTag::T_AppendState => {
                let append = node.cast::<pg_sys::AppendState>();
                for number in 0..(*append).as_nplans as usize {
                    ask_for_ring(*(*append).appendplans.add(number), state);
                }
            }
            _ => ask_for_ring((*node).lefttree, state),
        }
    }
}

/// The node would begin its scan at its first row; where one was begun already it sets that one's range. It ends it either way.
///
/// # Safety
/// As [`ask_for_ring`].
unsafe fn begin(node: *mut pg_sys::TidRangeScanState, state: *mut pg_sys::EState) {
    // SAFETY: by contract; the scan is allocated where the node's own would be, and lives as long as the query.
    unsafe {
        let scan = &mut (*node).ss;
        let table = scan.ss_currentRelation;
        let Some(scan_begin) = (*(*table).rd_tableam).scan_begin else {
            return;
        };
        if !scan.ss_currentScanDesc.is_null() {
            return;
        }
        let flags = pg_sys::ScanOptions::SO_TYPE_TIDRANGESCAN
            | pg_sys::ScanOptions::SO_ALLOW_PAGEMODE
            | pg_sys::ScanOptions::SO_ALLOW_STRAT;
        let outer = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = (*state).es_query_cxt;
        scan.ss_currentScanDesc = scan_begin(
            table,
            (*state).es_snapshot,
            0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            flags,
        );
        pg_sys::CurrentMemoryContext = outer;
    }
}
