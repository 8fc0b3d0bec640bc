//! The leak guard: columns that give the target away, found before a model is trained on them.
//!
//! A column leaks when it, or it with one other, predicts the target nearly perfectly on rows that it was not counted on; when,
//! with the other columns, it gives such a column back; when it is a code of such a column. Guarantees: every verdict is out of
//! fold, rows of a group on one side; the result depends on rows and settings, not on the number of threads; what was left untested
//! for want of budget is counted.

mod bins;
mod carrier;
mod cells;
mod codes;
mod design;
mod guard;
mod pairs;
mod report;
mod rows;
mod words;

pub use guard::LeakGuard;
pub use report::{Leak, LeakKind, LeakReport};
