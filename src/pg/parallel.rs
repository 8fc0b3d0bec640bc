//! PostgreSQL's parallel workers, for reading: each runs queries of its own and sends what they find as messages.
//!
//! The executor's own parallel plans hand over a row at a time, which costs the one process that takes them more than
//! the scan does. Here a worker packs many rows into one message. The workers are those that a parallel plan has,
//! with the transaction, snapshot, user and settings of the leader; the queries go through the executor in each of
//! them, so permissions, interrupts and visibility stay its business. Nobody may write meanwhile, nor may the leader.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use pgrx::prelude::*;

use super::bulk_read::read_in_bulk;
use super::read::raise;
use crate::error::Result;

/// Bytes of a worker's queue: a few messages, so that neither side waits for the other at each.
pub const QUEUE_BYTES: usize = 256 << 10;

/// What the entries of the shared segment are found by.
const KEY_SHARED: u64 = 1;
const KEY_TASK: u64 = 2;
const KEY_QUEUES: u64 = 3;
/// As the C macro `BUFFERALIGN` rounds up.
const ALIGNMENT: usize = 32;

/// What the workers share.
#[repr(C)]
struct Shared {
    /// The next chunk of work that nobody took.
    next: AtomicU32,
    chunks: u32,
    task_bytes: u32,
}

/// Has up to `workers` parallel workers do `task`, see [`Worker`], and calls `on_message` with the worker's number and
/// each of its messages; those of one worker come in their order.
///
/// It sees what the transaction wrote before it. Returns how many workers there were; 0: nothing was done.
///
/// # Errors
/// What `on_message` returned: the workers stop soon. Raised: errors of the workers, cancel.
pub fn gather(
    workers: usize,
    chunks: u32,
    task: &[u8],
    on_message: impl FnMut(usize, &[u8]) -> Result<()>,
) -> Result<usize> {
    // SAFETY: on the backend's thread, inside a transaction; `ParallelWorkerNumber` is set once, when a process starts.
    if workers == 0 || unsafe { pg_sys::ParallelWorkerNumber } >= 0 {
        return Ok(0);
    }
    // SAFETY: what the executor does around a parallel plan. Where an error unwinds past the ends of these, the abort of
    // the (sub)transaction stops the workers, leaves parallel mode and pops the snapshot.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::EnterParallelMode();
        let context =
            pg_sys::CreateParallelContext(c"empatia".as_ptr(), c"empatia_parallel_worker".as_ptr(), workers as i32);
        let outcome = launch(context, chunks, task).receive(on_message);
        pg_sys::WaitForParallelWorkersToFinish(context);
        pg_sys::DestroyParallelContext(context);
        pg_sys::ExitParallelMode();
        pg_sys::PopActiveSnapshot();
        outcome
    }
}

/// Lays out the shared segment and starts the workers.
///
/// # Safety
/// `context` is a parallel context that was just created; it outlives the result.
unsafe fn launch(context: *mut pg_sys::ParallelContext, chunks: u32, task: &[u8]) -> Queues {
    // SAFETY: the order that PostgreSQL asks for: estimate, initialise, fill in, launch. `InitializeParallelDSM` may
    // lower the number of workers to 0, and then there is nothing to fill in. What is written lies inside the chunks
    // that were just allocated, aligned to a buffer's 32 bytes, before any worker can see them.
    unsafe {
        let wanted = (*context).nworkers as usize;
        for bytes in [size_of::<Shared>(), task.len().max(1), wanted * QUEUE_BYTES] {
            (*context).estimator.space_for_chunks += bytes.next_multiple_of(ALIGNMENT);
            (*context).estimator.number_of_keys += 1;
        }
        pg_sys::InitializeParallelDSM(context);
        let workers = (*context).nworkers as usize;
        if workers == 0 || (*context).seg.is_null() {
            return Queues(Vec::new());
        }
        let toc = (*context).toc;
        let shared: *mut Shared = pg_sys::shm_toc_allocate(toc, size_of::<Shared>()).cast();
        shared.write(Shared {
            next: AtomicU32::new(0),
            chunks,
            task_bytes: task.len() as u32,
        });
        pg_sys::shm_toc_insert(toc, KEY_SHARED, shared.cast());
        let copy: *mut u8 = pg_sys::shm_toc_allocate(toc, task.len().max(1)).cast();
        copy.copy_from_nonoverlapping(task.as_ptr(), task.len());
        pg_sys::shm_toc_insert(toc, KEY_TASK, copy.cast());
        let queues: *mut u8 = pg_sys::shm_toc_allocate(toc, workers * QUEUE_BYTES).cast();
        pg_sys::shm_toc_insert(toc, KEY_QUEUES, queues.cast());
        let handles: Vec<_> = (0..workers)
            .map(|worker| {
                let queue = pg_sys::shm_mq_create(queues.add(worker * QUEUE_BYTES).cast(), QUEUE_BYTES);
                pg_sys::shm_mq_set_receiver(queue, pg_sys::MyProc);
                pg_sys::shm_mq_attach(queue, (*context).seg, std::ptr::null_mut())
            })
            .collect();
        pg_sys::LaunchParallelWorkers(context);
        let launched = (*context).nworkers_launched as usize;
        for (worker, handle) in handles.iter().enumerate().take(launched) {
            // so that waiting for one that dies before it attaches ends
            pg_sys::shm_mq_set_handle(*handle, (*(*context).worker.add(worker)).bgwhandle);
        }
        Queues(handles.into_iter().take(launched).map(Some).collect())
    }
}

