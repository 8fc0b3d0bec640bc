//! A classifier as an ONNX graph: an input per raw column, its recipe, its models, their combination and calibration; the
//! outputs are the label and the probabilities of the classes.

mod calibration;
mod columns;
mod graph;
mod scores;
mod trees;

use prost::Message;

use self::graph::{int, ints, strings, texts, Builder, Value, ML, OPSETS};
use self::scores::Score;
use super::message::{Dimension, Entry, Model, OperatorSet, Shape, TensorType, Type, ValueInfo};
use super::message::{TENSOR_FLOAT, TENSOR_STRING};
use super::{IR_VERSION, PRODUCER};
use crate::classifier::{ClassifierModel, ColumnKind, Fitted};
use crate::context::Context;
use crate::error::Result;

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// Calibrated probabilities and the threshold on them. Otherwise the models' own probabilities, and as label the
    /// most probable class.
    pub calibrated: bool,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { calibrated: true }
    }
}

/// Writes `model` as an ONNX file.
///
/// Inputs are called as the columns are and have a column of n rows each, numbers (NaN where missing) or text (empty where
/// missing). Outputs: `label`, n names, and `probabilities`, n x classes. Everything is computed in 32 bits.
///
/// # Errors
/// [`OnnxError::Inexpressible`](super::OnnxError::Inexpressible) with the part that has no equal in ONNX,
/// [`EngineError::Memory`](crate::error::EngineError::Memory),
/// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
pub fn export(ctx: &Context, model: &ClassifierModel, options: ExportOptions) -> Result<Vec<u8>> {
    let _memory = ctx.reserve(bytes(model))?;
    let names = model.columns().iter().map(|column| column.name.as_str());
    let mut builder = Builder::new(names.clone().chain(["label", "probabilities"]));
    let k = model.classes().len();
    let calibrator = model.calibrator().filter(|_| options.calibrated);
    let as_margins = scores::wants_margins(model.combination(), calibrator.is_some());
    let mut members = Vec::new();
    for member in model.members() {
        let columns = columns::write(&mut builder, member.preparation())?;
        members.push(Score::of(ctx, &mut builder, &columns, member.model(), as_margins)?);
    }
    let score = scores::combine(&mut builder, model.combination(), members, k);
    let probabilities = match calibrator {
        None => score.probabilities(&mut builder),
        Some(calibrator) => calibration::write(&mut builder, calibrator, score)?,
    };
    let output = |wanted: &str| {
        let mut name = wanted.to_owned();
        while names.clone().any(|column| column == name) {
            name.push('_');
        }
        name
    };
    let (label, shares) = (output("label"), output("probabilities"));
    builder.named("", "Identity", &probabilities.name, &shares, Vec::new());
    let chosen = decide(&mut builder, model, &probabilities, options.calibrated);
    let of_class = vec![
        ints("keys_int64s", (0..k as i64).collect()),
        strings("values_strings", texts(model.classes().iter().map(String::as_str))),
    ];
    builder.named(ML, "LabelEncoder", &chosen, &label, of_class);
    let inputs = model.columns().iter().map(|column| {
        let kind = match column.kind {
            ColumnKind::Numeric => TENSOR_FLOAT,
            ColumnKind::Category => TENSOR_STRING,
        };
        info(&column.name, kind, &[1])
    });
    let outputs = vec![info(&label, TENSOR_STRING, &[]), info(&shares, TENSOR_FLOAT, &[k])];
    let graph = builder.finish("classifier", inputs.collect(), outputs);
    let opsets = OPSETS.iter().map(|(domain, version)| OperatorSet {
        domain: (*domain).to_owned(),
        version: *version,
    });
    let file = Model {
        ir_version: IR_VERSION,
        producer_name: PRODUCER.to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: "Missing numbers are NaN, missing categories are empty.".to_owned(),
        graph: Some(graph),
        opset_import: opsets.collect(),
        metadata_props: about(model, options.calibrated),
    };
    Ok(file.encode_to_vec())
}

/// The number of the class of each row, n.
fn decide(builder: &mut Builder, model: &ClassifierModel, probabilities: &Value, calibrated: bool) -> String {
    let (Some(positive), Some(threshold), true) = (model.positive(), model.threshold(), calibrated) else {
        let best = vec![int("axis", 1), int("keepdims", 0)];
        return builder.op("ArgMax", &[&probabilities.name], best);
    };
    let positive = i64::from(positive);
    let index = builder.integers(&[], [positive]);
    let p = builder.op("Gather", &[&probabilities.name, &index], vec![int("axis", 1)]);
    let threshold = builder.floats(&[], [f64::from(super::single::at_most(threshold))]);
    let called = builder.op("GreaterOrEqual", &[&p, &threshold], Vec::new());
    let (yes, no) = (builder.integers(&[], [positive]), builder.integers(&[], [1 - positive]));
    builder.op("Where", &[&called, &yes, &no], Vec::new())
}

/// What a reader may want to know of the model.
fn about(model: &ClassifierModel, calibrated: bool) -> Vec<Entry> {
    let mut entries = vec![("classes".to_owned(), model.classes().join(", "))];
    if let Some(positive) = model.positive().and_then(|class| model.classes().get(class as usize)) {
        entries.push(("positive".to_owned(), positive.clone()));
    }
    if let Some(threshold) = model.threshold().filter(|_| calibrated) {
        entries.push(("threshold".to_owned(), threshold.to_string()));
    }
    let calibration = match (model.calibrator(), calibrated) {
        (None, _) => "none",
        (Some(_), true) => "included",
        (Some(_), false) => "left out",
    };
    entries.push(("calibration".to_owned(), calibration.to_owned()));
    let entry = |(key, value): (String, String)| Entry {
        key: format!("empatia.{key}"),
        value,
    };
    entries.into_iter().map(entry).collect()
}

/// A table of n rows and so many columns; none: a list of n.
fn info(name: &str, elem_type: i32, width: &[usize]) -> ValueInfo {
    let rows = Dimension {
        value: None,
        param: Some("n".to_owned()),
    };
    let columns = width.iter().map(|width| Dimension {
        value: Some(*width as i64),
        param: None,
    });
    let shape = Shape {
        dim: std::iter::once(rows).chain(columns).collect(),
    };
    ValueInfo {
        name: name.to_owned(),
        kind: Some(Type {
            tensor: Some(TensorType {
                elem_type,
                shape: Some(shape),
            }),
        }),
    }
}

/// Memory that writing takes: lists, then the file.
fn bytes(model: &ClassifierModel) -> usize {
    let of_member = |fitted: &Fitted| match fitted {
        Fitted::RandomForest(forest) => trees::bytes(forest.ensemble()),
        Fitted::DecisionTree(tree) => trees::bytes(tree.as_forest().ensemble()),
        Fitted::GradientBoosting(model) => trees::bytes(model.ensemble()),
        Fitted::LogisticRegression(model) => model.coefficients().len().saturating_mul(16),
    };
    let members = model.members().iter().map(|member| of_member(member.model()));
    members.fold(1 << 16, usize::saturating_add)
}
