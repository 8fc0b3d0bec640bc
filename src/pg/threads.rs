//! Long computations on threads, with the backend's own thread free to notice interrupts.
//!
//! Guarantees: the threads are started with all signals blocked, so a signal for the backend never runs a handler of
//! PostgreSQL on one of them; the computation has ended before control returns to PostgreSQL; a cancel, a timeout or
//! a termination raises the engine's cancel flag within [`POLL`]; a panic on a thread is an error, not an abort. What the computation
//! says of its progress, other sessions see.

use std::any::Any;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, sync_channel, Receiver, RecvTimeoutError, SyncSender};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use empatia_engine::context::{Context, OwnThread, Progress};
use empatia_engine::error::EngineError;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::guc;
use crate::pg::activity::Shown;
use crate::pg::freed_later::wait_until_free;

/// How often the backend's thread looks for an interrupt.
pub const POLL: Duration = Duration::from_millis(5);

/// Of the driver; the pool's threads have Rust's default.
const STACK: usize = 8 << 20;

/// What a computation may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads of the pool, at least 1.
    pub threads: usize,
    /// Memory budget in bytes.
    pub memory: usize,
}

impl Limits {
    /// The limits of the settings `empatia.threads` and `empatia.memory_limit`.
    pub fn from_settings() -> Self {
        Self {
            threads: guc::threads(),
            memory: guc::memory_limit(),
        }
    }
}

/// [`run_with`] the limits of the settings.
///
/// # Errors
/// As [`run_with`].
pub fn run_interruptible<R: Send>(work: impl FnOnce(&Context) -> Result<R, EngineError> + Send) -> Result<R> {
    run_with(Limits::from_settings(), work)
}

/// Runs `work` on the threads of a context of its own and waits for it.
///
/// `work` starts on a thread of the pool, so parallel iterators in it use the pool even without `Context::run`. It
/// must not call PostgreSQL, nor pgrx (no `notice!`, no settings): doing so panics in the thread and is reported as an
/// internal error. It has to call `Context::check` every few milliseconds.
///
/// # Errors
/// * what `work` returned, mapped to its SQLSTATE
/// * 53000 when the system refuses a thread
/// * XX000 with the message of a panic
/// * raised: a cancel, a timeout or a termination that arrived meanwhile
pub fn run_with<R: Send>(limits: Limits, work: impl FnOnce(&Context) -> Result<R, EngineError> + Send) -> Result<R> {
    // Makes this thread the one that pgrx admits. Were a thread of ours the first to call PostgreSQL, pgrx would admit
    // that one and abort when the backend's own calls next.
    pg_sys::submodules::thread_check::check_active_thread();
    wait_until_free();
    let cancel = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(Progress::default());
    let (running, ended) = channel::<()>();

    let outcome = thread::scope(|scope| {
        // Should the backend's thread unwind out of here, the scope still waits for the driver: tell it to stop.
        let _stop = CancelOnDrop(&cancel);
        let blocked = BlockedSignals::new()?;
        let driver = thread::Builder::new()
            .name("empatia-driver".into())
            .stack_size(STACK)
            .spawn_scoped(scope, || {
                // Dropped when the thread ends, however it ends.
                let _running = running;
                let context = Context::builder()
                    .threads(limits.threads)
                    .memory_budget(limits.memory)
                    .cancel_flag(Arc::clone(&cancel))
                    .progress(Arc::clone(&progress))
                    .build()?;
                context.run(|| work(&context))
            })
            .map_err(|e| {
                Error::new(
                    PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                    format!("cannot start a thread: {e}"),
                )
            })?;
        drop(blocked);
        watch(&ended, &cancel, &progress);
        driver.join().map_err(|panic| panicked(panic.as_ref()))
    });
    // Reports the interrupt that stopped the work in PostgreSQL's own words.
    check_for_interrupts!();
    Ok(outcome??)
}

/// A context whose threads are started with all signals blocked, for computations that go on between several calls.
///
/// # Errors
/// 53000 when the system refuses a thread.
pub fn start_context(limits: Limits) -> Result<Context> {
    // as in run_with
    pg_sys::submodules::thread_check::check_active_thread();
    wait_until_free();
    let _blocked = BlockedSignals::new()?;
    Ok(Context::builder()
        .threads(limits.threads)
        .memory_budget(limits.memory)
        .progress(Arc::default())
        .build()?)
}

