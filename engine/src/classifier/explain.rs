//! Why: contributions of the raw columns to the score of one class per row.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::columns;
use super::combination::Combination;
use super::effects::{Effect, Effects, Space, Way};
use super::fitted::{reserve_features, Fitted};
use super::member::Member;
use super::model::ClassifierModel;
use crate::context::Context;
use crate::data::{labels, Table};
use crate::error::{EngineError, Result};
use crate::linear::LogisticModel;
use crate::tree::{Explainer, FeatureTable};

/// Numbers held per batch of rows.
const BATCH: usize = 1 << 22;

/// What contributions add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Log-odds of the class with two classes, its margin before the softmax with more.
    LogOdds,
    /// Probability of the class.
    Probability,
}

impl Scale {
    /// Name, as serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogOdds => "log_odds",
            Self::Probability => "probability",
        }
    }
}

/// What explaining with a classifier needs besides itself, made once.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierExplainer {
    members: Vec<Option<Explainer>>,
}

/// Why n rows have their scores: row by row, base + the sum of the values = score. Scores are those before calibration.
#[derive(Debug, Clone, PartialEq)]
pub struct Contributions {
    pub scale: Scale,
    /// The score of which nothing is known, n.
    pub base: Vec<f64>,
    /// The score of the row's class, n.
    pub score: Vec<f64>,
    /// Contributions of the raw columns, n x columns, row-major.
    pub values: Vec<f64>,
    /// Number of raw columns.
    pub n_columns: usize,
}

impl Contributions {
    /// The contributions to the score of `row`, one per raw column; empty when there is no such row.
    pub fn of(&self, row: usize) -> &[f64] {
        let start = row.saturating_mul(self.n_columns);
        self.values
            .get(start..start.saturating_add(self.n_columns))
            .unwrap_or(&[])
    }

    /// The raw columns of `row` with a contribution, the strongest first.
    pub fn strongest(&self, row: usize) -> Vec<(usize, f64)> {
        let mut columns: Vec<(usize, f64)> = self
            .of(row)
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, value)| *value != 0.0)
            .collect();
        columns.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        columns
    }
}

impl ClassifierModel {
    /// On what scale contributions are: log-odds for boosting and logistic regression, probability for the others.
    pub fn scale(&self) -> Scale {
        let of_margins = |member: &Member| {
            matches!(
                member.model(),
                Fitted::GradientBoosting(_) | Fitted::LogisticRegression(_)
            )
        };
        match (&self.parts.combination, &self.parts.members[..]) {
            (Combination::Single, [member]) if of_margins(member) => Scale::LogOdds,
            _ => Scale::Probability,
        }
    }

    /// What makes many explanations faster: worth making for more than one call of [`ClassifierModel::explain_with`].
    pub fn explainer(&self) -> ClassifierExplainer {
        ClassifierExplainer {
            members: self
                .parts
                .members
                .iter()
                .map(|member| member.model().explainer())
                .collect(),
        }
    }

    /// For rows that come one at a time, where it is several times as fast as [`ClassifierModel::explainer`] and takes less memory. What is
    /// said with it differs from what is said of rows among many, in the last bits.
    pub fn single_row_explainer(&self) -> ClassifierExplainer {
        let of_member = |member: &Member| member.model().single_row_explainer();
        ClassifierExplainer {
            members: self.parts.members.iter().map(of_member).collect(),
        }
    }

    /// About the bytes that it takes.
    pub fn single_row_explainer_bytes(&self) -> usize {
        let of_member = |member: &Member| member.model().single_row_explainer_bytes();
        self.parts.members.iter().map(of_member).sum()
    }

    /// About the bytes that [`ClassifierModel::explainer`] takes.
    pub fn explainer_bytes(&self) -> usize {
        let of_member = |member: &Member| member.model().explainer_bytes();
        self.parts.members.iter().map(of_member).sum()
    }

    /// Explains the score of `classes` (one class per row of `table`) by the raw columns: exact SHAP values, those of encoded
    /// columns added up. Of an ensemble, the members' values on the probability scale. What is said of a row does not depend on the
    /// others, to the last bit.
    ///
    /// # Errors
    /// As [`ClassifierModel::predict`]; [`EngineError::Dimension`], [`EngineError::InvalidParameter`] for a class out of range.
    pub fn explain(&self, ctx: &Context, table: &Table, classes: &[u32]) -> Result<Contributions> {
        let none = ClassifierExplainer {
            members: self.parts.members.iter().map(|_| None).collect(),
        };
        self.explain_with(ctx, &none, table, classes)
    }

