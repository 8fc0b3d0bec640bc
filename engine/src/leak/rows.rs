//! The rows that are looked at: their weight, classes and fold.

use crate::data::Labels;

/// Rows are judged by what the other folds say.
pub(super) const FOLDS: usize = 5;
/// Most classes that are told from the others one by one, the heaviest.
const MAX_TESTED: usize = 8;

/// The sampled rows.
pub(super) struct Rows {
    /// Numbers in the table.
    pub numbers: Vec<u32>,
    pub weights: Vec<f64>,
    pub fold_of: Vec<u8>,
    /// Per tested class, whether a row is of it.
    pub tested: Vec<Vec<bool>>,
}

impl Rows {
    /// At most about `limit` rows, evenly spread; rows of a group are in one fold.
    pub fn new(labels: &Labels, limit: usize) -> Self {
        let n = labels.n_rows();
        let step = n.div_ceil(limit.max(1)).max(1);
        let numbers: Vec<u32> = (0..n as u32)
            .step_by(step)
            .filter(|row| labels.weights()[*row as usize] > 0.0)
            .collect();
        let key = |row: &u32| labels.groups().map_or(u64::from(*row), |groups| groups[*row as usize]);
        let fold_of = numbers.iter().map(|row| (mix(key(row)) % FOLDS as u64) as u8).collect();
        let weights = numbers.iter().map(|row| labels.weights()[*row as usize]).collect();
        let of_class = labels.class_weights();
        let mut classes: Vec<usize> = (0..of_class.len()).filter(|class| of_class[*class] > 0.0).collect();
        classes.sort_by(|a, b| of_class[*b].total_cmp(&of_class[*a]).then(a.cmp(b)));
        // of two classes one says it all
        classes.truncate(if classes.len() == 2 { 1 } else { MAX_TESTED });
        let tested = classes
            .iter()
            .map(|class| {
                numbers
                    .iter()
                    .map(|row| labels.targets()[*row as usize] as usize == *class)
                    .collect()
            })
            .collect();
        Self {
            numbers,
            weights,
            fold_of,
            tested,
        }
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// splitmix64: neighbours in number land in folds independently of each other.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
