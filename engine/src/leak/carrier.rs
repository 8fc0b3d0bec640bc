//! Columns that give a leaking column back with the help of the others: an index that contains it.
//!
//! A linear model of all columns that are left predicts the target nearly perfectly; the column without which it does worst is
//! called, if a leaking column explains what the others do not explain of it.

use super::cells::area;
use super::design::{inverse, part, Design};
use super::rows::{Rows, FOLDS};
use crate::context::Context;
use crate::error::Result;

/// The model without the column must be this much worse.
const FALL: f64 = 0.01;
/// The leaking column must leave at most this share of what the others leave unexplained.
const EXPLAINED: f64 = 0.8;

/// Another leaking column must explain this much more than the first that does.
const CLEARLY: f64 = 0.99;

/// A column that carries a leaking one.
pub(super) struct Carrier {
    pub place: usize,
    pub through: usize,
    pub auc: f64,
    pub auc_without: f64,
}

/// The linear models out of fold.
pub(super) struct Joint<'a> {
    pub rows: &'a Rows,
    pub design: &'a Design,
    /// Products by fold.
    pub products: Vec<(Vec<f64>, Vec<f64>)>,
    pub positive: &'a [bool],
}

impl Joint<'_> {
    /// The carriers among `columns`, of the columns `leaks` whose terms are in the design too, and the AUC of what is left.
    pub fn carriers(
        &self,
        ctx: &Context,
        mut columns: Vec<usize>,
        leaks: &[usize],
        limit: f64,
    ) -> Result<(Vec<Carrier>, f64)> {
        let mut found = Vec::new();
        loop {
            let (auc, without) = self.judge(ctx, &columns)?;
            let worst = without.iter().min_by(|a, b| a.1.total_cmp(&b.1)).copied();
            let Some((place, auc_without)) = worst.filter(|worst| auc >= limit && auc - worst.1 >= FALL) else {
                return Ok((found, auc));
            };
            let Some(through) = self.carried(ctx, &columns, place, leaks)? else {
                return Ok((found, auc));
            };
            found.push(Carrier {
                place,
                through,
                auc,
                auc_without,
            });
            columns.retain(|column| *column != place);
        }
    }

    /// AUC out of fold of the model of `columns`, and of those without one of them.
    fn judge(&self, ctx: &Context, columns: &[usize]) -> Result<(f64, Vec<(usize, f64)>)> {
        use rayon::prelude::*;
        let p = self.design.width;
        let terms = self.design.places(|column| columns.contains(&column));
        let k = terms.len();
        let fits: Vec<Option<(Vec<f64>, Vec<f64>)>> = (0..FOLDS)
            .map(|fold| {
                ctx.check()?;
                let (gram, with) = self.without_fold(fold);
                let inverse = inverse(&part(&gram, p, &terms), k);
                Ok(inverse.map(|inverse| {
                    let coefficients = (0..k)
                        .map(|i| (0..k).map(|j| inverse[i * k + j] * with[terms[j]]).sum())
                        .collect();
                    (inverse, coefficients)
                }))
            })
            .collect::<Result<_>>()?;
        let all = self.auc(ctx, &terms, &fits, &[])?;
        let drop = |column: &usize| -> Result<(usize, f64)> {
            let own: Vec<usize> = (0..k)
                .filter(|at| self.design.of_column[terms[*at]] == *column)
                .collect();
            Ok((
                *column,
                if own.is_empty() {
                    all
                } else {
                    self.auc(ctx, &terms, &fits, &own)?
                },
            ))
        };
        let without = ctx.run(|| columns.par_iter().map(drop).collect::<Result<_>>())?;
        Ok((all, without))
    }

    /// Sums over all folds but one.
    fn without_fold(&self, fold: usize) -> (Vec<f64>, Vec<f64>) {
        let others = self
            .products
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != fold)
            .map(|(_, products)| products);
        sum(others)
    }

    /// Of the models without the terms at `dropped`, which follow from those with them.
    fn auc(
        &self,
        ctx: &Context,
        terms: &[usize],
        fits: &[Option<(Vec<f64>, Vec<f64>)>],
        dropped: &[usize],
    ) -> Result<f64> {
        let (p, k) = (self.design.width, terms.len());
        let coefficients: Vec<Vec<f64>> = fits
            .iter()
            .map(|fit| match fit {
                None => vec![0.0; k],
                Some((inverse, coefficients)) => without(inverse, coefficients, k, dropped),
            })
            .collect();
        let mut levels = Vec::with_capacity(self.rows.len());
        for row in 0..self.rows.len() {
            if row % 1024 == 0 {
                ctx.check()?;
            }
            let x = &self.design.values[row * p..(row + 1) * p];
            let b = &coefficients[self.rows.fold_of[row] as usize];
            let score: f64 = terms.iter().zip(b).map(|(term, b)| x[*term] * b).sum();
            let weight = self.rows.weights[row];
            levels.push((
                score,
                if self.positive[row] {
                    [weight, 0.0]
                } else {
                    [0.0, weight]
                },
            ));
        }
        Ok(area(levels))
    }

    /// The leaking column that explains most of what the other columns do not explain of `place`, if it is much.
    fn carried(&self, ctx: &Context, columns: &[usize], place: usize, leaks: &[usize]) -> Result<Option<usize>> {
        let (gram, _) = sum(self.products.iter());
        let own: Vec<usize> = self
            .design
            .places(|column| column == place)
            .into_iter()
            .skip(1)
            .take(1)
            .collect();
        let unexplained = |leak: Option<usize>| -> Option<f64> {
            let terms = self
                .design
                .places(|column| columns.contains(&column) && column != place || Some(column) == leak);
            let terms: Vec<usize> = terms.into_iter().chain(own.iter().copied()).collect();
            let last = terms.len() - 1;
            // the residual variance of a term is one over its entry of the inverse
            let inverse = inverse(&part(&gram, self.design.width, &terms), terms.len())?;
            Some(1.0 / inverse[last * terms.len() + last])
        };
        let Some(before) = (!own.is_empty()).then(|| unexplained(None)).flatten() else {
            return Ok(None);
        };
        let mut best: Option<(f64, usize)> = None;
        for leak in leaks.iter().filter(|leak| **leak != place) {
            ctx.check()?;
            if let Some(after) = unexplained(Some(*leak)) {
                if after <= EXPLAINED * before && best.is_none_or(|(least, _)| after < CLEARLY * least) {
                    best = Some((after, *leak));
                }
            }
        }
        Ok(best.map(|(_, leak)| leak))
    }
}

