//! What is known about each row of a table besides its features: weight, class, and whose and when it is.

use super::table::check_rows;
use super::MAX_MAGNITUDE;
use crate::error::{EngineError, Result};

/// Most classes accepted.
pub const MAX_CLASSES: usize = 1_000;

/// Class, weight, group and period of n rows.
///
/// Guarantees: all parts have n entries; targets are less than `n_classes`, which is 2..=[`MAX_CLASSES`]; weights are
/// finite and not negative, their total is at most [`MAX_MAGNITUDE`].
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    targets: Vec<u32>,
    n_classes: usize,
    weights: Vec<f64>,
    groups: Option<Vec<u64>>,
    periods: Option<Vec<i32>>,
}

impl Labels {
    /// Takes the classes (n) of rows that weigh `weights` (n).
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::InvalidWeight`], [`EngineError::InvalidParameter`] for a class out of
    /// range.
    pub fn new(targets: Vec<u32>, n_classes: usize, weights: Vec<f64>) -> Result<Self> {
        check(&targets, n_classes, &weights)?;
        Ok(Self {
            targets,
            n_classes,
            weights,
            groups: None,
            periods: None,
        })
    }

    /// Takes the classes (n), every row with weight 1.
    ///
    /// # Errors
    /// As [`Labels::new`].
    pub fn unweighted(targets: Vec<u32>, n_classes: usize) -> Result<Self> {
        let weights = vec![1.0; targets.len()];
        Self::new(targets, n_classes, weights)
    }

    /// With the group (student) of each row.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn with_groups(mut self, groups: Vec<u64>) -> Result<Self> {
        same("groups", self.targets.len(), groups.len())?;
        self.groups = Some(groups);
        Ok(self)
    }

    /// With the period of each row: numbers that grow with time, one apart where the periods are neighbours.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn with_periods(mut self, periods: Vec<i32>) -> Result<Self> {
        same("periods", self.targets.len(), periods.len())?;
        self.periods = Some(periods);
        Ok(self)
    }

    /// Weights multiplied so that every class that occurs has the same total, the total of all staying as it was
    /// (scikit-learn's `class_weight="balanced"`).
    pub fn balanced_weights(&self) -> Vec<f64> {
        let of_class = self.class_weights();
        let present = of_class.iter().filter(|w| **w > 0.0).count() as f64;
        let total: f64 = of_class.iter().sum();
        let factor = |class: u32| match of_class[class as usize] {
            w if w > 0.0 => total / (present * w),
            _ => 0.0,
        };
        let pairs = self.targets.iter().zip(&self.weights);
        pairs.map(|(class, w)| w * factor(*class)).collect()
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.targets.len()
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Class of each row, n.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Weight of each row, n.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Group of each row, n.
    pub fn groups(&self) -> Option<&[u64]> {
        self.groups.as_deref()
    }

    /// Period of each row, n.
    pub fn periods(&self) -> Option<&[i32]> {
        self.periods.as_deref()
    }

    /// Total weight of each class.
    pub fn class_weights(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_classes];
        for (class, weight) in self.targets.iter().zip(&self.weights) {
            sums[*class as usize] += weight;
        }
        sums
    }

    /// The rows numbered `rows`, in that order.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a row number out of range.
    pub fn select(&self, rows: &[u32]) -> Result<Labels> {
        check_rows(rows, self.n_rows())?;
        Ok(Self {
            targets: gather(&self.targets, rows),
            n_classes: self.n_classes,
            weights: gather(&self.weights, rows),
            groups: self.groups.as_ref().map(|groups| gather(groups, rows)),
            periods: self.periods.as_ref().map(|periods| gather(periods, rows)),
        })
    }
}

fn gather<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|row| values[*row as usize]).collect()
}

/// Checks classes and weights of n rows.
pub(crate) fn check(targets: &[u32], n_classes: usize, weights: &[f64]) -> Result<()> {
    if !(2..=MAX_CLASSES).contains(&n_classes) {
        let expected = format!("between 2 and {MAX_CLASSES}");
        return Err(EngineError::invalid("number of classes", expected, n_classes));
    }
    same("weights", targets.len(), weights.len())?;
    if let Some(bad) = targets.iter().find(|class| **class as usize >= n_classes) {
        return Err(EngineError::invalid("class", format!("less than {n_classes}"), bad));
    }
    check_weights(weights)
}

/// Checks weights.
pub(crate) fn check_weights(weights: &[f64]) -> Result<()> {
    for (row, &found) in weights.iter().enumerate() {
        if !found.is_finite() || found < 0.0 {
            return Err(EngineError::InvalidWeight { row, found });
        }
    }
    let total: f64 = weights.iter().sum();
    if total > MAX_MAGNITUDE {
        let expected = format!("at most {MAX_MAGNITUDE:e}");
        return Err(EngineError::invalid("total weight", expected, total));
    }
    Ok(())
}

pub(crate) fn same(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        Ok(())
    } else {
        Err(EngineError::Dimension { what, expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_out_of_range_bad_weights_and_lengths_are_refused() {
        assert!(Labels::unweighted(vec![0, 2], 2).is_err());
        assert!(Labels::unweighted(vec![0], 1).is_err());
        assert!(matches!(
            Labels::new(vec![0, 1], 2, vec![1.0, -1.0]),
            Err(EngineError::InvalidWeight { row: 1, .. })
        ));
        let labels = Labels::unweighted(vec![0, 1], 2).unwrap();
        assert!(labels.clone().with_groups(vec![1]).is_err());
        assert!(labels.with_periods(vec![1]).is_err());
    }

    #[test]
    fn balanced_weights_give_every_class_the_same_total() {
        let labels = Labels::new(vec![0, 0, 1], 3, vec![2.0, 4.0, 2.0]).unwrap();
        assert_eq!(labels.balanced_weights(), [4.0 / 3.0, 8.0 / 3.0, 4.0]);
    }
}
