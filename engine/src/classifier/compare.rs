//! Whether one classifier is better than another, on the same rows, by more than the noise.

use serde::Serialize;

use super::evaluation::Evaluation;
use super::model::ClassifierModel;
use crate::context::Context;
use crate::data::Table;
use crate::error::{EngineError, Result};
use crate::metrics::{auc_difference, mean_difference, Estimate};
use crate::validate::OutOfFold;

/// The difference of two evaluations of the same rows, this one's minus the other's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Weight of the rows compared.
    pub weight: f64,
    /// Mean log-loss of this one and of the other.
    pub log_loss: (f64, f64),
    /// Of log-loss: below 0 this one is better. None with fewer than two students.
    pub log_loss_difference: Option<Estimate>,
    /// Area under the ROC curve of the positive class: above 0 this one is better.
    pub auc_difference: Option<Estimate>,
}

/// An estimate as a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Row {
    difference: f64,
    standard_error: f64,
    low: f64,
    high: f64,
}

impl From<Estimate> for Row {
    fn from(estimate: Estimate) -> Self {
        Self {
            difference: estimate.value,
            standard_error: estimate.standard_error,
            low: estimate.interval.low,
            high: estimate.interval.high,
        }
    }
}

impl Serialize for Comparison {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Rows {
            weight: f64,
            log_loss: f64,
            log_loss_other: f64,
            log_loss_difference: Option<Row>,
            auc_difference: Option<Row>,
            better: bool,
        }
        Rows {
            weight: self.weight,
            log_loss: self.log_loss.0,
            log_loss_other: self.log_loss.1,
            log_loss_difference: self.log_loss_difference.map(Row::from),
            auc_difference: self.auc_difference.map(Row::from),
            better: self.is_better(),
        }
        .serialize(serializer)
    }
}

impl Comparison {
    /// Whether the log-loss is lower by more than the noise: the 95 % interval of the difference is below 0.
    pub fn is_better(&self) -> bool {
        self.log_loss_difference
            .is_some_and(|estimate| estimate.interval.high < 0.0)
    }
}

impl Evaluation {
    /// The predictions of another model for the rows of this evaluation, to compare both. Where that model was trained on some of
    /// these rows the comparison favours it.
    ///
    /// `table` is the one whose rows this evaluation was made from.
    ///
    /// # Errors
    /// As [`ClassifierModel::predict`]; [`EngineError::InvalidParameter`] when the classes are not the same, or the rows not in
    /// the table.
    pub fn of_model(&self, ctx: &Context, model: &ClassifierModel, table: &Table) -> Result<Evaluation> {
        let place = |name: &String| model.classes().iter().position(|class| class == name);
        let places: Option<Vec<usize>> = self.classes.iter().map(place).collect();
        let places = places
            .filter(|places| places.len() == model.classes().len())
            .ok_or_else(|| {
                EngineError::invalid(
                    "classes of the models",
                    self.classes.join(", "),
                    model.classes().join(", "),
                )
            })?;
        let rows = self.out_of_fold.rows();
        let _copy = ctx.reserve_for::<f64>(rows.len().saturating_mul(table.columns().len() + places.len()))?;
        let predicted = model.predict(ctx, &table.select(ctx, rows)?)?;
        let reordered = predicted
            .chunks_exact(places.len())
            .flat_map(|p| places.iter().map(|place| p[*place]));
        let threshold = model.threshold().filter(|_| {
            model
                .positive()
                .is_some_and(|p| places[self.positive as usize] == p as usize)
        });
        Ok(Evaluation {
            out_of_fold: self.out_of_fold.with_probabilities(reordered.collect())?,
            threshold,
            ..self.clone()
        })
    }

    /// This evaluation's log-loss and area minus those of `other`, on the same rows, with standard errors that take the rows of a
    /// student for what they are: not independent.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] unless both are of the same rows and classes, [`EngineError::Memory`],
    /// [`EngineError::Cancelled`].
    pub fn compare(&self, ctx: &Context, other: &Evaluation) -> Result<Comparison> {
        self.same_rows(&other.out_of_fold)?;
        if self.classes != other.classes {
            let found = other.classes.join(", ");
            return Err(EngineError::invalid(
                "classes of the models",
                self.classes.join(", "),
                found,
            ));
        }
        let k = self.classes.len();
        let (rows, groups, weights) = match self.students() {
            Some((rows, students, weights)) => (rows, Some(students), weights),
            None => {
                let found = &self.out_of_fold;
                ((0..found.n_rows()).collect(), None, found.weights().to_vec())
            }
        };
        let _copies = ctx.reserve_for::<f64>(rows.len().saturating_mul(8))?;
        let losses = |of: &OutOfFold| -> Result<Vec<f64>> {
            let losses = of.predictions()?.log_losses();
            Ok(rows.iter().map(|row| losses[*row]).collect())
        };
        let (own, theirs) = (losses(&self.out_of_fold)?, losses(&other.out_of_fold)?);
        let scores = |of: &OutOfFold| -> Vec<f64> {
            rows.iter()
                .map(|row| of.probabilities()[row * k + self.positive as usize])
                .collect()
        };
        let positive: Vec<bool> = rows
            .iter()
            .map(|row| self.out_of_fold.targets()[*row] == self.positive)
            .collect();
        let groups = groups.as_deref();
        let weight: f64 = weights.iter().sum();
        let mean = |losses: &[f64]| losses.iter().zip(&weights).map(|(l, w)| l * w).sum::<f64>() / weight;
        let areas = auc_difference(
            ctx,
            &scores(&self.out_of_fold),
            &scores(&other.out_of_fold),
            &positive,
            &weights,
            groups,
            0.95,
        )?;
        Ok(Comparison {
            weight,
            log_loss: (mean(&own), mean(&theirs)),
            log_loss_difference: mean_difference(&own, &theirs, &weights, groups, 0.95)?,
            auc_difference: areas.map(|areas| areas.difference),
        })
    }

    fn same_rows(&self, other: &OutOfFold) -> Result<()> {
        let own = &self.out_of_fold;
        let same = own.rows() == other.rows() && own.targets() == other.targets() && own.weights() == other.weights();
        match same {
            true => Ok(()),
            false => Err(EngineError::invalid("evaluations", "of the same rows", "of others")),
        }
    }
}
