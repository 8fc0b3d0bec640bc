//! A row in the sample of a tree: its number, its class and how often it counts, in whole units.

/// Class in the lowest bits, weight above them.
pub(crate) trait Tag: Copy + Default + Send + Sync + 'static {
    fn new(class: u32, weight: u64, class_bits: u32) -> Self;
    fn word(self) -> u64;
}

impl Tag for u32 {
    fn new(class: u32, weight: u64, class_bits: u32) -> Self {
        (weight << class_bits) as u32 | class
    }

    #[inline(always)]
    fn word(self) -> u64 {
        u64::from(self)
    }
}

impl Tag for u64 {
    fn new(class: u32, weight: u64, class_bits: u32) -> Self {
        weight << class_bits | u64::from(class)
    }

    #[inline(always)]
    fn word(self) -> u64 {
        self
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample<T> {
    pub(crate) row: u32,
    pub(crate) tag: T,
}

/// Weights of both classes in one number, so that one addition counts a row.
pub(crate) trait Both: Copy + Default + PartialEq + Send + Sync + 'static {
    fn of(word: u64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn parts(self) -> [u64; 2];
}

impl Both for u64 {
    #[inline(always)]
    fn of(word: u64) -> Self {
        (word >> 1) << (32 * (word & 1))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn parts(self) -> [u64; 2] {
        [self & 0xFFFF_FFFF, self >> 32]
    }
}

impl Both for u128 {
    #[inline(always)]
    fn of(word: u64) -> Self {
        u128::from(word >> 1) << (64 * (word & 1))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn parts(self) -> [u64; 2] {
        [self as u64, (self >> 64) as u64]
    }
}

/// How weights become whole units, so that their sums are exact whatever the order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Units {
    /// Units of weight 1, per class.
    pub(crate) per_class: Vec<f64>,
    /// Weight of a unit.
    pub(crate) unit: f64,
    pub(crate) class_bits: u32,
    /// Tags of 32 bits, and of two classes sums of 32 bits, hold everything.
    pub(crate) compact: bool,
}

impl Units {
    /// For rows of these weights, multiplied by a factor per class; `whole` says that drawn weights are whole numbers.
    pub(crate) fn new(weights: &[f64], factors: &[f64], whole: bool) -> Self {
        let total: f64 = weights.iter().sum();
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let most = factors.iter().copied().fold(1.0, f64::max);
        let equal = factors.iter().all(|f| *f == 1.0);
        // Twice the total: a sample may weigh more than the rows.
        let room = 52 - (2.0 * total * most + 64.0).log2().ceil() as i32;
        let exact = whole || weights.iter().all(|w| w.fract() == 0.0);
        let bits = if equal && exact { room.min(0) } else { room.min(20) };
        let class_bits = usize::BITS - (factors.len().max(2) - 1).leading_zeros();
        let scale = 2f64.powi(bits);
        let fits = |weight: f64, bits: u32| (weight * 2.0 + 64.0) * most * scale < 2f64.powi(bits as i32);
        // Whole units for a row of weight 1, so that one of weight 3 has exactly three times as many.
        let whole = |units: f64| if scale >= 1.0 { units.round() } else { units };
        Self {
            per_class: factors.iter().map(|f| whole(f * scale)).collect(),
            unit: 1.0 / scale,
            class_bits,
            compact: fits(heaviest, 32 - class_bits) && fits(total, 32),
        }
    }

    pub(crate) fn of(&self, weight: f64, class: u32) -> u64 {
        (weight * self.per_class[class as usize]).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_weights_are_their_own_units_and_others_are_kept_to_six_digits() {
        let units = Units::new(&[1.0, 3.0, 2e6], &[1.0, 1.0], false);
        assert_eq!((units.unit, units.compact, units.of(3.0, 1)), (1.0, true, 3));
        let units = Units::new(&[0.3, 1.0], &[1.0, 2.5], false);
        assert!((units.of(0.3, 1) as f64 * units.unit - 0.75).abs() < 1e-6);
        let units = Units::new(&[1e99, 1.0], &[1.0, 1.0], false);
        assert!(units.of(1e99, 0) < 1 << 53 && !units.compact);
        assert!(!Units::new(&[3e9, 1.0], &[1.0, 1.0], false).compact);
        assert_eq!(Units::new(&[1.0], &[1.0; 200], false).class_bits, 8);
        assert_eq!(Units::new(&[1.0], &[1.0; 3], false).class_bits, 2);
    }

    #[test]
    fn tags_give_back_class_and_weight_of_both_widths() {
        let word = u32::new(1, 77, 1).word();
        assert_eq!(<u64 as Both>::of(word).parts(), [0, 77]);
        let word = u64::new(0, 1 << 50, 1).word();
        assert_eq!(<u128 as Both>::of(word).parts(), [1 << 50, 0]);
    }
}
