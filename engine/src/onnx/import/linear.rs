//! The operator LinearClassifier as a logistic regression.

use super::attributes::Attributes;
use super::ensemble::{check_classes, one_against_rest, Link};
use crate::classifier::Fitted;
use crate::error::Result;
use crate::linear::LogisticModel;
use crate::onnx::error::OnnxError;

/// Reads the operator over `p` features: its model and the names of its classes.
///
/// # Errors
/// [`OnnxError::Damaged`], [`OnnxError::Unsupported`] for scores that are no logistic regression's.
pub(super) fn classifier(attributes: &Attributes, p: usize) -> Result<(Fitted, Vec<String>)> {
    let labels = attributes.labels("classlabels_strings", "classlabels_ints")?;
    let k = labels.len();
    check_classes(k)?;
    let wide = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    let coefficients = wide(attributes.floats("coefficients"));
    let mut intercepts = wide(attributes.floats("intercepts"));
    let rows = coefficients.len() / p.max(1);
    if intercepts.is_empty() {
        intercepts = vec![0.0; rows];
    }
    if rows == 0 || coefficients.len() != rows * p || intercepts.len() != rows {
        return Err(OnnxError::damaged("the coefficients are not as many as features and intercepts say").into());
    }
    let link = Link::named(&attributes.string("post_transform", "NONE"))?;
    let (coefficients, intercepts) = match (link, rows, k) {
        (Link::Logistic, 1, 2) => (coefficients, intercepts),
        (Link::Logistic | Link::Softmax, 2, 2) => {
            let (first, second) = coefficients.split_at(p);
            if link == Link::Logistic && !opposite(first, second, &intercepts) {
                return Err(one_against_rest().into());
            }
            let half = |a: f64, b: f64| if link == Link::Logistic { b } else { b - a };
            let of_second = first.iter().zip(second).map(|(a, b)| half(*a, *b)).collect();
            (of_second, vec![half(intercepts[0], intercepts[1])])
        }
        (Link::Softmax, rows, k) if rows == k => (coefficients, intercepts),
        (Link::Logistic, rows, k) if rows == k => return Err(one_against_rest().into()),
        _ => return Err(OnnxError::unsupported("a linear model whose scores are no logistic regression's").into()),
    };
    let model = LogisticModel::from_coefficients(k, coefficients, intercepts, vec![0.0; p])?;
    Ok((Fitted::LogisticRegression(model), labels))
}

/// Whether two rows of coefficients, with their intercepts, are each other's opposite.
fn opposite(first: &[f64], second: &[f64], intercepts: &[f64]) -> bool {
    let fits = |a: f64, b: f64| (a + b).abs() <= 1e-6 * b.abs().max(1e-30);
    first.iter().zip(second).all(|(a, b)| fits(*a, *b)) && fits(intercepts[0], intercepts[1])
}