fn sum<'a>(parts: impl Iterator<Item = &'a (Vec<f64>, Vec<f64>)>) -> (Vec<f64>, Vec<f64>) {
    let mut total: (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for (gram, with) in parts {
        if total.0.is_empty() {
            total = (gram.clone(), with.clone());
            continue;
        }
        total.0.iter_mut().zip(gram).for_each(|(sum, x)| *sum += x);
        total.1.iter_mut().zip(with).for_each(|(sum, x)| *sum += x);
    }
    total
}

/// The coefficients of the least squares without some terms, from those with them and the inverse of the products.
fn without(inverse: &[f64], coefficients: &[f64], k: usize, dropped: &[usize]) -> Vec<f64> {
    if dropped.is_empty() {
        return coefficients.to_vec();
    }
    let own: Vec<f64> = dropped
        .iter()
        .flat_map(|i| dropped.iter().map(move |j| inverse[i * k + j]))
        .collect();
    let Some(back) = super::design::inverse(&own, dropped.len()) else {
        return vec![0.0; k];
    };
    let d = dropped.len();
    let weights: Vec<f64> = (0..d)
        .map(|i| (0..d).map(|j| back[i * d + j] * coefficients[dropped[j]]).sum::<f64>())
        .collect();
    let mut left: Vec<f64> = (0..k)
        .map(|i| {
            coefficients[i]
                - dropped
                    .iter()
                    .zip(&weights)
                    .map(|(j, w)| inverse[i * k + j] * w)
                    .sum::<f64>()
        })
        .collect();
    dropped.iter().for_each(|at| left[*at] = 0.0);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_without_a_term_are_those_of_the_smaller_model() {
        // products of three terms and of them with the response, by hand
        let gram = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let with = [1.0, 2.0, 3.0];
        let full = inverse(&gram, 3).unwrap();
        let coefficients: Vec<f64> = (0..3)
            .map(|i| (0..3).map(|j| full[i * 3 + j] * with[j]).sum())
            .collect();
        let left = without(&full, &coefficients, 3, &[1]);
        // [4 .5; .5 2] b = [1; 3]: determinant 7.75
        approx::assert_relative_eq!(left[0], (2.0 - 1.5) / 7.75, max_relative = 1e-5);
        approx::assert_relative_eq!(left[2], (12.0 - 0.5) / 7.75, max_relative = 1e-5);
        assert_eq!(left[1], 0.0);
    }
}
