//! Sums of first and second derivatives by bin, in fixed point: integers add up to the same whatever the order, so a
//! tree does not depend on threads or on the order of rows, a weighted row counts exactly as its copies would, and the
//! sums of a sibling are exactly the parent's less one's own.

/// Bits after the point of a derivative, unless the total weight leaves less room.
const FRACTION_BITS: i32 = 24;

/// Rows that are asked for before they are needed.
const AHEAD: usize = 16;

/// First and second derivative.
pub(crate) type Sums = [i64; 2];

/// The bins of one feature; `W` is a power of two above the highest bin.
pub(crate) type Cells<const W: usize> = [Sums; W];

/// The derivatives of a row, weighted.
pub(crate) trait Pair: Copy + Default + Send + Sync + 'static {
    /// Largest absolute value.
    const MOST: f64;
    fn new(sums: Sums) -> Self;
    fn wide(self) -> Sums;
}

impl Pair for [i32; 2] {
    const MOST: f64 = i32::MAX as f64;

    #[inline(always)]
    fn new(sums: Sums) -> Self {
        sums.map(|sum| sum as i32)
    }

    #[inline(always)]
    fn wide(self) -> Sums {
        self.map(i64::from)
    }
}

impl Pair for [i64; 2] {
    const MOST: f64 = i64::MAX as f64;

    #[inline(always)]
    fn new(sums: Sums) -> Self {
        sums
    }

    #[inline(always)]
    fn wide(self) -> Sums {
        self
    }
}

/// How derivatives become integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub(crate) factor: f64,
}

impl Scale {
    /// For rows of this total weight, derivatives of at most 1 times a class weight of at most `most`.
    pub(crate) fn new(total_weight: f64, most: f64) -> Self {
        let room = 61 - (total_weight * most.max(1.0) + 1.0).log2().ceil() as i32;
        Self {
            factor: 2f64.powi(room.min(FRACTION_BITS)),
        }
    }

    /// The derivative of a row of weight 1, times its weight: for whole weights exactly as many times.
    #[inline(always)]
    pub(crate) fn of(self, derivative: f64, weight: f64) -> i64 {
        // Adding and taking away 1.5 x 2^52 rounds to even, as long as there are fewer than 51 bits.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let one = (derivative * self.factor + ROUND) - ROUND;
        if weight == 1.0 {
            one as i64
        } else if weight.fract() == 0.0 && weight < 1e9 {
            (one as i64).saturating_mul(weight as i64)
        } else {
            (one * weight).round_ties_even() as i64
        }
    }
}

/// Adds the rows `order` to the histogram of all features.
#[inline]
pub(crate) fn accumulate<G: Pair, const W: usize>(hist: &mut [Cells<W>], bins: &[u8], pairs: &[G], order: &[u16]) {
    let p = hist.len();
    let mut held = [G::default(); AHEAD];
    for order in order.chunks(AHEAD) {
        // Rows of a node are far apart. Asking for several at once, before any is needed, waits for the memory once.
        let mut touched = 0;
        for (held, row) in held.iter_mut().zip(order) {
            let row = *row as usize;
            *held = pairs[row];
            touched ^= bins[row * p] ^ bins[row * p + p - 1];
        }
        std::hint::black_box(touched);
        for (held, row) in held.iter().zip(order) {
            let row = *row as usize;
            let [g, h] = held.wide();
            for (cells, bin) in hist.iter_mut().zip(&bins[row * p..(row + 1) * p]) {
                let cell = &mut cells[*bin as usize & (W - 1)];
                cell[0] += g;
                cell[1] += h;
            }
        }
    }
}

/// Adds the rows `order` to the histogram of some of `p` features.
pub(crate) fn accumulate_some<G: Pair, const W: usize>(
    hist: &mut [Cells<W>],
    bins: &[u8],
    p: usize,
    chosen: &[u32],
    pairs: &[G],
    order: &[u16],
) {
    for &row in order {
        let row = row as usize;
        let [g, h] = pairs[row].wide();
        let bins = &bins[row * p..(row + 1) * p];
        for (cells, feature) in hist.iter_mut().zip(chosen) {
            let cell = &mut cells[bins[*feature as usize] as usize & (W - 1)];
            cell[0] += g;
            cell[1] += h;
        }
    }
}

