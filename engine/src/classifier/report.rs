//! What a training found, to be shown and kept beside the model.

use serde::Serialize;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::rules::RuleText;
use super::training::SearchKind;
use crate::calibrate::{CalibrationChoice, Method};
use crate::threshold::ThresholdChoice;
use crate::validate::{Metric, MetricSummary, Tried};

/// Everything that a training found besides model and predictions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was asked for.
    pub algorithm: Algorithm,
    /// What the model is made of: algorithms, and `vote` or `stack` where there are several.
    pub chosen: String,
    /// Hyperparameters of every member, by algorithm; those not named have the algorithm's default.
    pub parameters: Map<String, Value>,
    pub seed: u64,
    /// The classes of the model, those without rows left out.
    pub classes: Vec<ClassReport>,
    /// The class that threshold, recall and precision speak of.
    pub positive: String,
    /// Rows (distinct ones where equal rows were merged) and their weight.
    pub rows: usize,
    pub weight: f64,
    pub folds: Vec<FoldSize>,
    /// By name, of the calibrated predictions out of fold.
    pub metrics: Map<String, Value>,
    /// The threshold and its price out of fold; none: the most probable class.
    pub threshold: Option<ThresholdChoice>,
    pub calibration: CalibrationReport,
    /// Every algorithm and combination that was judged, before calibration.
    pub candidates: Vec<CandidateReport>,
    /// Algorithms that the time budget left out, or that could not be trained.
    pub left_out: Vec<Algorithm>,
    /// Whether the time budget ran out.
    pub time_up: bool,
    /// Weight of each member in a vote.
    pub vote: Option<Map<String, Value>>,
    /// By raw column, the most important first.
    pub importance: Vec<ColumnImportance>,
    /// Of a single decision tree.
    pub rules: Option<Vec<RuleText>>,
}

/// A class and its rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    pub class: String,
    pub weight: f64,
}

/// How large a fold is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldSize {
    pub train_rows: usize,
    pub test_rows: usize,
    pub train_weight: f64,
    pub test_weight: f64,
}

/// A metric out of fold; none where it is not defined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricReport {
    /// Of all predictions together.
    pub pooled: Option<f64>,
    /// Over the folds.
    pub mean: Option<f64>,
    pub sd: Option<f64>,
    pub folds: usize,
}

impl From<&MetricSummary> for MetricReport {
    fn from(summary: &MetricSummary) -> Self {
        Self {
            pooled: summary.pooled,
            mean: summary.mean,
            sd: summary.sd,
            folds: summary.folds,
        }
    }
}

/// Metrics by name.
pub(super) fn metrics(summaries: &[MetricSummary]) -> Map<String, Value> {
    let entry = |summary: &MetricSummary| {
        let value = serde_json::to_value(MetricReport::from(summary)).unwrap_or(Value::Null);
        (summary.metric.name().to_owned(), value)
    };
    summaries.iter().map(entry).collect()
}

/// Whether probabilities are calibrated, and what that was worth out of fold.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct CalibrationReport {
    /// None: best as they are, or not asked for.
    pub method: Option<Method>,
    pub brier_before: Option<f64>,
    pub platt: Option<f64>,
    pub isotonic: Option<f64>,
}

impl CalibrationReport {
    pub(super) fn new(choice: &CalibrationChoice) -> Self {
        let after = |wanted: Method| {
            let found = choice.brier_after.iter().find(|(method, _)| *method == wanted);
            found.map(|(_, brier)| *brier)
        };
        Self {
            method: choice.calibrator.as_ref().map(|(method, _)| *method),
            brier_before: Some(choice.brier_before),
            platt: after(Method::Platt),
            isotonic: after(Method::Isotonic),
        }
    }
}

/// A candidate and its scores out of fold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateReport {
    /// An algorithm, `vote` or `stack`.
    pub name: String,
    pub chosen: bool,
    /// The metric that was gone by; none where it is not defined, or could not be judged.
    pub score: Option<f64>,
    /// All metrics, for algorithms.
    pub metrics: Option<Map<String, Value>>,
    pub parameters: Option<Map<String, Value>>,
    pub search: Option<SearchReport>,
}

/// What a search tried. Its best score is that of the best of many: a little too good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchReport {
    pub kind: SearchKind,
    pub metric: Metric,
    /// `exhausted`, `candidates` or `time`.
    pub ended: &'static str,
    /// Position in `tried`.
    pub best: usize,
    pub tried: Vec<TriedReport>,
}

/// One set of hyperparameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriedReport {
    pub parameters: Value,
    pub score: Option<f64>,
    pub sd: Option<f64>,
    /// Why it could not be judged.
    pub error: Option<String>,
}

impl TriedReport {
    pub(super) fn new(tried: Tried) -> Self {
        let (score, sd, error) = match tried.outcome {
            Ok(summary) => (summary.pooled, summary.sd, None),
            Err(reason) => (None, None, Some(reason)),
        };
        Self {
            parameters: serde_json::to_value(&tried.candidate).unwrap_or(Value::Null),
            score,
            sd,
            error,
        }
    }
}

/// How much a raw column matters; none where it was not measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnImportance {
    pub feature: String,
    /// Share of what all splits gained, in the final model.
    pub gain: Option<f64>,
    /// What the metric loses on unseen rows when the column is shuffled, mean over the folds.
    pub permutation: Option<f64>,
    /// Standard deviation over the folds; with one fold over the repeats.
    pub permutation_sd: Option<f64>,
    /// Mean absolute contribution to the class that an unseen row is called.
    pub mean_abs_shap: Option<f64>,
}
