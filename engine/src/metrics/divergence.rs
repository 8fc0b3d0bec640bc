//! How far one histogram is from another.

use crate::error::{EngineError, Result};

/// Share that an empty bin is taken to have, so that the index stays finite.
const EMPTY_SHARE: f64 = 1e-4;

/// Population stability index: sum over the bins of (q - p) ln(q / p), p and q the shares of `expected` and `actual`,
/// an empty bin counting as one ten-thousandth. 0 for equal shares; custom: from 0.1 worth a look, from 0.25 a shift.
///
/// # Errors
/// [`EngineError::Dimension`], [`EngineError::InvalidWeight`], [`EngineError::EmptyInput`] for a histogram of no weight.
pub fn population_stability_index(expected: &[f64], actual: &[f64]) -> Result<f64> {
    let (p, q) = shares(expected, actual)?;
    let term = |(p, q): (&f64, &f64)| {
        let (p, q) = (p.max(EMPTY_SHARE), q.max(EMPTY_SHARE));
        (q - p) * (q / p).ln()
    };
    Ok(p.iter().zip(&q).map(term).sum())
}

/// Jensen-Shannon divergence in bits: 0 for equal shares, 1 for shares that have no bin in common.
///
/// # Errors
/// As [`population_stability_index`].
pub fn jensen_shannon(a: &[f64], b: &[f64]) -> Result<f64> {
    let (p, q) = shares(a, b)?;
    let towards_middle = |p: f64, q: f64| if p > 0.0 { p * (2.0 * p / (p + q)).log2() } else { 0.0 };
    let term = |(p, q): (&f64, &f64)| (towards_middle(*p, *q) + towards_middle(*q, *p)) / 2.0;
    Ok(p.iter().zip(&q).map(term).sum::<f64>().clamp(0.0, 1.0))
}

fn shares(a: &[f64], b: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    crate::data::labels::same("bins", a.len(), b.len())?;
    let of = |histogram: &[f64]| {
        crate::data::labels::check_weights(histogram)?;
        let total: f64 = histogram.iter().sum();
        if total <= 0.0 {
            return Err(EngineError::EmptyInput { what: "histogram" });
        }
        Ok(histogram.iter().map(|weight| weight / total).collect::<Vec<f64>>())
    };
    Ok((of(a)?, of(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergences_by_hand() {
        // shares (.5, .5) and (.25, .75)
        let psi = population_stability_index(&[10.0, 10.0], &[1.0, 3.0]).unwrap();
        approx::assert_relative_eq!(psi, 0.25 * 3f64.ln(), max_relative = 1e-14);
        // scipy.spatial.distance.jensenshannon([.5, .5], [.25, .75], 2) ** 2
        let js = jensen_shannon(&[1.0, 1.0], &[1.0, 3.0]).unwrap();
        approx::assert_relative_eq!(js, 0.048_794_940_695_398_4, max_relative = 1e-10);
        assert_eq!(jensen_shannon(&[1.0, 0.0], &[0.0, 9.0]).unwrap(), 1.0);
        assert_eq!(population_stability_index(&[2.0, 4.0], &[1.0, 2.0]).unwrap(), 0.0);
    }

    #[test]
    fn empty_bins_stay_finite_and_empty_histograms_are_refused() {
        assert!(population_stability_index(&[1.0, 0.0], &[0.0, 1.0])
            .unwrap()
            .is_finite());
        assert!(jensen_shannon(&[0.0, 0.0], &[1.0, 0.0]).is_err());
        assert!(jensen_shannon(&[1.0], &[1.0, 0.0]).is_err());
        assert!(jensen_shannon(&[1.0, f64::NAN], &[1.0, 0.0]).is_err());
    }
}
