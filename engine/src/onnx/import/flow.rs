//! What each value of a graph is, told from the operators that lead to it.
//!
//! An operator that is not known makes its outputs unknown, which matters only where the probabilities depend on them.

use std::collections::HashMap;
use std::rc::Rc;

use super::attributes::Attributes;
use super::ensemble::{self, Link};
use super::linear;
use super::trees::Trees;
use crate::classifier::Fitted;
use crate::context::Context;
use crate::error::Result;
use crate::onnx::error::OnnxError;
use crate::onnx::message::{self, Node, Tensor};
use crate::tree::MAX_FEATURES;

/// Most features that all values of a graph have together: lists that are put together grow quickly.
const MOST_FEATURES: usize = 1 << 19;

/// A feature: a raw column, filled where it is missing, then scaled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Feature {
    pub column: usize,
    pub fill: Option<f64>,
    pub mean: f64,
    pub sd: f64,
    /// Whether it is a number of 32 bits.
    pub single: bool,
}

/// A model and the features that it takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub features: Rc<[Feature]>,
    pub model: Fitted,
    pub labels: Vec<String>,
}

/// A value of the graph.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Features(Rc<[Feature]>),
    /// Sums over trees that are not yet probabilities.
    Scores(Rc<[Feature]>, Rc<Trees>),
    /// Probabilities of the second of two classes, n x 1, and of the first.
    Second(Rc<Found>),
    First(Rc<Found>),
    /// n x k
    Probabilities(Rc<Found>),
    Constant(Rc<Tensor>),
    /// Why it is not known.
    Unknown(Rc<str>),
}

/// The values computed so far.
pub(super) struct Flow<'a> {
    ctx: &'a Context,
    values: HashMap<String, Value>,
    features: usize,
    models: usize,
}

