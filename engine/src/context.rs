//! What every long computation is given from the outside: threads, a memory budget, a cancel flag, a progress sink.
//!
//! Guarantees: work started through [`Context::run`] stays on the context's own rayon pool, never on rayon's global
//! one; reservations never add up to more than the budget; the cancel flag is seen by [`Context::check`] at once.
//! A context is cheap to clone, all clones share pool, budget, flag and progress. The threads are told to end when the
//! last clone is dropped, which does not wait for them; they are idle by then.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

use crate::error::{EngineError, Result};

/// Most threads a context accepts; beyond it a request is taken for a mistake.
pub const MAX_THREADS: usize = 1024;

/// Counters a computation moves and an observer reads, both without locks.
///
/// The unit is the computation's own (a start of K-Means, a chunk of facts, a tree). `total` may grow while the work
/// runs, so an observer shows `done / total` and promises nothing.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Units finished so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Units announced so far.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// The account behind the memory budget, shared by a context's clones and reservations.
#[derive(Debug)]
struct Account {
    budget: usize,
    in_use: AtomicUsize,
}

/// Bytes set aside in a context's budget; gives them back when dropped.
#[derive(Debug)]
#[must_use = "the bytes are released as soon as the reservation is dropped"]
pub struct Reservation {
    account: Arc<Account>,
    bytes: usize,
}

impl Reservation {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds `bytes` to this reservation.
    ///
    /// # Errors
    /// [`EngineError::Memory`] when they do not fit; what was held before stays held.
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        self.account.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.in_use.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Account {
    fn take(&self, bytes: usize) -> Result<()> {
        self.in_use
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |in_use| {
                in_use.checked_add(bytes).filter(|sum| *sum <= self.budget)
            })
            .map(|_| ())
            .map_err(|in_use| EngineError::Memory {
                needed: bytes,
                in_use,
                budget: self.budget,
            })
    }
}

/// The calling thread as the only thread of contexts: see [`ContextBuilder::on`].
#[derive(Debug, Clone)]
pub struct OwnThread(Arc<rayon::ThreadPool>);

impl OwnThread {
    /// Takes the calling thread, for as long as it lives: to be called once per thread, and kept.
    ///
    /// # Errors
    /// [`EngineError::ThreadPool`] when it was taken already.
    pub fn take() -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .use_current_thread()
            .build()
            .map_err(|e| EngineError::ThreadPool {
                threads: 1,
                reason: e.to_string(),
            })?;
        Ok(Self(Arc::new(pool)))
    }
}

/// Threads, memory budget, cancel flag and progress of one statement.
#[derive(Debug, Clone)]
pub struct Context {
    cancel: Arc<AtomicBool>,
    /// A second flag that stops this context, but not the one it was made from.
    until: Option<Arc<AtomicBool>>,
    pool: Arc<rayon::ThreadPool>,
    own_thread: bool,
    account: Arc<Account>,
    progress: Option<Arc<Progress>>,
}

/// Collects the parts of a [`Context`]; see [`Context::builder`].
#[derive(Debug, Clone)]
pub struct ContextBuilder {
    cancel: Arc<AtomicBool>,
    threads: usize,
    own: Option<OwnThread>,
    budget: usize,
    progress: Option<Arc<Progress>>,
}

impl ContextBuilder {
    /// No threads: the work is done at once by the one that `own` was taken from, which is the only one that may use the context.
    /// For what takes less time than starting a thread and waiting for it.
    pub fn on(mut self, own: &OwnThread) -> Self {
        self.own = Some(own.clone());
        self
    }

    /// Worker threads, 1..=[`MAX_THREADS`]. Default 1.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Memory budget in bytes. Default: no limit.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The flag that stops the computation once it is true. Default: a flag of its own.
    pub fn cancel_flag(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = flag;
        self
    }

