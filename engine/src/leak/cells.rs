//! How well cells tell a class from the others, on rows that they were not counted on.

use super::bins::Codes;
use super::rows::{Rows, FOLDS};

/// Rows that the share of all counts for in a cell.
const SMOOTHING: f64 = 1.0;

/// Area under the ROC curve out of fold, of the tested class that the cells tell best; 0.5 where they tell nothing.
pub(super) fn auc(codes: &Codes, rows: &Rows) -> f64 {
    let of = |positive: &Vec<bool>| auc_of(codes, rows, positive);
    rows.tested.iter().map(of).fold(0.5, f64::max)
}

fn auc_of(codes: &Codes, rows: &Rows, positive: &[bool]) -> f64 {
    // (positive, negative) by cell and fold
    let mut counts = vec![[0.0f64; 2]; codes.n * FOLDS];
    let mut of_fold = [[0.0f64; 2]; FOLDS];
    for (((code, fold), weight), positive) in codes.of_row.iter().zip(&rows.fold_of).zip(&rows.weights).zip(positive) {
        let side = usize::from(!positive);
        counts[*code as usize * FOLDS + *fold as usize][side] += weight;
        of_fold[*fold as usize][side] += weight;
    }
    let all: [f64; 2] = [0, 1].map(|side| of_fold.iter().map(|fold| fold[side]).sum());
    let mut levels: Vec<(f64, [f64; 2])> = Vec::new();
    for cell in counts.chunks_exact(FOLDS) {
        let total: [f64; 2] = [0, 1].map(|side| cell.iter().map(|fold| fold[side]).sum());
        for (fold, own) in cell.iter().enumerate().filter(|(_, own)| own[0] + own[1] > 0.0) {
            let others = [all[0] - of_fold[fold][0], all[1] - of_fold[fold][1]];
            let prior = others[0] / (others[0] + others[1]).max(f64::MIN_POSITIVE);
            let seen = total[0] + total[1] - own[0] - own[1];
            let score = (total[0] - own[0] + SMOOTHING * prior) / (seen + SMOOTHING);
            levels.push((score, *own));
        }
    }
    area(levels)
}

/// Area under the curve of (score, [positive, negative]) in any order.
pub(super) fn area(mut levels: Vec<(f64, [f64; 2])>) -> f64 {
    levels.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let all: [f64; 2] = [0, 1].map(|side| levels.iter().map(|level| level.1[side]).sum());
    let mut above = 0.0;
    let mut area = 0.0;
    for tied in levels.chunk_by(|a, b| a.0 == b.0) {
        let own: [f64; 2] = [0, 1].map(|side| tied.iter().map(|level| level.1[side]).sum());
        area += own[1] * (above + own[0] / 2.0);
        above += own[0];
    }
    if all[0] > 0.0 && all[1] > 0.0 {
        area / (all[0] * all[1])
    } else {
        0.5
    }
}

/// Whether every cell of more than one row has rows of one class only, and most rows are in such cells.
pub(super) fn is_pure(codes: &Codes, rows: &Rows) -> bool {
    if rows.tested.len() != 1 {
        return false;
    }
    let mut counts = vec![[0u32; 2]; codes.n];
    for (code, positive) in codes.of_row.iter().zip(&rows.tested[0]) {
        counts[*code as usize][usize::from(*positive)] += 1;
    }
    let several: Vec<&[u32; 2]> = counts.iter().filter(|cell| cell[0] + cell[1] > 1).collect();
    let covered: u32 = several.iter().map(|cell| cell[0] + cell[1]).sum();
    several.iter().all(|cell| cell[0] == 0 || cell[1] == 0) && covered as usize * 10 >= rows.len() * 9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Labels;

    #[test]
    fn area_by_hand_with_ties() {
        // pairs of a positive and a negative: 2 x 2; won 2, tied 1, lost 1
        let levels = vec![(0.9, [1.0, 0.0]), (0.5, [1.0, 1.0]), (0.1, [0.0, 1.0])];
        assert_eq!(area(levels), 3.5 / 4.0);
        assert_eq!(area(vec![(0.3, [2.0, 0.0])]), 0.5);
    }

    #[test]
    fn an_identifier_that_names_each_row_tells_nothing_out_of_fold() {
        let targets: Vec<u32> = (0..400u32).map(|row| row.wrapping_mul(2_654_435_761) >> 31).collect();
        let rows = Rows::new(&Labels::unweighted(targets, 2).unwrap(), 1_000);
        let identifier = Codes {
            of_row: (0..400).collect(),
            n: 400,
        };
        let found = auc(&identifier, &rows);
        assert!(found < 0.6, "{found}");
        assert!(!is_pure(&identifier, &rows));
    }
}
