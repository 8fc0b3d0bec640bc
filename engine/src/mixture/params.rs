//! Parameters of the mixture.

use crate::error::{EngineError, Result};
use crate::kmeans::MAX_STARTS;

/// Most rows, repeats counted, that linfa is given.
pub const MAX_ROWS: usize = 100_000;
/// Most rows x components: what one call of linfa's EM costs grows with it.
pub const MAX_CELLS: usize = 400_000;

/// Parameters of a mixture; checked by [`MixtureParams::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureParams {
    /// Components asked for; as many as distinct rows where those are fewer.
    pub k: usize,
    /// Starts, each from a K-Means of its own; the highest likelihood is kept, the first among equals.
    pub n_init: usize,
    /// Most iterations of EM per start.
    pub max_iter: usize,
    /// A start ends once a call of linfa, two or three iterations, adds less than this to the mean log-likelihood of a row.
    pub tolerance: f64,
    /// Added to the diagonal of every covariance, in standardised units. Counts are discrete: with little of it, the likeliest components
    /// are those that collapse on a single vector.
    pub regularisation: f64,
    pub seed: u64,
}

impl MixtureParams {
    /// `k` components, 10 starts of at most 300 iterations, tolerance 1e-4, regularisation 0.01, seed 0.
    pub fn new(k: usize) -> Self {
        Self {
            k,
            n_init: 10,
            max_iter: 300,
            tolerance: 1e-4,
            regularisation: 0.01,
            seed: 0,
        }
    }

    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        let within = |name, found: usize, most: usize| match (1..=most).contains(&found) {
            true => Ok(()),
            false => Err(EngineError::invalid(name, format!("between 1 and {most}"), found)),
        };
        within("k", self.k, MAX_CELLS)?;
        within("n_init", self.n_init, MAX_STARTS)?;
        within("max_iter", self.max_iter, i32::MAX as usize)?;
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(EngineError::invalid(
                "tolerance",
                "finite and at least 0",
                self.tolerance,
            ));
        }
        // below it, Cholesky's rounding may meet a pivot that is not positive
        if !(1e-9..=1e9).contains(&self.regularisation) {
            let found = self.regularisation;
            return Err(EngineError::invalid("regularisation", "between 1e-9 and 1e9", found));
        }
        Ok(())
    }
}
