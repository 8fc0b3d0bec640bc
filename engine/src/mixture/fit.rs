//! Fitting: starts from K-Means, EM by linfa in calls of two iterations, the best start.

use std::sync::Arc;

use linfa::traits::Fit;
use linfa::{DatasetBase, ParamGuard};
use linfa_clustering::{GaussianMixtureModel, GmmInitMethod};
use ndarray::Array2;
use rayon::prelude::*;

use super::model::{MixtureModel, MixtureReport};
use super::params::{MixtureParams, MAX_CELLS, MAX_ROWS};
use super::replay::{bits, Replay};
use crate::context::Context;
use crate::data::WeightedRows;
use crate::error::{EngineError, Result};
use crate::kmeans::KMeansParams;
use crate::linfa_calls::guarded;

const ALGORITHM: &str = "gmm";
/// Iterations of EM that linfa does per call: the fewest, since it compares likelihoods before it ends.
const ITERATIONS_PER_CALL: usize = 2;

/// The rows repeated by their weights, as linfa wants them.
struct Dense {
    records: DatasetBase<Array2<f64>, ndarray::Array1<()>>,
    /// Distinct row that each row is a copy of.
    origin: Arc<Vec<u32>>,
}

impl MixtureParams {
    /// Fits on `rows` in canonical form ([`WeightedRows::distinct`]); weights must be whole numbers.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`], [`EngineError::EmptyInput`], [`EngineError::Limit`] beyond [`MAX_ROWS`] or [`MAX_CELLS`],
    /// [`EngineError::NoSolution`] when no start ends with a result, [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn fit(&self, ctx: &Context, rows: &WeightedRows) -> Result<MixtureModel> {
        self.check()?;
        if rows.n_rows() == 0 {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        let k = self.k.min(rows.n_rows());
        let copies = copies(rows)?;
        let total = copies.iter().sum::<usize>();
        within("dense rows", total, MAX_ROWS)?;
        within("dense rows x segments", total.saturating_mul(k), MAX_CELLS)?;

        let p = rows.n_features();
        let at_once = ctx.threads().min(self.n_init);
        // of linfa: records, differences twice and their products; responsibilities in logarithms and not, with their temporaries
        let per_start = total.saturating_mul(4 * p + 7 * k);
        let all = per_start
            .saturating_mul(at_once)
            .saturating_add(total.saturating_mul(p + 1));
        let _memory = ctx.reserve_for::<f64>(all)?;
        let dense = expand(rows, &copies);

        ctx.expect_work(self.n_init as u64);
        let starts: Vec<Result<MixtureModel>> = ctx.run(|| {
            (0..self.n_init as u64)
                .into_par_iter()
                .map(|start| {
                    let model = self.start(ctx, rows, &dense, k, start);
                    ctx.work_done(1);
                    model
                })
                .collect()
        });
        ctx.check()?;
        best(starts)
    }

    fn start(&self, ctx: &Context, rows: &WeightedRows, dense: &Dense, k: usize, start: u64) -> Result<MixtureModel> {
        let params = KMeansParams::new(k)
            .n_init(1)
            .seed(self.seed.wrapping_add(start))
            .check()?;
        let labels = params.fit_distinct(ctx, rows)?.predict_rows(ctx, rows.values())?;
        let mut responsibilities = vec![0.0; rows.n_rows() * k];
        for (row, label) in labels.iter().enumerate() {
            responsibilities[row * k + *label as usize] = 1.0;
        }
        let mut iterations = 0;
        let mut before = f64::NEG_INFINITY;
        loop {
            ctx.check()?;
            let model = self.advance(rows.n_features(), dense, k, &responsibilities)?;
            // the call begins with a maximisation, which ends the iteration that our expectation began
            iterations += ITERATIONS_PER_CALL + usize::from(iterations > 0);
            let (found, log_likelihood) = model.responsibilities(ctx, rows)?;
            if !log_likelihood.is_finite() {
                return Err(EngineError::NoSolution {
                    algorithm: ALGORITHM,
                    reason: "the likelihood is not finite".to_owned(),
                });
            }
            responsibilities = found;
            let converged = log_likelihood - before <= self.tolerance;
            if converged || iterations >= self.max_iter {
                return Ok(model.with_report(MixtureReport {
                    log_likelihood,
                    iterations,
                    converged,
                    starts: 1,
                    regularisation: self.regularisation,
                }));
            }
            before = log_likelihood;
        }
    }

