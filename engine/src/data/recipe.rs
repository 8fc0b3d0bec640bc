//! The recipe: from raw features to what K-Means sees, fitted once, stored inside the model.
//!
//! Per feature: log(1 + x) or nothing, then standardisation to weighted mean 0 and weighted population standard
//! deviation 1. A constant feature standardises to 0.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::weighted_rows::check_value;
use super::WeightedRows;
use crate::context::Context;
use crate::error::{EngineError, Result};

/// Rows between two looks at the cancel flag.
const CHECK_ROWS: usize = 65_536;
/// Rows per parallel task.
const TASK_ROWS: usize = 8_192;

/// What happens to a feature before it is standardised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// x
    Identity,
    /// log(1 + x); x must be greater than -1
    Log1p,
    /// log(1 + x) of the absolute value with the sign of x: defined for every number
    SignedLog1p,
}

impl Transform {
    pub(crate) fn apply(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Log1p => x.ln_1p(),
            Self::SignedLog1p => x.abs().ln_1p().copysign(x),
        }
    }

    fn undo(self, y: f64) -> f64 {
        match self {
            Self::Identity => y,
            Self::Log1p => y.exp_m1(),
            Self::SignedLog1p => y.abs().exp_m1().copysign(y),
        }
    }
}

/// A feature as asked for: its name and its transform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSpec {
    pub name: String,
    pub transform: Transform,
}

impl FeatureSpec {
    /// `name`, taken as log(1 + x).
    pub fn log1p(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            transform: Transform::Log1p,
        }
    }

    /// `name`, taken as it is.
    pub fn identity(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            transform: Transform::Identity,
        }
    }
}

/// A feature as fitted: `mean` and `sd` are those of the transformed values; `sd` is 0 for a constant feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedFeature {
    pub name: String,
    pub transform: Transform,
    pub mean: f64,
    pub sd: f64,
}

/// A fitted recipe of p features, p at least 1, their names distinct.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredRecipe")]
pub struct Recipe {
    features: Vec<FittedFeature>,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct StoredRecipe {
    features: Vec<FittedFeature>,
}

impl TryFrom<StoredRecipe> for Recipe {
    type Error = EngineError;

    fn try_from(stored: StoredRecipe) -> Result<Self> {
        for (column, feature) in stored.features.iter().enumerate() {
            check_value(feature.mean, 0, column)?;
            check_value(feature.sd, 0, column)?;
            if feature.sd < 0.0 {
                return Err(EngineError::invalid("sd", "at least 0", feature.sd));
            }
        }
        check_names(stored.features.iter().map(|f| f.name.as_str()))?;
        Ok(Self {
            features: stored.features,
        })
    }
}

impl Recipe {
    /// Fits mean and standard deviation of every feature on `rows` (n x p), weighted.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when `specs` and `rows` differ in p, [`EngineError::InvalidParameter`] for a
    /// repeated name, [`EngineError::EmptyInput`] when no row has a positive weight, [`EngineError::OutOfDomain`]
    /// for log(1 + x) of x <= -1, [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit(ctx: &Context, specs: &[FeatureSpec], rows: &WeightedRows) -> Result<Self> {
        Self::check(specs, rows)?;
        let total = rows.total_weight();
        if total <= 0.0 {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        let columns_at_once = ctx.threads().min(specs.len());
        let _memory = ctx.reserve_for::<(f64, f64)>(rows.n_rows().saturating_mul(columns_at_once))?;
        let fit_column = |(column, spec): (usize, &FeatureSpec)| {
            let mut values = Vec::with_capacity(rows.n_rows());
            for (row, (raw, weight)) in rows.iter().enumerate() {
                if row % CHECK_ROWS == 0 {
                    ctx.check()?;
                }
                if weight > 0.0 {
                    values.push((spec.transform.apply(raw[column]), weight));
                }
            }
            let (mean, sd) = mean_and_sd(&values, total);
            Ok(FittedFeature {
                name: spec.name.clone(),
                transform: spec.transform,
                mean,
                sd,
            })
        };
        let features = ctx.run(|| specs.par_iter().enumerate().map(fit_column).collect::<Result<_>>())?;
        Ok(Self { features })
    }

    /// Whether `specs` could be fitted on `rows`, but for there being rows.
    ///
    /// # Errors
    /// As [`Recipe::fit`], without [`EngineError::EmptyInput`].
    pub fn check(specs: &[FeatureSpec], rows: &WeightedRows) -> Result<()> {
        check_names(specs.iter().map(|s| s.name.as_str()))?;
        if rows.n_features() != specs.len() {
            let (expected, found) = (specs.len(), rows.n_features());
            return Err(EngineError::Dimension {
                what: "features",
                expected,
                found,
            });
        }
        for (row, (raw, _)) in rows.iter().enumerate() {
            for (column, (spec, x)) in specs.iter().zip(raw).enumerate() {
                check_domain(spec.transform, *x, row, column)?;
            }
        }
        Ok(())
    }

