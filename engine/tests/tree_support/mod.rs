//! A table that tests of trees share.

use empatia_engine::tree::FeatureTable;

/// Three classes that two features tell apart, with noise.
pub fn wide(n: usize) -> (FeatureTable, Vec<u32>, Vec<f64>) {
    let number = |at: usize| {
        let mixed = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64
    };
    let columns: Vec<Vec<f64>> = (0..6).map(|j| (0..n).map(|i| number(i * 6 + j)).collect()).collect();
    let above = |j: usize, i: usize| u32::from(columns[j][i] > 8e6);
    let labels = (0..n).map(|i| above(0, i) + above(3, i)).collect();
    (FeatureTable::from_columns(&columns).unwrap(), labels, vec![1.0; n])
}
