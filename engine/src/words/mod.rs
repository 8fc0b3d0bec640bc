//! What a feature of a row contributed, in words that a teacher reads: "poucos exercícios entregues (1 de 7)".
//!
//! The words are data ([`FeatureText`], a row of a table that users edit); here is only how they are put together: which of a
//! feature's texts fits a value, how numbers look in a language, singular and plural.

mod number;
mod phrasebook;
mod template;
mod verdict;

pub use number::Language;
pub use phrasebook::{FeatureText, Format, Phrasebook, Typical, Value};
pub use verdict::{reason_id, Dictionary, Judge, Verdict, REASONS};
