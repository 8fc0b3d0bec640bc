//! The fitted mixture: weights, means and covariances, and what they say of a row.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::data::{check_value, WeightedRows};
use crate::error::{EngineError, Result};

/// Rows per parallel task.
const TASK_ROWS: usize = 2_048;

/// How the fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MixtureReport {
    /// Mean over the rows of the log of their density.
    pub log_likelihood: f64,
    /// Iterations of EM.
    pub iterations: usize,
    /// False when it was the limit of iterations that ended it.
    pub converged: bool,
    /// Starts that ended with a result.
    pub starts: usize,
    /// As given.
    pub regularisation: f64,
}

/// m components in p dimensions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredMixture", into = "StoredMixture")]
pub struct MixtureModel {
    n_features: usize,
    weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Vec<f64>,
    report: MixtureReport,
    /// Inverse of the lower Cholesky factor of each covariance, p x p row-major, the upper triangle 0.
    whitening: Vec<f64>,
    /// log weight - log determinant of the factor - p / 2 log 2 pi, per component.
    constants: Vec<f64>,
}

/// What is stored; read back, it is not trusted.
#[derive(Serialize, Deserialize)]
struct StoredMixture {
    n_features: usize,
    weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Vec<f64>,
    report: MixtureReport,
}

impl From<MixtureModel> for StoredMixture {
    fn from(model: MixtureModel) -> Self {
        Self {
            n_features: model.n_features,
            weights: model.weights,
            means: model.means,
            covariances: model.covariances,
            report: model.report,
        }
    }
}

impl TryFrom<StoredMixture> for MixtureModel {
    type Error = EngineError;

    fn try_from(stored: StoredMixture) -> Result<Self> {
        Self::new(
            stored.n_features,
            stored.weights,
            stored.means,
            stored.covariances,
            stored.report,
        )
    }
}

impl MixtureModel {
    /// From m `weights`, `means` (m x p) and `covariances` (m x p x p, row-major).
    pub(super) fn new(
        p: usize,
        weights: Vec<f64>,
        means: Vec<f64>,
        covariances: Vec<f64>,
        report: MixtureReport,
    ) -> Result<Self> {
        let m = weights.len();
        if m == 0 || p == 0 {
            return Err(EngineError::EmptyInput {
                what: "list of components",
            });
        }
        for (what, values, each) in [
            ("mean values", &means, p),
            ("covariance values", &covariances, p.saturating_mul(p)),
        ] {
            let expected = m.saturating_mul(each);
            if values.len() != expected {
                let found = values.len();
                return Err(EngineError::Dimension { what, expected, found });
            }
            for (index, value) in values.iter().enumerate() {
                check_value(*value, index / each, index % each)?;
            }
        }
        for (row, &found) in weights.iter().enumerate() {
            if !(0.0..=1.0 + 1e-6).contains(&found) {
                return Err(EngineError::InvalidWeight { row, found });
            }
        }
        let mut whitening = Vec::with_capacity(covariances.len());
        let mut constants = Vec::with_capacity(m);
        for (covariance, weight) in covariances.chunks_exact(p * p).zip(&weights) {
            let factor = inverse_cholesky(covariance, p).ok_or_else(|| EngineError::NoSolution {
                algorithm: "gmm",
                reason: "a covariance is not positive definite".to_owned(),
            })?;
            let log_determinant: f64 = (0..p).map(|i| factor[i * p + i].ln()).sum();
            constants.push(weight.ln() + log_determinant - 0.5 * p as f64 * std::f64::consts::TAU.ln());
            whitening.extend(factor);
        }
        Ok(Self {
            n_features: p,
            weights,
            means,
            covariances,
            report,
            whitening,
            constants,
        })
    }

    /// Number of components, m.
    pub fn n_components(&self) -> usize {
        self.weights.len()
    }

    /// Number of features, p.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Weight of each component; they sum to 1.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Means, m x p.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Covariances, m x p x p, regularisation included.
    pub fn covariances(&self) -> &[f64] {
        &self.covariances
    }

    /// How the fit ended.
    pub fn report(&self) -> MixtureReport {
        self.report
    }

    /// What was added to the diagonal of every covariance.
    pub fn regularisation(&self) -> f64 {
        self.report.regularisation
    }

    /// -2 log-likelihood of `rows` dense rows + free parameters x log `rows`: the lower, the better.
    pub fn bic(&self, rows: f64) -> f64 {
        let (m, p) = (self.n_components() as f64, self.n_features as f64);
        let free = m - 1.0 + m * p + m * p * (p + 1.0) / 2.0;
        free * rows.ln() - 2.0 * self.report.log_likelihood * rows
    }

    /// Component with the highest responsibility for `row` (p values); the first among equals.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NonFinite`].
    pub fn predict_row(&self, row: &[f64]) -> Result<u32> {
        let (expected, found) = (self.n_features, row.len());
        if expected != found {
            let what = "features";
            return Err(EngineError::Dimension { what, expected, found });
        }
        row.iter()
            .enumerate()
            .try_for_each(|(column, value)| check_value(*value, 0, column))?;
        let mut best = (f64::NEG_INFINITY, 0);
        for component in 0..self.n_components() {
            let density = self.log_density(component, row);
            if density > best.0 {
                best = (density, component as u32);
            }
        }
        Ok(best.1)
    }

