//! A classifier of any table at work: what is given of one case, in whatever spelling, becomes a row; why it has its score, in words;
//! how far later rows are from those of the training.

mod drift;
mod factors;
mod input;
mod name;
mod schema;

pub use drift::{drift, score_drift, Drift, Levels, Shift};
pub use factors::{factors, Factor, Language};
pub use input::{Input, Refused};
pub use name::folded;
pub use schema::{FieldKind, Schema, SchemaColumn};
