//! Intervals of shares.

use serde::{Deserialize, Serialize};

use super::normal_quantile;
use crate::error::{EngineError, Result};

/// A range that holds the true value with a stated confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Wilson's score interval (1927) of the share `hits` / `trials` at confidence `level` (0.95); 0 to 1 without trials.
/// Weighted rows: `trials` is the total weight, weights being multiplicities.
///
/// # Errors
/// [`EngineError::InvalidParameter`] unless 0 <= hits <= trials, trials is finite, and 0 < level < 1.
pub fn wilson(hits: f64, trials: f64, level: f64) -> Result<Interval> {
    if !(trials >= 0.0 && trials.is_finite()) {
        return Err(EngineError::invalid("trials", "finite and at least 0", trials));
    }
    if !(0.0..=trials).contains(&hits) {
        return Err(EngineError::invalid("hits", format!("between 0 and {trials}"), hits));
    }
    let z = confidence_z(level)?;
    if trials == 0.0 {
        return Ok(Interval { low: 0.0, high: 1.0 });
    }
    let (share, z2) = (hits / trials, z * z);
    let centre = (share + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    let variance = share * (1.0 - share) / trials + z2 / (4.0 * trials * trials);
    let half = z / (1.0 + z2 / trials) * variance.sqrt();
    Ok(Interval {
        low: if hits == 0.0 { 0.0 } else { (centre - half).max(0.0) },
        high: if hits == trials { 1.0 } else { (centre + half).min(1.0) },
    })
}

/// How many standard errors to each side hold `level` of a normal distribution.
pub(crate) fn confidence_z(level: f64) -> Result<f64> {
    if !(level > 0.0 && level < 1.0) {
        let expected = "between 0 and 1, both excluded";
        return Err(EngineError::invalid("confidence level", expected, level));
    }
    normal_quantile(0.5 + level / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_known_is_zero_to_one_and_impossible_counts_are_refused() {
        assert_eq!(wilson(0.0, 0.0, 0.95).unwrap(), Interval { low: 0.0, high: 1.0 });
        assert_eq!(wilson(0.0, 5.0, 0.95).unwrap().low, 0.0);
        assert_eq!(wilson(5.0, 5.0, 0.95).unwrap().high, 1.0);
        assert!(wilson(2.0, 1.0, 0.95).is_err());
        assert!(wilson(1.0, 2.0, 1.0).is_err());
        assert!(wilson(f64::NAN, 2.0, 0.9).is_err());
        assert!(wilson(1.0, f64::INFINITY, 0.9).is_err());
    }
}
