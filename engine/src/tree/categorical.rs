//! Categories as numbers: one column per level, or ordered target statistics (Prokhorenkova et al. 2018, "CatBoost").

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::params::within;
use super::table::MAX_CLASSES;
use crate::error::{EngineError, Result};
use crate::random::uniform;

/// The code of a category that is missing or was not there when the levels were collected.
pub const UNKNOWN_CATEGORY: u32 = u32::MAX;

/// The levels of a categorical feature, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct CategoryLevels {
    /// Ascending, without repeats.
    names: Vec<String>,
}

impl From<CategoryLevels> for Vec<String> {
    fn from(levels: CategoryLevels) -> Self {
        levels.names
    }
}

impl TryFrom<Vec<String>> for CategoryLevels {
    type Error = EngineError;

    fn try_from(names: Vec<String>) -> Result<Self> {
        if names.windows(2).any(|pair| pair[0] >= pair[1]) || names.len() >= UNKNOWN_CATEGORY as usize {
            return Err(EngineError::invalid("levels", "ascending without repeats", "others"));
        }
        Ok(Self { names })
    }
}

impl CategoryLevels {
    /// The levels that occur, in alphabetical order; None is missing, not a level.
    pub fn collect<S: AsRef<str>>(values: impl IntoIterator<Item = Option<S>>) -> Self {
        let mut names: Vec<String> = values
            .into_iter()
            .flatten()
            .map(|name| name.as_ref().to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// The names, ascending: the level with code i is the i-th.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The code of a level; [`UNKNOWN_CATEGORY`] for a missing or unknown one.
    pub fn code(&self, value: Option<&str>) -> u32 {
        let found = value.and_then(|value| self.names.binary_search_by(|name| name.as_str().cmp(value)).ok());
        found.map_or(UNKNOWN_CATEGORY, |at| at as u32)
    }
}

/// Columns for a categorical feature, fitted on codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryEncoder {
    /// A column of 0 and 1 per level; an unknown level is 0 in all.
    OneHot { levels: usize },
    /// The target's share per class among the rows of the level.
    OrderedTarget(OrderedTarget),
}

impl CategoryEncoder {
    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        match self {
            Self::OneHot { levels } => *levels,
            Self::OrderedTarget(target) => target.n_columns(),
        }
    }

    /// The columns of rows that the encoder was not fitted on.
    pub fn encode(&self, codes: &[u32]) -> Vec<Vec<f64>> {
        match self {
            Self::OneHot { levels } => (0..*levels)
                .map(|level| codes.iter().map(|code| f64::from(*code as usize == level)).collect())
                .collect(),
            Self::OrderedTarget(target) => target.encode(codes),
        }
    }
}

/// Target statistics: for a level, (weight of the class + smoothing x its overall share) / (weight + smoothing).
///
/// There is a column for each class but the first, whose share follows from the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredTarget")]
pub struct OrderedTarget {
    /// Overall share per class.
    prior: Vec<f64>,
    smoothing: f64,
    /// levels x classes
    weights: Vec<f64>,
}

#[derive(Deserialize)]
struct StoredTarget {
    prior: Vec<f64>,
    smoothing: f64,
    weights: Vec<f64>,
}

impl TryFrom<StoredTarget> for OrderedTarget {
    type Error = EngineError;

    fn try_from(s: StoredTarget) -> Result<Self> {
        within("number of classes", s.prior.len(), 1, MAX_CLASSES)?;
        let all = s.prior.iter().chain(&s.weights).chain([&s.smoothing]);
        if let Some(bad) = all.into_iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
            return Err(EngineError::invalid("target statistics", "finite and at least 0", bad));
        }
        if s.smoothing <= 0.0 || !s.weights.len().is_multiple_of(s.prior.len()) {
            return Err(EngineError::invalid(
                "target statistics",
                "smoothed, of whole levels",
                s.smoothing,
            ));
        }
        Ok(Self {
            prior: s.prior,
            smoothing: s.smoothing,
            weights: s.weights,
        })
    }
}

impl OrderedTarget {
    /// Fits the statistics and encodes the training rows: each only by the rows before it in a random order, so that no
    /// row sees its own label (nor do the copies that a weight stands for).
    ///
    /// `codes`, `labels`, `weights` have length n; codes are below `levels` or [`UNKNOWN_CATEGORY`], labels below
    /// `n_classes`; `smoothing` is above 0 (1 is usual).
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::InvalidWeight`], [`EngineError::InvalidParameter`],
    /// [`EngineError::EmptyInput`] when no row has a positive weight.
    pub fn fit(
        codes: &[u32],
        levels: usize,
        labels: &[u32],
        n_classes: usize,
        weights: &[f64],
        smoothing: f64,
        seed: u64,
    ) -> Result<(Self, Vec<Vec<f64>>)> {
        within("number of classes", n_classes, 1, MAX_CLASSES)?;
        for (what, found) in [("labels", labels.len()), ("weights", weights.len())] {
            if found != codes.len() {
                let expected = codes.len();
                return Err(EngineError::Dimension { what, expected, found });
            }
        }
        if !(smoothing > 0.0 && smoothing.is_finite()) {
            return Err(EngineError::invalid("smoothing", "above 0 and finite", smoothing));
        }
        if let Some(bad) = labels.iter().find(|label| **label as usize >= n_classes) {
            return Err(EngineError::invalid("label", format!("less than {n_classes}"), bad));
        }
        if let Some(bad) = codes.iter().find(|c| **c as usize >= levels && **c != UNKNOWN_CATEGORY) {
            return Err(EngineError::invalid("code", format!("less than {levels}"), bad));
        }
        if let Some(row) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(EngineError::InvalidWeight {
                row,
                found: weights[row],
            });
        }
        let mut prior = vec![0.0; n_classes];
        for (label, weight) in labels.iter().zip(weights) {
            prior[*label as usize] += weight;
        }
        let total: f64 = prior.iter().sum();
        if total <= 0.0 {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        prior.iter_mut().for_each(|weight| *weight /= total);
        let mut target = Self {
            prior,
            smoothing,
            weights: vec![0.0; levels * n_classes],
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..codes.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, (uniform(&mut rng) * (last + 1) as f64) as usize);
        }
        let mut columns = vec![vec![0.0; codes.len()]; target.n_columns()];
        for row in order {
            for (class, column) in (1..).zip(&mut columns) {
                column[row] = target.share(codes[row], class);
            }
            if codes[row] != UNKNOWN_CATEGORY {
                target.weights[codes[row] as usize * n_classes + labels[row] as usize] += weights[row];
            }
        }
        Ok((target, columns))
    }

    /// Number of columns: classes less one.
    pub fn n_columns(&self) -> usize {
        self.prior.len() - 1
    }

    /// The columns of rows that were not fitted on; unknown levels have the overall shares.
    pub fn encode(&self, codes: &[u32]) -> Vec<Vec<f64>> {
        (1..self.prior.len())
            .map(|class| codes.iter().map(|code| self.share(*code, class)).collect())
            .collect()
    }

    fn share(&self, code: u32, class: usize) -> f64 {
        let classes = self.prior.len();
        let level = (code as usize)
            .checked_mul(classes)
            .and_then(|at| self.weights.get(at..at + classes));
        let prior = self.prior[class];
        level.map_or(prior, |weights| {
            (weights[class] + self.smoothing * prior) / (weights.iter().sum::<f64>() + self.smoothing)
        })
    }
}
