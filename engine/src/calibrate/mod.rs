//! Probabilities that mean what they say: isotonic regression and Platt scaling, chosen out of fold.

mod choose;
mod curve;
mod isotonic;
mod platt;

pub use choose::{choose_calibration, CalibrationChoice};
pub use curve::{Calibrator, Curve, Method};
pub use isotonic::Isotonic;
pub use platt::Platt;
