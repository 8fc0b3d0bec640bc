//! What takes long to take apart is taken apart by a thread of its own.
//!
//! A session that was cancelled owns up to `empatia.memory_limit` of facts, and files that nobody needs any more; their memory and their pages are freed one by
//! one, which takes tenths of a second. Guarantees: such a thread touches nothing but what it was given, and starts with all signals
//! blocked, as the engine's do; memory is freed by one at a time, and the next computation of the session waits for it, so that the old memory and
//! the new are never there together; where the system refuses a thread, all is dropped at once. A process that ends meanwhile just ends.

use std::cell::RefCell;
use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::threads::BlockedSignals;

thread_local! {
    /// The thread at work, of the backend's own.
    static BESIDE: RefCell<Option<JoinHandle<()>>> = const { RefCell::new(None) };
}

/// A value that is dropped by another thread.
#[derive(Debug)]
pub struct FreedLater<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> FreedLater<T> {
    /// Wraps it.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Drops it here and now, for those who need the room.
    pub fn free(mut self) {
        drop(self.0.take());
    }
}

impl<T: Send + 'static> Deref for FreedLater<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            // only `free` and `drop` take it, and both end this
            None => unreachable!(),
        }
    }
}

impl<T: Send + 'static> DerefMut for FreedLater<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(value) => value,
            None => unreachable!(),
        }
    }
}

impl<T: Send + 'static> Drop for FreedLater<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            beside(move || drop(value));
        }
    }
}

/// Waits until everything that was put aside is gone.
pub fn wait_until_free() {
    if let Some(thread) = BESIDE.take() {
        // a panic in there has freed what it could
        let _ = thread.join();
    }
}

/// Another name of an open file, which keeps its pages until the file is removed and closed elsewhere: removing it takes no time then, and the
/// pages are freed by another thread.
#[derive(Debug)]
pub struct Pages(Option<File>);

impl Pages {
    /// How long its removal may take: whoever drops this is about to.
    const REMOVAL: Duration = Duration::from_secs(10);
    const LOOK: Duration = Duration::from_millis(2);

    /// Of a file; none where there is no descriptor left.
    pub fn of(file: Option<File>) -> Self {
        Self(file)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            // waits for the session, so the session does not wait for it
            start(move || {
                let looks = Self::REMOVAL.as_millis() / Self::LOOK.as_millis();
                // closed before its name is gone, it would have its pages still
                for _ in 0..looks {
                    if file.metadata().map_or(true, |about| about.nlink() == 0) {
                        break;
                    }
                    thread::sleep(Self::LOOK);
                }
            });
        }
    }
}

/// Has a thread do `work` after what it does already; without one, does it.
fn beside(work: impl FnOnce() + Send + 'static) {
    let before = BESIDE.take();
    let in_order = move || {
        if let Some(before) = before {
            let _ = before.join();
        }
        work();
    };
    BESIDE.set(start(in_order));
}

/// A thread of ours. What cannot be started is dropped, and with it what it was to drop.
fn start(work: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    let _blocked = BlockedSignals::new().ok()?;
    thread::Builder::new().name("empatia-free".into()).spawn(work).ok()
}
