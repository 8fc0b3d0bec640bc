//! The recipe of a classifier: from a table of numbers and categories, with gaps, to columns of numbers.
//!
//! Everything it learns (medians, moments, levels, target means) it learns from the rows it is fitted on and keeps;
//! transforming other rows adds nothing. Cross-validation fits it inside each fold.

mod fit;
mod fitted;

pub use fitted::{Encoding, FittedColumn, FittedPreparation, Matrix, Output};

use serde::{Deserialize, Serialize};

use super::table::{Table, Values};
use super::{check_value, Transform};
use crate::error::{EngineError, Result};

/// What stands in for a missing number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impute {
    /// Nothing: NaN is passed on, for algorithms that treat it (trees).
    Keep,
    /// The weighted median of the training rows.
    Median,
    /// The weighted mean of the training rows.
    Mean,
    /// This number.
    Value(f64),
}

/// What happens to a column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Treatment {
    /// A number: imputed, transformed, then `scale`d to weighted mean 0 and population standard deviation 1 (a constant
    /// becomes 0). `indicator` adds a column, 1 where the number was missing, if it ever was in training.
    Numeric {
        transform: Transform,
        impute: Impute,
        scale: bool,
        indicator: bool,
    },
    /// A category: a 0/1 column per level. Levels of less than `min_weight`, and those beyond the `max_levels`
    /// heaviest, share one column, which also takes levels unseen in training; a missing category has a column of its
    /// own if there was one in training. Without such a column the row has 0 in all.
    OneHot { min_weight: f64, max_levels: usize },
    /// A category: the share of each class but the first among the rows of its level, drawn towards the share among
    /// all rows as if those were `smoothing` rows more. The training rows themselves get the share among the rows before
    /// them in a random order of the groups (ordered target statistics, Prokhorenkova et al. 2018), so that no row
    /// sees its own class or its group's. Missing and unseen levels get the share among all rows.
    TargetMean { smoothing: f64 },
}

/// A column as asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    pub name: String,
    pub treatment: Treatment,
}

/// The columns of a recipe in their order, and the seed of the order that target means need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    pub columns: Vec<ColumnSpec>,
    #[serde(default)]
    pub seed: u64,
}

impl Preparation {
    /// For trees: numbers as they are, missing ones too; categories of up to 8 levels one-hot, else target means.
    pub fn for_trees(table: &Table) -> Self {
        Self::of(table, |values| match values {
            Values::Numeric(_) => Treatment::Numeric {
                transform: Transform::Identity,
                impute: Impute::Keep,
                scale: false,
                indicator: false,
            },
            Values::Category { levels, .. } if levels.len() > 8 => Treatment::TargetMean { smoothing: 10.0 },
            Values::Category { .. } => Treatment::OneHot {
                min_weight: 0.0,
                max_levels: 8,
            },
        })
    }

    /// For linear models: numbers imputed by the median with an indicator, scaled; categories one-hot, levels of at
    /// least 5 rows, at most 50 of them.
    pub fn for_linear(table: &Table) -> Self {
        Self::of(table, |values| match values {
            Values::Numeric(_) => Treatment::Numeric {
                transform: Transform::Identity,
                impute: Impute::Median,
                scale: true,
                indicator: true,
            },
            Values::Category { .. } => Treatment::OneHot {
                min_weight: 5.0,
                max_levels: 50,
            },
        })
    }

    fn of(table: &Table, treatment: impl Fn(&Values) -> Treatment) -> Self {
        let spec = |column: &super::Column| ColumnSpec {
            name: column.name.clone(),
            treatment: treatment(&column.values),
        };
        Self {
            columns: table.columns().iter().map(spec).collect(),
            seed: 0,
        }
    }

    /// Whether the parameters are in their domains.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        super::recipe::check_names(self.columns.iter().map(|column| column.name.as_str()))?;
        for (index, column) in self.columns.iter().enumerate() {
            match column.treatment {
                Treatment::Numeric {
                    impute: Impute::Value(value),
                    ..
                } => check_value(value, 0, index)?,
                Treatment::Numeric { .. } => {}
                Treatment::OneHot { min_weight, max_levels } => {
                    at_least_zero("min_weight", min_weight)?;
                    if max_levels == 0 {
                        return Err(EngineError::invalid("max_levels", "at least 1", 0));
                    }
                }
                Treatment::TargetMean { smoothing } => at_least_zero("smoothing", smoothing)?,
            }
        }
        Ok(())
    }
}

fn at_least_zero(name: &'static str, found: f64) -> Result<()> {
    if found >= 0.0 && found.is_finite() {
        Ok(())
    } else {
        Err(EngineError::invalid(name, "finite and at least 0", found))
    }
}
