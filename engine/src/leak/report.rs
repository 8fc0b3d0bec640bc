//! What was found.

use serde::{Deserialize, Serialize};

/// How a column gives the target away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakKind {
    /// The target is computed from it.
    Target,
    /// Each of its values stands for one class.
    Code,
    /// Alone.
    Single,
    /// By being filled in or not.
    Presence,
    /// As the difference of two numbers.
    Difference,
    /// As the sum of two numbers.
    Sum,
    /// With another column.
    Pair,
    /// With the other columns it gives a leaking column back.
    Carrier,
    /// It is a function of a leaking column.
    Derived,
}

/// One way in which the target is given away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    pub kind: LeakKind,
    /// One column, or two.
    pub columns: Vec<String>,
    /// Area under the ROC curve out of fold, of the class that is told best from the others.
    pub auc: Option<f64>,
    /// The same without the column, for a carrier.
    pub auc_without: Option<f64>,
    /// The leaking column that it carries or is a function of.
    pub through: Option<String>,
    /// Whether the caller said that it is none.
    pub allowed: bool,
    /// In words.
    pub pt: String,
    pub en: String,
}

/// What the guard found and what it did not look at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LeakReport {
    /// In the order in which they were found.
    pub leaks: Vec<Leak>,
    /// The columns not to train on, in the order of the table.
    pub excluded: Vec<String>,
    /// AUC from which a prediction counts as given away.
    pub limit: f64,
    /// Rows looked at.
    pub rows: usize,
    pub pairs_tested: usize,
    /// Pairs not looked at for want of budget, those of the weakest columns.
    pub pairs_left_out: usize,
    /// AUC out of fold of a linear model on the columns that are left; none where no leak was found before.
    pub joint_auc: Option<f64>,
    /// Columns that the linear model had no room for.
    pub joint_left_out: usize,
}