    /// The features in the order of the columns.
    pub fn features(&self) -> &[FittedFeature] {
        &self.features
    }

    /// Number of features, p.
    pub fn n_features(&self) -> usize {
        self.features.len()
    }

    /// Transforms and standardises one raw row (p) into `out` (p). `row` is what an error calls it.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`], [`EngineError::OutOfDomain`].
    pub fn transform_row(&self, raw: &[f64], out: &mut [f64], row: usize) -> Result<()> {
        let expected = self.features.len();
        for found in [raw.len(), out.len()] {
            if found != expected {
                return Err(EngineError::Dimension {
                    what: "features",
                    expected,
                    found,
                });
            }
        }
        for (column, ((feature, &x), y)) in self.features.iter().zip(raw).zip(out).enumerate() {
            check_value(x, row, column)?;
            check_domain(feature.transform, x, row, column)?;
            *y = feature.standardise(x);
            check_value(*y, row, column)?;
        }
        Ok(())
    }

    /// Transforms and standardises `rows` (n x p), keeping their weights. The result is not reserved for.
    ///
    /// # Errors
    /// As [`Recipe::transform_row`], and [`EngineError::Cancelled`].
    pub fn transform(&self, ctx: &Context, rows: &WeightedRows) -> Result<WeightedRows> {
        let p = rows.n_features();
        let mut values = vec![0.0; rows.values().len()];
        let tasks = values
            .par_chunks_mut(TASK_ROWS * p)
            .zip(rows.values().par_chunks(TASK_ROWS * p));
        ctx.run(|| {
            tasks.enumerate().try_for_each(|(task, (out, raw))| {
                ctx.check()?;
                for (offset, (out, raw)) in out.chunks_exact_mut(p).zip(raw.chunks_exact(p)).enumerate() {
                    self.transform_row(raw, out, task * TASK_ROWS + offset)?;
                }
                Ok::<(), EngineError>(())
            })
        })?;
        Ok(WeightedRows::from_checked(values, p, rows.weights().to_vec()))
    }

    /// Takes a standardised row (p) back to the original scale.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn inverse(&self, standardised: &[f64]) -> Result<Vec<f64>> {
        let (expected, found) = (self.features.len(), standardised.len());
        if expected != found {
            return Err(EngineError::Dimension {
                what: "features",
                expected,
                found,
            });
        }
        Ok(self
            .features
            .iter()
            .zip(standardised)
            .map(|(f, z)| f.transform.undo(f.mean + f.sd * z))
            .collect())
    }
}

impl FittedFeature {
    fn standardise(&self, x: f64) -> f64 {
        if self.sd == 0.0 {
            0.0
        } else {
            (self.transform.apply(x) - self.mean) / self.sd + 0.0
        }
    }
}

/// Weighted mean and population standard deviation, in two passes; a constant is told by its values, not by a
/// variance that rounding may leave above zero.
pub(crate) fn mean_and_sd(values: &[(f64, f64)], total: f64) -> (f64, f64) {
    let first = values.first().map_or(0.0, |v| v.0);
    if values.iter().all(|v| v.0 == first) {
        return (first, 0.0);
    }
    let rough = values.iter().map(|(x, w)| w * x).sum::<f64>() / total;
    let mean = rough + values.iter().map(|(x, w)| w * (x - rough)).sum::<f64>() / total;
    let variance = values.iter().map(|(x, w)| w * (x - mean) * (x - mean)).sum::<f64>() / total;
    (mean, variance.sqrt())
}

pub(crate) fn check_domain(transform: Transform, found: f64, row: usize, column: usize) -> Result<()> {
    if transform == Transform::Log1p && found <= -1.0 {
        return Err(EngineError::OutOfDomain {
            row,
            column,
            expected: "greater than -1",
            found,
        });
    }
    Ok(())
}

pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(EngineError::invalid(
                "features",
                "distinct names",
                format!("{name} twice"),
            ));
        }
    }
    if seen.is_empty() {
        return Err(EngineError::invalid("features", "at least one", "none"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ctx() -> Context {
        Context::builder().threads(2).build().unwrap()
    }

    fn specs() -> Vec<FeatureSpec> {
        vec![
            FeatureSpec::log1p("posts"),
            FeatureSpec::identity("grade"),
            FeatureSpec::log1p("constant"),
        ]
    }

    #[test]
    fn weighted_moments_equal_those_of_the_repeated_rows() {
        // posts 0 x3, 1 x1: log1p mean ln2/4; population variance (ln2)^2 * 3/16
        let rows = WeightedRows::new(vec![0., 4., 7., 1., 8., 7.], 3, vec![3., 1.]).unwrap();
        let recipe = Recipe::fit(&ctx(), &specs(), &rows).unwrap();
        let ln2 = std::f64::consts::LN_2;
        approx::assert_relative_eq!(recipe.features()[0].mean, ln2 / 4.0, max_relative = 1e-14);
        approx::assert_relative_eq!(recipe.features()[0].sd, ln2 * 3f64.sqrt() / 4.0, max_relative = 1e-14);
        approx::assert_relative_eq!(recipe.features()[1].mean, 5.0, max_relative = 1e-14);
        assert_eq!(recipe.features()[2].sd, 0.0);
        let out = recipe.transform(&ctx(), &rows).unwrap();
        approx::assert_relative_eq!(out.row(1)[0], 3f64.sqrt(), max_relative = 1e-14);
        assert_eq!(out.row(1)[2], 0.0);
    }

    #[test]
    fn constant_feature_standardises_to_zero_also_for_other_values() {
        let rows = WeightedRows::new(vec![0., 4., 7., 1., 8., 7.], 3, vec![3., 1.]).unwrap();
        let recipe = Recipe::fit(&ctx(), &specs(), &rows).unwrap();
        let mut out = [9.0; 3];
        recipe.transform_row(&[0.0, 4.0, 1e6], &mut out, 0).unwrap();
        assert_eq!(out[2], 0.0);
        approx::assert_relative_eq!(recipe.inverse(&out).unwrap()[2], 7.0, max_relative = 1e-14);
    }

    #[test]
    fn constant_that_rounding_would_give_a_variance_is_constant() {
        let rows = WeightedRows::new(vec![0.1; 7], 1, vec![1.0, 3.0, 1e9, 0.7, 0.1, 5.0, 1.0]).unwrap();
        let recipe = Recipe::fit(&ctx(), &[FeatureSpec::identity("x")], &rows).unwrap();
        assert_eq!((recipe.features()[0].mean, recipe.features()[0].sd), (0.1, 0.0));
    }

    #[test]
    fn inverse_undoes_transform() {
        let rows = WeightedRows::unweighted(vec![0., 4., 7., 250., 8., 7., 3., 2.5, 7.], 3).unwrap();
        let recipe = Recipe::fit(&ctx(), &specs(), &rows).unwrap();
        for (raw, (z, _)) in rows
            .iter()
            .map(|r| r.0)
            .zip(recipe.transform(&ctx(), &rows).unwrap().iter())
        {
            for (x, back) in raw.iter().zip(recipe.inverse(z).unwrap()) {
                approx::assert_relative_eq!(*x, back, max_relative = 1e-12, epsilon = 1e-12);
            }
        }
    }

    #[test]
    fn logarithm_outside_its_domain_names_the_place() {
        let rows = WeightedRows::unweighted(vec![0., 1., 1., -1., 1., 1.], 3).unwrap();
        let error = Recipe::fit(&ctx(), &specs(), &rows).unwrap_err();
        assert!(
            matches!(error, EngineError::OutOfDomain { row: 1, column: 0, .. }),
            "{error}"
        );
    }

    #[test]
    fn repeated_names_and_wrong_widths_are_refused() {
        let rows = WeightedRows::unweighted(vec![0., 1.], 2).unwrap();
        let twice = [FeatureSpec::log1p("a"), FeatureSpec::identity("a")];
        assert!(matches!(
            Recipe::fit(&ctx(), &twice, &rows),
            Err(EngineError::InvalidParameter { .. })
        ));
        assert!(matches!(
            Recipe::fit(&ctx(), &specs(), &rows),
            Err(EngineError::Dimension { .. })
        ));
        assert!(matches!(
            Recipe::fit(&ctx(), &[], &rows),
            Err(EngineError::InvalidParameter { .. })
        ));
    }

    #[test]
    fn zero_weight_rows_do_not_move_the_moments() {
        let with = WeightedRows::new(vec![1., 2., 500.], 1, vec![1., 1., 0.]).unwrap();
        let without = WeightedRows::new(vec![1., 2.], 1, vec![1., 1.]).unwrap();
        let spec = [FeatureSpec::log1p("x")];
        assert_eq!(
            Recipe::fit(&ctx(), &spec, &with).unwrap(),
            Recipe::fit(&ctx(), &spec, &without).unwrap()
        );
        let nothing = WeightedRows::new(vec![1.], 1, vec![0.]).unwrap();
        assert!(matches!(
            Recipe::fit(&ctx(), &spec, &nothing),
            Err(EngineError::EmptyInput { .. })
        ));
    }
}