impl<'a> Flow<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self {
            ctx,
            values: HashMap::new(),
            features: 0,
            models: 0,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Adds what is known under a name.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] for a name that is known already.
    pub(super) fn set(&mut self, name: &str, value: Value) -> Result<(), OnnxError> {
        match self.values.insert(name.to_owned(), value) {
            Some(_) => Err(OnnxError::damaged(format!("{name:?} is computed twice"))),
            None => Ok(()),
        }
    }

    /// Follows one operator.
    pub(super) fn follow(&mut self, node: &Node) -> Result<()> {
        self.ctx.check()?;
        let input = |name: &String| {
            let known = self.values.get(name).cloned();
            known.ok_or_else(|| OnnxError::damaged(format!("{name:?} is used before it is computed")))
        };
        let inputs = node
            .input
            .iter()
            .filter(|name| !name.is_empty())
            .map(input)
            .collect::<Result<Vec<_>, _>>()?;
        let value = self.value(node, &inputs)?;
        // A classifier's first output is the label, its second the scores.
        let scores_at = usize::from(matches!(
            node.op_type.as_str(),
            "TreeEnsembleClassifier" | "LinearClassifier"
        ));
        for (at, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = if at == scores_at {
                value.clone()
            } else {
                unknown("a label")
            };
            self.set(name, value)?;
        }
        Ok(())
    }

    fn value(&mut self, node: &Node, inputs: &[Value]) -> Result<Value> {
        if let Some(Value::Unknown(why)) = inputs.iter().find(|input| matches!(input, Value::Unknown(_))) {
            return Ok(Value::Unknown(Rc::clone(why)));
        }
        let attributes = Attributes::of(node)?;
        Ok(match (node.domain.as_str(), node.op_type.as_str(), inputs) {
            ("" | "ai.onnx", "Identity", [value]) => value.clone(),
            ("" | "ai.onnx", "Constant", []) => {
                let tensor = node
                    .attribute
                    .iter()
                    .find(|a| a.name == "value")
                    .and_then(|a| a.t.clone());
                tensor.map_or_else(|| unknown("a constant"), |tensor| Value::Constant(Rc::new(tensor)))
            }
            ("" | "ai.onnx", "Cast", [value]) => cast(value, attributes.int("to", 0)),
            ("" | "ai.onnx", "Concat", parts) => self.concat(parts, attributes.int("axis", 1))?,
            ("ai.onnx.ml", "FeatureVectorizer", parts) => self.concat(parts, 1)?,
            ("ai.onnx.ml", "ArrayFeatureExtractor", [Value::Features(features), Value::Constant(which)]) => {
                self.pick(features, which)?
            }
            ("ai.onnx.ml", "Imputer", [Value::Features(features)]) => self.impute(features, &attributes)?,
            ("ai.onnx.ml", "Scaler", [Value::Features(features)]) => self.scale(features, &attributes)?,
            ("ai.onnx.ml", "Normalizer", [Value::Probabilities(found)]) if attributes.string("norm", "MAX") == "L1" => {
                Value::Probabilities(Rc::clone(found))
            }
            ("ai.onnx.ml", "ZipMap", [Value::Probabilities(found)]) => Value::Probabilities(Rc::clone(found)),
            ("" | "ai.onnx", "Mul", [Value::Probabilities(found), Value::Constant(one)]) if is_one(one) => {
                Value::Probabilities(Rc::clone(found))
            }
            ("" | "ai.onnx", "Sub", [Value::Constant(one), Value::Second(found)]) if is_one(one) => {
                Value::First(Rc::clone(found))
            }
            ("" | "ai.onnx", "Sigmoid", [Value::Scores(features, trees)]) if trees.width == 1 => {
                Value::Second(self.linked(features, trees, Link::Logistic)?)
            }
            ("" | "ai.onnx", "Softmax", [Value::Scores(features, trees)]) if trees.width > 1 => {
                Value::Probabilities(self.linked(features, trees, Link::Softmax)?)
            }
            ("ai.onnx.ml", "TreeEnsembleClassifier", [Value::Features(features)]) => {
                let single = self.one_model(features)?;
                let (model, labels) = ensemble::classifier(self.ctx, &attributes, features.len(), single)?;
                found(features, model, labels)
            }
            ("ai.onnx.ml", "TreeEnsembleRegressor", [Value::Features(features)]) => {
                let single = self.one_model(features)?;
                let (trees, link) = ensemble::regressor(self.ctx, &attributes, single)?;
                let trees = Rc::new(trees);
                match (link, trees.width) {
                    (Link::None, _) => Value::Scores(Rc::clone(features), trees),
                    (_, 1) => Value::Second(self.linked(features, &trees, link)?),
                    _ => Value::Probabilities(self.linked(features, &trees, link)?),
                }
            }
            ("ai.onnx.ml", "LinearClassifier", [Value::Features(features)]) => {
                self.one_model(features)?;
                let (model, labels) = linear::classifier(&attributes, features.len())?;
                found(features, model, labels)
            }
            (domain, op, _) => {
                let dot = if domain.is_empty() { "" } else { "." };
                unknown(&format!(
                    "operator {domain}{dot}{op} is not one that can be taken over here"
                ))
            }
        })
    }

    /// Counts a model, of which there may be one; says whether its features are numbers of 32 bits.
    fn one_model(&mut self, features: &[Feature]) -> Result<bool, OnnxError> {
        self.models += 1;
        if self.models > 1 {
            return Err(OnnxError::unsupported("more than one model"));
        }
        if features.iter().any(|feature| feature.single != features[0].single) {
            return Err(OnnxError::damaged("features of different kinds in one table"));
        }
        Ok(features.first().is_none_or(|feature| feature.single))
    }

    fn linked(&self, features: &Rc<[Feature]>, trees: &Trees, link: Link) -> Result<Rc<Found>> {
        let k = trees.width.max(2);
        let model = ensemble::fitted(self.ctx, trees.clone(), link, features.len())?;
        Ok(Rc::new(Found {
            features: Rc::clone(features),
            model,
            labels: (0..k).map(|class| class.to_string()).collect(),
        }))
    }

    /// Takes a new list of features, unless there are too many.
    fn table(&mut self, features: Vec<Feature>) -> Result<Value, OnnxError> {
        self.features = self.features.saturating_add(features.len());
        if !(1..=MAX_FEATURES).contains(&features.len()) || self.features > MOST_FEATURES {
            let reason = format!(
                "a table of {} features; at most {MAX_FEATURES} are taken",
                features.len()
            );
            return Err(OnnxError::unsupported(reason));
        }
        Ok(Value::Features(features.into()))
    }

    /// The columns of an input, from number `first` on.
    pub(super) fn input(&mut self, first: usize, width: usize, single: bool) -> Result<Value, OnnxError> {
        let columns = first.saturating_add(width);
        if columns > MAX_FEATURES {
            let reason = format!("{columns} columns; at most {MAX_FEATURES} are taken");
            return Err(OnnxError::unsupported(reason));
        }
        let feature = |column: usize| Feature {
            column,
            fill: None,
            mean: 0.0,
            sd: 1.0,
            single,
        };
        self.table((first..first + width).map(feature).collect())
    }

    fn concat(&mut self, parts: &[Value], axis: i64) -> Result<Value, OnnxError> {
        if let ([Value::First(first), Value::Second(second)], 1 | -1) = (parts, axis) {
            return Ok(match Rc::ptr_eq(first, second) {
                true => Value::Probabilities(Rc::clone(first)),
                false => unknown("probabilities of two models"),
            });
        }
        let mut all = Vec::new();
        for part in parts {
            match part {
                Value::Features(features) if matches!(axis, 1 | -1) && all.len() <= MAX_FEATURES => {
                    all.extend_from_slice(features)
                }
                _ => return Ok(unknown("tables put together that are no features")),
            }
        }
        self.table(all)
    }

    fn pick(&mut self, features: &[Feature], which: &Tensor) -> Result<Value, OnnxError> {
        let Some(which) = integers(which) else {
            return Ok(unknown("columns chosen by what is no list of whole numbers"));
        };
        let pick = |at: &i64| usize::try_from(*at).ok().and_then(|at| features.get(at)).cloned();
        let picked: Option<Vec<Feature>> = which.iter().take(MAX_FEATURES + 1).map(pick).collect();
        self.table(picked.ok_or_else(|| OnnxError::damaged("a chosen column that is not there"))?)
    }

    fn impute(&mut self, features: &[Feature], attributes: &Attributes) -> Result<Value, OnnxError> {
        let fills = attributes.floats("imputed_value_floats");
        if !attributes.float("replaced_value_float", f32::NAN).is_nan() || fills.is_empty() {
            return Ok(unknown("an imputer of other values than missing numbers"));
        }
        let mut filled = features.to_vec();
        for (at, feature) in filled.iter_mut().enumerate() {
            let fill = f64::from(of_feature(fills, at, features.len())?);
            if feature.mean != 0.0 || feature.sd != 1.0 {
                return Ok(unknown("gaps filled after scaling"));
            }
            if fill.is_infinite() {
                return Err(OnnxError::damaged("a gap filled with an infinite number"));
            }
            feature.fill = feature.fill.or((!fill.is_nan()).then_some(fill));
        }
        self.table(filled)
    }

    fn scale(&mut self, features: &[Feature], attributes: &Attributes) -> Result<Value, OnnxError> {
        let (offsets, scales) = (attributes.floats("offset"), attributes.floats("scale"));
        let mut scaled = features.to_vec();
        for (at, feature) in scaled.iter_mut().enumerate() {
            let offset = f64::from(of_feature(offsets, at, features.len())?);
            let scale = f64::from(of_feature(scales, at, features.len())?);
            if !offset.is_finite() || !scale.is_finite() {
                return Err(OnnxError::damaged("a scale that is not a finite number"));
            }
            if feature.mean != 0.0 || feature.sd != 1.0 || scale < 0.0 {
                return Ok(unknown("features scaled twice, or turned round"));
            }
            feature.mean = offset;
            feature.sd = if scale == 0.0 { 0.0 } else { 1.0 / scale };
            feature.single = true;
        }
        self.table(scaled)
    }
}