    /// The counters the computation moves. Default: none.
    pub fn progress(mut self, progress: Arc<Progress>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Starts the worker threads, here and now, from the calling thread: they inherit its signal mask.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a thread count out of range, [`EngineError::ThreadPool`] when the
    /// operating system refuses the threads.
    pub fn build(self) -> Result<Context> {
        Ok(Context {
            own_thread: self.own.is_some(),
            pool: match &self.own {
                Some(own) => Arc::clone(&own.0),
                None => self.pool()?,
            },
            cancel: self.cancel,
            until: None,
            account: Arc::new(Account {
                budget: self.budget,
                in_use: AtomicUsize::new(0),
            }),
            progress: self.progress,
        })
    }

    fn pool(&self) -> Result<Arc<rayon::ThreadPool>> {
        if self.threads == 0 || self.threads > MAX_THREADS {
            return Err(EngineError::invalid(
                "threads",
                format!("between 1 and {MAX_THREADS}"),
                self.threads,
            ));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|index| format!("empatia-{index}"))
            .build();
        pool.map(Arc::new).map_err(|e| EngineError::ThreadPool {
            threads: self.threads,
            reason: e.to_string(),
        })
    }
}

impl Context {
    /// A builder with one thread, no memory limit, a cancel flag of its own and no progress sink.
    pub fn builder() -> ContextBuilder {
        ContextBuilder {
            cancel: Arc::new(AtomicBool::new(false)),
            threads: 1,
            own: None,
            budget: usize::MAX,
            progress: None,
        }
    }

    /// The cancel flag; storing true in it stops the computation at its next check.
    pub fn cancel_flag(&self) -> &Arc<AtomicBool> {
        &self.cancel
    }

    /// Whether it has no threads of its own: [`ContextBuilder::on`].
    pub fn is_on_own_thread(&self) -> bool {
        self.own_thread
    }

    /// Worker threads of the pool.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Memory budget in bytes.
    pub fn budget(&self) -> usize {
        self.account.budget
    }

    /// Bytes reserved at this moment.
    pub fn in_use(&self) -> usize {
        self.account.in_use.load(Ordering::Acquire)
    }

