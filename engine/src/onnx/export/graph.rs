//! A graph under construction: operators, constants, and names that do not collide.

use prost::bytes::Bytes;

use crate::onnx::message::{self, Attribute, Graph, Node, Tensor, ValueInfo};

/// Domain of the machine-learning operators.
pub(super) const ML: &str = "ai.onnx.ml";
/// Version of the standard operators and of those of [`ML`].
pub(super) const OPSETS: [(&str, i64); 2] = [("", 15), (ML, 3)];

/// A table of numbers in the graph, n x `width`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub name: String,
    pub width: usize,
}

/// Collects nodes in the order in which they are computed.
pub(super) struct Builder {
    graph: Graph,
    prefix: String,
    next: usize,
}

impl Builder {
    /// `taken`: names that are the user's.
    pub(super) fn new<'a>(taken: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut prefix = "step".to_owned();
        while taken.clone().any(|name| name.starts_with(&prefix)) {
            prefix.push('_');
        }
        Self {
            graph: Graph::default(),
            prefix,
            next: 0,
        }
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{}{}", self.prefix, self.next)
    }

    /// A standard operator with one output.
    pub(super) fn op(&mut self, name: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = self.fresh();
        self.node("", name, inputs, vec![output.clone()], attributes);
        output
    }

    /// A machine-learning operator; of its outputs the last counts.
    pub(super) fn ml(&mut self, name: &str, inputs: &[&str], outputs: usize, attributes: Vec<Attribute>) -> String {
        let outputs: Vec<String> = (0..outputs).map(|_| self.fresh()).collect();
        let last = outputs.last().cloned().unwrap_or_default();
        self.node(ML, name, inputs, outputs, attributes);
        last
    }

    /// An operator whose output has a given name.
    pub(super) fn named(&mut self, domain: &str, op: &str, input: &str, output: &str, attributes: Vec<Attribute>) {
        self.node(domain, op, &[input], vec![output.to_owned()], attributes);
    }

    fn node(&mut self, domain: &str, op: &str, inputs: &[&str], output: Vec<String>, attribute: Vec<Attribute>) {
        self.graph.node.push(Node {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            name: output.last().cloned().unwrap_or_default(),
            output,
            op_type: op.to_owned(),
            attribute,
            domain: domain.to_owned(),
        });
    }

    /// A constant; `dims` empty: a scalar.
    pub(super) fn floats(&mut self, dims: &[usize], values: impl IntoIterator<Item = f64>) -> String {
        let float_data = values.into_iter().map(|x| x as f32).collect();
        self.constant(dims, |tensor| {
            tensor.data_type = message::TENSOR_FLOAT;
            tensor.float_data = float_data;
        })
    }

    /// A constant of whole numbers.
    pub(super) fn integers(&mut self, dims: &[usize], values: impl IntoIterator<Item = i64>) -> String {
        let int64_data = values.into_iter().collect();
        self.constant(dims, |tensor| {
            tensor.data_type = message::TENSOR_INT64;
            tensor.int64_data = int64_data;
        })
    }

    fn constant(&mut self, dims: &[usize], fill: impl FnOnce(&mut Tensor)) -> String {
        let name = self.fresh();
        let mut tensor = Tensor {
            dims: dims.iter().map(|dim| *dim as i64).collect(),
            name: name.clone(),
            ..Tensor::default()
        };
        fill(&mut tensor);
        self.graph.initializer.push(tensor);
        name
    }

    /// Tables side by side.
    pub(super) fn concat(&mut self, parts: &[Value]) -> Value {
        if let [only] = parts {
            return only.clone();
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        Value {
            name: self.op("Concat", &names, vec![int("axis", 1)]),
            width: parts.iter().map(|part| part.width).sum(),
        }
    }

    /// `input` x `weights` (`input.width` x `offsets.len()`, row-major) + `offsets`.
    pub(super) fn affine(&mut self, input: &Value, weights: Vec<f64>, offsets: &[f64]) -> Value {
        let weights = self.floats(&[input.width, offsets.len()], weights);
        let offset = self.floats(&[offsets.len()], offsets.iter().copied());
        Value {
            name: self.op("Gemm", &[&input.name, &weights, &offset], Vec::new()),
            width: offsets.len(),
        }
    }

    /// `value`, moved to between the ends.
    pub(super) fn clip(&mut self, input: &Value, low: f64, high: f64) -> Value {
        let (low, high) = (self.floats(&[], [low]), self.floats(&[], [high]));
        Value {
            name: self.op("Clip", &[&input.name, &low, &high], Vec::new()),
            width: input.width,
        }
    }

    /// A function of every number.
    pub(super) fn each(&mut self, op: &str, input: &Value) -> Value {
        Value {
            name: self.op(op, &[&input.name], Vec::new()),
            width: input.width,
        }
    }

    /// Some columns, in that order.
    pub(super) fn columns(&mut self, input: &Value, which: &[usize]) -> Value {
        let indices = self.integers(&[which.len()], which.iter().map(|column| *column as i64));
        Value {
            name: self.op("Gather", &[&input.name, &indices], vec![int("axis", 1)]),
            width: which.len(),
        }
    }

    pub(super) fn finish(mut self, name: &str, input: Vec<ValueInfo>, output: Vec<ValueInfo>) -> Graph {
        self.graph.name = name.to_owned();
        self.graph.input = input;
        self.graph.output = output;
        self.graph
    }
}

fn attribute(name: &str, kind: i32) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind,
        ..Attribute::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        i: Some(value),
        ..attribute(name, message::INT)
    }
}

pub(super) fn float(name: &str, value: f64) -> Attribute {
    Attribute {
        f: Some(value as f32),
        ..attribute(name, message::FLOAT)
    }
}

pub(super) fn string(name: &str, value: &str) -> Attribute {
    Attribute {
        s: Some(Bytes::copy_from_slice(value.as_bytes())),
        ..attribute(name, message::STRING)
    }
}

pub(super) fn ints(name: &str, ints: Vec<i64>) -> Attribute {
    Attribute {
        ints,
        ..attribute(name, message::INTS)
    }
}

pub(super) fn floats(name: &str, floats: Vec<f32>) -> Attribute {
    Attribute {
        floats,
        ..attribute(name, message::FLOATS)
    }
}

pub(super) fn strings(name: &str, strings: Vec<Bytes>) -> Attribute {
    Attribute {
        strings,
        ..attribute(name, message::STRINGS)
    }
}

/// Text as it stands in a list of an attribute.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Bytes> {
    texts
        .into_iter()
        .map(|text| Bytes::copy_from_slice(text.as_bytes()))
        .collect()
}
