//! Parameters of DBSCAN.

use crate::error::{EngineError, Result};

/// Most distinct rows: each is compared with each.
pub const MAX_DISTINCT: usize = 50_000;
/// Most clusters; more are a sign of parameters that do not suit the data.
pub const MAX_FOUND: usize = 1_000;

/// Rows per thousand that make a core, unless told otherwise.
const PER_THOUSAND: f64 = 1.0;

/// Parameters of DBSCAN; checked by [`DensityParams::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct DensityParams {
    /// Largest distance of neighbours, in standardised units.
    pub eps: f64,
    /// Fewest rows within eps of a core row, itself and repeats counted. `None`: twice the number of features, or one row in a thousand if
    /// that is more.
    pub min_points: Option<usize>,
}

impl Default for DensityParams {
    /// eps 0.5, `min_points` by the data.
    fn default() -> Self {
        Self {
            eps: 0.5,
            min_points: None,
        }
    }
}

impl DensityParams {
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        // squares of less than 1e-100 would vanish, of more than 1e100 not add up
        if !(1e-100..=1e100).contains(&self.eps) {
            return Err(EngineError::invalid("eps", "between 1e-100 and 1e100", self.eps));
        }
        if self.min_points == Some(0) {
            return Err(EngineError::invalid("min_points", "at least 1", 0));
        }
        Ok(())
    }

    /// `min_points` for p features and `rows` dense rows.
    pub(super) fn resolved(&self, p: usize, rows: f64) -> usize {
        let by_data = || (2 * p).max((rows * PER_THOUSAND / 1000.0).ceil() as usize);
        self.min_points.unwrap_or_else(by_data)
    }
}
