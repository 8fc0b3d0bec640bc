//! Histogram trees for classification: single trees, random forests, gradient boosting; explained exactly.
//!
//! Every feature is cut into at most 255 bins, and a bin for missing values whose side each split learns. Rows have
//! weights that count as repeats. Guarantees: a model depends on the rows, the parameters and the seed, not on the
//! number of threads, to the last bit; a single tree, and boosting without sampling, neither on the order of the rows,
//! and are for weighted rows what they are for the repeated rows; probabilities and margins are finite; decoding checks
//! everything, so that damaged bytes are an error.

mod alone;
mod bagging;
mod binned;
mod boosting;
mod boosting_params;
mod bootstrap;
mod categorical;
mod classify;
mod cuts;
mod decision;
mod edges;
mod ensemble;
mod exchange;
mod forest;
mod forest_params;
mod gini;
mod histogram;
mod importance;
mod leafwise;
mod linfa_traits;
mod node;
mod params;
mod parts;
mod passes;
mod quadrature;
mod recount;
mod rounds;
mod rules;
mod sample;
mod shap;
mod shap_rows;
mod shard;
mod storage;
mod table;

pub use binned::MAX_BINS;
pub use boosting::{FittedBoosting, GradientBoosting, ValidationSet};
pub use boosting_params::{BoostingParams, BoostingValidParams, Growth, MAX_LEAVES};
pub use categorical::{CategoryEncoder, CategoryLevels, OrderedTarget, UNKNOWN_CATEGORY};
pub use cuts::Cuts;
pub use decision::{DecisionTree, TreeParams, TreeValidParams};
pub use ensemble::Ensemble;
pub use exchange::TreeNode;
pub use forest::{FittedForest, RandomForest};
pub use forest_params::{ForestParams, ForestValidParams};
pub use importance::{permutation_importance, Importance, PermutationImportance};
pub use node::MAX_DEPTH;
pub use params::{ClassWeight, MaxFeatures, MAX_TREES};
pub(crate) use quadrature::gauss_legendre;
pub use rules::{Condition, Rule};
pub use shap::{Explainer, Explanation};
pub use table::{FeatureTable, TrainingSet, MAX_CLASSES, MAX_FEATURES};
