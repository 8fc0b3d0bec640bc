//! A dense table of f64 rows, each standing for `weight` equal rows.

use crate::error::{EngineError, Result};

/// Largest absolute value and largest total weight accepted.
///
/// Squared distances of such values, times such weights, still fit an f64: no computation here overflows to infinity.
pub const MAX_MAGNITUDE: f64 = 1e100;

/// `n` rows of `p` features, row-major, with a weight (multiplicity) per row.
///
/// Guarantees: every value is finite and at most [`MAX_MAGNITUDE`] in absolute value; every weight is finite and not
/// negative; the total weight is at most [`MAX_MAGNITUDE`]; there is at least one feature. There may be no rows, rows
/// may repeat, weights may be zero. -0.0 is stored as 0.0.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedRows {
    values: Vec<f64>,
    weights: Vec<f64>,
    n_features: usize,
}

impl WeightedRows {
    /// Takes `values` (row-major, n x `n_features`) and `weights` (n).
    ///
    /// # Errors
    /// [`EngineError::NonFinite`] and [`EngineError::OutOfDomain`] with row and column of the first bad value,
    /// [`EngineError::InvalidWeight`], [`EngineError::Dimension`] when the lengths disagree, and
    /// [`EngineError::InvalidParameter`] for `n_features` = 0 or a total weight out of range.
    pub fn new(mut values: Vec<f64>, n_features: usize, weights: Vec<f64>) -> Result<Self> {
        if n_features == 0 {
            return Err(EngineError::invalid("n_features", "at least 1", 0));
        }
        let expected = weights.len().saturating_mul(n_features);
        if values.len() != expected {
            return Err(EngineError::Dimension {
                what: "values",
                expected,
                found: values.len(),
            });
        }
        for (index, value) in values.iter_mut().enumerate() {
            check_value(*value, index / n_features, index % n_features)?;
            *value += 0.0; // -0.0 and 0.0 are one value, and must be one bit pattern to be merged
        }
        for (row, &found) in weights.iter().enumerate() {
            if !found.is_finite() || found < 0.0 {
                return Err(EngineError::InvalidWeight { row, found });
            }
        }
        let total: f64 = weights.iter().sum();
        if total > MAX_MAGNITUDE {
            return Err(EngineError::invalid(
                "total weight",
                format!("at most {MAX_MAGNITUDE:e}"),
                total,
            ));
        }
        Ok(Self {
            values,
            weights,
            n_features,
        })
    }

    /// Takes `values` (row-major, n x `n_features`), every row with weight 1.
    ///
    /// # Errors
    /// As [`WeightedRows::new`]; [`EngineError::Dimension`] when the last row is incomplete.
    pub fn unweighted(values: Vec<f64>, n_features: usize) -> Result<Self> {
        let n_rows = values.len().checked_div(n_features).unwrap_or(0);
        Self::new(values, n_features, vec![1.0; n_rows])
    }

    /// For values already known to keep the guarantees.
    pub(crate) fn from_checked(values: Vec<f64>, n_features: usize, weights: Vec<f64>) -> Self {
        Self {
            values,
            weights,
            n_features,
        }
    }

    /// Number of rows stored (not their total weight).
    pub fn n_rows(&self) -> usize {
        self.weights.len()
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// All values, row-major, n x p.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Weights, n.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Sum of the weights: the number of rows of the dense table this one stands for.
    pub fn total_weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// Iterates over (row, weight).
    pub fn iter(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.values
            .chunks_exact(self.n_features)
            .zip(self.weights.iter().copied())
    }

    /// Row `index`, p values; empty when out of range.
    pub fn row(&self, index: usize) -> &[f64] {
        let start = index.saturating_mul(self.n_features);
        self.values
            .get(start..start.saturating_add(self.n_features))
            .unwrap_or(&[])
    }
}

/// Rejects what no computation of this crate can work with.
pub(crate) fn check_value(found: f64, row: usize, column: usize) -> Result<()> {
    if !found.is_finite() {
        return Err(EngineError::NonFinite { row, column });
    }
    if found.abs() > MAX_MAGNITUDE {
        return Err(EngineError::OutOfDomain {
            row,
            column,
            expected: "between -1e100 and 1e100",
            found,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinity_are_reported_with_their_place() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = WeightedRows::unweighted(vec![1.0, 2.0, 3.0, 4.0, 5.0, bad], 3).unwrap_err();
            assert!(matches!(error, EngineError::NonFinite { row: 1, column: 2 }), "{error}");
        }
    }

    #[test]
    fn values_that_would_overflow_when_squared_are_refused() {
        let error = WeightedRows::unweighted(vec![0.0, -1e200], 1).unwrap_err();
        assert!(
            matches!(error, EngineError::OutOfDomain { row: 1, column: 0, .. }),
            "{error}"
        );
        let error = WeightedRows::new(vec![0.0, 1.0], 1, vec![6e99, 6e99]).unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::InvalidParameter {
                    name: "total weight",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn negative_and_nan_weights_are_refused() {
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            let error = WeightedRows::new(vec![1.0, 2.0], 1, vec![1.0, bad]).unwrap_err();
            assert!(matches!(error, EngineError::InvalidWeight { row: 1, .. }), "{error}");
        }
    }

    #[test]
    fn an_incomplete_row_is_a_dimension_error() {
        let error = WeightedRows::unweighted(vec![1.0, 2.0, 3.0], 2).unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::Dimension {
                    expected: 2,
                    found: 3,
                    ..
                }
            ),
            "{error}"
        );
        assert!(WeightedRows::unweighted(vec![], 0).is_err());
    }

    #[test]
    fn minus_zero_is_stored_as_zero() {
        let rows = WeightedRows::unweighted(vec![-0.0], 1).unwrap();
        assert_eq!(rows.values()[0].to_bits(), 0.0f64.to_bits());
    }
}