    /// log of weight x density of `component` at `row`.
    fn log_density(&self, component: usize, row: &[f64]) -> f64 {
        let p = self.n_features;
        let mean = &self.means[component * p..(component + 1) * p];
        let whitening = &self.whitening[component * p * p..(component + 1) * p * p];
        let mut distance = 0.0;
        for (i, factor) in whitening.chunks_exact(p).enumerate() {
            let along: f64 = (0..=i).map(|j| factor[j] * (row[j] - mean[j])).sum();
            distance += along * along;
        }
        self.constants[component] - 0.5 * distance
    }

    /// Responsibilities of the m components for each of `rows` (n x m), and the mean log-likelihood of a row, weighted.
    pub(super) fn responsibilities(&self, ctx: &Context, rows: &WeightedRows) -> Result<(Vec<f64>, f64)> {
        let (m, p) = (self.n_components(), self.n_features);
        let mut found = vec![0.0; rows.n_rows() * m];
        let task = |(values, (weights, out)): (&[f64], (&[f64], &mut [f64]))| {
            ctx.check()?;
            let mut sum = 0.0;
            for ((row, weight), out) in values.chunks_exact(p).zip(weights).zip(out.chunks_exact_mut(m)) {
                for (component, density) in out.iter_mut().enumerate() {
                    *density = self.log_density(component, row);
                }
                let highest = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = out.iter().map(|density| (density - highest).exp()).sum();
                let log_total = highest + total.ln();
                out.iter_mut()
                    .for_each(|density| *density = (*density - log_total).exp());
                sum += weight * log_total;
            }
            Ok(sum)
        };
        let sums: Vec<f64> = ctx.run(|| {
            let rows_in_tasks = rows.values().par_chunks(TASK_ROWS * p);
            let weights = rows.weights().par_chunks(TASK_ROWS);
            let outs = found.par_chunks_mut(TASK_ROWS * m);
            rows_in_tasks.zip(weights.zip(outs)).map(task).collect::<Result<_>>()
        })?;
        let log_likelihood = sums.iter().sum::<f64>() / rows.total_weight();
        Ok((found, log_likelihood))
    }

    pub(super) fn with_report(self, report: MixtureReport) -> Self {
        Self { report, ..self }
    }
}

/// Inverse of the lower Cholesky factor of a symmetric p x p matrix; `None` when it is not positive definite.
fn inverse_cholesky(matrix: &[f64], p: usize) -> Option<Vec<f64>> {
    let mut factor = vec![0.0; p * p];
    for i in 0..p {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|l| factor[i * p + l] * factor[j * p + l]).sum();
            let rest = matrix[i * p + j] - dot;
            factor[i * p + j] = match i == j {
                true if rest > 0.0 => rest.sqrt(),
                true => return None,
                false => rest / factor[j * p + j],
            };
        }
    }
    let mut inverse = vec![0.0; p * p];
    for column in 0..p {
        for i in column..p {
            let unit = if i == column { 1.0 } else { 0.0 };
            let dot: f64 = (column..i).map(|l| factor[i * p + l] * inverse[l * p + column]).sum();
            inverse[i * p + column] = (unit - dot) / factor[i * p + i];
        }
    }
    inverse.iter().all(|x| x.is_finite()).then_some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> MixtureReport {
        MixtureReport {
            log_likelihood: 0.0,
            iterations: 1,
            converged: true,
            starts: 1,
            regularisation: 1e-6,
        }
    }

    #[test]
    fn densities_equal_the_textbook_formula_of_a_correlated_gaussian() {
        // covariance [[4, 1], [1, 2]]: determinant 7, inverse [[2, -1], [-1, 4]] / 7
        let model = MixtureModel::new(2, vec![1.0], vec![1.0, -1.0], vec![4., 1., 1., 2.], report()).unwrap();
        let (x, y) = (3.0 - 1.0, 0.5 + 1.0);
        let quadratic = (2.0 * x * x - 2.0 * x * y + 4.0 * y * y) / 7.0;
        let expected = -0.5 * quadratic - 0.5 * 7f64.ln() - std::f64::consts::TAU.ln();
        approx::assert_relative_eq!(model.log_density(0, &[3.0, 0.5]), expected, max_relative = 1e-14);
    }

    #[test]
    fn a_row_too_far_for_plain_exponentials_still_has_its_nearest_component() {
        let model = MixtureModel::new(1, vec![0.9, 0.1], vec![0.0, 10.0], vec![1e-6, 1e-6], report()).unwrap();
        assert_eq!(model.predict_row(&[1e6]).unwrap(), 1);
        assert_eq!(model.predict_row(&[-1e6]).unwrap(), 0);
        let rows = WeightedRows::unweighted(vec![1e6, 4.0], 1).unwrap();
        let (found, likelihood) = model
            .responsibilities(&Context::builder().build().unwrap(), &rows)
            .unwrap();
        assert_eq!(found, [0.0, 1.0, 1.0, 0.0]);
        assert!(likelihood.is_finite());
    }

    #[test]
    fn matrices_that_are_no_covariances_are_refused() {
        for bad in [vec![1., 2., 2., 1.], vec![0.0; 4], vec![1., 0., 0., f64::NAN]] {
            assert!(MixtureModel::new(2, vec![1.0], vec![0.0, 0.0], bad, report()).is_err());
        }
        assert!(MixtureModel::new(1, vec![2.0], vec![0.0], vec![1.0], report()).is_err());
        assert!(MixtureModel::new(1, vec![], vec![], vec![], report()).is_err());
    }
}
