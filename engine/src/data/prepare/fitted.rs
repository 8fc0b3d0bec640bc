//! The fitted recipe, and what it makes of rows.

use std::collections::HashMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::data::table::{Table, Values, MISSING};
use crate::data::{check_value, recipe, Transform};
use crate::error::{EngineError, Result};

/// How a column becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// `fill` stands in for a missing number, before the transform; `mean` and `sd` are 0 and 1 where nothing is scaled.
    Numeric {
        transform: Transform,
        fill: Option<f64>,
        mean: f64,
        sd: f64,
        indicator: bool,
    },
    /// One column per level, then one for the other levels and one for missing where these exist.
    OneHot {
        levels: Vec<String>,
        other: bool,
        missing: bool,
    },
    /// `means`: levels x (classes - 1); `prior`: classes - 1.
    TargetMean {
        levels: Vec<String>,
        means: Vec<f64>,
        prior: Vec<f64>,
    },
}

/// A column as fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedColumn {
    pub name: String,
    /// Share of the training weight whose value was missing.
    pub missing_share: f64,
    pub encoding: Encoding,
}

/// A column of the result: its name and the position of the raw column that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub source: usize,
}

/// Columns of numbers, n values each.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub columns: Vec<Vec<f64>>,
    /// Raw values per row that were missing, or of a level unseen in training, n.
    pub imputed: Vec<u32>,
}

/// A fitted recipe: at least one column, names distinct.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct FittedPreparation {
    columns: Vec<FittedColumn>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    columns: Vec<FittedColumn>,
}

impl TryFrom<Stored> for FittedPreparation {
    type Error = EngineError;

    fn try_from(stored: Stored) -> Result<Self> {
        recipe::check_names(stored.columns.iter().map(|column| column.name.as_str()))?;
        for (index, column) in stored.columns.iter().enumerate() {
            check_value(column.missing_share, 0, index)?;
            match &column.encoding {
                Encoding::Numeric { fill, mean, sd, .. } => {
                    for value in fill.iter().chain([mean, sd]) {
                        check_value(*value, 0, index)?;
                    }
                    if *sd < 0.0 {
                        return Err(EngineError::invalid("sd", "at least 0", sd));
                    }
                }
                Encoding::OneHot { levels, .. } => distinct(levels)?,
                Encoding::TargetMean { levels, means, prior } => {
                    distinct(levels)?;
                    let expected = levels.len().saturating_mul(prior.len());
                    if means.len() != expected || prior.is_empty() {
                        return Err(EngineError::Dimension {
                            what: "target means",
                            expected,
                            found: means.len(),
                        });
                    }
                    for value in means.iter().chain(prior) {
                        check_value(*value, 0, index)?;
                    }
                }
            }
        }
        Ok(Self {
            columns: stored.columns,
        })
    }
}

fn distinct(levels: &[String]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    match levels.iter().find(|level| !seen.insert(level.as_str())) {
        Some(twice) => Err(EngineError::invalid("levels", "distinct", format!("{twice} twice"))),
        None => Ok(()),
    }
}

impl FittedColumn {
    /// Number of columns it becomes.
    pub fn width(&self) -> usize {
        match &self.encoding {
            Encoding::Numeric { indicator, .. } => 1 + usize::from(*indicator),
            Encoding::OneHot { levels, other, missing } => levels.len() + usize::from(*other) + usize::from(*missing),
            Encoding::TargetMean { prior, .. } => prior.len(),
        }
    }

    fn names(&self) -> Vec<String> {
        let name = &self.name;
        match &self.encoding {
            Encoding::Numeric { indicator, .. } => {
                let missing = indicator.then(|| format!("{name} missing"));
                std::iter::once(name.clone()).chain(missing).collect()
            }
            Encoding::OneHot { levels, other, missing } => {
                let of_level = levels.iter().map(|level| format!("{name}={level}"));
                let rest = other.then(|| format!("{name} other"));
                of_level
                    .chain(rest)
                    .chain(missing.then(|| format!("{name} missing")))
                    .collect()
            }
            Encoding::TargetMean { prior, .. } => (1..=prior.len()).map(|c| format!("{name} share of {c}")).collect(),
        }
    }

