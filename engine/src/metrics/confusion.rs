//! Truth against prediction, as sums of weights: exact for counts up to 2^53.

use serde::{Deserialize, Serialize};

use crate::data::labels;
use crate::error::Result;

/// Weights of the four outcomes of a yes-or-no prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BinaryCounts {
    pub true_positive: f64,
    pub false_positive: f64,
    pub false_negative: f64,
    pub true_negative: f64,
}

impl BinaryCounts {
    /// Share of the positive rows that were found; `None` without positive rows.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Share of the rows called positive that are; `None` when none was called positive.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// Share of the negative rows called positive; `None` without negative rows.
    pub fn false_positive_rate(&self) -> Option<f64> {
        ratio(self.false_positive, self.false_positive + self.true_negative)
    }

    /// Share of the negative rows called negative; `None` without negative rows.
    pub fn specificity(&self) -> Option<f64> {
        ratio(self.true_negative, self.false_positive + self.true_negative)
    }

    /// Share of the rows called positive; `None` without rows.
    pub fn selection_rate(&self) -> Option<f64> {
        ratio(self.true_positive + self.false_positive, self.total())
    }

    /// Share of the rows called what they are; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.true_positive + self.true_negative, self.total())
    }

    /// Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); `None` where that is 0 / 0.
    pub fn f1(&self) -> Option<f64> {
        let hits = 2.0 * self.true_positive;
        ratio(hits, hits + self.false_positive + self.false_negative)
    }

    /// Weight of all rows.
    pub fn total(&self) -> f64 {
        self.true_positive + self.false_positive + self.false_negative + self.true_negative
    }
}

/// Weight per true class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    n_classes: usize,
    cells: Vec<f64>,
}

impl ConfusionMatrix {
    /// Counts n rows; classes from 0 to `n_classes` - 1.
    ///
    /// # Errors
    /// [`EngineError::Dimension`](crate::error::EngineError::Dimension),
    /// [`EngineError::InvalidParameter`](crate::error::EngineError::InvalidParameter),
    /// [`EngineError::InvalidWeight`](crate::error::EngineError::InvalidWeight).
    pub fn new(n_classes: usize, truth: &[u32], predicted: &[u32], weights: &[f64]) -> Result<Self> {
        labels::check(truth, n_classes, weights)?;
        labels::check(predicted, n_classes, weights)?;
        let mut cells = vec![0.0; n_classes * n_classes];
        for ((truth, predicted), weight) in truth.iter().zip(predicted).zip(weights) {
            cells[*truth as usize * n_classes + *predicted as usize] += weight;
        }
        Ok(Self { n_classes, cells })
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Weight of the rows of class `truth` predicted as `predicted`; 0 out of range.
    pub fn cell(&self, truth: usize, predicted: usize) -> f64 {
        match truth < self.n_classes && predicted < self.n_classes {
            true => self.cells[truth * self.n_classes + predicted],
            false => 0.0,
        }
    }

    /// Weights, row-major: true class x predicted class.
    pub fn cells(&self) -> &[f64] {
        &self.cells
    }

    /// `class` against the rest.
    pub fn one_vs_rest(&self, class: usize) -> BinaryCounts {
        let all = 0..self.n_classes;
        let truth: f64 = all.clone().map(|other| self.cell(class, other)).sum();
        let called: f64 = all.map(|other| self.cell(other, class)).sum();
        let hits = self.cell(class, class);
        BinaryCounts {
            true_positive: hits,
            false_positive: called - hits,
            false_negative: truth - hits,
            true_negative: (self.total() - truth - called + hits).max(0.0),
        }
    }

    /// Weight of all rows.
    pub fn total(&self) -> f64 {
        self.cells.iter().sum()
    }

    /// Share of the rows predicted as what they are; `None` without rows. With one label per row it is also the
    /// micro-averaged recall, precision and F1.
    pub fn accuracy(&self) -> Option<f64> {
        let hits: f64 = (0..self.n_classes).map(|class| self.cell(class, class)).sum();
        ratio(hits, self.total())
    }

    /// Mean recall over the classes that have rows; `None` without rows.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean(self.per_class().filter_map(|counts| counts.recall()))
    }

    /// Mean precision over the classes that occur, as truth or as prediction; 0 for one never predicted.
    pub fn macro_precision(&self) -> Option<f64> {
        mean(self.occurring().map(|counts| counts.precision().unwrap_or(0.0)))
    }

    /// Mean recall over the classes that occur, as truth or as prediction; 0 for one without rows.
    pub fn macro_recall(&self) -> Option<f64> {
        mean(self.occurring().map(|counts| counts.recall().unwrap_or(0.0)))
    }

    /// Mean F1 over the classes that occur, as truth or as prediction.
    pub fn macro_f1(&self) -> Option<f64> {
        mean(self.occurring().map(|counts| counts.f1().unwrap_or(0.0)))
    }

    /// F1 of all decisions together; with one label per row, the accuracy.
    pub fn micro_f1(&self) -> Option<f64> {
        self.accuracy()
    }

    fn per_class(&self) -> impl Iterator<Item = BinaryCounts> + '_ {
        (0..self.n_classes).map(|class| self.one_vs_rest(class))
    }

    fn occurring(&self) -> impl Iterator<Item = BinaryCounts> + '_ {
        self.per_class()
            .filter(|c| c.true_positive + c.false_positive + c.false_negative > 0.0)
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
    (n > 0.0).then(|| sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rows_of_one_kind_than_a_float32_can_count() {
        let m = ConfusionMatrix::new(2, &[0, 0, 1], &[0, 0, 0], &[2e7, 1.0, 1.0]).unwrap();
        assert_eq!(m.cells(), [20_000_001.0, 0.0, 1.0, 0.0]);
        assert_eq!(m.one_vs_rest(1).recall(), Some(0.0));
        assert_eq!(m.one_vs_rest(1).precision(), None);
        assert_eq!(m.balanced_accuracy(), Some(0.5));
    }

    #[test]
    fn nothing_to_count_has_no_accuracy() {
        let m = ConfusionMatrix::new(2, &[0], &[1], &[0.0]).unwrap();
        assert_eq!((m.accuracy(), m.macro_f1(), m.balanced_accuracy()), (None, None, None));
        assert!(ConfusionMatrix::new(2, &[0], &[2], &[1.0]).is_err());
    }
}
