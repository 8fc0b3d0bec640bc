//! Responsibilities handed to linfa in the guise of random numbers.
//!
//! linfa's EM starts from its own K-Means or from responsibilities drawn uniformly from [0, 1), row by row, and divided by their row's
//! sum. A generator that draws the wanted responsibilities starts it from those. It rests on rand 0.8 making such a number of the upper
//! 52 bits of one `next_u64`, which `rand` promises to keep within 0.8; a test compares.

use std::sync::Arc;

use rand::{Error, RngCore};

/// One responsibility in [0, 1] as the bits from which rand makes it: to 2^-52.
pub(super) fn bits(responsibility: f64) -> u64 {
    let most = (1u64 << 52) - 1;
    let scaled = responsibility * (1u64 << 52) as f64;
    // `as` saturates and takes NaN for 0
    (scaled as u64).min(most) << 12
}

/// Draws the responsibilities of distinct row `origin[i]` (k of them) for each row i.
#[derive(Clone)]
pub(super) struct Replay {
    pub(super) bits: Arc<Vec<u64>>,
    pub(super) origin: Arc<Vec<u32>>,
    pub(super) k: usize,
    pub(super) drawn: usize,
}

impl RngCore for Replay {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        let (row, component) = (self.drawn / self.k, self.drawn % self.k);
        self.drawn += 1;
        let at = self.origin.get(row).map(|origin| *origin as usize * self.k + component);
        at.and_then(|at| self.bits.get(at)).copied().unwrap_or(0)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::distributions::{Distribution, Uniform};

    #[test]
    fn uniform_numbers_are_the_responsibilities_given() {
        let wanted = [0.0, 1.0, 0.25, 0.75, 1.0 / 3.0, 2.0 / 3.0];
        let mut replay = Replay {
            bits: Arc::new(wanted.iter().map(|r| bits(*r)).collect()),
            origin: Arc::new(vec![2, 0, 0, 1]),
            k: 2,
            drawn: 0,
        };
        let uniform = Uniform::new(0.0f64, 1.0);
        let expected = [1.0 / 3.0, 2.0 / 3.0, 0.0, 1.0, 0.0, 1.0, 0.25, 0.75];
        for expected in expected {
            let drawn = uniform.sample(&mut replay);
            assert!((drawn - expected).abs() <= f64::EPSILON, "{drawn} {expected}");
        }
    }
}