    /// Fails once the cancel flag is raised; call it per chunk of work (milliseconds, not seconds).
    ///
    /// # Errors
    /// [`EngineError::Cancelled`].
    pub fn check(&self) -> Result<()> {
        let raised = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        if raised(&self.cancel) || self.until.as_ref().is_some_and(raised) {
            Err(EngineError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// The same context, stopped also by `flag`: for work that a time budget may cut short. There is no clock in here,
    /// so whoever has one raises the flag; the original context goes on. A flag given before is replaced.
    pub fn until(&self, flag: Arc<AtomicBool>) -> Context {
        Context {
            until: Some(flag),
            ..self.clone()
        }
    }

    /// Sets `bytes` aside until the reservation is dropped. Call it before allocating: size first, then allocate.
    ///
    /// # Errors
    /// [`EngineError::Memory`] when the budget would be exceeded.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation> {
        self.account.take(bytes)?;
        Ok(Reservation {
            account: Arc::clone(&self.account),
            bytes,
        })
    }

    /// [`Context::reserve`] for `count` values of type `T`; a size that overflows is an error like any other.
    ///
    /// # Errors
    /// [`EngineError::Memory`].
    pub fn reserve_for<T>(&self, count: usize) -> Result<Reservation> {
        self.reserve(count.saturating_mul(size_of::<T>()))
    }

    /// Runs `work` on the context's pool: rayon calls inside it use these threads only.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// The progress sink.
    pub fn progress(&self) -> Option<&Arc<Progress>> {
        self.progress.as_ref()
    }

    /// Announces `units` of work to the progress sink.
    pub fn expect_work(&self, units: u64) {
        if let Some(progress) = &self.progress {
            progress.total.fetch_add(units, Ordering::Relaxed);
        }
    }

    /// Reports `units` of work as finished.
    pub fn work_done(&self, units: u64) {
        if let Some(progress) = &self.progress {
            progress.done.fetch_add(units, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_beyond_budget_reports_the_three_numbers() {
        let ctx = Context::builder().memory_budget(100).build().unwrap();
        let held = ctx.reserve(70).unwrap();
        match ctx.reserve(31) {
            Err(EngineError::Memory {
                needed: 31,
                in_use: 70,
                budget: 100,
            }) => {}
            other => panic!("{other:?}"),
        }
        let rest = ctx.reserve(30).unwrap();
        assert_eq!(ctx.in_use(), 100);
        drop(held);
        drop(rest);
        assert_eq!(ctx.in_use(), 0);
    }

    #[test]
    fn reserve_of_an_overflowing_size_is_refused_not_wrapped() {
        let ctx = Context::builder().memory_budget(usize::MAX - 1).build().unwrap();
        let _held = ctx.reserve(8).unwrap();
        assert!(matches!(
            ctx.reserve_for::<f64>(usize::MAX / 2),
            Err(EngineError::Memory { .. })
        ));
        assert!(matches!(ctx.reserve(usize::MAX - 4), Err(EngineError::Memory { .. })));
        assert_eq!(ctx.in_use(), 8);
    }

    #[test]
    fn grow_that_fails_keeps_what_was_held() {
        let ctx = Context::builder().memory_budget(10).build().unwrap();
        let mut held = ctx.reserve(4).unwrap();
        held.grow(6).unwrap();
        assert!(held.grow(1).is_err());
        assert_eq!((held.bytes(), ctx.in_use()), (10, 10));
        drop(held);
        assert_eq!(ctx.in_use(), 0);
    }

    #[test]
    fn budget_holds_under_concurrent_reservations() {
        let ctx = Context::builder().memory_budget(50).threads(4).build().unwrap();
        let granted: Vec<Option<Reservation>> = ctx.run(|| {
            use rayon::prelude::*;
            (0..1000).into_par_iter().map(|_| ctx.reserve(1).ok()).collect()
        });
        assert_eq!(granted.iter().flatten().count(), 50);
    }

    #[test]
    fn run_stays_on_the_private_pool() {
        let ctx = Context::builder().threads(3).build().unwrap();
        let (threads, name) = ctx.run(|| {
            let name = std::thread::current().name().unwrap_or("").to_owned();
            (rayon::current_num_threads(), name)
        });
        assert_eq!((threads, ctx.threads()), (3, 3));
        assert!(name.starts_with("empatia-"), "{name}");
    }

    #[test]
    fn own_thread_does_the_work_itself_and_for_one_context_after_the_other() {
        std::thread::spawn(|| {
            use rayon::prelude::*;
            let here = std::thread::current().id();
            let own = OwnThread::take().unwrap();
            for budget in [10, 20] {
                let ctx = Context::builder()
                    .threads(4)
                    .on(&own)
                    .memory_budget(budget)
                    .build()
                    .unwrap();
                let on: Vec<_> = ctx.run(|| (0..100).into_par_iter().map(|_| std::thread::current().id()).collect());
                assert!(on.iter().all(|thread| *thread == here));
                assert_eq!((ctx.threads(), ctx.budget(), ctx.is_on_own_thread()), (1, budget, true));
            }
            assert!(OwnThread::take().is_err());
            // other pools still work from here
            let others = Context::builder().threads(2).build().unwrap();
            let sum: usize = others.run(|| (0..1000usize).into_par_iter().sum());
            assert_eq!((sum, others.is_on_own_thread()), (499_500, false));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn cancel_flag_given_from_outside_is_seen() {
        let flag = Arc::new(AtomicBool::new(false));
        let ctx = Context::builder().cancel_flag(Arc::clone(&flag)).build().unwrap();
        assert!(ctx.check().is_ok());
        flag.store(true, Ordering::Relaxed);
        assert!(matches!(ctx.check(), Err(EngineError::Cancelled)));
    }

    #[test]
    fn time_budget_stops_the_part_and_not_the_whole() {
        let (ctx, flag) = (Context::builder().build().unwrap(), Arc::new(AtomicBool::new(false)));
        let part = ctx.until(Arc::clone(&flag));
        assert!(part.check().is_ok());
        flag.store(true, Ordering::Relaxed);
        assert!(matches!(part.check(), Err(EngineError::Cancelled)));
        assert!(ctx.check().is_ok());
        ctx.cancel_flag().store(true, Ordering::Relaxed);
        assert!(ctx.until(Arc::new(AtomicBool::new(false))).check().is_err());
    }

    #[test]
    fn thread_count_zero_is_refused() {
        assert!(matches!(
            Context::builder().threads(0).build(),
            Err(EngineError::InvalidParameter { name: "threads", .. })
        ));
    }

    #[test]
    fn progress_counts_what_was_announced_and_done() {
        let sink = Arc::new(Progress::default());
        let ctx = Context::builder().progress(Arc::clone(&sink)).build().unwrap();
        ctx.expect_work(5);
        ctx.clone().work_done(2);
        assert_eq!((sink.done(), sink.total()), (2, 5));
    }
}
