//! How good a model is on rows it has not seen: splits, cross-validation, search.
//!
//! Guarantees: the recipe and the model of a fold are fitted on the fold's training rows only; folds depend on labels,
//! parameters and seed alone; data that do not suffice are refused with a [`Refusal`] before anything is fitted.

mod cross_validation;
mod folds;
mod group;
mod importance;
mod learner;
mod out_of_fold;
mod refusal;
mod scores;
mod search;
mod space;
mod time;

pub use cross_validation::{cross_validate, fit_all, CrossValidation, FoldReport, FoldView};
pub(crate) use folds::enough_rows;
pub use folds::{Fold, Folds, Split};
pub(crate) use importance::permutation_importance_of;
pub use importance::{permutation_importance, Importance};
pub use learner::{Classifier, Learner, Prepared};
pub use out_of_fold::{cross_fit, OutOfFold};
pub use refusal::Refusal;
pub use scores::{Metric, MetricSummary, Scores};
pub use search::{search, Budget, Ended, Plan, Search, Tried};
pub use space::{Candidate, Domain, Space, Value};
