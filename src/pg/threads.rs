//! Long computations on threads, with the backend's own thread free to notice interrupts.
//!
//! Guarantees: the threads are started with all signals blocked, so a signal for the backend never runs a handler of
//! PostgreSQL on one of them; the computation has ended before control returns to PostgreSQL; a cancel, a timeout or
//! a termination raises the engine's cancel flag within [`POLL`]; a panic on a thread is an error, not an abort. What the computation
//! says of its progress, other sessions see.

use std::any::Any;
use std::cell::OnceCell;
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, sync_channel, Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use empatia_engine::context::{Context, Progress};
use empatia_engine::error::EngineError;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::guc;
use crate::pg::activity::Shown;

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

thread_local! {
    /// One thread, started at the first call of [`run_kept`].
    static KEPT: OnceCell<Context> = const { OnceCell::new() };
}

fn kept(limits: Limits) -> Result<Context> {
    KEPT.with(|kept| {
        if let Some(context) = kept.get() {
            return Ok(context.renewed(limits.memory));
        }
        let context = start_context(Limits { threads: 1, ..limits })?;
        Ok(kept.get_or_init(|| context).renewed(limits.memory))
    })
}

/// [`run_with`] for computations of about a millisecond: on one thread that the session keeps, since starting two would take longer.
///
/// # Errors
/// As [`run_with`].
pub fn run_kept<R: Send>(work: impl FnOnce(&Context) -> Result<R, EngineError> + Send) -> Result<R> {
    // as in run_with
    pg_sys::submodules::thread_check::check_active_thread();
    let context = kept(Limits::from_settings())?;
    let (running, ended) = channel::<()>();
    let mut outcome = None;
    let (place, of_work) = (&mut outcome, &context);
    context.in_place_scope(|scope| {
        // Should the backend's thread unwind out of here, the scope still waits for the work: tell it to stop.
        let _stop = CancelOnDrop(of_work.cancel_flag());
        scope.spawn(move |_| {
            // Dropped when the work ends, however it ends.
            let _running = running;
            *place = Some(catch_unwind(AssertUnwindSafe(|| work(of_work))));
        });
        let progress = of_work.progress().cloned().unwrap_or_default();
        watch(&ended, of_work.cancel_flag(), &progress);
    });
    check_for_interrupts!();
    match outcome {
        Some(Ok(outcome)) => Ok(outcome?),
        Some(Err(panic)) => Err(panicked(panic.as_ref())),
        None => Err(Error::internal("a computation has not begun")),
    }
}

/// A context whose threads are started with all signals blocked, for computations that go on between several calls.
///
/// # Errors
/// 53000 when the system refuses a thread.
pub fn start_context(limits: Limits) -> Result<Context> {
    // as in run_with
    pg_sys::submodules::thread_check::check_active_thread();
    let _blocked = BlockedSignals::new()?;
    Ok(Context::builder()
        .threads(limits.threads)
        .memory_budget(limits.memory)
        .progress(Arc::default())
        .build()?)
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
/// between several calls.
///
/// # Errors
/// As [`run_with`].
pub fn compute<R: Send>(context: &Context, work: impl FnOnce() -> Result<R, EngineError> + Send) -> Result<R> {
    run_feeding(
        context,
        0,
        |_: &mut dyn FnMut(()) -> Result<(), EngineError>| work(),
        |()| Ok(()),
    )
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
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Result<Self> {
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
