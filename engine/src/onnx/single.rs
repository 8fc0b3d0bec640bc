//! Thresholds between our 64-bit comparisons and those of 32 bits that ONNX makes.

/// The largest f32 that is at most `x`, which is not NaN.
pub(super) fn at_most(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) <= x {
        near
    } else {
        near.next_down()
    }
}

/// The largest f64 whose nearest f32 is at most `threshold` (or less than it): `x <= reach(t)` is `x as f32 <= t`, for
/// every finite x.
pub(super) fn reach(threshold: f32, strict: bool) -> f64 {
    let last = if strict { threshold.next_down() } else { threshold };
    if last.is_infinite() {
        return f64::from(last.signum()) * f64::MAX;
    }
    // Beyond the largest f32, numbers are rounded as if there were one more step.
    let step = match last.next_up() {
        f32::INFINITY => 2f64.powi(128),
        next => f64::from(next),
    };
    let middle = f64::from(last) / 2.0 + step / 2.0;
    // A number in the middle is rounded to the one with an even last bit.
    if middle as f32 == last {
        middle
    } else {
        middle.next_down()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_is_where_32_bit_comparison_changes_its_mind() {
        let mut thresholds = vec![
            0.0f32,
            -0.0,
            0.1,
            -0.1,
            1.0,
            3.5,
            1e-40,
            -1e-40,
            1e30,
            f32::MAX,
            f32::MIN_POSITIVE,
        ];
        thresholds.extend((0..2000u32).map(|i| f32::from_bits(0x3f00_0000 + i * 7919)));
        for t in thresholds {
            for (strict, goes) in [(false, (|a, b| a <= b) as fn(f32, f32) -> bool), (true, |a, b| a < b)] {
                let reach = reach(t, strict);
                for x in [reach, reach.next_down(), reach - 1e-3] {
                    assert!(goes(x as f32, t), "{x:e} against {t:e}, strict {strict}");
                }
                for x in [reach.next_up(), reach + 1e-3] {
                    assert!(x == reach || !goes(x as f32, t), "{x:e} against {t:e}, strict {strict}");
                }
            }
        }
        assert_eq!(reach(f32::INFINITY, false), f64::MAX);
        assert_eq!(reach(f32::NEG_INFINITY, false), -f64::MAX);
    }

    #[test]
    fn at_most_never_lets_a_threshold_grow() {
        for x in [0.1, 0.3, -0.1, 1.0 / 3.0, 1e-50, -1e-50, f64::MAX, 16_777_217.0] {
            let single = at_most(x);
            assert!(f64::from(single) <= x && f64::from(single.next_up()) > x, "{x}");
        }
        assert_eq!(at_most(2.5), 2.5);
    }
}
