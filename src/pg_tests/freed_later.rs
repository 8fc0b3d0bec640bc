//! What is dropped aside: by another thread, whole, and before anything else computes.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::{channel, Sender};
    use std::thread;
    use std::time::Duration;

    use empatia_engine::context::{Context, Reservation};
    use pgrx::prelude::*;

    use crate::error::Result;
    use crate::pg::freed_later::{FreedLater, Pages};
    use crate::pg::temp_file::TempFile;
    use crate::pg::threads::{start_context, Limits};

    /// Takes its time, and says who dropped it and which signals that thread blocks.
    struct Slow {
        told: Sender<(Option<String>, String)>,
        _held: Reservation,
    }

    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(50));
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
            let blocked = status
                .lines()
                .find(|line| line.starts_with("SigBlk:"))
                .unwrap_or_default();
            let name = thread::current().name().map(str::to_owned);
            let _ = self.told.send((name, blocked.to_owned()));
        }
    }

    fn budget() -> Result<Context> {
        start_context(Limits {
            threads: 1,
            memory: 1000,
        })
    }

    // Fault: the backend spends the time itself; a signal's handler runs on the thread; memory counts as free before it is; a second
    // computation takes its own memory beside that which is not free yet.
    #[pg_test]
    fn what_is_aside_is_dropped_by_a_thread_of_its_own_and_counted_until_then() -> Result<()> {
        let context = budget()?;
        let (told, heard) = channel();
        for told in [told.clone(), told] {
            drop(FreedLater::new(Slow {
                told,
                _held: context.reserve(400)?,
            }));
        }
        assert!(heard.try_recv().is_err(), "it was dropped at once");
        assert_eq!(context.in_use(), 800);
        let _next = budget()?;
        assert_eq!(context.in_use(), 0);
        let found: Vec<_> = heard.try_iter().collect();
        assert_eq!(found.len(), 2);
        for (name, blocked) in found {
            assert_eq!(name.as_deref(), Some("empatia-free"));
            // all but the two that no process can block (9 and 19), and those that the C library keeps for itself (32 and 33)
            assert!(blocked.ends_with("fffffffe7ffbfeff"), "{blocked}");
        }
        Ok(())
    }

    // Fault: memory that somebody waits for is freed some time.
    #[pg_test]
    fn what_is_freed_is_gone_at_once() -> Result<()> {
        let context = budget()?;
        let (told, heard) = channel();
        let held = FreedLater::new(Slow {
            told,
            _held: context.reserve(1000)?,
        });
        held.free();
        assert_eq!((context.in_use(), heard.try_iter().count()), (0, 1));
        Ok(())
    }

    /// Descriptors of this process of files that are removed, with this in their names.
    fn removed_but_open(name: &str) -> usize {
        let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let paths = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        paths
            .filter(|path| {
                let path = path.to_string_lossy();
                path.contains(name) && path.ends_with("(deleted)")
            })
            .count()
    }

    /// Whether it becomes true within two seconds.
    fn soon(mut is_so: impl FnMut() -> bool) -> bool {
        (0..200).any(|_| {
            is_so() || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        })
    }

    // Fault: the descriptor is closed before the file is removed, which then frees the pages itself; or never.
    #[pg_test]
    fn pages_are_kept_until_the_file_is_removed_and_no_longer() -> Result<()> {
        let name = format!("empatia_aside_{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let file = File::create(&path).unwrap();
        let pages = Pages::of(Some(file.try_clone().unwrap()));
        drop(file);
        drop(pages);
        thread::sleep(Duration::from_millis(30));
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let held = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        assert_eq!(held.filter(|found| *found == path).count(), 1);
        std::fs::remove_file(&path).unwrap();
        assert!(soon(|| removed_but_open(&name) == 0));
        Ok(())
    }

    // Fault: a descriptor of each temporary file stays open, with all its pages, as long as the session lives.
    #[pg_test]
    fn temporary_files_leave_no_descriptor() -> Result<()> {
        let own = format!("pgsql_tmp{}.", std::process::id());
        for _ in 0..3 {
            let mut file = TempFile::create();
            file.append(&[7; 100_000])?;
            let reader = file.reader()?;
            file.close();
            let mut found = [0; 10];
            reader.read(99_990, &mut found).unwrap();
            assert_eq!(found, [7; 10]);
        }
        assert!(soon(|| removed_but_open(&own) == 0));
        Ok(())
    }
}
