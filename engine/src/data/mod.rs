//! Rows with weights, and the recipe that turns raw features into what an algorithm sees.

mod distinct;
mod recipe;
mod weighted_rows;

pub use recipe::{FeatureSpec, FittedFeature, Recipe, Transform};
pub(crate) use weighted_rows::check_value;
pub use weighted_rows::{WeightedRows, MAX_MAGNITUDE};