/// The leader's ends of the queues; none of a worker that has ended.
struct Queues(Vec<Option<*mut pg_sys::shm_mq_handle>>);

impl Queues {
    /// Hands on messages until all workers have ended; returns how many there were.
    fn receive(mut self, mut on_message: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<usize> {
        while self.0.iter().any(Option::is_some) {
            let mut idle = true;
            for worker in 0..self.0.len() {
                let Some(handle) = self.0[worker] else { continue };
                let (mut bytes, mut data) = (0, std::ptr::null_mut::<c_void>());
                // SAFETY: the handle is attached; both results are set where a message came.
                let code = unsafe { pg_sys::shm_mq_receive(handle, &raw mut bytes, &raw mut data, true) };
                match code {
                    pg_sys::shm_mq_result::SHM_MQ_SUCCESS => {
                        idle = false;
                        // SAFETY: the message stays where it is until the next call for this queue.
                        let message = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), bytes) };
                        if let Err(error) = on_message(worker, message) {
                            self.detach();
                            return Err(error);
                        }
                    }
                    pg_sys::shm_mq_result::SHM_MQ_DETACHED => self.0[worker] = None,
                    _ => {}
                }
            }
            if idle {
                wait();
            }
            check_for_interrupts!();
        }
        Ok(self.0.len())
    }

    /// Workers notice it when they send next.
    fn detach(&mut self) {
        for handle in self.0.iter_mut().filter_map(Option::take) {
            // SAFETY: attached, and not used afterwards.
            unsafe { pg_sys::shm_mq_detach(handle) };
        }
    }
}

/// Until a worker sends, or ends, or an interrupt comes.
fn wait() {
    // SAFETY: the process's own latch, on its own thread.
    unsafe {
        let events = (pg_sys::WL_LATCH_SET | pg_sys::WL_EXIT_ON_PM_DEATH) as i32;
        pg_sys::WaitLatch(pg_sys::MyLatch, events, -1, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}

/// A worker's side of [`gather`].
pub struct Worker<'a> {
    shared: &'a Shared,
    queue: *mut pg_sys::shm_mq_handle,
}

impl Worker<'_> {
    /// How many chunks the work has.
    pub fn chunks(&self) -> u32 {
        self.shared.chunks
    }

    /// A chunk for this worker alone; none when all are taken.
    pub fn next_chunk(&self) -> Option<u32> {
        let chunk = self.shared.next.fetch_add(1, Ordering::Relaxed);
        (chunk < self.shared.chunks).then_some(chunk)
    }

    /// Waits while the queue is full. False when the leader wants no more.
    pub fn send(&mut self, message: &[u8]) -> bool {
        let (bytes, data) = (message.len(), message.as_ptr().cast());
        // SAFETY: the queue is attached for the length of the work; the message is copied.
        #[cfg(not(feature = "pg14"))]
        let code = unsafe { pg_sys::shm_mq_send(self.queue, bytes, data, false, false) };
        // SAFETY: as above.
        #[cfg(feature = "pg14")]
        let code = unsafe { pg_sys::shm_mq_send(self.queue, bytes, data, false) };
        code == pg_sys::shm_mq_result::SHM_MQ_SUCCESS
    }
}

/// Where PostgreSQL starts a worker, by name.
///
/// # Safety
/// Called by PostgreSQL with the segment that [`launch`] laid out.
#[pg_guard]
#[no_mangle]
pub unsafe extern "C-unwind" fn empatia_parallel_worker(segment: *mut pg_sys::dsm_segment, toc: *mut pg_sys::shm_toc) {
    // SAFETY: the entries are there, as `launch` wrote them, until the worker ends; each worker has its own queue.
    let (task, mut worker) = unsafe {
        let shared = &*pg_sys::shm_toc_lookup(toc, KEY_SHARED, false).cast::<Shared>();
        let task: *const u8 = pg_sys::shm_toc_lookup(toc, KEY_TASK, false).cast();
        let queues: *mut u8 = pg_sys::shm_toc_lookup(toc, KEY_QUEUES, false).cast();
        let queue: *mut pg_sys::shm_mq = queues.add(pg_sys::ParallelWorkerNumber as usize * QUEUE_BYTES).cast();
        pg_sys::shm_mq_set_sender(queue, pg_sys::MyProc);
        let queue = pg_sys::shm_mq_attach(queue, segment, std::ptr::null_mut());
        let task = std::slice::from_raw_parts(task, shared.task_bytes as usize);
        (task, Worker { shared, queue })
    };
    read_in_bulk();
    if let Err(error) = crate::cube::pack_facts(task, &mut worker) {
        raise(error);
    }
    // SAFETY: attached above. Says to the leader that nothing more comes.
    unsafe { pg_sys::shm_mq_detach(worker.queue) };
}
