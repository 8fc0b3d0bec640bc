//! Features of the cube's rows: what a classifier sees of a member of a unit in a period.
//!
//! A row knows its period and the ones before it, never a later one, and of the other members the same. Rows of members who
//! did nothing in the whole window differ only by unit, period, number of assignments and attributes, so
//! [`UnitRows`] gives them as groups: its work is proportional to the stored cells, not to the dense cube.

mod attributes;
mod cell;
mod coverage;
mod fill;
mod kinds;
mod layout;
mod model;
mod ranks;
mod recipe;
mod student_folds;
mod summary;
mod target;
mod training_rows;
mod unit;
mod vectors;
mod work;

pub use attributes::{Attribute, Attributes};
pub use cell::{Cell, Member};
pub use coverage::FirstUse;
pub use model::CubeModel;
pub use recipe::{Basis, FeatureRecipe, ACTIVITY_IN, COUNTS, GRADE_AVG, MAX_HISTORY};
pub use student_folds::Census;
pub use summary::UnitSummary;
pub use target::{SegmentClasses, Shared, Target, ACTIVE_CLASSES};
pub use training_rows::{TrainingRows, TrainingSet};
pub use unit::{OwnRow, SharedRows, UnitRows};
pub use vectors::FeatureVectors;
pub use work::{Assignment, Details, KindUse};
