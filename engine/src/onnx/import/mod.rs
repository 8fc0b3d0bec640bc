//! An ONNX file as a classifier.

mod attributes;
mod ensemble;
mod flow;
mod linear;
mod polled;
#[cfg(test)]
mod tests;
mod trees;

use std::rc::Rc;

use prost::bytes::Bytes;
use prost::Message;

use self::attributes::Attributes;
use self::flow::{Flow, Found, Value};
use self::polled::Polled;
use super::error::OnnxError;
use super::message::{self, Graph, Model, Node, ValueInfo};
use super::{scan, PRODUCER};
use crate::classifier::{ClassifierModel, ColumnKind, Combination, Member, ModelColumn, Parts};
use crate::context::Context;
use crate::data::{Encoding, FittedColumn, FittedPreparation, Transform};
use crate::error::Result;
use crate::tree::MAX_FEATURES;

/// Largest file accepted, in bytes: what a Postgres `bytea` can hold.
const MAX_BYTES: usize = 1 << 30;

/// What the file does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Names of the columns, in the order of the file's inputs. None: as the inputs are called, with a number where an
    /// input has several columns.
    pub columns: Option<Vec<String>>,
    /// Names of the classes, in the file's order. None: the file's.
    pub classes: Option<Vec<String>>,
}

/// Reads a classifier: trees (of scikit-learn, LightGBM, XGBoost) or a logistic regression, with imputation and scaling of
/// numbers in front of it. Where the file does not say how many rows reached the nodes of its trees, explanation takes
/// each side of a split for equally likely, and coefficients are weighed from 0, until [`recount`](super::recount) counts.
///
/// # Errors
/// [`OnnxError::Damaged`], [`OnnxError::Unsupported`] with the part that cannot be taken over, [`OnnxError::Calibrated`],
/// [`EngineError::InvalidParameter`](crate::error::EngineError::InvalidParameter) for nodes that are no tree, or names
/// that are not distinct, [`EngineError::Memory`](crate::error::EngineError::Memory),
/// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
pub fn import(ctx: &Context, bytes: &[u8], options: &ImportOptions) -> Result<ClassifierModel> {
    if bytes.len() > MAX_BYTES {
        return Err(OnnxError::unsupported(format!("{} bytes; at most {MAX_BYTES} are read", bytes.len())).into());
    }
    let _memory = ctx.reserve(scan::memory(bytes)?.saturating_add(bytes.len()))?;
    ctx.check()?;
    let decoded = Model::decode(Polled::new(Bytes::copy_from_slice(bytes), ctx));
    ctx.check()?;
    let file = decoded.map_err(|e| OnnxError::damaged(e.to_string()))?;
    let graph = file
        .graph
        .as_ref()
        .ok_or_else(|| OnnxError::damaged("no graph in it"))?;
    // its last operators would be taken for another model's, or refused without the reason
    if about(&file, "calibration") == Some("included") {
        return Err(OnnxError::Calibrated.into());
    }
    let mut flow = Flow::new(ctx);
    for tensor in &graph.initializer {
        flow.set(&tensor.name, Value::Constant(Rc::new(tensor.clone())))?;
    }
    let names = inputs(graph, &mut flow, options)?;
    for node in &graph.node {
        flow.follow(node)?;
    }
    let found = probabilities(graph, &flow)?;
    let parts = parts(&file, graph, &found, names, options)?;
    ClassifierModel::new(parts)
}

/// Makes the inputs known, and gives their columns names.
fn inputs(graph: &Graph, flow: &mut Flow, options: &ImportOptions) -> Result<Vec<String>> {
    let given: Vec<&ValueInfo> = graph
        .input
        .iter()
        .filter(|input| flow.get(&input.name).is_none())
        .collect();
    let mut names = Vec::new();
    for input in &given {
        let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let kind = tensor.map_or(0, |tensor| tensor.elem_type);
        let width = tensor
            .and_then(|tensor| tensor.shape.as_ref())
            .and_then(|shape| shape.dim.get(1)?.value);
        let width = match width
            .and_then(|width| usize::try_from(width).ok())
            .filter(|width| *width > 0)
        {
            Some(width) => width,
            None if given.len() == 1 => unsaid_width(graph, options)?,
            None => return Err(OnnxError::unsupported(format!("input {:?} of unsaid width", input.name)).into()),
        };
        let number = [
            message::TENSOR_FLOAT,
            message::TENSOR_DOUBLE,
            message::TENSOR_INT32,
            message::TENSOR_INT64,
        ];
        if !number.contains(&kind) {
            let reason = format!("input {:?} of another kind than numbers", input.name);
            flow.set(&input.name, Value::Unknown(reason.into()))?;
            names.push(input.name.clone());
            continue;
        }
        let value = flow.input(names.len(), width, kind == message::TENSOR_FLOAT)?;
        flow.set(&input.name, value)?;
        match width {
            1 => names.push(input.name.clone()),
            _ => names.extend((0..width).map(|at| format!("{}_{at}", input.name))),
        }
    }
    match &options.columns {
        Some(columns) if columns.len() != names.len() => Err(crate::error::EngineError::Dimension {
            what: "column names",
            expected: names.len(),
            found: columns.len(),
        }),
        Some(columns) => Ok(columns.clone()),
        None => Ok(names),
    }
}

