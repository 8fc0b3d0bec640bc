//! The whole way: split, candidates, combination, calibration, threshold, final fit, importances.

use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use serde_json::Value;

use super::blocks;
use super::candidate::{Candidate, Ground, Kept};
use super::choice::{choose, Chosen};
use super::columns::ModelColumn;
use super::evaluation::{summaries, Evaluation};
use super::histogram::Histogram;
use super::importance;
use super::member::Member;
use super::model::{ClassifierModel, Parts};
use super::report::{metrics, CalibrationReport, CandidateReport, ClassReport, FoldSize, Report};
use super::select;
use super::training::Training;
use crate::calibrate::{choose_calibration, Calibrator};
use crate::context::Context;
use crate::data::{Labels, Table, Values};
use crate::ensemble::Offer;
use crate::error::{EngineError, Result};
use crate::threshold::ThresholdChoice;
use crate::validate::{enough_rows, fit_all, Folds, Metric, OutOfFold};

/// What a training gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    pub model: ClassifierModel,
    pub evaluation: Evaluation,
    pub report: Report,
}

impl Training {
    /// Trains on the rows of `table`, whose classes are positions in `classes`. `time_up` is raised from outside when a time
    /// budget has run out: what was found until then is used.
    ///
    /// # Errors
    /// [`EngineError::Refusal`] when the data do not suffice, [`EngineError::InvalidParameter`], [`EngineError::Dimension`],
    /// [`EngineError::EmptyInput`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn train(
        &self,
        ctx: &Context,
        table: &Table,
        labels: &Labels,
        classes: &[String],
        time_up: Option<Arc<AtomicBool>>,
    ) -> Result<Trained> {
        self.check_rows(table, labels, classes)?;
        let folds = self.split.folds(labels, self.min_rows, self.seed)?;
        self.train_with(ctx, table, labels, &folds, classes, time_up)
    }

    /// As [`Training::train`], with folds that were made before: by student, of rows that were merged afterwards.
    ///
    /// # Errors
    /// As [`Training::train`].
    pub fn train_with(
        &self,
        ctx: &Context,
        table: &Table,
        labels: &Labels,
        folds: &Folds,
        classes: &[String],
        time_up: Option<Arc<AtomicBool>>,
    ) -> Result<Trained> {
        let positive = self.check_rows(table, labels, classes)?;
        enough_rows(labels, self.min_rows)?;
        folds.check(labels)?;
        let (labels, kept) = blocks::present(labels)?;
        let Ok(positive) = kept.binary_search(&positive) else {
            let found = &classes[positive as usize];
            return Err(EngineError::invalid("positive class", "one that rows have", found));
        };
        if self.objective.is_some() && kept.len() != 2 {
            return Err(EngineError::invalid(
                "objective",
                "null unless there are two classes",
                format!("for {}", kept.len()),
            ));
        }
        let classes: Vec<String> = kept.iter().map(|class| classes[*class as usize].clone()).collect();
        let fitting = blocks::grouped(&labels, folds)?;
        let _labels = ctx.reserve_for::<f64>(labels.n_rows().saturating_mul(4))?;
        let ground = Ground {
            ctx,
            table,
            labels: &fitting,
            folds,
            metric: self.metric,
            time_up,
        };
        let course = Course {
            training: self,
            ground: &ground,
            classes,
            positive: positive as u32,
            by_student: labels.groups().is_some(),
        };
        course.run()
    }
}

/// A training under way.
struct Course<'a> {
    training: &'a Training,
    ground: &'a Ground<'a>,
    classes: Vec<String>,
    positive: u32,
    /// Whether groups are students, not folds.
    by_student: bool,
}

