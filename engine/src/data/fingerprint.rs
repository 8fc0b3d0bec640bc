//! A fingerprint of numbers: equal numbers, equal fingerprint, in every session and version.

/// Takes numbers in one after the other. Different ones give different fingerprints but for an accident in 2^64; not for adversaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Takes an integer in. Never to be changed: fingerprints are stored.
    #[inline]
    pub fn add(&mut self, value: i64) {
        // the finaliser of MurmurHash3 over a running product
        let mut z = (self.0 ^ value as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
        z ^= z >> 33;
        z = z.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        self.0 = z ^ (z >> 29);
    }

    /// Takes a number in; all NaN are alike, and so are both zeros.
    #[inline]
    pub fn add_number(&mut self, value: f64) {
        let bits = if value.is_nan() {
            f64::NAN.to_bits()
        } else {
            (value + 0.0).to_bits()
        };
        self.add(bits as i64);
    }

    /// As it is stored.
    pub fn value(self) -> i64 {
        self.0 as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> i64 {
        let mut fingerprint = Fingerprint::default();
        values.iter().for_each(|value| fingerprint.add_number(*value));
        fingerprint.value()
    }

    #[test]
    fn order_number_and_missing_values_tell_apart() {
        let all = [
            of(&[]),
            of(&[0.0]),
            of(&[0.0, 0.0]),
            of(&[1.0, 2.0]),
            of(&[2.0, 1.0]),
            of(&[f64::NAN]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
        assert_eq!(of(&[0.0]), of(&[-0.0]));
        assert_eq!(of(&[f64::NAN]), of(&[-f64::NAN]));
    }

    #[test]
    fn a_stored_fingerprint_keeps_its_meaning() {
        // computed with Python's integers from the definition
        assert_eq!(of(&[1.0, 2.5, f64::NAN]), -3286890753310422847);
    }
}
