//! Computations on threads: cancelled in time, contained when they panic, away from the backend's signals.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::Mutex;
    use std::thread;
    use std::time::{Duration, Instant};

    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;
    use pgrx::PgSqlErrorCode;

    use crate::error::Error;
    use crate::pg::threads::{beside, compute, quick_context, run_interruptible, run_with, start_context, Limits};
    use empatia_engine::error::EngineError;

    const TWO: Limits = Limits {
        threads: 2,
        memory: 1000,
    };

    /// Milliseconds from the signal to the end of the last computation of `cancel_myself`.
    static NOTICED_AFTER: AtomicU64 = AtomicU64::new(u64::MAX);

    /// Sends this backend `signal` from a worker, then computes until told to stop (10 s at most).
    #[pg_extern]
    fn cancel_myself(signal: &str) -> Result<bool, ErrorReport> {
        Ok(run_interruptible(|context| {
            let status = Command::new("kill")
                .args([signal, &std::process::id().to_string()])
                .status()
                .map_err(|e| EngineError::invalid("kill", "available", e))?;
            assert!(status.success());
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(10) {
                if let Err(cancelled) = context.check() {
                    let elapsed = start.elapsed().as_millis() as u64;
                    NOTICED_AFTER.store(elapsed, Ordering::Relaxed);
                    return Err(cancelled);
                }
                std::hint::spin_loop();
            }
            Ok(false)
        })?)
    }

    /// Computes for `seconds` unless cancelled.
    #[pg_extern]
    fn spin(seconds: f64) -> Result<bool, ErrorReport> {
        Ok(run_interruptible(|context| {
            let start = Instant::now();
            while start.elapsed().as_secs_f64() < seconds {
                context.check()?;
                std::hint::spin_loop();
            }
            Ok(true)
        })?)
    }

    #[pg_test]
    fn threads_cancel_is_noticed_within_a_tenth_of_a_second() {
        Spi::run(
            "DO $$ BEGIN PERFORM tests.cancel_myself('-INT'); RAISE 'not cancelled';
             EXCEPTION WHEN query_canceled THEN
               IF sqlerrm <> 'canceling statement due to user request' THEN RAISE '%', sqlerrm; END IF;
             END $$",
        )
        .unwrap();
        let elapsed = NOTICED_AFTER.load(Ordering::Relaxed);
        assert!(elapsed <= 100, "noticed after {elapsed} ms");
    }

    #[pg_test]
    fn threads_signal_that_is_no_cancel_does_not_stop_the_computation() {
        // SIGUSR1 with nothing to say: the computation must run to its end
        let result = run_interruptible(|context| {
            let status = Command::new("kill")
                .args(["-USR1", &std::process::id().to_string()])
                .status();
            assert!(status.is_ok_and(|s| s.success()));
            thread::sleep(Duration::from_millis(50));
            context.check().map(|()| 7)
        });
        assert_eq!(result.unwrap(), 7);
    }

    #[pg_test(error = "computation failed: broken by the test")]
    fn threads_panic_of_the_computation_is_an_error() {
        let result = run_with(TWO, |_| -> Result<(), EngineError> { panic!("broken by the test") });
        ErrorReport::from(result.unwrap_err()).report(PgLogLevel::ERROR);
    }

    #[pg_test]
    fn threads_beside_do_one_job_after_the_other_and_say_what_went_wrong() {
        let context = start_context(TWO).unwrap();
        let double = |job: i32| match job {
            13 => Err(EngineError::EmptyInput { what: "job" }),
            14 => panic!("broken by job {job}"),
            job => Ok(2 * job),
        };
        let found = beside(&context, double, |thread| {
            let mut found = vec![thread.finish()?];
            for job in 1..4 {
                thread.start(job)?;
                found.push(thread.finish()?);
            }
            thread.start(5)?;
            assert!(thread.start(6).is_err());
            Ok(found)
        });
        assert_eq!(found.unwrap(), [None, Some(2), Some(4), Some(6)]);
        for (job, message) in [(13, "job"), (14, "broken by job 14")] {
            let context = start_context(TWO).unwrap();
            let failed = beside(&context, double, |thread| {
                thread.start(job)?;
                thread.finish()
            });
            assert!(failed.unwrap_err().to_string().contains(message));
        }
        // what is not waited for ends before the function does
        let context = start_context(TWO).unwrap();
        let endless = |_: i32| -> Result<i32, EngineError> {
            loop {
                context.check()?;
            }
        };
        let failed = beside(&context, endless, |thread| {
            thread.start(1)?;
            Err::<i32, _>(Error::internal("something else"))
        });
        assert!(failed.unwrap_err().to_string().contains("something else"));
    }

    #[pg_test]
    fn threads_are_not_started_for_what_is_quick() {
        let here = thread::current().id();
        for _ in 0..2 {
            let context = quick_context().unwrap();
            let on = compute(&context, || Ok(context.run(|| thread::current().id()))).unwrap();
            assert_eq!(on, here);
            assert_eq!(context.budget(), crate::guc::memory_limit());
        }
        // other threads still work beside it
        let two = run_with(TWO, |context| Ok(context.run(|| thread::current().id()))).unwrap();
        assert_ne!(two, here);
    }

    #[pg_test]
    fn threads_panic_leaves_a_working_backend() {
        for _ in 0..3 {
            let error = run_with(TWO, |context| -> Result<(), EngineError> {
                context.run(|| panic!("broken {}", "again"))
            })
            .unwrap_err();
            assert_eq!(error.to_string(), "computation failed: broken again");
        }
        assert_eq!(run_with(TWO, |_| Ok(1)).unwrap(), 1);
        assert_eq!(Spi::get_one::<i32>("SELECT 2").unwrap(), Some(2));
    }

    #[pg_test]
    fn threads_call_to_postgres_from_a_worker_is_an_error_not_an_abort() {
        let error = run_with(TWO, |_| {
            pgrx::notice!("from a worker");
            Ok(())
        })
        .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("postgres FFI may not be called from multiple threads"),
            "{error}"
        );
    }

    #[pg_test]
    fn threads_computation_runs_on_the_private_pool() {
        let names = Mutex::new(BTreeSet::new());
        let note = || {
            let name = thread::current().name().unwrap_or("unnamed").to_owned();
            names.lock().unwrap().insert(name);
        };
        run_with(TWO, |context| {
            note();
            context.run(note);
            assert_eq!((context.threads(), context.budget()), (2, 1000));
            Ok(())
        })
        .unwrap();
        let names = names.into_inner().unwrap();
        assert!(
            names
                .iter()
                .all(|name| ["empatia-0", "empatia-1"].contains(&name.as_str())),
            "{names:?}"
        );
    }

    /// The signals that the calling thread blocks, a bit each.
    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    }

    #[pg_test]
    fn threads_block_every_signal_and_the_backend_gets_its_mask_back() {
        let before = blocked();
        let in_pool = run_with(TWO, |_| Ok(blocked())).unwrap();
        // HUP 1, INT 2, QUIT 3, USR1 10, USR2 12, ALRM 14, TERM 15, CHLD 17, URG 23
        for signal in [1, 2, 3, 10, 12, 14, 15, 17, 23] {
            assert!(in_pool & (1 << (signal - 1)) != 0, "signal {signal} reaches a worker");
        }
        assert_eq!(blocked(), before);
        assert_eq!(before & (1 << 1), 0, "the backend itself must receive SIGINT");
    }

    #[pg_test]
    fn threads_memory_beyond_the_budget_names_the_setting() {
        let error = run_with(TWO, |context| context.reserve(5 << 20).map(|_| ())).unwrap_err();
        let report = error.report();
        assert_eq!(
            error.to_string(),
            "memory required is 5 MB, empatia.memory_limit is 1 MB"
        );
        assert!(report.hint().unwrap().contains("Raise empatia.memory_limit"));
    }

    #[pg_test]
    fn threads_engine_errors_keep_their_sqlstate() {
        let state = |error: EngineError| {
            let text = ErrorReport::from(Error::from(error)).to_string();
            text.split(':').next().unwrap_or("").to_owned()
        };
        let invalid = state(EngineError::invalid("k", "between 1 and 64", 0));
        assert_eq!(invalid, PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE.to_string());
        assert_eq!(
            state(EngineError::Cancelled),
            PgSqlErrorCode::ERRCODE_QUERY_CANCELED.to_string()
        );
        assert_eq!(
            Error::from(EngineError::invalid("k", "between 1 and 64", 0)).to_string(),
            "k must be between 1 and 64, not 0"
        );
    }
}
