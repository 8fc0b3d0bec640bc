//! Rows with weights, tables with missing values, and the recipes that turn raw features into what an algorithm sees.

mod distinct;
pub(crate) mod labels;
mod prepare;
mod recipe;
mod table;
mod weighted_rows;

pub use labels::{Labels, MAX_CLASSES};
pub use prepare::{
    ColumnSpec, Encoding, FittedColumn, FittedPreparation, Impute, Matrix, Output, Preparation, Treatment,
};
pub use recipe::{FeatureSpec, FittedFeature, Recipe, Transform};
pub use table::{Column, Table, Values, MISSING};
pub(crate) use weighted_rows::check_value;
pub use weighted_rows::{WeightedRows, MAX_MAGNITUDE};
