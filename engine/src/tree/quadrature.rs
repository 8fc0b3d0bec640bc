//! Gauss-Legendre nodes on [0, 1].

/// Nodes and weights: with n of them, polynomials of degree 2 n - 1 are integrated exactly. Ascending nodes.
pub(crate) fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let mut points = vec![(0.5, 1.0); n];
    for i in 0..n {
        // Newton's method on the Legendre polynomial, from Tricomi's estimate of the root
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut value, mut before) = (1.0, 0.0);
            for k in 0..n {
                let k = k as f64;
                (value, before) = (((2.0 * k + 1.0) * x * value - k * before) / (k + 1.0), value);
            }
            slope = n as f64 * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        points[n - 1 - i] = ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_up_to_twice_the_number_of_nodes_are_integrated_exactly() {
        for n in [1, 2, 3, 5, 8, 16, 33, 64] {
            let points = gauss_legendre(n);
            assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
            for degree in 0..2 * n {
                let found: f64 = points.iter().map(|(x, w)| w * x.powi(degree as i32)).sum();
                let expected = 1.0 / (degree + 1) as f64;
                assert!((found - expected).abs() < 1e-14, "{n} nodes, degree {degree}: {found}");
            }
        }
    }
}
