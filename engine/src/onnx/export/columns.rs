//! The recipe of a classifier as operators: what fills gaps, scales, and makes numbers of categories.
//!
//! Numbers are treated together, whatever their order in the recipe; `places` says where each of the recipe's columns went.

use super::graph::{float, floats, int, ints, strings, texts, Builder, Value};
use crate::data::{Encoding, FittedColumn, FittedPreparation, Transform};
use crate::onnx::error::OnnxError;

/// The columns that a model takes, as they stand in the graph.
pub(super) struct Columns {
    pub value: Value,
    /// For each column of the recipe's result, its place in `value`.
    pub places: Vec<usize>,
}

/// A numeric column of the recipe.
struct Number<'a> {
    name: &'a str,
    fill: Option<f64>,
    mean: f64,
    sd: f64,
    /// Places in the recipe's result: of the number, and of the mark that it was missing.
    output: usize,
    indicator: Option<usize>,
}

/// Writes the recipe; its inputs are called as its columns are.
///
/// # Errors
/// [`OnnxError::Inexpressible`].
pub(super) fn write(builder: &mut Builder, preparation: &FittedPreparation) -> Result<Columns, OnnxError> {
    let mut parts = Parts {
        values: Vec::new(),
        places: vec![0; preparation.width()],
        width: 0,
    };
    let mut transforms: Vec<Transform> = Vec::new();
    for column in preparation.columns() {
        match &column.encoding {
            Encoding::Numeric { transform, .. } if !transforms.contains(transform) => transforms.push(*transform),
            _ => {}
        }
    }
    for transform in transforms {
        write_numbers(builder, &mut parts, transform, &numbers(preparation, transform));
    }
    let mut output = 0;
    for column in preparation.columns() {
        let of_category = match &column.encoding {
            Encoding::Numeric { .. } => None,
            Encoding::OneHot { levels, other, missing } => Some(one_hot(builder, column, levels, *other, *missing)?),
            Encoding::TargetMean { levels, means, prior } => Some(target_means(builder, column, levels, means, prior)?),
        };
        if let Some(value) = of_category {
            parts.add(value, (output..output + column.width()).collect());
        }
        output += column.width();
    }
    Ok(Columns {
        value: builder.concat(&parts.values),
        places: parts.places,
    })
}

/// The numbers that are transformed this way.
fn numbers(preparation: &FittedPreparation, wanted: Transform) -> Vec<Number<'_>> {
    let mut output = 0;
    let mut numbers = Vec::new();
    for column in preparation.columns() {
        if let Encoding::Numeric {
            transform,
            fill,
            mean,
            sd,
            indicator,
        } = &column.encoding
        {
            if *transform == wanted {
                numbers.push(Number {
                    name: &column.name,
                    // What becomes a constant may be missing too.
                    fill: fill.or((*sd == 0.0).then_some(0.0)),
                    mean: *mean,
                    sd: *sd,
                    output,
                    indicator: indicator.then_some(output + 1),
                });
            }
        }
        output += column.width();
    }
    numbers
}

struct Parts {
    values: Vec<Value>,
    places: Vec<usize>,
    width: usize,
}

impl Parts {
    /// Column i of `value` is column `outputs[i]` of the recipe's result.
    fn add(&mut self, value: Value, outputs: Vec<usize>) {
        for (at, output) in outputs.into_iter().enumerate() {
            self.places[output] = self.width + at;
        }
        self.width += value.width;
        self.values.push(value);
    }
}

