//! What the members say, made one: probabilities alone, a mean of them, or a regression on their log-odds.

use super::columns::Columns;
use super::graph::{floats, int, ints, string, Builder, Value};
use super::trees;
use crate::classifier::{Combination, Fitted};
use crate::context::Context;
use crate::error::Result;
use crate::linear::LogisticModel;

/// Probabilities are kept so far from 0 and 1 before their logarithm is taken, as [`crate::linear`] does.
pub(super) const NEAREST: f64 = 1e-6;

/// What is known of the classes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Score {
    /// n x k
    Probabilities(Value),
    /// Of two classes the log-odds of each, of more the logarithms of probabilities but for a number per row; n x k.
    Margins(Value),
}

impl Score {
    /// What a member says of rows whose columns are `columns`.
    pub(super) fn of(
        ctx: &Context,
        builder: &mut Builder,
        columns: &Columns,
        model: &Fitted,
        as_margins: bool,
    ) -> Result<Self> {
        let wrap = |value| {
            if as_margins {
                Self::Margins(value)
            } else {
                Self::Probabilities(value)
            }
        };
        Ok(match model {
            Fitted::RandomForest(forest) => Self::Probabilities(trees::forest(ctx, builder, columns, forest)?),
            Fitted::DecisionTree(tree) => Self::Probabilities(trees::forest(ctx, builder, columns, tree.as_forest())?),
            Fitted::GradientBoosting(model) => wrap(trees::boosting(ctx, builder, columns, model, !as_margins)?),
            Fitted::LogisticRegression(model) => wrap(linear(builder, columns, model, !as_margins)),
        })
    }

    /// Probabilities, n x k.
    pub(super) fn probabilities(self, builder: &mut Builder) -> Value {
        match self {
            Self::Probabilities(value) => value,
            Self::Margins(value) if value.width == 2 => builder.each("Sigmoid", &value),
            Self::Margins(value) => softmax(builder, &value),
        }
    }

    /// Logarithms of the bounded probabilities, n x k.
    fn logarithms(&self, builder: &mut Builder) -> Value {
        let logarithms = match self {
            Self::Probabilities(value) => {
                let bounded = builder.clip(value, NEAREST, 1.0);
                return builder.each("Log", &bounded);
            }
            Self::Margins(value) if value.width == 2 => {
                // ln sigmoid(z) = -softplus(-z), exact for probabilities near 1 too
                let opposite = builder.each("Neg", value);
                let soft = builder.each("Softplus", &opposite);
                builder.each("Neg", &soft)
            }
            Self::Margins(value) => Value {
                name: builder.op("LogSoftmax", &[&value.name], vec![int("axis", 1)]),
                width: value.width,
            },
        };
        builder.clip(&logarithms, NEAREST.ln(), 0.0)
    }
}

pub(super) fn softmax(builder: &mut Builder, value: &Value) -> Value {
    Value {
        name: builder.op("Softmax", &[&value.name], vec![int("axis", 1)]),
        width: value.width,
    }
}

/// A logistic regression: margins of all classes, or with `transform` their probabilities.
fn linear(builder: &mut Builder, columns: &Columns, model: &LogisticModel, transform: bool) -> Value {
    let (k, p) = (model.n_classes(), model.n_features());
    let binary = model.intercepts().len() == 1;
    let row = |class: usize| match binary {
        true => (0, if class == 0 { -1.0 } else { 1.0 }),
        false => (class, 1.0),
    };
    let mut coefficients = vec![0.0f32; k * p];
    for class in 0..k {
        let (margin, sign) = row(class);
        for (feature, place) in columns.places.iter().enumerate() {
            coefficients[class * p + place] = (sign * model.coefficients()[margin * p + feature]) as f32;
        }
    }
    let intercepts = (0..k).map(|class| (row(class).1 * model.intercepts()[row(class).0]) as f32);
    let post = match (transform, binary) {
        (false, _) => "NONE",
        (true, true) => "LOGISTIC",
        (true, false) => "SOFTMAX",
    };
    let attributes = vec![
        floats("coefficients", coefficients),
        floats("intercepts", intercepts.collect()),
        ints("classlabels_ints", (0..k as i64).collect()),
        string("post_transform", post),
    ];
    Value {
        name: builder.ml("LinearClassifier", &[&columns.value.name], 2, attributes),
        width: k,
    }
}

/// Whether the members have to give their margins.
pub(super) fn wants_margins(combination: &Combination, calibrated: bool) -> bool {
    match combination {
        Combination::Single => calibrated,
        Combination::Vote(_) => false,
        Combination::Stack(_) => true,
    }
}

/// One score of all members' scores.
pub(super) fn combine(builder: &mut Builder, combination: &Combination, mut members: Vec<Score>, k: usize) -> Score {
    match combination {
        Combination::Vote(vote) => {
            let mut parts = Vec::new();
            for (weight, member) in vote.weights().iter().zip(members) {
                let p = member.probabilities(builder);
                let weight = builder.floats(&[1], [*weight]);
                parts.push(builder.op("Mul", &[&p.name, &weight], Vec::new()));
            }
            let names: Vec<&str> = parts.iter().map(String::as_str).collect();
            let name = builder.op("Sum", &names, Vec::new());
            let mean = Value { name, width: k };
            Score::Probabilities(builder.clip(&mean, 0.0, 1.0))
        }
        Combination::Stack(stack) => {
            let logarithms: Vec<Value> = members.iter().map(|member| member.logarithms(builder)).collect();
            let all = builder.concat(&logarithms);
            let (weights, offsets) = stacked(stack.model(), members.len(), k);
            Score::Margins(builder.affine(&all, weights, &offsets))
        }
        Combination::Single => members.remove(0),
    }
}

/// Weights (members k x k, row-major) of the logarithms in each class' margin, and the offsets (k).
fn stacked(model: &LogisticModel, members: usize, k: usize) -> (Vec<f64>, Vec<f64>) {
    let (c, b) = (model.coefficients(), model.intercepts());
    if k == 2 {
        // log-odds = ln p1 - ln p0; the margin of class 0 is the opposite of class 1's
        let rows = c.iter().take(members).flat_map(|c| [*c, -c, -c, *c]);
        return (rows.collect(), vec![-b[0], b[0]]);
    }
    let p = members * k;
    let mut weights = vec![0.0; p * k];
    for (input, row) in weights.chunks_exact_mut(k).enumerate() {
        let member = input / k * k;
        for (class, weight) in row.iter_mut().enumerate() {
            // inputs are centred over the classes
            let of_member = &c[class * p + member..class * p + member + k];
            *weight = c[class * p + input] - of_member.iter().sum::<f64>() / k as f64;
        }
    }
    (weights, b.to_vec())
}
