//! Columns as terms of a linear model, and what products of terms tell.

use crate::context::Context;
use crate::data::{Table, Values, MISSING};
use crate::error::Result;

use super::rows::{Rows, FOLDS};

/// Most levels of a column that get a term of their own.
const MAX_LEVELS: usize = 30;
/// Added to the diagonal, as a share of its mean: terms that depend on each other stay solvable.
const RIDGE: f64 = 1e-7;

/// Standardised terms, row-major; the first is the intercept.
pub(super) struct Design {
    pub width: usize,
    pub values: Vec<f64>,
    /// Position in the table of the column that each term is of; the intercept's is `usize::MAX`.
    pub of_column: Vec<usize>,
}

/// The terms of a column: the number and whether there is one, or the levels.
fn terms(values: &Values, rows: &[u32]) -> Vec<Vec<f64>> {
    match values {
        Values::Numeric(values) => {
            let own: Vec<f64> = rows.iter().map(|row| values[*row as usize]).collect();
            let known: Vec<f64> = own.iter().copied().filter(|x| !x.is_nan()).collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let filled = own.iter().map(|x| if x.is_nan() { mean } else { *x }).collect();
            let missing = own.iter().map(|x| f64::from(u8::from(x.is_nan()))).collect();
            vec![filled, missing]
        }
        Values::Category { levels, codes } => {
            let mut counts: Vec<(usize, u32)> = (0..levels.len() as u32).map(|level| (0, level)).collect();
            for row in rows {
                if let Some(count) = counts.get_mut(codes[*row as usize] as usize) {
                    count.0 += 1;
                }
            }
            counts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            counts.truncate(MAX_LEVELS);
            let mut wanted: Vec<u32> = counts.into_iter().filter(|c| c.0 > 1).map(|c| c.1).collect();
            wanted.push(MISSING);
            let of = |level: &u32| {
                rows.iter()
                    .map(|row| f64::from(u8::from(codes[*row as usize] == *level)))
                    .collect()
            };
            wanted.iter().map(of).collect()
        }
    }
}

/// Brings a term to mean 0 and standard deviation 1; none where it hardly varies.
fn standardised(mut term: Vec<f64>) -> Option<Vec<f64>> {
    let n = term.len().max(1) as f64;
    let mean = term.iter().sum::<f64>() / n;
    let variance = term.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let scale = variance.sqrt();
    (scale > 1e-9 * (1.0 + mean.abs())).then(|| {
        term.iter_mut().for_each(|x| *x = (*x - mean) / scale);
        term
    })
}

impl Design {
    /// Of `columns` (positions in `table`) as far as `most` terms go; also gives how many columns there was no room for.
    pub fn new(ctx: &Context, table: &Table, columns: &[usize], rows: &[u32], most: usize) -> Result<(Self, usize)> {
        let mut all: Vec<(usize, Vec<f64>)> = vec![(usize::MAX, vec![1.0; rows.len()])];
        let mut left_out = 0;
        for column in columns {
            ctx.check()?;
            let own: Vec<Vec<f64>> = terms(&table.columns()[*column].values, rows)
                .into_iter()
                .filter_map(standardised)
                .collect();
            if all.len() + own.len() > most {
                left_out += 1;
                continue;
            }
            all.extend(own.into_iter().map(|term| (*column, term)));
        }
        let width = all.len();
        let mut values = vec![0.0; rows.len() * width];
        for (at, (_, term)) in all.iter().enumerate() {
            for (row, x) in term.iter().enumerate() {
                values[row * width + at] = *x;
            }
        }
        let of_column = all.into_iter().map(|(column, _)| column).collect();
        Ok((
            Self {
                width,
                values,
                of_column,
            },
            left_out,
        ))
    }

    /// Terms of `columns`, the intercept first.
    pub fn places(&self, keep: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.width)
            .filter(|at| *at == 0 || keep(self.of_column[*at]))
            .collect()
    }

    /// Sums of products of the terms, width x width, and with `response`, by fold.
    pub fn products(&self, ctx: &Context, rows: &Rows, response: &[f64]) -> Result<Vec<(Vec<f64>, Vec<f64>)>> {
        use rayon::prelude::*;
        let p = self.width;
        let of_fold = |fold: usize| -> Result<(Vec<f64>, Vec<f64>)> {
            let (mut gram, mut with) = (vec![0.0; p * p], vec![0.0; p]);
            for row in (0..rows.len()).filter(|row| rows.fold_of[*row] as usize == fold) {
                if row % 64 == 0 {
                    ctx.check()?;
                }
                let x = &self.values[row * p..(row + 1) * p];
                for (i, xi) in x.iter().enumerate().filter(|(_, xi)| **xi != 0.0) {
                    let weighted = rows.weights[row] * xi;
                    with[i] += weighted * response[row];
                    gram[i * p..i * p + i + 1]
                        .iter_mut()
                        .zip(x)
                        .for_each(|(sum, xj)| *sum += weighted * xj);
                }
            }
            for i in 0..p {
                for j in 0..i {
                    gram[j * p + i] = gram[i * p + j];
                }
            }
            Ok((gram, with))
        };
        ctx.run(|| (0..FOLDS).into_par_iter().map(of_fold).collect())
    }
}

/// The part of a p x p matrix at `places`.
pub(super) fn part(matrix: &[f64], p: usize, places: &[usize]) -> Vec<f64> {
    places
        .iter()
        .flat_map(|i| places.iter().map(move |j| matrix[i * p + j]))
        .collect()
}

/// The inverse of a positive definite matrix, a little ridge added; none where that does not help.
pub(super) fn inverse(matrix: &[f64], p: usize) -> Option<Vec<f64>> {
    let ridge = RIDGE * (0..p).map(|i| matrix[i * p + i]).sum::<f64>() / p.max(1) as f64;
    // Cholesky: matrix = L L'
    let mut l = vec![0.0; p * p];
    for i in 0..p {
        for j in 0..=i {
            let dot: f64 = l[i * p..i * p + j]
                .iter()
                .zip(&l[j * p..j * p + j])
                .map(|(a, b)| a * b)
                .sum();
            let rest = matrix[i * p + j] + if i == j { ridge } else { 0.0 } - dot;
            l[i * p + j] = match i == j {
                true if rest > 0.0 => rest.sqrt(),
                true => return None,
                false => rest / l[j * p + j],
            };
        }
    }
    // the inverse of L, then inverse' x inverse
    let mut below = vec![0.0; p * p];
    for j in 0..p {
        below[j * p + j] = 1.0 / l[j * p + j];
        for i in j + 1..p {
            let dot: f64 = (j..i).map(|k| l[i * p + k] * below[k * p + j]).sum();
            below[i * p + j] = -dot / l[i * p + i];
        }
    }
    let mut found = vec![0.0; p * p];
    for k in 0..p {
        let row = &below[k * p..k * p + k + 1];
        for (i, a) in row.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            found[i * p..i * p + k + 1]
                .iter_mut()
                .zip(row)
                .for_each(|(sum, b)| *sum += a * b);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_by_hand() {
        let found = inverse(&[4.0, 2.0, 2.0, 3.0], 2).unwrap();
        let expected = [0.375, -0.25, -0.25, 0.5];
        found
            .iter()
            .zip(expected)
            .for_each(|(a, b)| approx::assert_relative_eq!(*a, b, max_relative = 1e-5));
        assert!(inverse(&[-1.0], 1).is_none());
    }
}