    /// As [`ClassifierModel::explain`], with what [`ClassifierModel::explainer`] made of this very model.
    ///
    /// # Errors
    /// As [`ClassifierModel::explain`].
    pub fn explain_with(
        &self,
        ctx: &Context,
        explainer: &ClassifierExplainer,
        table: &Table,
        classes: &[u32],
    ) -> Result<Contributions> {
        let (n, p, k) = (table.n_rows(), self.parts.columns.len(), self.parts.classes.len());
        labels::same("classes to explain", n, classes.len())?;
        if let Some(bad) = classes.iter().find(|class| **class as usize >= k) {
            return Err(EngineError::invalid("class", format!("less than {k}"), bad));
        }
        let table = columns::complete(ctx, &self.parts.columns, table)?;
        let mut found = Contributions {
            scale: self.scale(),
            base: Vec::with_capacity(n),
            score: Vec::with_capacity(n),
            values: Vec::new(),
            n_columns: p,
        };
        let _values = ctx.reserve_for::<f64>(n.saturating_mul(p + 2))?;
        found.values.reserve_exact(n.saturating_mul(p));
        let (rows, width) = self.batch();
        let way = Way::new();
        for start in (0..n).step_by(rows) {
            ctx.check()?;
            let end = n.min(start + rows);
            let numbers: Vec<u32> = (start as u32..end as u32).collect();
            let _batch = ctx.reserve_for::<f64>((end - start).saturating_mul(width + p))?;
            let part = if (start, end) == (0, n) {
                None
            } else {
                Some(table.select(ctx, &numbers)?)
            };
            let part = part.as_ref().unwrap_or(&table);
            let of_member =
                |(member, explainer): (&Member, &Option<Explainer>)| effects(ctx, member, explainer.as_ref(), part);
            let members = self.parts.members.iter().zip(&explainer.members);
            let members: Vec<Vec<Effects>> = members.map(of_member).collect::<Result<_>>()?;
            let of_row = |row: usize| {
                let of_row: Vec<&Effects> = members.iter().map(|member| &member[row]).collect();
                self.combined(&of_row, classes[start + row] as usize, &way)
            };
            let effects: Vec<Effect> = ctx.run(|| (0..end - start).into_par_iter().map(of_row).collect());
            for effect in effects {
                found.base.push(effect.base);
                found.score.push(effect.score);
                found.values.extend(effect.values);
            }
        }
        Ok(found)
    }

    /// Rows explained at a time, and numbers that one of them takes.
    fn batch(&self) -> (usize, usize) {
        let k = self.parts.classes.len();
        let of_member = |member: &Member| {
            let outputs = match member.model() {
                Fitted::GradientBoosting(_) | Fitted::LogisticRegression(_) if k == 2 => 1,
                _ => k,
            };
            (member.preparation().width() + self.parts.columns.len()).saturating_mul(outputs + 1)
        };
        let width = self
            .parts
            .members
            .iter()
            .map(of_member)
            .fold(0usize, usize::saturating_add);
        ((BATCH / width.max(1)).clamp(1, 65_536), width)
    }

    /// The members' effects on one row's `class` as one.
    fn combined(&self, members: &[&Effects], class: usize, way: &Way) -> Effect {
        match (&self.parts.combination, members) {
            (Combination::Single, [member, ..]) => member.own_scale(class),
            (Combination::Vote(vote), _) => {
                let parts = members.iter().map(|member| member.to_probability(class, way));
                weighted(vote.weights().iter().copied().zip(parts), self.parts.columns.len(), 0.0)
            }
            (Combination::Stack(stack), _) => {
                let k = self.parts.classes.len();
                let inputs: Vec<Effect> = members.iter().flat_map(|member| member.to_inputs(k)).collect();
                stacked(stack.model(), &inputs, self.parts.columns.len()).to_probability(class, way)
            }
            (Combination::Single, []) => weighted(std::iter::empty(), self.parts.columns.len(), 0.0),
        }
    }
}