thread_local! {
    /// Of the backend's own thread, taken once.
    static HERE: RefCell<Option<OwnThread>> = const { RefCell::new(None) };
}

/// A context without threads, for what takes a few milliseconds at most: [`compute`] does it here and now, and the backend looks for
/// interrupts only afterwards.
///
/// # Errors
/// XX000 when the backend's thread cannot be taken.
pub fn quick_context() -> Result<Context> {
    let own = HERE.with_borrow_mut(|here| match here {
        Some(own) => Ok::<_, EngineError>(own.clone()),
        None => Ok(here.insert(OwnThread::take()?).clone()),
    })?;
    Ok(Context::builder().on(&own).memory_budget(guc::memory_limit()).build()?)
}

/// Runs `work` on a thread of its own and, meanwhile, `take` on the backend's thread for each value that `work` sends:
/// `work` computes, `take` may write to the database. At most `queued` values wait to be taken.
///
/// `work` obeys the rules of [`run_with`], except that it starts outside the pool. Sending fails with `Cancelled` once
/// nobody takes any more. `context` is spent after an error.
///
/// # Errors
/// What `take` returned, else as [`run_with`]. Errors of PostgreSQL in `take` are raised after `work` has ended; only a
/// termination of the backend that PostgreSQL notices inside `take` ends the process with the threads.
pub fn run_feeding<T: Send, R: Send>(
    context: &Context,
    queued: usize,
    work: impl FnOnce(&mut dyn FnMut(T) -> Result<(), EngineError>) -> Result<R, EngineError> + Send,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<R> {
    let cancel = context.cancel_flag();
    let outcome = thread::scope(|scope| {
        let stop = CancelOnDrop(cancel);
        // Dropped before the scope waits, however this closure ends: a driver that is sending wakes up.
        let (sender, values) = sync_channel::<T>(queued);
        let driver = {
            let _blocked = BlockedSignals::new()?;
            thread::Builder::new()
                .name("empatia-driver".into())
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    work(&mut |value| sender.send(value).map_err(|_| EngineError::Cancelled))
                })
                .map_err(|e| {
                    Error::new(
                        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                        format!("cannot start a thread: {e}"),
                    )
                })?
        };
        let mut shown = Shown::default();
        loop {
            match values.recv_timeout(POLL) {
                Ok(value) => take(value)?,
                Err(RecvTimeoutError::Timeout) => look_for_interrupt(cancel),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            context.progress().into_iter().for_each(|progress| shown.look(progress));
        }
        let outcome = driver.join().map_err(|panic| panicked(panic.as_ref()))?;
        if outcome.is_ok() {
            std::mem::forget(stop);
        }
        Ok::<_, Error>(outcome)
    });
    check_for_interrupts!();
    Ok(outcome??)
}

/// Runs `work` on a thread of its own, with the threads of `context`, and waits for it: [`run_with`] for computations that go on
/// between several calls. With a [`quick_context`] on the backend's own.
///
/// # Errors
/// As [`run_with`].
pub fn compute<R: Send>(context: &Context, work: impl FnOnce() -> Result<R, EngineError> + Send) -> Result<R> {
    if context.is_on_own_thread() {
        return Ok(work()?);
    }
    run_feeding(
        context,
        0,
        |_: &mut dyn FnMut(()) -> Result<(), EngineError>| work(),
        |()| Ok(()),
    )
}

/// A thread that does one job after the other beside the backend's own; see [`beside`].
pub struct Beside<'a, J, D> {
    context: &'a Context,
    jobs: SyncSender<J>,
    done: Receiver<Result<D, EngineError>>,
    busy: bool,
}