fn write_numbers(builder: &mut Builder, parts: &mut Parts, transform: Transform, numbers: &[Number]) {
    let raw: Vec<Value> = numbers.iter().map(|number| input(number.name)).collect();
    let mut value = builder.concat(&raw);
    let marked: Vec<(usize, usize)> = numbers
        .iter()
        .enumerate()
        .filter_map(|(at, number)| Some((at, number.indicator?)))
        .collect();
    if !marked.is_empty() {
        let which: Vec<usize> = marked.iter().map(|(at, _)| *at).collect();
        let marks = builder.columns(&value, &which);
        let missing = builder.op("IsNaN", &[&marks.name], Vec::new());
        let name = builder.op("Cast", &[&missing], vec![int("to", 1)]);
        let width = marks.width;
        parts.add(
            Value { name, width },
            marked.iter().map(|(_, output)| *output).collect(),
        );
    }
    if numbers.iter().any(|number| number.fill.is_some()) {
        let fills = numbers.iter().map(|number| number.fill.unwrap_or(f64::NAN) as f32);
        let attributes = vec![
            floats("imputed_value_floats", fills.collect()),
            float("replaced_value_float", f64::NAN),
        ];
        value.name = builder.ml("Imputer", &[&value.name], 1, attributes);
    }
    match transform {
        Transform::Identity => {}
        Transform::Log1p => value.name = log1p(builder, &value.name),
        Transform::SignedLog1p => {
            let sign = builder.op("Sign", &[&value.name], Vec::new());
            let size = builder.op("Abs", &[&value.name], Vec::new());
            let size = log1p(builder, &size);
            value.name = builder.op("Mul", &[&sign, &size], Vec::new());
        }
    }
    if numbers.iter().any(|number| number.mean != 0.0 || number.sd != 1.0) {
        let scale = |number: &Number| {
            if number.sd == 0.0 {
                0.0
            } else {
                (1.0 / number.sd) as f32
            }
        };
        let attributes = vec![
            floats("offset", numbers.iter().map(|number| number.mean as f32).collect()),
            floats("scale", numbers.iter().map(scale).collect()),
        ];
        value.name = builder.ml("Scaler", &[&value.name], 1, attributes);
    }
    parts.add(value, numbers.iter().map(|number| number.output).collect());
}

fn log1p(builder: &mut Builder, input: &str) -> String {
    let one = builder.floats(&[1], [1.0]);
    let sum = builder.op("Add", &[input, &one], Vec::new());
    builder.op("Log", &[&sum], Vec::new())
}

fn input(name: &str) -> Value {
    Value {
        name: name.to_owned(),
        width: 1,
    }
}

/// A level without name would look like a missing value, which is empty text.
fn check_levels(column: &FittedColumn, levels: &[String]) -> Result<(), OnnxError> {
    if levels.iter().any(String::is_empty) {
        let reason = format!(
            "column {} has a category with an empty name, which stands for a missing one",
            column.name
        );
        return Err(OnnxError::inexpressible(reason));
    }
    Ok(())
}

fn one_hot(
    builder: &mut Builder,
    column: &FittedColumn,
    levels: &[String],
    other: bool,
    missing: bool,
) -> Result<Value, OnnxError> {
    check_levels(column, levels)?;
    let width = column.width();
    // Number `width` is none of the columns: all of them are 0.
    let of_other = if other { levels.len() } else { width };
    let of_missing = if missing {
        levels.len() + usize::from(other)
    } else {
        width
    };
    let keys = levels.iter().map(String::as_str).chain([""]);
    let places = (0..levels.len()).chain([of_missing]).map(|place| place as i64);
    let attributes = vec![
        strings("keys_strings", texts(keys)),
        ints("values_int64s", places.collect()),
        int("default_int64", of_other as i64),
    ];
    let place = builder.ml("LabelEncoder", &[&column.name], 1, attributes);
    let (depth, ends) = (builder.integers(&[1], [width as i64]), builder.floats(&[2], [0.0, 1.0]));
    let cube = builder.op("OneHot", &[&place, &depth, &ends], Vec::new());
    let shape = builder.integers(&[2], [-1, width as i64]);
    Ok(Value {
        name: builder.op("Reshape", &[&cube, &shape], Vec::new()),
        width,
    })
}

fn target_means(
    builder: &mut Builder,
    column: &FittedColumn,
    levels: &[String],
    means: &[f64],
    prior: &[f64],
) -> Result<Value, OnnxError> {
    check_levels(column, levels)?;
    let shares = prior.iter().enumerate().map(|(class, prior)| {
        let of_class = means
            .iter()
            .skip(class)
            .step_by(prior_width(means, levels))
            .map(|mean| *mean as f32);
        let attributes = vec![
            strings("keys_strings", texts(levels.iter().map(String::as_str).chain([""]))),
            floats("values_floats", of_class.chain([*prior as f32]).collect()),
            float("default_float", *prior),
        ];
        Value {
            name: builder.ml("LabelEncoder", &[&column.name], 1, attributes),
            width: 1,
        }
    });
    let shares: Vec<Value> = shares.collect();
    Ok(builder.concat(&shares))
}

/// Classes per level.
fn prior_width(means: &[f64], levels: &[String]) -> usize {
    (means.len() / levels.len().max(1)).max(1)
}