/// How wide an input must be of which the file does not say it.
fn unsaid_width(graph: &Graph, options: &ImportOptions) -> Result<usize, OnnxError> {
    if let Some(columns) = &options.columns {
        return Ok(columns.len());
    }
    let of_node = |node: &Node| {
        let attributes = Attributes::of(node).ok()?;
        let trees = attributes
            .ints("nodes_featureids")
            .iter()
            .max()
            .and_then(|most| usize::try_from(*most).ok());
        let lists = ["imputed_value_floats", "scale", "offset"].map(|name| attributes.floats(name).len());
        let linear = attributes.floats("coefficients").len() / attributes.floats("intercepts").len().max(1);
        trees
            .map(|most| most.saturating_add(1))
            .max(lists.into_iter().max())
            .max(Some(linear))
    };
    let width = graph
        .node
        .iter()
        .filter_map(of_node)
        .max()
        .filter(|width| (1..=MAX_FEATURES).contains(width));
    width.ok_or_else(|| OnnxError::unsupported("an input of unsaid width"))
}

/// The model behind the first output that holds probabilities.
fn probabilities(graph: &Graph, flow: &Flow) -> Result<Rc<Found>, OnnxError> {
    let mut why = None;
    for output in &graph.output {
        match flow.get(&output.name) {
            Some(Value::Probabilities(found) | Value::Second(found)) => return Ok(Rc::clone(found)),
            Some(Value::Unknown(reason)) if reason.as_ref() != "a label" => why = why.or(Some(reason.to_string())),
            Some(Value::Scores(..)) => why = Some("a regression, which has no classes".to_owned()),
            _ => {}
        }
    }
    Err(OnnxError::unsupported(why.unwrap_or_else(|| {
        "no output with the probabilities of classes".to_owned()
    })))
}

fn parts(file: &Model, graph: &Graph, found: &Found, names: Vec<String>, options: &ImportOptions) -> Result<Parts> {
    let mut taken = vec![false; names.len()];
    let mut columns = Vec::with_capacity(found.features.len());
    for feature in found.features.iter() {
        if std::mem::replace(&mut taken[feature.column], true) {
            return Err(OnnxError::unsupported("a column that is used twice").into());
        }
        columns.push(FittedColumn {
            name: names[feature.column].clone(),
            missing_share: 0.0,
            encoding: Encoding::Numeric {
                transform: Transform::Identity,
                fill: feature.fill,
                mean: feature.mean,
                sd: feature.sd,
                indicator: false,
            },
        });
    }
    let column = |column: &FittedColumn| ModelColumn {
        name: column.name.clone(),
        kind: ColumnKind::Numeric,
    };
    let ours = file.producer_name == PRODUCER;
    let own_names = || ours.then(|| class_names(graph, found.labels.len())).flatten();
    let classes = options
        .classes
        .clone()
        .or_else(own_names)
        .unwrap_or_else(|| found.labels.clone());
    if classes.len() != found.labels.len() {
        return Err(crate::error::EngineError::Dimension {
            what: "class names",
            expected: found.labels.len(),
            found: classes.len(),
        });
    }
    let positive = about(file, "positive").and_then(|name| found_at(graph, found.labels.len(), name));
    Ok(Parts {
        columns: columns.iter().map(column).collect(),
        classes,
        positive,
        threshold: positive.and_then(|_| about(file, "threshold")?.parse().ok()),
        members: vec![Member::new(
            FittedPreparation::from_columns(columns)?,
            found.model.clone(),
        )?],
        combination: Combination::Single,
        calibrator: None,
        histograms: Vec::new(),
        score_histograms: Vec::new(),
    })
}

/// How our own properties begin.
const PROPERTY: &str = "empatia.";

/// What a file of ours says of its model.
fn about<'a>(file: &'a Model, key: &str) -> Option<&'a str> {
    let ours = file.producer_name == PRODUCER;
    let is = |name: &str| name.strip_prefix(PROPERTY) == Some(key);
    let entry = file.metadata_props.iter().find(|entry| ours && is(&entry.key));
    entry.map(|entry| entry.value.as_str())
}

/// The names that a file of ours gives its classes in the end.
fn class_names(graph: &Graph, k: usize) -> Option<Vec<String>> {
    let encoder = graph.node.iter().rfind(|node| node.op_type == "LabelEncoder")?;
    let attributes = Attributes::of(encoder).ok()?;
    let in_order = attributes.ints("keys_int64s").iter().copied().eq(0..k as i64);
    let names = attributes.labels("values_strings", "").ok()?;
    (in_order && names.len() == k).then_some(names)
}

fn found_at(graph: &Graph, k: usize, name: &str) -> Option<u32> {
    let names = class_names(graph, k)?;
    names
        .iter()
        .position(|class| class == name)
        .and_then(|at| u32::try_from(at).ok())
}