/// constant + the sum of weight x effect.
fn weighted(parts: impl Iterator<Item = (f64, Effect)>, n_columns: usize, constant: f64) -> Effect {
    let mut sum = Effect {
        base: constant,
        score: constant,
        values: vec![0.0; n_columns],
    };
    for (weight, part) in parts {
        sum.base += weight * part.base;
        sum.score += weight * part.score;
        sum.values
            .iter_mut()
            .zip(&part.values)
            .for_each(|(sum, value)| *sum += weight * value);
    }
    sum
}

/// The margins of a stack, its inputs being explained.
fn stacked(model: &LogisticModel, inputs: &[Effect], n_columns: usize) -> Effects {
    let space = if model.intercepts().len() == 1 {
        Space::LogOdds
    } else {
        Space::Margins
    };
    let (mut base, mut score, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (intercept, coefficients) in model
        .intercepts()
        .iter()
        .zip(model.coefficients().chunks_exact(inputs.len()))
    {
        let terms = coefficients.iter().copied().zip(inputs.iter().cloned());
        let margin = weighted(terms, n_columns, *intercept);
        base.push(margin.base);
        score.push(margin.score);
        values.extend(margin.values);
    }
    Effects {
        space,
        base,
        score,
        values,
    }
}

/// The effects of the raw columns on every row of `table`, which has all columns of the recipe.
fn effects(ctx: &Context, member: &Member, explainer: Option<&Explainer>, table: &Table) -> Result<Vec<Effects>> {
    let preparation = member.preparation();
    let matrix = preparation.transform(ctx, table)?;
    let _columns = reserve_features(ctx, &matrix.columns)?;
    if let Fitted::LogisticRegression(model) = member.model() {
        return linear_effects(ctx, member, model, &matrix.columns);
    }
    let _copy = reserve_features(ctx, &matrix.columns)?;
    let features = FeatureTable::from_columns(&matrix.columns)?;
    let (space, explanation, scores) = match member.model() {
        Fitted::GradientBoosting(model) => {
            let space = if model.n_classes() == 2 {
                Space::LogOdds
            } else {
                Space::Margins
            };
            (
                space,
                model.explain_with(ctx, explainer, &features)?,
                model.predict_margins(ctx, &features)?,
            )
        }
        Fitted::RandomForest(model) => {
            let scores = model.predict_probabilities(ctx, &features)?;
            (
                Space::Probabilities,
                model.explain_with(ctx, explainer, &features)?,
                scores,
            )
        }
        Fitted::DecisionTree(model) => {
            let model = model.as_forest();
            let scores = model.predict_probabilities(ctx, &features)?;
            (
                Space::Probabilities,
                model.explain_with(ctx, explainer, &features)?,
                scores,
            )
        }
        Fitted::LogisticRegression(_) => return Ok(Vec::new()),
    };
    let outputs = explanation.base().len();
    let of_row = |row: usize| {
        let mut values = Vec::new();
        for output in 0..outputs {
            values.extend(preparation.per_source(explanation.of(row, output))?);
        }
        Ok(Effects {
            space,
            base: explanation.base().to_vec(),
            score: scores[row * outputs..(row + 1) * outputs].to_vec(),
            values,
        })
    };
    ctx.run(|| (0..features.n_rows()).into_par_iter().map(of_row).collect())
}

fn linear_effects(ctx: &Context, member: &Member, model: &LogisticModel, columns: &[Vec<f64>]) -> Result<Vec<Effects>> {
    let n = columns.first().map_or(0, Vec::len);
    let (space, explained): (Space, Vec<u32>) = match model.n_classes() {
        2 => (Space::LogOdds, vec![1]),
        k => (Space::Margins, (0..k as u32).collect()),
    };
    let parts: Vec<_> = explained
        .iter()
        .map(|class| model.explain(ctx, columns, *class))
        .collect::<Result<_>>()?;
    let width = columns.len();
    let of_row = |row: usize| {
        let (mut base, mut score, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (margin, part) in parts.iter().enumerate() {
            let own = &part.contributions[row * width..(row + 1) * width];
            let coefficients = &model.coefficients()[margin * width..(margin + 1) * width];
            let terms = coefficients.iter().zip(columns).map(|(c, column)| c * column[row]);
            base.push(part.base);
            score.push(model.intercepts()[margin] + terms.sum::<f64>());
            values.extend(member.preparation().per_source(own)?);
        }
        Ok(Effects {
            space,
            base,
            score,
            values,
        })
    };
    ctx.run(|| (0..n).into_par_iter().map(of_row).collect())
}
