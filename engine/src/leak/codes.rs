//! Columns that are functions of a leaking one: its codes and ranks.

use super::bins::Codes;
use super::rows::{Rows, FOLDS};
use crate::data::Values;

/// Bins of a leaking number: fine, since a code cuts it where it likes.
const BINS: usize = 256;
/// From here on a column is a function of another.
const DETERMINED: f64 = 0.95;
/// Least rows that have both.
const LEAST_ROWS: usize = 50;

/// Whether the values of `column` follow from those of `leak`, on rows that it was not learned on.
pub(super) fn follows(column: &Values, leak: &Values, rows: &Rows) -> bool {
    let of_leak = Codes::new(leak, &rows.numbers, BINS, BINS);
    match column {
        Values::Numeric(values) => {
            let own: Vec<f64> = rows.numbers.iter().map(|row| values[*row as usize]).collect();
            number_follows(&own, &of_leak, rows)
        }
        Values::Category { .. } => level_follows(&Codes::new(column, &rows.numbers, 0, 1), &of_leak, rows),
    }
}

/// R squared out of fold of the mean per cell.
fn number_follows(values: &[f64], leak: &Codes, rows: &Rows) -> bool {
    let known: Vec<usize> = (0..values.len())
        .filter(|row| !values[*row].is_nan() && leak.of_row[*row] > 0)
        .collect();
    if known.len() < LEAST_ROWS {
        return false;
    }
    let mut sums = vec![[0.0f64; 2]; leak.n * FOLDS];
    for row in &known {
        let cell = &mut sums[leak.of_row[*row] as usize * FOLDS + rows.fold_of[*row] as usize];
        cell[0] += values[*row];
        cell[1] += 1.0;
    }
    let mean = known.iter().map(|row| values[*row]).sum::<f64>() / known.len() as f64;
    let (mut left, mut all) = (0.0, 0.0);
    for row in &known {
        let cells = &sums[leak.of_row[*row] as usize * FOLDS..][..FOLDS];
        let other = |part: usize| {
            (0..FOLDS)
                .filter(|f| *f != rows.fold_of[*row] as usize)
                .map(|f| cells[f][part])
                .sum::<f64>()
        };
        let guess = if other(1) > 0.0 { other(0) / other(1) } else { mean };
        left += (values[*row] - guess).powi(2);
        all += (values[*row] - mean).powi(2);
    }
    all > 0.0 && 1.0 - left / all >= DETERMINED
}

/// Share of the rows whose level is the commonest of their cell in the other folds, beyond that of the commonest of all.
fn level_follows(column: &Codes, leak: &Codes, rows: &Rows) -> bool {
    let known: Vec<usize> = (0..rows.len())
        .filter(|row| column.of_row[*row] > 0 && leak.of_row[*row] > 0)
        .collect();
    if known.len() < LEAST_ROWS {
        return false;
    }
    let mut counts: std::collections::HashMap<(u32, u32), [u32; FOLDS]> = std::collections::HashMap::new();
    let mut levels = vec![0usize; column.n];
    for row in &known {
        let cell = counts.entry((leak.of_row[*row], column.of_row[*row])).or_default();
        cell[rows.fold_of[*row] as usize] += 1;
        levels[column.of_row[*row] as usize] += 1;
    }
    let mut of_cell: std::collections::HashMap<u32, Vec<(u32, [u32; FOLDS])>> = std::collections::HashMap::new();
    for ((cell, level), found) in counts {
        of_cell.entry(cell).or_default().push((level, found));
    }
    of_cell.values_mut().for_each(|levels| levels.sort_unstable());
    let right = known.iter().filter(|row| {
        let fold = rows.fold_of[**row] as usize;
        let others = |found: &[u32; FOLDS]| found.iter().sum::<u32>() - found[fold];
        let best = of_cell[&leak.of_row[**row]]
            .iter()
            .max_by_key(|(_, found)| others(found));
        best.is_some_and(|(level, found)| others(found) > 0 && *level == column.of_row[**row])
    });
    let share = right.count() as f64 / known.len() as f64;
    let commonest = levels.iter().max().copied().unwrap_or(0) as f64 / known.len() as f64;
    // a level that nearly all rows have follows from anything
    share >= DETERMINED && share - commonest >= (1.0 - commonest) * 0.8 && commonest < 0.98
}
