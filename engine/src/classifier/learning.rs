//! An algorithm with its hyperparameters: defaults for the rows at hand, what was asked for on top, checked.

use linfa::ParamGuard;
use serde::de::DeserializeOwned;
use serde_json::{json, Map, Value};

use super::algorithm::Algorithm;
use super::fitted::{reserve_features, Fitted};
use super::rounds;
use super::training::{ClassWeighting, Imputation, Training};
use crate::context::Context;
use crate::data::{ColumnSpec, Impute, Labels, Preparation, Table, Transform, Treatment, Values};
use crate::error::{EngineError, Result};
use crate::linear::LogisticParams;
use crate::tree::{BoostingParams, FeatureTable, ForestParams, TrainingSet, TreeParams};
use crate::validate::{Candidate, Learner, Split};

/// A single algorithm ready to be fitted.
#[derive(Debug, Clone)]
pub(super) struct Learning {
    pub(super) algorithm: Algorithm,
    /// What was asked for; the rest has its default.
    asked: Map<String, Value>,
    balanced: bool,
    impute: Imputation,
    /// Whether the rounds of boosting are chosen on the latest periods.
    by_time: bool,
    /// Columns of the table, before categories become several; 0: not known yet.
    columns: usize,
    seed: u64,
}

impl Learning {
    /// Checks names and domains of `asked`.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] that lists the valid names, or says the domain.
    pub(super) fn new(algorithm: Algorithm, asked: &Map<String, Value>, training: &Training) -> Result<Self> {
        let learning = Self {
            algorithm,
            asked: asked.clone(),
            balanced: training.class_weight == ClassWeighting::Balanced,
            impute: training.impute,
            by_time: matches!(training.split, Split::Time { .. }),
            columns: 0,
            seed: training.seed,
        };
        learning.check_names(asked.keys())?;
        learning.check()?;
        Ok(learning)
    }

    /// With defaults for a table of so many columns.
    pub(super) fn for_columns(mut self, columns: usize) -> Self {
        self.columns = columns;
        self
    }

