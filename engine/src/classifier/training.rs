//! What is asked for: the settings of a training, decoded from JSON and checked before anything is computed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::learning::Learning;
use crate::data::{Labels, Table};
use crate::error::{EngineError, Result};
use crate::threshold::Objective;
use crate::validate::{Metric, Space, Split};

/// How much the classes count in the fit; scores always count every row by its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeighting {
    /// As the rows do.
    #[default]
    None,
    /// Every class the same.
    Balanced,
}

/// What stands in for a number that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Imputation {
    /// As the algorithm has it: trees take a missing number for a value of its own, regressions the median and that it is missing.
    #[default]
    None,
    /// The median of the training rows: where numbers are missing for other reasons than later, it must not tell anything.
    Median,
}

/// Which candidates a search tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    #[default]
    Random,
    Grid,
}

/// A search of hyperparameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchRequest {
    pub kind: SearchKind,
    /// Most candidates per algorithm, the defaults among them.
    pub candidates: usize,
    /// What to choose from; none: a space made for the algorithm. Only for a single algorithm.
    pub space: Option<Space>,
}

impl Default for SearchRequest {
    /// 20 random candidates from the algorithm's own space.
    fn default() -> Self {
        Self {
            kind: SearchKind::Random,
            candidates: 20,
            space: None,
        }
    }
}

/// The settings of a training; deserialised from `{}` they are the default, unknown fields are an error that lists the known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    pub algorithm: Algorithm,
    /// Hyperparameters of the algorithm. For `ensemble` and `auto` one object per algorithm, by its name, and `members`, the
    /// list of algorithms to choose from.
    pub parameters: Map<String, Value>,
    pub search: Option<SearchRequest>,
    pub split: Split,
    /// Least rows (weight) of every class.
    pub min_rows: usize,
    /// How the threshold is chosen, for two classes; none: the most probable class.
    pub objective: Option<Objective>,
    /// The class that threshold, recall and precision speak of; none: the last one.
    pub positive: Option<String>,
    /// Whether probabilities are calibrated where that lowers the Brier score out of fold.
    pub calibrate: bool,
    /// What a search, `ensemble` and `auto` go by, and what permutation importance measures.
    pub metric: Metric,
    pub class_weight: ClassWeighting,
    pub impute: Imputation,
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            parameters: Map::new(),
            search: None,
            split: Split::Group { folds: 5 },
            min_rows: 10,
            objective: None,
            positive: None,
            calibrate: true,
            metric: Metric::LogLoss,
            class_weight: ClassWeighting::None,
            impute: Imputation::None,
            seed: 0,
        }
    }
}

impl Training {
    /// The settings that `value`, an object, says.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] with what was expected.
    pub fn from_json(value: Value) -> Result<Self> {
        serde_json::from_value(value)
            .map_err(|e| EngineError::invalid("training", "an object of the settings of a training", e))
    }

    /// Checks what can be checked without the rows.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        let learnings = self.learnings()?;
        if let Some(objective) = &self.objective {
            objective.check()?;
        }
        match &self.search {
            Some(search) if !self.algorithm.is_single() && search.space.is_some() => Err(EngineError::invalid(
                "search space",
                "null for ensemble and auto, whose algorithms have their own",
                "an object",
            )),
            Some(search) if !(1..=1_000).contains(&search.candidates) => Err(EngineError::invalid(
                "candidates",
                "between 1 and 1000",
                search.candidates,
            )),
            Some(SearchRequest { space: Some(space), .. }) => learnings
                .iter()
                .try_for_each(|learning| learning.check_names(space.keys())),
            _ => Ok(()),
        }
    }

    /// Checks the settings against the rows and gives the position of the positive class.
    pub(super) fn check_rows(&self, table: &Table, labels: &Labels, classes: &[String]) -> Result<u32> {
        self.check()?;
        crate::data::labels::same("labels", table.n_rows(), labels.n_rows())?;
        crate::data::labels::same("class names", labels.n_classes(), classes.len())?;
        let mut names = std::collections::HashSet::new();
        if let Some(twice) = classes.iter().find(|name| !names.insert(name.as_str())) {
            return Err(EngineError::invalid(
                "class names",
                "distinct",
                format!("{twice} twice"),
            ));
        }
        let Some(positive) = &self.positive else {
            return Ok(classes.len() as u32 - 1);
        };
        match classes.iter().position(|class| class == positive) {
            Some(position) => Ok(position as u32),
            None => Err(EngineError::invalid(
                "positive class",
                format!("one of {}", classes.join(", ")),
                positive,
            )),
        }
    }

    /// The algorithms to train, each with its hyperparameters.
    pub(super) fn learnings(&self) -> Result<Vec<Learning>> {
        if self.algorithm.is_single() {
            return Ok(vec![Learning::new(self.algorithm, &self.parameters, self)?]);
        }
        let members = self.members()?;
        let known = |name: &String| name == "members" || members.iter().any(|member| member.name() == name);
        if let Some(unknown) = self.parameters.keys().find(|name| !known(name)) {
            let names: Vec<&str> = members.iter().map(|member| member.name()).collect();
            return Err(EngineError::invalid(
                "parameter",
                format!("members or one of {}", names.join(", ")),
                format!("{unknown:?}"),
            ));
        }
        let of = |member: &Algorithm| match self.parameters.get(member.name()) {
            None => Learning::new(*member, &Map::new(), self),
            Some(Value::Object(own)) => Learning::new(*member, own, self),
            Some(other) => Err(EngineError::invalid("parameters of an algorithm", "an object", other)),
        };
        members.iter().map(of).collect()
    }

    /// The algorithms that an ensemble or a choice is made from.
    fn members(&self) -> Result<Vec<Algorithm>> {
        let Some(asked) = self.parameters.get("members") else {
            return Ok(self.algorithm.members().to_vec());
        };
        let members: Vec<Algorithm> = Vec::<Algorithm>::deserialize(asked)
            .map_err(|e| EngineError::invalid("members", "a list of algorithms", e))?;
        let distinct = members.iter().enumerate().all(|(at, one)| !members[..at].contains(one));
        if members.is_empty() || !distinct || !members.iter().all(|member| member.is_single()) {
            let expected = "different ones of random_forest, gradient_boosting, logistic_regression, decision_tree";
            return Err(EngineError::invalid("members", expected, asked));
        }
        Ok(members)
    }
}
