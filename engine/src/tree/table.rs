//! Features as columns of f64, where NaN says that the value is missing; and what a model is trained on.

use crate::error::{EngineError, Result};

/// Most classes accepted.
pub const MAX_CLASSES: usize = 1_000;
/// Most features accepted.
pub const MAX_FEATURES: usize = 65_536;

/// `n` rows of `p` features, column-major.
///
/// Guarantees: p is at least 1; every value is finite or NaN, and NaN means missing. There may be no rows.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTable {
    values: Vec<f64>,
    n_rows: usize,
    n_features: usize,
}

impl FeatureTable {
    /// Takes p columns of n values each.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when the columns differ in length, [`EngineError::NonFinite`] with row and column of
    /// the first infinity, [`EngineError::InvalidParameter`] for no column or too many.
    pub fn from_columns<C: AsRef<[f64]>>(columns: &[C]) -> Result<Self> {
        let n_rows = columns.first().map_or(0, |column| column.as_ref().len());
        check_width(columns.len())?;
        let mut values = Vec::with_capacity(n_rows.saturating_mul(columns.len()));
        for (index, column) in columns.iter().enumerate() {
            let column = column.as_ref();
            if column.len() != n_rows {
                return Err(EngineError::Dimension {
                    what: "values in a column",
                    expected: n_rows,
                    found: column.len(),
                });
            }
            if let Some(row) = column.iter().position(|x| x.is_infinite()) {
                return Err(EngineError::NonFinite { row, column: index });
            }
            values.extend_from_slice(column);
        }
        Ok(Self {
            values,
            n_rows,
            n_features: columns.len(),
        })
    }

    /// Takes n rows of `n_features` values each, row-major.
    ///
    /// # Errors
    /// As [`FeatureTable::from_columns`]; [`EngineError::Dimension`] when the last row is incomplete.
    pub fn from_rows(rows: &[f64], n_features: usize) -> Result<Self> {
        check_width(n_features)?;
        let n_rows = rows.len() / n_features;
        if n_rows * n_features != rows.len() {
            return Err(EngineError::Dimension {
                what: "values",
                expected: (n_rows + 1) * n_features,
                found: rows.len(),
            });
        }
        if let Some(index) = rows.iter().position(|x| x.is_infinite()) {
            return Err(EngineError::NonFinite {
                row: index / n_features,
                column: index % n_features,
            });
        }
        let mut values = Vec::with_capacity(rows.len());
        for column in 0..n_features {
            values.extend(rows.iter().skip(column).step_by(n_features));
        }
        Ok(Self {
            values,
            n_rows,
            n_features,
        })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The values of one feature, n; empty when there is no such feature.
    pub fn column(&self, feature: usize) -> &[f64] {
        let start = feature.saturating_mul(self.n_rows);
        self.values.get(start..start.saturating_add(self.n_rows)).unwrap_or(&[])
    }

    /// The rows numbered `rows`, in that order; a row may be taken more than once.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a number that is no row.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if let Some(bad) = rows.iter().find(|row| **row >= self.n_rows) {
            return Err(EngineError::invalid("row", format!("less than {}", self.n_rows), bad));
        }
        let mut values = Vec::with_capacity(rows.len() * self.n_features);
        for feature in 0..self.n_features {
            let column = self.column(feature);
            values.extend(rows.iter().map(|row| column[*row]));
        }
        Ok(Self {
            values,
            n_rows: rows.len(),
            n_features: self.n_features,
        })
    }

    /// The same table with the values of one feature replaced.
    pub(crate) fn replace_column(&mut self, feature: usize, values: impl Iterator<Item = f64>) {
        let start = feature * self.n_rows;
        self.values[start..start + self.n_rows]
            .iter_mut()
            .zip(values)
            .for_each(|(to, from)| *to = from);
    }
}

fn check_width(n_features: usize) -> Result<()> {
    if (1..=MAX_FEATURES).contains(&n_features) {
        Ok(())
    } else {
        let expected = format!("between 1 and {MAX_FEATURES}");
        Err(EngineError::invalid("number of features", expected, n_features))
    }
}

/// Rows, their classes and their weights.
///
/// A weight is a multiplicity: a row of weight 3 counts as three equal rows, everywhere. Rows of weight 0 take no part.
#[derive(Debug, Clone, Copy)]
pub struct TrainingSet<'a> {
    features: &'a FeatureTable,
    labels: &'a [u32],
    n_classes: usize,
    weights: &'a [f64],
}

impl<'a> TrainingSet<'a> {
    /// `labels` (n) count from 0; `n_classes` may be more than occur; `weights` (n).
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::InvalidWeight`], [`EngineError::InvalidParameter`] for a label out of
    /// range or too many classes, [`EngineError::EmptyInput`] when no row has a positive weight.
    pub fn new(features: &'a FeatureTable, labels: &'a [u32], n_classes: usize, weights: &'a [f64]) -> Result<Self> {
        if !(1..=MAX_CLASSES).contains(&n_classes) {
            let expected = format!("between 1 and {MAX_CLASSES}");
            return Err(EngineError::invalid("number of classes", expected, n_classes));
        }
        let expected = features.n_rows();
        for (what, found) in [("labels", labels.len()), ("weights", weights.len())] {
            if found != expected {
                return Err(EngineError::Dimension { what, expected, found });
            }
        }
        if let Some(bad) = labels.iter().find(|label| **label as usize >= n_classes) {
            return Err(EngineError::invalid("label", format!("less than {n_classes}"), bad));
        }
        let bad = weights.iter().position(|w| !w.is_finite() || *w < 0.0);
        if let Some(row) = bad {
            let found = weights[row];
            return Err(EngineError::InvalidWeight { row, found });
        }
        let total: f64 = weights.iter().sum();
        if total > crate::data::MAX_MAGNITUDE {
            let expected = format!("at most {:e}", crate::data::MAX_MAGNITUDE);
            return Err(EngineError::invalid("total weight", expected, total));
        }
        if total <= 0.0 {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        Ok(Self {
            features,
            labels,
            n_classes,
            weights,
        })
    }

    /// The features, n x p.
    pub fn features(&self) -> &'a FeatureTable {
        self.features
    }

    /// The class of each row, n.
    pub fn labels(&self) -> &'a [u32] {
        self.labels
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The weight of each row, n.
    pub fn weights(&self) -> &'a [f64] {
        self.weights
    }

    /// Total weight of each class, n_classes.
    pub fn class_weights(&self) -> Vec<f64> {
        let mut totals = vec![0.0; self.n_classes];
        for (label, weight) in self.labels.iter().zip(self.weights) {
            totals[*label as usize] += weight;
        }
        totals
    }
}
