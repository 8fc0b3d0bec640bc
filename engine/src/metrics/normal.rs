//! The normal distribution, as intervals and tests need it.

use crate::error::{EngineError, Result};

/// The z below which a share `p` of the standard normal distribution lies, to about 1e-15 relative: bisection on the
/// tail, which is monotone.
///
/// # Errors
/// [`EngineError::InvalidParameter`] unless 0 < p < 1.
pub fn normal_quantile(p: f64) -> Result<f64> {
    if !(p > 0.0 && p < 1.0) {
        return Err(EngineError::invalid("probability", "between 0 and 1, both excluded", p));
    }
    let tail = p.min(1.0 - p);
    let (mut low, mut high) = (0.0f64, 40.0f64);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if erfc(middle / std::f64::consts::SQRT_2) / 2.0 > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    let z = (low + high) / 2.0;
    Ok(if p < 0.5 { -z } else { z })
}

/// Probability of a standard normal value at least as far from 0 as `z`.
pub fn two_sided_p(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2).clamp(0.0, 1.0)
}

/// Complementary error function of x >= 0: Taylor series of erf below 2, Lentz's continued fraction above.
fn erfc(x: f64) -> f64 {
    let scale = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.0 {
        // erf x = 2/sqrt(pi) exp(-x^2) sum_n (2 x^2)^n x / (1 3 5 ... (2n + 1))
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > sum * 1e-18 && n < 200.0 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 * scale * sum;
    }
    // x + (1/2)/(x + 1/(x + (3/2)/(x + ...))), from the inside
    let mut fraction = x;
    for n in (1..=200).rev() {
        fraction = x + f64::from(n) / 2.0 / fraction;
    }
    scale / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_and_ends() {
        assert_eq!((two_sided_p(0.0), two_sided_p(f64::INFINITY)), (1.0, 0.0));
        // 2 is where the series hands over to the fraction
        let (below, above) = (erfc(2.0 - 1e-12), erfc(2.0));
        approx::assert_relative_eq!(below, above, max_relative = 1e-10);
        for p in [0.0, 1.0, f64::NAN] {
            assert!(normal_quantile(p).is_err());
        }
    }
}
