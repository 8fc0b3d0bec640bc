//! A classifier as stored, and what is checked before it is trusted. Fields added later have defaults, so that old bytes stay
//! readable.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::columns::{ColumnKind, ModelColumn};
use super::combination::Combination;
use super::fitted::Fitted;
use super::histogram::Histogram;
use super::member::Member;
use super::model::{ClassifierModel, Parts};
use crate::calibrate::Calibrator;
use crate::data::{labels, Encoding, MAX_CLASSES};
use crate::ensemble::MAX_MEMBERS;
use crate::error::{EngineError, Result};
use crate::validate::Classifier;

/// What is written; [`Stored`] reads it.
#[derive(Serialize)]
struct Written<'a> {
    columns: &'a [ModelColumn],
    classes: &'a [String],
    positive: Option<u32>,
    threshold: Option<f64>,
    members: &'a [Member],
    combination: &'a Combination,
    calibrator: &'a Option<Calibrator>,
    histograms: &'a [Histogram],
    score_histograms: &'a [Histogram],
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    columns: Vec<ModelColumn>,
    classes: Vec<String>,
    positive: Option<u32>,
    threshold: Option<f64>,
    members: Vec<Member>,
    combination: Combination,
    calibrator: Option<Calibrator>,
    #[serde(default)]
    histograms: Vec<Histogram>,
    #[serde(default)]
    score_histograms: Vec<Histogram>,
}

impl Serialize for ClassifierModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let parts = &self.parts;
        Written {
            columns: &parts.columns,
            classes: &parts.classes,
            positive: parts.positive,
            threshold: parts.threshold,
            members: &parts.members,
            combination: &parts.combination,
            calibrator: &parts.calibrator,
            histograms: &parts.histograms,
            score_histograms: &parts.score_histograms,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ClassifierModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let s = Stored::deserialize(deserializer)?;
        let parts = Parts {
            columns: s.columns,
            classes: s.classes,
            positive: s.positive,
            threshold: s.threshold,
            members: s.members,
            combination: s.combination,
            calibrator: s.calibrator,
            histograms: s.histograms,
            score_histograms: s.score_histograms,
        };
        ClassifierModel::new(parts).map_err(serde::de::Error::custom)
    }
}

/// Whether the parts fit together.
///
/// # Errors
/// [`EngineError::InvalidParameter`], [`EngineError::Dimension`], [`EngineError::Column`].
pub(super) fn check(parts: &Parts) -> Result<()> {
    let k = parts.classes.len();
    if !(2..=MAX_CLASSES).contains(&k) {
        let expected = format!("between 2 and {MAX_CLASSES}");
        return Err(EngineError::invalid("number of classes", expected, k));
    }
    distinct("class names", parts.classes.iter())?;
    distinct("column names", parts.columns.iter().map(|column| &column.name))?;
    if let Some(bad) = parts.positive.filter(|class| *class as usize >= k) {
        return Err(EngineError::invalid("positive class", format!("less than {k}"), bad));
    }
    // A threshold above 1 calls nobody: what a cost matrix may ask for
    if let Some(bad) = parts.threshold.filter(|threshold| !(0.0..=2.0).contains(threshold)) {
        return Err(EngineError::invalid("threshold", "between 0 and 1", bad));
    }
    if parts.threshold.is_some() && (k != 2 || parts.positive.is_none()) {
        return Err(EngineError::invalid(
            "threshold",
            "none unless two classes, one of them positive",
            "one",
        ));
    }
    if !(1..=MAX_MEMBERS).contains(&parts.members.len()) {
        let expected = format!("between 1 and {MAX_MEMBERS}");
        return Err(EngineError::invalid(
            "members of the ensemble",
            expected,
            parts.members.len(),
        ));
    }
    parts.combination.check(parts.members.len(), k)?;
    if let Some(calibrator) = &parts.calibrator {
        labels::same("classes", k, calibrator.n_classes())?;
    }
    parts
        .members
        .iter()
        .try_for_each(|member| check_member(member, parts))?;
    for histograms in [&parts.histograms, &parts.score_histograms] {
        histograms.iter().try_for_each(Histogram::check)?;
    }
    Ok(())
}

/// Whether a member takes the columns and speaks of the classes.
fn check_member(member: &Member, parts: &Parts) -> Result<()> {
    labels::same("classes", parts.classes.len(), member.model().n_classes())?;
    if let Fitted::LogisticRegression(model) = member.model() {
        labels::same("classes fitted", parts.classes.len(), model.classes().len())?;
    }
    let fitted = member.preparation().columns();
    labels::same("columns", parts.columns.len(), fitted.len())?;
    for (column, fitted) in parts.columns.iter().zip(fitted) {
        let kind = match fitted.encoding {
            Encoding::Numeric { .. } => ColumnKind::Numeric,
            Encoding::OneHot { .. } | Encoding::TargetMean { .. } => ColumnKind::Category,
        };
        if column.name != fitted.name || column.kind != kind {
            return Err(EngineError::Column {
                name: column.name.clone(),
                expected: "the recipe's column at its place",
                found: "another",
            });
        }
    }
    Ok(())
}

fn distinct<'a>(what: &'static str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    let mut names = names;
    match names.find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(EngineError::invalid(what, "distinct", format!("{twice} twice"))),
        None => Ok(()),
    }
}
