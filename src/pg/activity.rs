//! What a long statement is at, for other sessions: a comment in front of its own text in `pg_stat_activity.query`.

use std::cell::RefCell;
use std::ffi::CString;
use std::time::{Duration, Instant};

use empatia_engine::context::Progress;
use pgrx::prelude::*;

/// How often a computation shows how far it is.
const EVERY: Duration = Duration::from_millis(500);

thread_local! {
    /// What [`show`] was last told, and by which statement of the client: what a failed one leaves behind is not the next one's.
    static PHASE: RefCell<(pg_sys::TimestampTz, String)> = const { RefCell::new((0, String::new())) };
}

/// Shows `phase` until the next call, or the end of the statement; `None` gives the statement its own text back.
pub fn show(phase: Option<&str>) {
    // SAFETY: a static of the backend, set when the statement arrived.
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    PHASE.with_borrow_mut(|shown| *shown = (statement, phase.unwrap_or_default().to_owned()));
    report(phase);
}

/// How far a computation is, beside what [`show`] said it is for. Dropped, the phase alone is shown again.
pub struct Shown {
    at: Instant,
    done: Option<u64>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            at: Instant::now(),
            done: None,
        }
    }
}

impl Shown {
    /// Shows `progress`, where it has moved and some time has passed.
    pub fn look(&mut self, progress: &Progress) {
        let (done, total) = (progress.done(), progress.total());
        if total == 0 || self.done == Some(done) || self.at.elapsed() < EVERY {
            return;
        }
        (self.at, self.done) = (Instant::now(), Some(done));
        let phase = phase();
        let between = if phase.is_empty() { "" } else { ": " };
        report(Some(&format!("{phase}{between}{done} of {total} done")));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if self.done.is_some() {
            let phase = phase();
            report((!phase.is_empty()).then_some(&phase));
        }
    }
}

fn phase() -> String {
    // SAFETY: as in `show`.
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    PHASE.with_borrow(|shown| {
        if shown.0 == statement {
            shown.1.clone()
        } else {
            String::new()
        }
    })
}

/// The statement's own text, `text` in a comment before it, where a text that is cut off keeps it.
fn report(text: Option<&str>) {
    // SAFETY: the text of the client's statement, or null in a background worker; it lives as long as the statement.
    let own = unsafe {
        let own = pg_sys::debug_query_string;
        if own.is_null() {
            &[]
        } else {
            std::ffi::CStr::from_ptr(own).to_bytes()
        }
    };
    let mut shown = Vec::new();
    if let Some(text) = text {
        // an end of the comment inside it would make the rest look like SQL
        shown.extend(format!("/* empatia: {} */ ", text.replace("*/", "* /")).into_bytes());
    }
    shown.extend(own);
    shown.retain(|byte| *byte != 0);
    let Ok(shown) = CString::new(shown) else { return };
    // SAFETY: writes the text into this backend's own entry, which cuts it where it is too long; the identifier of the query, which
    // that clears, is put back.
    unsafe {
        let id = pg_sys::pgstat_get_my_query_id();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, shown.as_ptr());
        pg_sys::pgstat_report_query_id(id, true);
    }
}