    /// One call of linfa, from the responsibilities of the distinct rows.
    fn advance(&self, p: usize, dense: &Dense, k: usize, responsibilities: &[f64]) -> Result<MixtureModel> {
        let replay = Replay {
            bits: Arc::new(responsibilities.iter().map(|r| bits(*r)).collect()),
            origin: Arc::clone(&dense.origin),
            k,
            drawn: 0,
        };
        let params = GaussianMixtureModel::params(k)
            .init_method(GmmInitMethod::Random)
            .reg_covariance(self.regularisation)
            .tolerance(f64::INFINITY)
            .max_n_iterations(ITERATIONS_PER_CALL as u64)
            .with_rng(replay);
        let fitted = guarded(ALGORITHM, || params.fit(&dense.records))?;
        let report = MixtureReport {
            log_likelihood: 0.0,
            iterations: 0,
            converged: false,
            starts: 1,
            regularisation: self.regularisation,
        };
        MixtureModel::new(
            p,
            fitted.weights().to_vec(),
            fitted.means().iter().copied().collect(),
            fitted.covariances().iter().copied().collect(),
            report,
        )
    }
}

/// The highest likelihood; an error only where no start has a model.
fn best(starts: Vec<Result<MixtureModel>>) -> Result<MixtureModel> {
    let mut best: Option<MixtureModel> = None;
    let mut problem = None;
    let mut ended = 0;
    for start in starts {
        match start {
            Ok(model) => {
                ended += 1;
                let highest = best.as_ref().map(|best| best.report().log_likelihood);
                if highest.is_none_or(|highest| model.report().log_likelihood > highest) {
                    best = Some(model);
                }
            }
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    match (best, problem) {
        (Some(model), _) => {
            let report = MixtureReport {
                starts: ended,
                ..model.report()
            };
            Ok(model.with_report(report))
        }
        (None, Some(problem)) => Err(problem),
        (None, None) => Err(EngineError::EmptyInput { what: "list of starts" }),
    }
}

/// How often each row stands in the dense table.
fn copies(rows: &WeightedRows) -> Result<Vec<usize>> {
    let whole = |(row, &found): (usize, &f64)| match found.fract() == 0.0 {
        true => Ok(found as usize),
        false => Err(EngineError::InvalidWeight { row, found }),
    };
    let copies: Vec<usize> = rows.weights().iter().enumerate().map(whole).collect::<Result<_>>()?;
    // summed in f64: usize might overflow
    let total = rows.total_weight();
    within("dense rows", total as usize, MAX_ROWS)?;
    Ok(copies)
}

fn expand(rows: &WeightedRows, copies: &[usize]) -> Dense {
    let total = copies.iter().sum();
    let mut values = Vec::with_capacity(total * rows.n_features());
    let mut origin = Vec::with_capacity(total);
    for (index, (row, copies)) in rows.iter().map(|(row, _)| row).zip(copies).enumerate() {
        for _ in 0..*copies {
            values.extend_from_slice(row);
            origin.push(index as u32);
        }
    }
    let p = rows.n_features();
    let records = Array2::from_shape_vec((total, p), values).unwrap_or_else(|_| Array2::zeros((0, p)));
    Dense {
        records: DatasetBase::from(records),
        origin: Arc::new(origin),
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<()> {
    match found <= limit {
        true => Ok(()),
        false => Err(EngineError::Limit {
            algorithm: ALGORITHM,
            what,
            limit,
            found,
        }),
    }
}
