//! The algorithms by name.

use serde::{Deserialize, Serialize};

/// What to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    RandomForest,
    #[default]
    GradientBoosting,
    LogisticRegression,
    DecisionTree,
    /// A vote or a stack of several, their weights from predictions out of fold.
    Ensemble,
    /// The best out of fold of all algorithms and their ensembles.
    Auto,
}

impl Algorithm {
    /// All, as listed to users.
    pub const ALL: [Algorithm; 6] = [
        Self::RandomForest,
        Self::GradientBoosting,
        Self::LogisticRegression,
        Self::DecisionTree,
        Self::Ensemble,
        Self::Auto,
    ];

    /// Name, as serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::RandomForest => "random_forest",
            Self::GradientBoosting => "gradient_boosting",
            Self::LogisticRegression => "logistic_regression",
            Self::DecisionTree => "decision_tree",
            Self::Ensemble => "ensemble",
            Self::Auto => "auto",
        }
    }

    /// What it is made of unless told otherwise; the cheapest first, so that a short time budget has something to show.
    pub fn members(self) -> &'static [Algorithm] {
        match self {
            Self::RandomForest => &[Self::RandomForest],
            Self::GradientBoosting => &[Self::GradientBoosting],
            Self::LogisticRegression => &[Self::LogisticRegression],
            Self::DecisionTree => &[Self::DecisionTree],
            Self::Ensemble => &[Self::LogisticRegression, Self::GradientBoosting, Self::RandomForest],
            Self::Auto => &[
                Self::LogisticRegression,
                Self::GradientBoosting,
                Self::RandomForest,
                Self::DecisionTree,
            ],
        }
    }

    /// Whether it is one model, not a choice or a combination.
    pub fn is_single(self) -> bool {
        !matches!(self, Self::Ensemble | Self::Auto)
    }
}