impl Course<'_> {
    fn run(self) -> Result<Trained> {
        let ctx = self.ground.ctx;
        let (mut candidates, left_out) = select::candidates(self.training, self.ground)?;
        let chosen = choose(self.ground, self.training, &candidates)?;
        let raw = match self.by_student {
            true => chosen.out_of_fold.clone(),
            false => chosen.out_of_fold.clone().without_groups(),
        };
        let (calibrator, out_of_fold, calibration) = self.calibrate(raw)?;
        let threshold = self.threshold(&out_of_fold)?;
        let evaluation = Evaluation::new(
            self.classes.clone(),
            self.positive,
            threshold.map(|t| t.threshold),
            out_of_fold,
        )?;
        let model = self.fit(&candidates, &chosen, calibrator, &evaluation)?;
        let kept: Option<Vec<Kept>> = chosen
            .members
            .iter()
            .map(|member| candidates[*member].kept.take())
            .collect();
        let importance = importance::measure(self.ground, &model, kept.unwrap_or_default(), self.training.seed)?;
        let labels = self.ground.labels;
        let report = Report {
            algorithm: self.training.algorithm,
            chosen: chosen.name(&candidates),
            parameters: chosen
                .members
                .iter()
                .map(|member| self.parameters(&candidates[*member]))
                .collect(),
            seed: self.training.seed,
            classes: class_reports(&self.classes, labels),
            positive: self.classes[self.positive as usize].clone(),
            rows: labels.n_rows(),
            weight: labels.weights().iter().sum(),
            folds: fold_sizes(&candidates[0]),
            metrics: metrics(&summaries(ctx, evaluation.out_of_fold())?),
            threshold,
            calibration,
            candidates: self.candidate_reports(&candidates, &chosen),
            left_out,
            time_up: self.ground.is_time_up(),
            vote: chosen.weights(&candidates),
            importance,
            rules: model.rules(),
        };
        Ok(Trained {
            model,
            evaluation,
            report,
        })
    }

    fn calibrate(&self, raw: OutOfFold) -> Result<(Option<Calibrator>, OutOfFold, CalibrationReport)> {
        if !self.training.calibrate {
            let report = CalibrationReport {
                brier_before: raw.predictions()?.brier(),
                ..CalibrationReport::default()
            };
            return Ok((None, raw, report));
        }
        let choice = choose_calibration(self.ground.ctx, &raw)?;
        let report = CalibrationReport::new(&choice);
        Ok((
            choice.calibrator.map(|(_, calibrator)| calibrator),
            choice.out_of_fold,
            report,
        ))
    }

    fn threshold(&self, out_of_fold: &OutOfFold) -> Result<Option<ThresholdChoice>> {
        let Some(objective) = &self.training.objective else {
            return Ok(None);
        };
        let ranking = out_of_fold.predictions()?.ranking(self.ground.ctx, self.positive)?;
        objective.choose(&ranking).map(Some)
    }

    /// The members fitted on all rows.
    fn fit(
        &self,
        candidates: &[Candidate],
        chosen: &Chosen,
        calibrator: Option<Calibrator>,
        evaluation: &Evaluation,
    ) -> Result<ClassifierModel> {
        let (ctx, table, labels) = (self.ground.ctx, self.ground.table, self.ground.labels);
        let member = |position: &usize| {
            let learning = &candidates[*position].learning;
            let prepared = fit_all(ctx, &learning.preparation(table), learning, table, labels)?;
            Ok(Member::from(prepared))
        };
        let members = chosen.members.iter().map(member).collect::<Result<_>>()?;
        ClassifierModel::new(Parts {
            columns: ModelColumn::of(table),
            classes: self.classes.clone(),
            positive: Some(self.positive),
            threshold: evaluation.threshold(),
            members,
            combination: chosen.combination.clone(),
            calibrator,
            histograms: Histogram::of_table(ctx, table, labels.weights())?,
            score_histograms: self.score_histograms(evaluation.out_of_fold())?,
        })
    }

    fn score_histograms(&self, out_of_fold: &OutOfFold) -> Result<Vec<Histogram>> {
        let k = self.classes.len();
        let classes = if k == 2 {
            self.positive as usize..self.positive as usize + 1
        } else {
            0..k
        };
        let of = |class: usize| {
            let scores = out_of_fold
                .probabilities()
                .iter()
                .skip(class)
                .step_by(k)
                .copied()
                .collect();
            Histogram::of(&self.classes[class], &Values::Numeric(scores), out_of_fold.weights())
        };
        classes.map(of).collect()
    }

    /// Algorithm and hyperparameters of a candidate.
    fn parameters(&self, candidate: &Candidate) -> (String, Value) {
        let weight = self.ground.labels.weights().iter().sum();
        let parameters = candidate.learning.parameters(weight);
        (
            candidate.learning.algorithm.name().to_owned(),
            Value::Object(parameters),
        )
    }

    fn candidate_reports(&self, candidates: &[Candidate], chosen: &Chosen) -> Vec<CandidateReport> {
        let one = |(position, candidate): (usize, &Candidate)| {
            let summaries: Vec<_> = Metric::ALL
                .iter()
                .map(|metric| candidate.cross_validation.summary(*metric))
                .collect();
            CandidateReport {
                name: candidate.learning.algorithm.name().to_owned(),
                chosen: chosen.offer == Offer::Single(position),
                score: candidate.cross_validation.summary(self.training.metric).pooled,
                metrics: Some(metrics(&summaries)),
                parameters: match self.parameters(candidate).1 {
                    Value::Object(parameters) => Some(parameters),
                    _ => None,
                },
                search: candidate.search.clone(),
            }
        };
        let combined = chosen.scores.iter().filter_map(|(offer, score)| {
            let name = match offer {
                Offer::Single(_) => return None,
                Offer::Vote => "vote",
                Offer::Stack => "stack",
            };
            Some(CandidateReport {
                name: name.to_owned(),
                chosen: chosen.offer == *offer,
                score: *score,
                metrics: None,
                parameters: None,
                search: None,
            })
        });
        candidates.iter().enumerate().map(one).chain(combined).collect()
    }
}

fn class_reports(classes: &[String], labels: &Labels) -> Vec<ClassReport> {
    let pairs = classes.iter().zip(labels.class_weights());
    pairs
        .map(|(class, weight)| ClassReport {
            class: class.clone(),
            weight,
        })
        .collect()
}

fn fold_sizes(candidate: &Candidate) -> Vec<FoldSize> {
    let size = |fold: &crate::validate::FoldReport| FoldSize {
        train_rows: fold.train_rows,
        test_rows: fold.test_rows,
        train_weight: fold.train_weight,
        test_weight: fold.test_weight,
    };
    candidate.cross_validation.folds.iter().map(size).collect()
}