impl<J, D> Beside<'_, J, D> {
    /// Gives the thread a job; the one before has to be finished.
    ///
    /// # Errors
    /// XX000 when it is not, or when the thread is gone.
    pub fn start(&mut self, job: J) -> Result<()> {
        if std::mem::replace(&mut self.busy, true) || self.jobs.send(job).is_err() {
            return Err(Error::internal("a thread took no job"));
        }
        Ok(())
    }

    /// What came of the job that was started, once it is done; none where none was.
    ///
    /// # Errors
    /// That of the job. Raised: a cancel, a timeout or a termination that arrived meanwhile.
    pub fn finish(&mut self) -> Result<Option<D>> {
        if !self.busy {
            return Ok(None);
        }
        let mut shown = Shown::default();
        loop {
            match self.done.recv_timeout(POLL) {
                Ok(done) => {
                    self.busy = false;
                    return Ok(Some(done?));
                }
                Err(RecvTimeoutError::Timeout) => look_for_interrupt(self.context.cancel_flag()),
                // it panicked: `beside` says how
                Err(RecvTimeoutError::Disconnected) => return Err(EngineError::Cancelled.into()),
            }
            self.context
                .progress()
                .into_iter()
                .for_each(|progress| shown.look(progress));
        }
    }
}

/// Runs `main` on the backend's thread; the jobs that it starts are done by `work` on a thread of its own, one at a time, which obeys the
/// rules of [`run_with`], except that it starts outside the pool. `context` is spent after an error.
///
/// # Errors
/// Those of `main` and of the jobs; 53000 when the system refuses a thread, XX000 with the message of a panic.
pub fn beside<J: Send, D: Send, R>(
    context: &Context,
    work: impl Fn(J) -> Result<D, EngineError> + Send,
    main: impl FnOnce(&mut Beside<'_, J, D>) -> Result<R>,
) -> Result<R> {
    let outcome = thread::scope(|scope| {
        let stop = CancelOnDrop(context.cancel_flag());
        let (jobs, taken) = sync_channel::<J>(1);
        let (give, done) = sync_channel::<Result<D, EngineError>>(1);
        let worker = {
            let _blocked = BlockedSignals::new()?;
            thread::Builder::new()
                .name("empatia-driver".into())
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    while let Ok(job) = taken.recv() {
                        if give.send(work(job)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|e| {
                    Error::new(
                        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                        format!("cannot start a thread: {e}"),
                    )
                })?
        };
        // dropped with what `main` borrows of it, however that ends: the worker waits for no more jobs
        let mut thread = Beside {
            context,
            jobs,
            done,
            busy: false,
        };
        let found = main(&mut thread);
        if found.is_ok() {
            std::mem::forget(stop);
        } else {
            drop(stop);
        }
        drop(thread);
        worker.join().map_err(|panic| panicked(panic.as_ref()))?;
        found
    });
    check_for_interrupts!();
    outcome
}

/// Waits for the driver's end; raises the cancel flag once the backend is asked to cancel or to terminate.
fn watch(ended: &Receiver<()>, cancel: &AtomicBool, progress: &Progress) {
    let mut shown = Shown::default();
    while ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        look_for_interrupt(cancel);
        shown.look(progress);
    }
}

fn look_for_interrupt(cancel: &AtomicBool) {
    if cancel_pending() {
        // Raised, not handled yet: that would leave while the threads are running.
        cancel.store(true, Ordering::Relaxed);
    } else {
        // Anything else is harmless (a barrier, a request to log memory contexts), or raises: see CancelOnDrop.
        check_for_interrupts!();
    }
}

/// Whether a cancel, a timeout or a termination waits to be handled.
fn cancel_pending() -> bool {
    // SAFETY: flags of the backend set by its signal handlers, hence volatile; they live as long as the process.
    unsafe {
        (&raw const pg_sys::InterruptPending).read_volatile() != 0
            && ((&raw const pg_sys::QueryCancelPending).read_volatile() != 0
                || (&raw const pg_sys::ProcDiePending).read_volatile() != 0)
    }
}

struct CancelOnDrop<'a>(&'a AtomicBool);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All signals blocked on the calling thread, and on the threads it starts, until dropped.
pub(super) struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    pub(super) fn new() -> Result<Self> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises `all`; pthread_sigmask initialises `before` where it returns 0.
        let (code, before) = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            let code = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            (code, (code == 0).then(|| before.assume_init()))
        };
        before.map(Self).ok_or_else(|| {
            Error::internal(format!(
                "cannot block signals: {}",
                std::io::Error::from_raw_os_error(code)
            ))
        })
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: restores the mask read in `new`; what arrived meanwhile is delivered now.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut());
        }
    }
}

/// The error for a panic on a thread.
fn panicked(payload: &(dyn Any + Send)) -> Error {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::internal(format!("computation failed: {message}"))
        .hint("This is a fault of the extension; the server log tells where it happened.")
}
