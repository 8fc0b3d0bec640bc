//! Fitting the recipe on training rows.

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use super::fitted::{Encoding, FittedColumn, FittedPreparation, Matrix};
use super::{ColumnSpec, Impute, Preparation, Treatment};
use crate::context::Context;
use crate::data::labels::{same, Labels};
use crate::data::recipe::{check_domain, mean_and_sd};
use crate::data::table::{Table, Values, MISSING};
use crate::error::{EngineError, Result};
use crate::random::shuffle;

impl Preparation {
    /// Fits on `table` and `labels` (n rows each) and gives the recipe with what it makes of these rows, which for target
    /// means is not what [`FittedPreparation::transform`] makes of them (see [`Treatment::TargetMean`]). The result is
    /// not reserved for.
    ///
    /// # Errors
    /// [`EngineError::EmptyInput`] when no row has a positive weight, [`EngineError::Column`],
    /// [`EngineError::Dimension`], [`EngineError::OutOfDomain`], [`EngineError::InvalidParameter`],
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit(&self, ctx: &Context, table: &Table, labels: &Labels) -> Result<(FittedPreparation, Matrix)> {
        self.check()?;
        same("labels", table.n_rows(), labels.n_rows())?;
        if labels.weights().iter().all(|w| *w == 0.0) {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        let at_once = ctx.threads().min(self.columns.len());
        let _sorted = ctx.reserve_for::<(f64, f64)>(table.n_rows().saturating_mul(at_once))?;
        let order = match self
            .columns
            .iter()
            .any(|c| matches!(c.treatment, Treatment::TargetMean { .. }))
        {
            true => blocks_in_random_order(labels, self.seed),
            false => Vec::new(),
        };
        let fit = |(index, spec): (usize, &ColumnSpec)| {
            ctx.check()?;
            let values = table.values_near(index, &spec.name)?;
            let (encoding, missing) = fit_column(spec, values, labels, index)?;
            let column = FittedColumn {
                name: spec.name.clone(),
                missing_share: missing / labels.weights().iter().sum::<f64>(),
                encoding,
            };
            let (mut columns, imputed) = column.encode(values, index)?;
            if let (Treatment::TargetMean { smoothing }, Values::Category { levels, codes }) = (&spec.treatment, values)
            {
                columns = ordered_means(codes, levels.len(), labels, &order, *smoothing);
            }
            Ok((column, (columns, imputed)))
        };
        let fitted = ctx.run(|| self.columns.par_iter().enumerate().map(fit).collect::<Result<Vec<_>>>())?;
        let (columns, parts): (Vec<_>, Vec<_>) = fitted.into_iter().unzip();
        Ok((
            FittedPreparation::new(columns),
            Matrix::from_parts(table.n_rows(), parts),
        ))
    }
}

/// The encoding and the weight of the missing values.
fn fit_column(spec: &ColumnSpec, values: &Values, labels: &Labels, index: usize) -> Result<(Encoding, f64)> {
    match (&spec.treatment, values) {
        (
            Treatment::Numeric {
                transform,
                impute,
                scale,
                indicator,
            },
            Values::Numeric(values),
        ) => {
            let mut present = Vec::with_capacity(values.len());
            let mut missing = 0.0;
            for (row, (x, w)) in values.iter().zip(labels.weights()).enumerate() {
                check_domain(*transform, *x, row, index)?;
                match (x.is_nan(), *w > 0.0) {
                    (true, _) => missing += w,
                    (false, true) => present.push((*x, *w)),
                    (false, false) => {}
                }
            }
            let total = present.iter().map(|(_, w)| w).sum::<f64>();
            let fill = match impute {
                Impute::Keep => None,
                Impute::Value(value) => Some(*value),
                // A column without any value is constant
                Impute::Median | Impute::Mean if present.is_empty() => Some(0.0),
                Impute::Median => Some(median(&mut present, total)),
                Impute::Mean => Some(mean_and_sd(&present, total).0),
            };
            let (mut mean, mut sd) = (0.0, 1.0);
            if *scale && present.is_empty() {
                sd = 0.0;
            } else if *scale {
                present.iter_mut().for_each(|(x, _)| *x = transform.apply(*x));
                let filled = fill.filter(|_| missing > 0.0).map(|x| (transform.apply(x), missing));
                present.extend(filled);
                let weight = if filled.is_some() { total + missing } else { total };
                (mean, sd) = mean_and_sd(&present, weight);
            }
            let encoding = Encoding::Numeric {
                transform: *transform,
                fill,
                mean,
                sd,
                indicator: *indicator && missing > 0.0,
            };
            Ok((encoding, missing))
        }
        (Treatment::OneHot { min_weight, max_levels }, Values::Category { levels, codes }) => {
            let (weights, missing) = level_weights(codes, levels.len(), labels);
            let mut kept: Vec<usize> = (0..levels.len()).filter(|level| weights[*level] > 0.0).collect();
            let seen = kept.len();
            kept.sort_by(|a, b| {
                weights[*b]
                    .total_cmp(&weights[*a])
                    .then_with(|| levels[*a].cmp(&levels[*b]))
            });
            kept.truncate(*max_levels);
            kept.retain(|level| weights[*level] >= *min_weight);
            let mut names: Vec<String> = kept.iter().map(|level| levels[*level].clone()).collect();
            names.sort();
            let encoding = Encoding::OneHot {
                other: kept.len() < seen,
                missing: missing > 0.0,
                levels: names,
            };
            Ok((encoding, missing))
        }
        (Treatment::TargetMean { smoothing }, Values::Category { levels, codes }) => {
            let (weights, missing) = level_weights(codes, levels.len(), labels);
            let width = labels.n_classes() - 1;
            let mut sums = vec![0.0; levels.len() * width];
            for (row, code) in codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
                if let Some(class) = labels.targets()[row].checked_sub(1) {
                    sums[*code as usize * width + class as usize] += labels.weights()[row];
                }
            }
            let prior = shares(labels);
            let seen: Vec<usize> = (0..levels.len()).filter(|level| weights[*level] > 0.0).collect();
            let mean = |level: &usize| {
                let own = sums[level * width..(level + 1) * width].iter().zip(&prior);
                let weight = weights[*level];
                own.map(move |(sum, prior)| (sum + smoothing * prior) / (weight + smoothing))
                    .collect::<Vec<_>>()
            };
            let encoding = Encoding::TargetMean {
                means: seen.iter().flat_map(mean).collect(),
                levels: seen.iter().map(|level| levels[*level].clone()).collect(),
                prior,
            };
            Ok((encoding, missing))
        }
        (treatment, values) => Err(EngineError::Column {
            name: spec.name.clone(),
            expected: match treatment {
                Treatment::Numeric { .. } => "numeric",
                _ => "categorical",
            },
            found: values.kind(),
        }),
    }
}

