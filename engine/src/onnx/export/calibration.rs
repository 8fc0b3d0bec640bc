//! Calibration as operators: Platt's curves on log-odds; isotonic ones where they are flat enough for 32 bits.

use super::graph::{int, Builder, Value};
use super::scores::{Score, NEAREST};
use crate::calibrate::{Calibrator, Curve, Isotonic, Platt};
use crate::onnx::error::OnnxError;

/// Steepest part of an isotonic curve that a probability of 32 bits can be looked up on, to 1e-5.
const STEEPEST: f64 = 40.0;

/// Calibrated probabilities, n x k.
///
/// # Errors
/// [`OnnxError::Inexpressible`] for isotonic curves that are too steep, or of more than two classes.
pub(super) fn write(builder: &mut Builder, calibrator: &Calibrator, score: Score) -> Result<Value, OnnxError> {
    match calibrator.curves() {
        [Curve::Platt(platt)] => Ok(platt_of_two(builder, platt, score)),
        [Curve::Isotonic(curve)] => isotonic(builder, curve, score),
        curves => {
            let platt = curves.iter().map(|curve| match curve {
                Curve::Platt(platt) => Ok(*platt),
                Curve::Isotonic(_) => Err(steep("of more than two classes")),
            });
            let curves = platt.collect::<Result<Vec<_>, _>>()?;
            Ok(platt_of_many(builder, &curves, score))
        }
    }
}

fn steep(what: &str) -> OnnxError {
    OnnxError::inexpressible(format!(
        "an isotonic calibration {what} does not survive numbers of 32 bits"
    ))
}

fn platt_of_two(builder: &mut Builder, platt: &Platt, score: Score) -> Value {
    let (slope, offsets) = (platt.slope(), [-platt.intercept(), platt.intercept()]);
    let end = ((1.0 - NEAREST) / NEAREST).ln();
    let margins = match score {
        Score::Margins(margins) => {
            let bounded = builder.clip(&margins, -end, end);
            builder.affine(&bounded, vec![slope, 0.0, 0.0, slope], &offsets)
        }
        Score::Probabilities(p) => {
            let bounded = builder.clip(&p, NEAREST, 1.0 - NEAREST);
            let logarithms = builder.each("Log", &bounded);
            builder.affine(&logarithms, vec![slope, -slope, -slope, slope], &offsets)
        }
    };
    builder.each("Sigmoid", &margins)
}

/// Each class against the others, made to add up to 1.
fn platt_of_many(builder: &mut Builder, curves: &[Platt], score: Score) -> Value {
    let k = curves.len();
    let p = score.probabilities(builder);
    let off_diagonal = (0..k * k).map(|at| if at / k == at % k { 0.0 } else { 1.0 });
    let others = builder.affine(&p, off_diagonal.collect(), &vec![0.0; k]);
    let both = builder.concat(&[p, others]);
    let bounded = builder.clip(&both, NEAREST, 1.0 - NEAREST);
    let logarithms = builder.each("Log", &bounded);
    let weight = |row: usize, class: usize| match row {
        row if row == class => curves[class].slope(),
        row if row == class + k => -curves[class].slope(),
        _ => 0.0,
    };
    let weights = (0..2 * k * k).map(|at| weight(at / k, at % k));
    let offsets: Vec<f64> = curves.iter().map(Platt::intercept).collect();
    let margins = builder.affine(&logarithms, weights.collect(), &offsets);
    let shares = builder.each("Sigmoid", &margins);
    let axis = builder.integers(&[1], [1]);
    let sums = builder.op("ReduceSum", &[&shares.name, &axis], vec![int("keepdims", 1)]);
    Value {
        name: builder.op("Div", &[&shares.name, &sums], Vec::new()),
        width: k,
    }
}

/// The first value, and per piece of the curve its slope times the part of it that lies below the score.
fn isotonic(builder: &mut Builder, curve: &Isotonic, score: Score) -> Result<Value, OnnxError> {
    let points: Vec<(f64, f64)> = curve.points().collect();
    let slope = |pair: &[(f64, f64)]| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0);
    if points.windows(2).any(|pair| slope(pair) > STEEPEST) {
        return Err(steep("with steep steps"));
    }
    let p = score.probabilities(builder);
    let x = builder.columns(&p, &[1]);
    let pieces: Vec<&[(f64, f64)]> = points.windows(2).filter(|pair| slope(pair) > 0.0).collect();
    let first = points.first().map_or(0.0, |point| point.1);
    if pieces.is_empty() {
        let constant = [1.0 - first, first];
        return Ok(builder.affine(&x, vec![0.0, 0.0], &constant));
    }
    let n = pieces.len();
    let low = builder.floats(&[1, n], pieces.iter().map(|piece| piece[0].0));
    let high = builder.floats(&[1, n], pieces.iter().map(|piece| piece[1].0));
    let below = builder.op("Min", &[&x.name, &high], Vec::new());
    let inside = builder.op("Max", &[&below, &low], Vec::new());
    let parts = Value {
        name: builder.op("Sub", &[&inside, &low], Vec::new()),
        width: n,
    };
    let weights = pieces.iter().flat_map(|piece| [-slope(piece), slope(piece)]);
    let both = builder.affine(&parts, weights.collect(), &[1.0 - first, first]);
    Ok(builder.clip(&both, 0.0, 1.0))
}
