//! Rows with weights, and the recipe that turns raw features into what an algorithm sees.

mod dense_counts;
mod distinct;
mod look_up;
mod recipe;
mod vector_set;
mod weighted_rows;

pub use dense_counts::{DenseCounts, Universe};
pub use look_up::{CellKey, LookUp};
pub use recipe::{FeatureSpec, FittedFeature, Recipe, Transform};
pub use vector_set::VectorSet;
pub(crate) use weighted_rows::check_value;
pub use weighted_rows::{WeightedRows, MAX_MAGNITUDE};