/// The weighted median, that of the repeated values: between two values it is their mean. Sorts `values`.
fn median(values: &mut [(f64, f64)], total: f64) -> f64 {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0.0;
    for (index, (x, weight)) in values.iter().enumerate() {
        below += weight;
        if below * 2.0 == total {
            return values.get(index + 1).map_or(*x, |next| x / 2.0 + next.0 / 2.0);
        }
        if below * 2.0 > total {
            return *x;
        }
    }
    values.last().map_or(0.0, |last| last.0)
}

/// Weight per level, and of the missing.
fn level_weights(codes: &[u32], levels: usize, labels: &Labels) -> (Vec<f64>, f64) {
    let (mut weights, mut missing) = (vec![0.0; levels], 0.0);
    for (code, weight) in codes.iter().zip(labels.weights()) {
        match weights.get_mut(*code as usize) {
            Some(sum) => *sum += weight,
            None => missing += weight,
        }
    }
    (weights, missing)
}

/// Share of each class but the first.
fn shares(labels: &Labels) -> Vec<f64> {
    let of_class = labels.class_weights();
    let total: f64 = of_class.iter().sum();
    of_class[1..].iter().map(|w| w / total).collect()
}

/// The rows, group by group (a row without group is its own), the groups in random order.
fn blocks_in_random_order(labels: &Labels, seed: u64) -> Vec<Vec<u32>> {
    let mut rows: Vec<u32> = (0..labels.n_rows() as u32).collect();
    let mut blocks: Vec<Vec<u32>> = match labels.groups() {
        None => rows.into_iter().map(|row| vec![row]).collect(),
        Some(groups) => {
            rows.sort_by_key(|row| groups[*row as usize]);
            let same_group = |a: &u32, b: &u32| groups[*a as usize] == groups[*b as usize];
            rows.chunk_by(same_group).map(<[u32]>::to_vec).collect()
        }
    };
    shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed), &mut blocks);
    blocks
}

/// Target means of the training rows, each from the blocks before its own. The prior is that of these rows too.
fn ordered_means(codes: &[u32], levels: usize, labels: &Labels, order: &[Vec<u32>], smoothing: f64) -> Vec<Vec<f64>> {
    let width = labels.n_classes() - 1;
    let (uniform, missing) = (1.0 / labels.n_classes() as f64, levels);
    // One entry per level, one for missing, one for all rows
    let mut weights = vec![0.0; levels + 2];
    let mut sums = vec![0.0; (levels + 2) * width];
    let mut columns = vec![vec![0.0; codes.len()]; width];
    let entry = |row: u32| (codes[row as usize] as usize).min(missing);
    for block in order {
        for row in block {
            let level = entry(*row);
            for (class, column) in columns.iter_mut().enumerate() {
                let all = (sums[(levels + 1) * width + class] + uniform) / (weights[levels + 1] + 1.0);
                let own = if level == missing { 0.0 } else { weights[level] };
                column[*row as usize] = match own + smoothing {
                    0.0 => all,
                    _ if level == missing => all,
                    weight => (sums[level * width + class] + smoothing * all) / weight,
                };
            }
        }
        for row in block {
            let weight = labels.weights()[*row as usize];
            for place in [entry(*row), levels + 1] {
                weights[place] += weight;
                if let Some(class) = labels.targets()[*row as usize].checked_sub(1) {
                    sums[place * width + class as usize] += weight;
                }
            }
        }
    }
    columns
}
