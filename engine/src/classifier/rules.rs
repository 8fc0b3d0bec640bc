//! A decision tree as sentences over the raw columns.

use std::fmt::Write;

use serde::Serialize;

use super::combination::Combination;
use super::fitted::Fitted;
use super::model::ClassifierModel;
use crate::data::{Encoding, FittedColumn, FittedPreparation};
use crate::tree::Condition;

/// A leaf.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleText {
    /// For example `posts <= 2 and gender is not M`.
    pub rule: String,
    /// The class with the largest share.
    pub class: String,
    /// Its share.
    pub probability: f64,
    /// Share of each class.
    pub probabilities: Vec<f64>,
    /// Weight of the training rows that the rule takes.
    pub weight: f64,
}

/// The rules of a model that is a single tree.
pub(super) fn of(model: &ClassifierModel) -> Option<Vec<RuleText>> {
    let (Combination::Single, [member]) = (&model.parts.combination, &model.parts.members[..]) else {
        return None;
    };
    let Fitted::DecisionTree(tree) = member.model() else {
        return None;
    };
    let features = features(member.preparation(), model.classes());
    let of_leaf = |rule: crate::tree::Rule| {
        let class = rule.class as usize;
        RuleText {
            rule: sentence(&rule.conditions, &features),
            class: model.classes().get(class).cloned().unwrap_or_default(),
            probability: rule.probabilities.get(class).copied().unwrap_or(0.0),
            probabilities: rule.probabilities,
            weight: rule.weight,
        }
    };
    Some(tree.rules().into_iter().map(of_leaf).collect())
}

/// What a feature of the tree says.
enum Feature {
    Number(String),
    /// 1 or 0: what a row with 1 is, and what one with 0 is.
    Flag(String, String),
}

fn features(preparation: &FittedPreparation, classes: &[String]) -> Vec<Feature> {
    let of = |column: &FittedColumn| -> Vec<Feature> {
        let name = &column.name;
        let missing = || Feature::Flag(format!("{name} is missing"), format!("{name} is known"));
        match &column.encoding {
            Encoding::Numeric { indicator, .. } => {
                let flag = indicator.then(missing);
                std::iter::once(Feature::Number(name.clone())).chain(flag).collect()
            }
            Encoding::OneHot {
                levels,
                other,
                missing: unknown,
            } => {
                let level =
                    |level: &String| Feature::Flag(format!("{name} is {level}"), format!("{name} is not {level}"));
                let rest = other.then(|| Feature::Flag(format!("{name} is rare"), format!("{name} is not rare")));
                levels
                    .iter()
                    .map(level)
                    .chain(rest)
                    .chain(unknown.then(missing))
                    .collect()
            }
            Encoding::TargetMean { prior, .. } => {
                let share = |class: usize| {
                    let class = classes.get(class + 1).map_or("", String::as_str);
                    Feature::Number(format!("share of {class} where {name} is the same"))
                };
                (0..prior.len()).map(share).collect()
            }
        }
    };
    preparation.columns().iter().flat_map(of).collect()
}

fn sentence(conditions: &[Condition], features: &[Feature]) -> String {
    let mut text = String::new();
    for condition in conditions {
        if !text.is_empty() {
            text.push_str(" and ");
        }
        match features.get(condition.feature) {
            Some(Feature::Flag(yes, no)) => text.push_str(if condition.above.is_some() { yes } else { no }),
            Some(Feature::Number(name)) => number(&mut text, name, condition),
            None => number(&mut text, &format!("x{}", condition.feature), condition),
        }
    }
    if text.is_empty() {
        text.push_str("always");
    }
    text
}

fn number(text: &mut String, name: &str, condition: &Condition) {
    let above = condition.above.filter(|above| *above < f64::MAX);
    let _ = match (above, condition.up_to) {
        _ if condition.above.is_some() && above.is_none() => write!(text, "{name} is missing"),
        (Some(above), Some(up_to)) => write!(text, "{above} < {name} <= {up_to}"),
        (Some(above), None) => write!(text, "{name} > {above}"),
        (None, Some(up_to)) => write!(text, "{name} <= {up_to}"),
        (None, None) => write!(text, "{name} is known"),
    };
    if condition.missing && (above.is_some() || (condition.above.is_none() && condition.up_to.is_some())) {
        text.push_str(" or missing");
    }
}