    /// With the values of `candidate` instead.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub(super) fn with(&self, candidate: &Candidate) -> Result<Self> {
        let mut learning = self.clone();
        for (name, value) in candidate {
            let value = serde_json::to_value(value).unwrap_or(Value::Null);
            learning.asked.insert(name.clone(), value);
        }
        learning.check()?;
        Ok(learning)
    }

    /// Whether all of `names` are hyperparameters of this algorithm.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] that lists the valid names.
    pub(super) fn check_names<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> Result<()> {
        let valid = self.valid_names();
        match names.find(|name| !valid.contains(name)) {
            None => Ok(()),
            Some(unknown) => {
                let expected = format!("one of {}", valid.join(", "));
                Err(EngineError::invalid(self.what(), expected, format!("{unknown:?}")))
            }
        }
    }

    fn what(&self) -> &'static str {
        match self.algorithm {
            Algorithm::RandomForest => "parameter of random_forest",
            Algorithm::GradientBoosting => "parameter of gradient_boosting",
            Algorithm::LogisticRegression => "parameter of logistic_regression",
            Algorithm::DecisionTree => "parameter of decision_tree",
            Algorithm::Ensemble | Algorithm::Auto => "parameter",
        }
    }

    /// The names that this algorithm knows.
    fn valid_names(&self) -> Vec<String> {
        let all = match self.algorithm {
            Algorithm::RandomForest => serde_json::to_value(crate::tree::ForestValidParams::default()),
            Algorithm::GradientBoosting => serde_json::to_value(crate::tree::BoostingValidParams::default()),
            Algorithm::DecisionTree => serde_json::to_value(crate::tree::TreeValidParams::default()),
            _ => serde_json::to_value(LogisticParams::default()),
        };
        match all {
            Ok(Value::Object(all)) => all.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    fn check(&self) -> Result<()> {
        match self.algorithm {
            Algorithm::RandomForest => self.decode::<ForestParams>(1_000.0)?.check().map(|_| ()),
            Algorithm::GradientBoosting => self.decode::<BoostingParams>(1_000.0)?.check().map(|_| ()),
            Algorithm::DecisionTree => self.decode::<TreeParams>(1_000.0)?.check().map(|_| ()),
            _ => self.decode::<LogisticParams>(1_000.0)?.check(),
        }
    }

    fn decode<P: DeserializeOwned>(&self, weight: f64) -> Result<P> {
        let all = Value::Object(self.parameters(weight));
        serde_json::from_value(all).map_err(|e| EngineError::invalid(self.what(), "of its type", e))
    }

    /// All hyperparameters that are not the library's own defaults, for rows of so much weight.
    pub(super) fn parameters(&self, weight: f64) -> Map<String, Value> {
        let defaults = match self.algorithm {
            Algorithm::RandomForest => json!({
                "trees": forest_trees(weight),
                "min_leaf": forest_leaf(weight),
                "seed": self.seed,
            }),
            // Many rows bear larger steps and larger trees, and would take long over small ones
            Algorithm::GradientBoosting if weight > MANY => json!({
                "rounds": 200,
                "learning_rate": 0.1,
                "max_leaves": 31,
                "min_leaf": boosting_leaf(weight),
                "l2": 1.0,
                "column_fraction": 0.6,
                "early_stopping": 20,
                "seed": self.seed,
            }),
            Algorithm::GradientBoosting => json!({
                "rounds": 1000,
                "learning_rate": 0.03,
                "max_leaves": 12,
                "min_leaf": boosting_leaf(weight),
                "l2": (boosting_leaf(weight) / 8.0).clamp(1.0, 5.0),
                "row_fraction": 0.8,
                "column_fraction": boosting_columns(self.columns),
                "early_stopping": 60,
                "seed": self.seed,
            }),
            Algorithm::DecisionTree => {
                json!({ "max_depth": 4, "min_leaf": (weight / 100.0).clamp(5.0, 1_000.0).round() })
            }
            _ => json!({}),
        };
        let mut all = match defaults {
            Value::Object(all) => all,
            _ => Map::new(),
        };
        if self.balanced && self.algorithm == Algorithm::LogisticRegression {
            all.insert("balanced".to_owned(), Value::Bool(true));
        } else if self.balanced {
            all.insert("class_weight".to_owned(), "balanced".into());
        }
        all.extend(self.asked.clone());
        all
    }

    /// The recipe for the columns of `table`.
    pub(super) fn preparation(&self, table: &Table) -> Preparation {
        let mut preparation = match self.algorithm {
            Algorithm::LogisticRegression => linear_preparation(table),
            _ => tree_preparation(table),
        };
        preparation.seed = self.seed;
        if self.impute == Imputation::Median {
            preparation
                .columns
                .iter_mut()
                .for_each(|spec| with_median(&mut spec.treatment));
        }
        preparation
    }
}

/// Weight of the rows from which on boosting takes larger steps.
const MANY: f64 = 200_000.0;

/// The median instead of a missing number, and nothing that says it was missing.
fn with_median(treatment: &mut Treatment) {
    if let Treatment::Numeric { impute, indicator, .. } = treatment {
        *impute = Impute::Median;
        *indicator = false;
    }
}

/// Least weight of a forest's leaf: small for hundreds of rows, whose every pattern counts; growing with the root of the rows,
/// since outcomes of students are noisy, and with the rows where they are many: explaining a row takes as long as the trees have leaves.
fn forest_leaf(weight: f64) -> f64 {
    let weight = weight.max(0.0);
    (weight.sqrt() / 10.0).max(weight / 600.0).clamp(1.0, 100.0).round()
}

/// Trees of a forest: 300 as long as they are small, then fewer, down to 100. Explaining a row visits every leaf of every tree, and leaves of
/// a hundred rows vary little from tree to tree.
fn forest_trees(weight: f64) -> usize {
    (300.0 * (20_000.0 / weight.max(1.0)).sqrt())
        .clamp(100.0, 300.0)
        .round() as usize
}

/// Least weight of a boosted tree's leaf.
fn boosting_leaf(weight: f64) -> f64 {
    (weight.max(0.0).sqrt() / 4.0).clamp(5.0, 100.0).round()
}

/// Share of the columns that a boosted tree sees. One of a dozen leaves splits at a dozen columns at most: some twenty to choose from
/// are enough, and trees that see different ones add more to each other. Compared on tables of up to 133 columns that mostly say something; in one of
/// thousands a single column may say all, and few trees must not miss it.
fn boosting_columns(columns: usize) -> f64 {
    match columns {
        34..=200 => (2_000.0 / columns as f64).round() / 100.0,
        _ => 0.6,
    }
}

/// Levels up to which a category is one column per level for trees.
const ONE_HOT: usize = 24;

/// As [`Preparation::for_trees`], but for categories of middling size: shares of a class by level are noise where a level has
/// few rows, and rows of students are few.
fn tree_preparation(table: &Table) -> Preparation {
    let mut preparation = Preparation::for_trees(table);
    for (spec, column) in preparation.columns.iter_mut().zip(table.columns()) {
        if matches!(&column.values, Values::Category { levels, .. } if levels.len() <= ONE_HOT) {
            spec.treatment = Treatment::OneHot {
                min_weight: 0.0,
                max_levels: ONE_HOT,
            };
        }
    }
    preparation
}

/// As [`Preparation::for_linear`], counts on a logarithmic scale: the tenth access says more than the thousandth.
fn linear_preparation(table: &Table) -> Preparation {
    let mut preparation = Preparation::for_linear(table);
    for (spec, column) in preparation.columns.iter_mut().zip(table.columns()) {
        let is_count = match &column.values {
            Values::Numeric(values) => {
                let known = || values.iter().filter(|x| !x.is_nan());
                known().all(|x| *x >= 0.0 && x.fract() == 0.0) && known().any(|x| *x > 10.0)
            }
            Values::Category { .. } => false,
        };
        if is_count {
            *spec = ColumnSpec {
                name: spec.name.clone(),
                treatment: Treatment::Numeric {
                    transform: Transform::SignedLog1p,
                    impute: Impute::Median,
                    scale: true,
                    indicator: true,
                },
            };
        }
    }
    preparation
}

impl Learner for Learning {
    type Model = Fitted;

    fn fit(&self, ctx: &Context, columns: &[Vec<f64>], labels: &Labels) -> Result<Fitted> {
        let weight: f64 = labels.weights().iter().sum();
        if self.algorithm == Algorithm::LogisticRegression {
            let model = self.decode::<LogisticParams>(weight)?.fit(ctx, columns, labels)?;
            return Ok(Fitted::LogisticRegression(model));
        }
        let _copy = reserve_features(ctx, columns)?;
        let table = FeatureTable::from_columns(columns)?;
        let set = TrainingSet::new(&table, labels.targets(), labels.n_classes(), labels.weights())?;
        Ok(match self.algorithm {
            Algorithm::RandomForest => {
                let params = self.decode::<ForestParams>(weight)?.check()?;
                Fitted::RandomForest(params.fit(ctx, &set)?.model)
            }
            Algorithm::DecisionTree => {
                Fitted::DecisionTree(self.decode::<TreeParams>(weight)?.check()?.fit(ctx, &set)?)
            }
            _ => {
                let params = self.decode::<BoostingParams>(weight)?.check()?;
                let rounds = match params.early_stopping() {
                    0 => None,
                    _ => rounds::choose(ctx, &params, &table, labels, self.by_time, self.seed)?,
                };
                let mut all = self.parameters(weight);
                all.insert("rounds".to_owned(), rounds.unwrap_or(params.rounds()).into());
                let params: BoostingParams = serde_json::from_value(Value::Object(all))
                    .map_err(|e| EngineError::invalid(self.what(), "of its type", e))?;
                Fitted::GradientBoosting(params.check()?.fit(ctx, &set, None)?.model)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boosted_trees_choose_among_twenty_columns_unless_there_are_very_many() {
        // twenty of 38, of 133, of 200; at most six in ten; 0: before the table is known
        let shares = [0, 16, 33, 34, 38, 133, 200, 201, 10_000].map(boosting_columns);
        assert_eq!(shares, [0.6, 0.6, 0.6, 0.59, 0.53, 0.15, 0.1, 0.6, 0.6]);
    }

    #[test]
    fn defaults_that_go_by_the_table_reach_the_algorithm() {
        let learning = Learning::new(Algorithm::GradientBoosting, &Map::new(), &Training::default()).unwrap();
        let given = learning.clone().for_columns(133).parameters(22_000.0);
        // a leaf is sqrt(22000) / 4 = 37 rows, the penalty an eighth of that
        assert_eq!(
            [&given["column_fraction"], &given["min_leaf"], &given["l2"]],
            [&json!(0.15), &json!(37.0), &json!(4.625)]
        );
        let asked: Map<String, Value> = [("column_fraction".to_owned(), json!(0.9))].into_iter().collect();
        let asked = Learning::new(Algorithm::GradientBoosting, &asked, &Training::default()).unwrap();
        assert_eq!(
            asked.for_columns(133).parameters(22_000.0)["column_fraction"],
            json!(0.9)
        );
    }

    #[test]
    fn large_forests_have_fewer_trees() {
        // 300 sqrt(20000 / 80000) = 150
        assert_eq!([500.0, 20_000.0, 80_000.0, 1e9].map(forest_trees), [300, 300, 150, 100]);
    }
}