fn found(features: &Rc<[Feature]>, model: Fitted, labels: Vec<String>) -> Value {
    Value::Probabilities(Rc::new(Found {
        features: Rc::clone(features),
        model,
        labels,
    }))
}

fn unknown(why: &str) -> Value {
    Value::Unknown(why.into())
}

/// Entry `at` of a list with one per feature, or one for all.
fn of_feature(list: &[f32], at: usize, features: usize) -> Result<f32, OnnxError> {
    let entry = if list.len() == 1 {
        list.first()
    } else {
        list.get(at).filter(|_| list.len() == features)
    };
    entry
        .copied()
        .ok_or_else(|| OnnxError::damaged("as many numbers as features, or one for all"))
}

fn cast(value: &Value, to: i64) -> Value {
    let to_single = to == i64::from(message::TENSOR_FLOAT);
    if !to_single && to != i64::from(message::TENSOR_DOUBLE) {
        return unknown("numbers turned into another kind");
    }
    match value {
        Value::Features(features) => {
            let cast = |feature: &Feature| Feature {
                single: feature.single || to_single,
                ..feature.clone()
            };
            Value::Features(features.iter().map(cast).collect())
        }
        other => other.clone(),
    }
}

fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    if tensor.data_type != message::TENSOR_INT64 {
        return None;
    }
    if tensor.raw_data.is_empty() {
        return Some(tensor.int64_data.clone());
    }
    let words = tensor.raw_data.chunks_exact(8);
    Some(
        words
            .map(|word| i64::from_le_bytes(word.try_into().unwrap_or_default()))
            .collect(),
    )
}

/// Whether a constant is the number 1.
fn is_one(tensor: &Tensor) -> bool {
    let one = 1.0f32.to_le_bytes();
    tensor.data_type == message::TENSOR_FLOAT
        && (tensor.float_data == [1.0] || (tensor.float_data.is_empty() && tensor.raw_data.as_ref() == one))
}
