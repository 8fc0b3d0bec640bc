//! The errors of the engine: typed, carrying the values that make the message useful.
//!
//! Messages are lower case, without full stop, and say what was expected and what was found; the extension maps
//! each variant to a SQLSTATE and adds the hint.

use crate::codec::CodecError;
use crate::cube::CubeError;
use crate::onnx::OnnxError;
use crate::sheet::SheetError;
use crate::validate::Refusal;

/// What can go wrong in a computation of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The cancel flag of the [`Context`](crate::context::Context) was raised.
    #[error("computation cancelled")]
    Cancelled,

    /// A reservation does not fit into the memory budget. All figures in bytes.
    #[error("memory required is {needed} bytes on top of {in_use} in use, the budget is {budget} bytes")]
    Memory {
        needed: usize,
        in_use: usize,
        budget: usize,
    },

    /// A parameter is outside its domain.
    #[error("{name} must be {expected}, not {found}")]
    InvalidParameter {
        name: &'static str,
        expected: String,
        found: String,
    },

    /// There is nothing to compute from (no rows, or no row with a positive weight).
    #[error("{what} is empty")]
    EmptyInput { what: &'static str },

    /// A NaN or an infinity among the values; `row` and `column` count from 0.
    #[error("value at row {row}, column {column} is not a finite number")]
    NonFinite { row: usize, column: usize },

    /// A value outside the domain of its transformation; `row` and `column` count from 0.
    #[error("value at row {row}, column {column} must be {expected}, not {found}")]
    OutOfDomain {
        row: usize,
        column: usize,
        expected: &'static str,
        found: f64,
    },

    /// A weight that is negative, NaN or infinite; `row` counts from 0.
    #[error("weight of row {row} must be finite and not negative, not {found}")]
    InvalidWeight { row: usize, found: f64 },

    /// Two lengths that have to agree do not.
    #[error("expected {expected} {what}, not {found}")]
    Dimension {
        what: &'static str,
        expected: usize,
        found: usize,
    },

    /// A column is not what the recipe was fitted on; `found` may be "absent".
    #[error("column {name} must be {expected}, not {found}")]
    Column {
        name: String,
        expected: &'static str,
        found: &'static str,
    },

    /// The data do not suffice for what was asked.
    #[error(transparent)]
    Refusal(#[from] Refusal),

    /// The operating system refused the worker threads.
    #[error("cannot start {threads} worker threads: {reason}")]
    ThreadPool { threads: usize, reason: String },

    /// Stored bytes that cannot be turned back into a value, or a value that cannot be stored.
    #[error(transparent)]
    Codec(#[from] CodecError),

    /// A file of ONNX that cannot be read, or a classifier that cannot be written as one.
    #[error(transparent)]
    Onnx(#[from] OnnxError),

    /// Input or outcome beyond what an algorithm takes.
    #[error("{algorithm} takes at most {limit} {what}, not {found}")]
    Limit {
        algorithm: &'static str,
        what: &'static str,
        limit: usize,
        found: usize,
    },

    /// An algorithm of linfa ended without a result.
    #[error("{algorithm} found no solution: {reason}")]
    NoSolution { algorithm: &'static str, reason: String },

    /// An error of linfa's own, met behind its traits.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),

    /// Facts the cube cannot be built from.
    #[error(transparent)]
    Cube(#[from] CubeError),

    /// A file of rows that cannot be read, or a definition that cannot be followed.
    #[error(transparent)]
    Sheet(#[from] SheetError),
}

/// Shorthand for results of this crate.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

impl EngineError {
    /// Builds [`EngineError::InvalidParameter`] from displayable parts.
    pub fn invalid(name: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::InvalidParameter {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
