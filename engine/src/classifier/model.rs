//! The classifier: what a table's rows are, and how sure that is.

use super::columns::{self, ModelColumn};
use super::combination::Combination;
use super::histogram::Histogram;
use super::member::Member;
use super::rules::{self, RuleText};
use crate::calibrate::Calibrator;
use crate::codec::{self, Kind};
use crate::context::Context;
use crate::data::Table;
use crate::error::Result;
use crate::metrics::most_probable;
use crate::validate::Classifier;

/// What a classifier is made of; see [`ClassifierModel::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// The raw columns; the recipe of every member names them all, in this order.
    pub columns: Vec<ModelColumn>,
    /// The names of the classes, distinct.
    pub classes: Vec<String>,
    /// The class that the threshold speaks of.
    pub positive: Option<u32>,
    /// With two classes, the probability of the positive one from which a row is called so; none: the most probable class.
    pub threshold: Option<f64>,
    pub members: Vec<Member>,
    pub combination: Combination,
    pub calibrator: Option<Calibrator>,
    /// What the training rows look like, per raw column, then of the probabilities out of fold.
    pub histograms: Vec<Histogram>,
    pub score_histograms: Vec<Histogram>,
}

/// A trained classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierModel {
    pub(super) parts: Parts,
}

impl ClassifierModel {
    /// Puts a classifier together, from training or from what was imported.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`], [`EngineError::Dimension`], [`EngineError::Column`] when the parts do not fit.
    pub fn new(parts: Parts) -> Result<Self> {
        super::stored::check(&parts)?;
        Ok(Self { parts })
    }

    /// The raw columns it was trained on.
    pub fn columns(&self) -> &[ModelColumn] {
        &self.parts.columns
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.parts.classes
    }

    /// With two classes, the calibrated probability of the positive one from which a row is called so.
    pub fn threshold(&self) -> Option<f64> {
        self.parts.threshold
    }

    /// The class that the threshold speaks of.
    pub fn positive(&self) -> Option<u32> {
        self.parts.positive
    }

    /// The models, one unless it is an ensemble.
    pub fn members(&self) -> &[Member] {
        &self.parts.members
    }

    /// How the members become one.
    pub fn combination(&self) -> &Combination {
        &self.parts.combination
    }

    /// What is done to the probabilities in the end.
    pub fn calibrator(&self) -> Option<&Calibrator> {
        self.parts.calibrator.as_ref()
    }

    /// The training rows, column by column, in the order of [`ClassifierModel::columns`].
    pub fn histograms(&self) -> &[Histogram] {
        &self.parts.histograms
    }

    /// The calibrated probabilities out of fold: of the positive class with two classes, else of each.
    pub fn score_histograms(&self) -> &[Histogram] {
        &self.parts.score_histograms
    }

    /// With the threshold `threshold` of class `positive` instead; none: the most probable class.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn with_threshold(self, positive: Option<u32>, threshold: Option<f64>) -> Result<Self> {
        Self::new(Parts {
            positive,
            threshold,
            ..self.parts
        })
    }

    /// The names of columns that `table` does not have; they count as missing.
    pub fn missing_columns(&self, table: &Table) -> Vec<&str> {
        columns::missing(&self.parts.columns, table)
    }

    /// Calibrated probabilities, row-major, n x classes. Columns are found by name; others are not looked at.
    ///
    /// # Errors
    /// [`EngineError::Column`] for a column that has values of another kind, [`EngineError::OutOfDomain`],
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn predict(&self, ctx: &Context, table: &Table) -> Result<Vec<f64>> {
        let mut probabilities = self.raw(ctx, table)?;
        if let Some(calibrator) = &self.parts.calibrator {
            calibrator.apply(ctx, &mut probabilities)?;
        }
        Ok(probabilities)
    }

    /// As [`ClassifierModel::predict`], not calibrated.
    ///
    /// # Errors
    /// As [`ClassifierModel::predict`].
    pub fn predict_raw(&self, ctx: &Context, table: &Table) -> Result<Vec<f64>> {
        self.raw(ctx, table)
    }

    fn raw(&self, ctx: &Context, table: &Table) -> Result<Vec<f64>> {
        let table = columns::complete(ctx, &self.parts.columns, table)?;
        let n = table.n_rows().saturating_mul(self.parts.classes.len());
        let _members = ctx.reserve_for::<f64>(n.saturating_mul(self.parts.members.len()))?;
        let of_member = |member: &Member| {
            ctx.check()?;
            let matrix = member.preparation().transform(ctx, &table)?;
            let _columns = ctx.reserve_for::<f64>(matrix.columns.len().saturating_mul(matrix.n_rows()))?;
            member.model().predict(ctx, &matrix.columns)
        };
        let members = self.parts.members.iter().map(of_member).collect::<Result<_>>()?;
        self.parts.combination.combine(ctx, members)
    }

    /// The class of a row of these (calibrated) probabilities.
    pub fn decide(&self, probabilities: &[f64]) -> u32 {
        decide(probabilities, self.parts.positive, self.parts.threshold)
    }

    /// What a single decision tree says, leaf by leaf; none for other algorithms.
    pub fn rules(&self) -> Option<Vec<RuleText>> {
        rules::of(self)
    }

    /// About the bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        self.parts.members.iter().map(|member| member.model().bytes()).sum()
    }

    /// Versioned, checksummed bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::CLASSIFIER, self)?)
    }

    /// Decodes what [`ClassifierModel::encode`] wrote; everything in it is checked.
    ///
    /// # Errors
    /// [`EngineError::Codec`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::CLASSIFIER, bytes)?)
    }
}

/// The positive class from its threshold on, else the other one; without a threshold the most probable.
pub(super) fn decide(probabilities: &[f64], positive: Option<u32>, threshold: Option<f64>) -> u32 {
    match (positive, threshold, probabilities) {
        (Some(positive), Some(threshold), [_, _]) => {
            let called = probabilities.get(positive as usize).is_some_and(|p| *p >= threshold);
            if called {
                positive
            } else {
                1 - positive.min(1)
            }
        }
        _ => most_probable(probabilities),
    }
}
