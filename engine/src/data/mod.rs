//! Rows with weights, tables with missing values, and the recipes that turn raw features into what an algorithm sees.

mod dense_counts;
mod distinct;
mod fingerprint;
pub(crate) mod labels;
mod look_up;
mod prepare;
mod recipe;
mod table;
mod vector_set;
mod weighted_rows;

pub use dense_counts::{DenseCounts, Universe};
pub use fingerprint::Fingerprint;
pub use labels::{Labels, MAX_CLASSES};
pub use look_up::{CellKey, LookUp};
pub use prepare::{
    ColumnSpec, Encoding, FittedColumn, FittedPreparation, Impute, Matrix, Output, Preparation, Treatment,
};
pub use recipe::{FeatureSpec, FittedFeature, Recipe, Transform};
pub use table::{Column, Table, Values, MISSING};
pub use vector_set::VectorSet;
pub(crate) use weighted_rows::check_value;
pub use weighted_rows::{WeightedRows, MAX_MAGNITUDE};