    /// The columns made of `values`, and per row whether the value was missing or unseen.
    pub(super) fn encode(&self, values: &Values, index: usize) -> Result<(Vec<Vec<f64>>, Vec<bool>)> {
        match (&self.encoding, values) {
            (
                Encoding::Numeric {
                    transform,
                    fill,
                    mean,
                    sd,
                    indicator,
                },
                Values::Numeric(values),
            ) => {
                let missing: Vec<bool> = values.iter().map(|x| x.is_nan()).collect();
                let one = |(row, x): (usize, &f64)| {
                    let x = if x.is_nan() { fill.unwrap_or(f64::NAN) } else { *x };
                    recipe::check_domain(*transform, x, row, index)?;
                    let scaled = match *sd {
                        0.0 => 0.0,
                        sd => (transform.apply(x) - mean) / sd + 0.0,
                    };
                    if !scaled.is_nan() {
                        check_value(scaled, row, index)?;
                    }
                    Ok(scaled)
                };
                let scaled = values.iter().enumerate().map(one).collect::<Result<_>>()?;
                let flags = indicator.then(|| missing.iter().map(|m| f64::from(u8::from(*m))).collect());
                Ok((std::iter::once(scaled).chain(flags).collect(), missing))
            }
            (Encoding::OneHot { levels, other, missing }, Values::Category { levels: found, codes }) => {
                let place = places(levels, found);
                let mut columns = vec![vec![0.0; codes.len()]; self.width()];
                let mut imputed = vec![false; codes.len()];
                for (row, code) in codes.iter().enumerate() {
                    let known = place.get(*code as usize).copied().flatten();
                    let column = match known {
                        Some(place) => Some(place),
                        None if *code == MISSING => missing.then_some(levels.len() + usize::from(*other)),
                        None => other.then_some(levels.len()),
                    };
                    imputed[row] = known.is_none() && (*code == MISSING || !*other);
                    if let Some(column) = column {
                        columns[column][row] = 1.0;
                    }
                }
                Ok((columns, imputed))
            }
            (Encoding::TargetMean { levels, means, prior }, Values::Category { levels: found, codes }) => {
                let (place, width) = (places(levels, found), prior.len());
                let mut columns = vec![Vec::with_capacity(codes.len()); width];
                let mut imputed = vec![false; codes.len()];
                for (row, code) in codes.iter().enumerate() {
                    let known = place.get(*code as usize).copied().flatten();
                    let shares = known.map_or(&prior[..], |level| &means[level * width..(level + 1) * width]);
                    columns
                        .iter_mut()
                        .zip(shares)
                        .for_each(|(column, share)| column.push(*share));
                    imputed[row] = known.is_none();
                }
                Ok((columns, imputed))
            }
            (encoding, values) => Err(EngineError::Column {
                name: self.name.clone(),
                expected: match encoding {
                    Encoding::Numeric { .. } => "numeric",
                    _ => "categorical",
                },
                found: values.kind(),
            }),
        }
    }
}

/// For each level found, its place among the fitted ones.
fn places(fitted: &[String], found: &[String]) -> Vec<Option<usize>> {
    let known: HashMap<&str, usize> = fitted
        .iter()
        .enumerate()
        .map(|(i, level)| (level.as_str(), i))
        .collect();
    found.iter().map(|level| known.get(level.as_str()).copied()).collect()
}

impl FittedPreparation {
    pub(super) fn new(columns: Vec<FittedColumn>) -> Self {
        Self { columns }
    }

    /// The raw columns in their order.
    pub fn columns(&self) -> &[FittedColumn] {
        &self.columns
    }

    /// Number of columns of the result.
    pub fn width(&self) -> usize {
        self.columns.iter().map(FittedColumn::width).sum()
    }

    /// The columns of the result, in their order.
    pub fn outputs(&self) -> Vec<Output> {
        let of = |(source, column): (usize, &FittedColumn)| {
            let names = column.names().into_iter();
            names.map(|name| Output { name, source }).collect::<Vec<_>>()
        };
        self.columns.iter().enumerate().flat_map(of).collect()
    }

    /// Sums numbers per column of the result (contributions, importances) to numbers per raw column.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn per_source(&self, of_outputs: &[f64]) -> Result<Vec<f64>> {
        crate::data::labels::same("values", self.width(), of_outputs.len())?;
        let mut rest = of_outputs;
        let sum = |column: &FittedColumn| {
            let (own, after) = rest.split_at(column.width());
            rest = after;
            own.iter().sum()
        };
        Ok(self.columns.iter().map(sum).collect())
    }

    /// The columns that the recipe makes of `table`, whose columns are found by name. The result is not reserved for.
    ///
    /// # Errors
    /// [`EngineError::Column`] for a column that is absent or of another kind, [`EngineError::OutOfDomain`],
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn transform(&self, ctx: &Context, table: &Table) -> Result<Matrix> {
        let encode = |(index, column): (usize, &FittedColumn)| {
            ctx.check()?;
            column.encode(table.values_near(index, &column.name)?, index)
        };
        let _flags = ctx.reserve(table.n_rows().saturating_mul(self.columns.len()))?;
        let parts = ctx.run(|| {
            self.columns
                .par_iter()
                .enumerate()
                .map(encode)
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(Matrix::from_parts(table.n_rows(), parts))
    }
}

impl Matrix {
    /// Columns and flags, raw column by raw column.
    pub(super) fn from_parts(n_rows: usize, parts: Vec<(Vec<Vec<f64>>, Vec<bool>)>) -> Self {
        let mut columns = Vec::new();
        let mut imputed = vec![0; n_rows];
        for (part, flags) in parts {
            columns.extend(part);
            imputed
                .iter_mut()
                .zip(flags)
                .for_each(|(n, flag)| *n += u32::from(flag));
        }
        Self { columns, imputed }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.imputed.len()
    }
}