/// The best split of a node by second-order gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Split {
    pub(crate) gain: f64,
    /// Position among the chosen features.
    pub(crate) feature: u32,
    /// Highest rank that goes left.
    pub(crate) cut: u32,
    pub(crate) missing_left: bool,
    pub(crate) left: Sums,
}

/// What a split has to satisfy, in the units of the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) l2: f64,
    /// Least second derivative on each side.
    pub(crate) least: i64,
    /// Gain to exceed.
    pub(crate) min_gain: f64,
}

#[inline(always)]
fn half(sums: Sums, l2: f64) -> f64 {
    let g = sums[0] as f64;
    g * g / (sums[1] as f64 + l2)
}

/// The best split at a feature whose highest bin is `last`; of equals the lowest cut.
pub(crate) fn search(cells: &[Sums], last: u8, total: Sums, terms: &Terms, feature: u32) -> Option<Split> {
    let missing = cells[0];
    let with_missing = missing != [0, 0];
    let floor = half(total, terms.l2) + terms.min_gain;
    let mut best: Option<Split> = None;
    let mut best_gain = floor;
    let mut offer = |left: Sums, bin: usize, missing_left: Option<bool>| {
        let right = [total[0] - left[0], total[1] - left[1]];
        if left[1] < terms.least || right[1] < terms.least {
            return;
        }
        let gain = half(left, terms.l2) + half(right, terms.l2);
        if gain > best_gain {
            best_gain = gain;
            best = Some(Split {
                gain: gain - floor + terms.min_gain,
                feature,
                cut: bin as u32 - 1,
                // Values that were never missing here go with the majority.
                missing_left: missing_left.unwrap_or(left[1] >= right[1]),
                left,
            });
        }
    };
    let mut left = [0, 0];
    let last = usize::from(last);
    for (bin, cell) in cells.iter().enumerate().take(last).skip(1) {
        if *cell == [0, 0] {
            continue;
        }
        left = [left[0] + cell[0], left[1] + cell[1]];
        if with_missing {
            offer(left, bin, Some(false));
            offer([left[0] + missing[0], left[1] + missing[1]], bin, Some(true));
        } else {
            offer(left, bin, None);
        }
    }
    if with_missing {
        offer([total[0] - missing[0], total[1] - missing[1]], last, Some(false));
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_weight_counts_as_its_copies_and_sums_do_not_overflow() {
        let scale = Scale::new(1e6, 1.0);
        for derivative in [0.3, -0.77, 1e-9, 1.0] {
            assert_eq!(scale.of(derivative, 7.0), 7 * scale.of(derivative, 1.0));
        }
        assert!((scale.of(0.3, 1.0) as f64 / scale.factor - 0.3).abs() < 1e-7);
        for total in [1.0, 1e9, 1e30, 1e100] {
            let scale = Scale::new(total, 50.0);
            assert!((scale.of(50.0, total) as f64) < 2f64.powi(62));
        }
    }

    #[test]
    fn missing_values_go_where_they_gain_most() {
        let terms = Terms {
            l2: 0.0,
            least: 1,
            min_gain: 0.0,
        };
        // missing rows behave as the high values do
        let cells = [[-10, 10], [10, 10], [9, 10], [-10, 10]];
        let split = search(&cells, 3, [-1, 40], &terms, 0).unwrap();
        assert_eq!((split.cut, split.missing_left, split.left), (1, false, [19, 20]));
        // as the low ones
        let cells = [[10, 10], [10, 10], [-10, 10], [-10, 10]];
        let split = search(&cells, 3, [0, 40], &terms, 0).unwrap();
        assert_eq!((split.cut, split.missing_left, split.left), (0, true, [20, 20]));
        // as no value does
        let cells = [[10, 10], [-10, 10], [-10, 10]];
        let split = search(&cells, 2, [-10, 30], &terms, 0).unwrap();
        assert_eq!((split.cut, split.missing_left, split.left), (1, false, [-20, 20]));
        // gain: 400/20 + 100/10 - 100/30
        assert!((split.gain - (20.0 + 10.0 - 100.0 / 30.0)).abs() < 1e-12);
    }
}
