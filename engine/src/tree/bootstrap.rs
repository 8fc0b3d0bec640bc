//! Samples drawn by a counter, not by a stream: what is drawn for a row of a tree depends on seed, tree and row only.

/// Weights up to which draws are exact; above, a rounded normal number takes their place.
const EXACT: f64 = 4_096.0;
/// Largest mean that exp(-mean) is computed for.
const STEP: f64 = 30.0;

/// 64 random bits for a key and a number (SplitMix64).
#[inline(always)]
pub(crate) fn bits(key: u64, number: u64) -> u64 {
    let mut z = key.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A key for each tree of a model.
pub(crate) fn key(seed: u64, tree: u64) -> u64 {
    bits(bits(seed, 0x7472_6565), tree)
}

#[inline(always)]
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The distribution function of Poisson(1) at 0..8, in units of 2^-64.
const UNIT_STEPS: [u64; 8] = [
    6_786_177_901_268_885_274,
    13_572_355_802_537_770_549,
    16_965_444_753_172_213_186,
    18_096_474_403_383_694_066,
    18_379_231_815_936_564_285,
    18_435_783_298_447_138_330,
    18_445_208_545_532_234_003,
    18_446_555_009_401_533_385,
];

/// Poisson(mean), for row `row` under `key`.
#[inline]
pub(crate) fn poisson(key: u64, row: u64, mean: f64) -> f64 {
    let random = bits(key, row);
    if mean == 1.0 && random < UNIT_STEPS[7] {
        let count: u32 = UNIT_STEPS.iter().map(|step| u32::from(random >= *step)).sum();
        return f64::from(count);
    }
    poisson_any(random, mean)
}

fn poisson_any(random: u64, mean: f64) -> f64 {
    if mean > EXACT {
        return (mean + mean.sqrt() * normal(random)).round().max(0.0);
    }
    // A sum of independent Poisson numbers is one, so large means are drawn in parts.
    let parts = (mean / STEP).ceil().max(1.0);
    let part = mean / parts;
    (0..parts as u64)
        .map(|i| by_inversion(fraction(bits(random, i)), part))
        .sum()
}

fn by_inversion(u: f64, mean: f64) -> f64 {
    let (mut count, mut term) = (0.0, (-mean).exp());
    let mut sum = term;
    while u >= sum && count < 1_000.0 {
        count += 1.0;
        term *= mean / count;
        sum += term;
    }
    count
}

fn normal(random: u64) -> f64 {
    let (u, v) = (fraction(bits(random, 1)), fraction(bits(random, 2)));
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Binomial(copies, part) for whole numbers of copies; of a part of a copy, all or nothing.
pub(crate) fn thinned(key: u64, row: u64, copies: f64, part: f64) -> f64 {
    let random = bits(key, row);
    if copies == 1.0 {
        return f64::from(fraction(random) < part);
    }
    let whole = copies.floor();
    let rest = copies - whole;
    let of_rest = if fraction(bits(random, u64::MAX)) < part {
        rest
    } else {
        0.0
    };
    if whole > EXACT {
        let sd = (whole * part * (1.0 - part)).sqrt();
        return (whole * part + sd * normal(random)).round().clamp(0.0, whole) + of_rest;
    }
    let taken = (0..whole as u64).filter(|i| fraction(bits(random, *i)) < part).count();
    taken as f64 + of_rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of 100 000 draws.
    fn moments(draw: impl Fn(u64) -> f64) -> (f64, f64) {
        let draws: Vec<f64> = (0..100_000).map(draw).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        (mean, draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 1e5)
    }

    #[test]
    fn poisson_has_its_mean_as_its_variance_on_every_path() {
        for mean in [0.0, 0.3, 1.0, 7.0, 100.0, 5_000.0] {
            let (m, v) = moments(|row| poisson(3, row, mean));
            let tolerance = 0.02 * mean + 0.002;
            assert!(
                (m - mean).abs() < tolerance && (v - mean).abs() < tolerance,
                "{mean}: {m} {v}"
            );
        }
    }

    #[test]
    fn the_table_of_poisson_one_is_its_distribution_function() {
        let (mut term, mut sum) = ((-1.0f64).exp(), 0.0);
        for (k, step) in UNIT_STEPS.iter().enumerate() {
            sum += term;
            term /= (k + 1) as f64;
            assert!((*step as f64 / 2f64.powi(64) - sum).abs() < 1e-15, "{k}");
        }
        let zeros = (0..100_000).filter(|row| poisson(9, *row, 1.0) == 0.0).count();
        assert!((zeros as f64 / 1e5 - 0.36788).abs() < 0.005, "{zeros}");
    }

    #[test]
    fn thinning_keeps_the_part_of_the_copies() {
        for copies in [1.0, 6.0, 9_000.0] {
            let (m, v) = moments(|row| thinned(5, row, copies, 0.3));
            assert!(
                (m / copies - 0.3).abs() < 0.01 && (v / copies - 0.21).abs() < 0.01,
                "{copies}: {m} {v}"
            );
        }
        assert!((0..1000).all(|row| [0.0, 0.5, 1.0, 1.5, 2.0, 2.5].contains(&thinned(1, row, 2.5, 0.5))));
    }
}
