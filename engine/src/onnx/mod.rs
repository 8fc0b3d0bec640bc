//! Classifiers to and from ONNX, the exchange format of scikit-learn, LightGBM, XGBoost and their kin.
//!
//! Export writes recipe, models, combination and calibration as operators of ONNX; what these cannot say is refused with the
//! reason. Import takes tree ensembles and linear classifiers apart into this engine's own, so that they are computed,
//! explained and stored as if they had been fitted here. Nothing in a file is trusted: sizes, numbers and structure are
//! checked, and memory is asked for before it is taken.

mod error;
mod export;
mod import;
mod message;
mod recount;
mod scan;
mod single;

pub use error::OnnxError;
pub use export::{export, ExportOptions};
pub use import::{import, ImportOptions};
pub use recount::recount;

/// Version of the file format that is written.
const IR_VERSION: i64 = 8;
/// Who wrote a file.
const PRODUCER: &str = "Empatia";
