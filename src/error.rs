//! Errors of the extension: one type to carry them, one mapping from the engine's errors to SQLSTATEs.
//!
//! Code of the extension returns [`Result`]; a `#[pg_extern]` returns `Result<_, ErrorReport>` and `?` converts.
//! (Returned as anything else than an `ErrorReport`, pgrx would report the error as 22000 and drop the hint.)
//!
//! Style: lower case, no full stop, what was expected and what was found; the remedy is the HINT.

use std::borrow::Cow;
use std::fmt;

use empatia_engine::cube::CubeError;
use empatia_engine::error::EngineError;
use empatia_engine::onnx::OnnxError;
use empatia_engine::sheet::SheetError;
use empatia_engine::validate::Refusal;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::PgSqlErrorCode;

/// An error on its way to the client: SQLSTATE, message, optional DETAIL and HINT.
///
/// Boxed, so that a `Result<(), Error>` returned once per row is one word.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    report: ErrorReport,
    /// A report does not tell; `None` for one that was made elsewhere.
    code: Option<PgSqlErrorCode>,
}

/// Result of everything in the extension below the SQL functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with an explicit SQLSTATE; prefer the named constructors below.
    #[track_caller]
    pub fn new(code: PgSqlErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            report: ErrorReport::new(code, message, "empatia"),
            code: Some(code),
        }))
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.report = self.0.report.set_hint(hint);
        self
    }

    /// Facts that do not fit into the message.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.report = self.0.report.set_detail(detail);
        self
    }

    /// 22023: a parameter outside its domain. Reads "`name` must be `expected`, not `found`".
    #[track_caller]
    pub fn invalid_parameter(name: &str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("{name} must be {expected}, not {found}"),
        )
    }

    /// 22023: a name that is not one of `valid`, which the HINT lists.
    #[track_caller]
    pub fn unknown_name(what: &str, found: &str, valid: &[&str]) -> Self {
        Self::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("unknown {what} \"{found}\""),
        )
        .hint(format!("Valid values are {}.", valid.join(", ")))
    }

    /// 42704: something named that does not exist.
    #[track_caller]
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Self::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("{what} \"{name}\" does not exist"),
        )
    }

    /// 55000: the database is not (yet) in the state this needs; give a hint.
    #[track_caller]
    pub fn not_ready(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
    }

    /// XX000: a fault of ours, not of the user's.
    #[track_caller]
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message)
    }

    /// Whether it is for want of memory: with less to do at once it may work.
    pub fn is_out_of_memory(&self) -> bool {
        self.0.code == Some(PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY)
    }

    /// The report behind this error.
    pub fn report(&self) -> &ErrorReport {
        &self.0.report
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.report.message())
    }
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> Self {
        error.0.report
    }
}

impl From<ErrorReport> for Error {
    fn from(report: ErrorReport) -> Self {
        Self(Box::new(Parts { report, code: None }))
    }
}

impl From<EngineError> for Error {
    #[track_caller]
    fn from(error: EngineError) -> Self {
        Self::from_engine(error, &[])
    }
}

impl Error {
    /// The engine's error, its classes called by their names, `classes`, as far as these are given.
    #[track_caller]
    pub fn from_engine(error: EngineError, classes: &[String]) -> Self {
        use PgSqlErrorCode as Code;
        match &error {
            EngineError::Refusal(refusal) => Self::refused(refusal, classes),
            EngineError::Column { found: "absent", .. } => Self::new(Code::ERRCODE_UNDEFINED_COLUMN, error.to_string())
                .hint("Give the column, with NULL where its value is not known, or train without it."),
            EngineError::Column { .. } => Self::new(Code::ERRCODE_DATATYPE_MISMATCH, error.to_string())
                .hint("Give the column the type that it had in training, or train again."),
            EngineError::Cancelled => Self::new(
                Code::ERRCODE_QUERY_CANCELED,
                "computation cancelled due to an interrupt",
            ),
            EngineError::Memory { needed, in_use, budget } => Self::new(
                Code::ERRCODE_OUT_OF_MEMORY,
                format!(
                    "memory required is {} MB, empatia.memory_limit is {} MB",
                    megabytes(needed.saturating_add(*in_use)),
                    megabytes(*budget)
                ),
            )
            .detail(format!("{in_use} bytes are in use and {needed} more were asked for."))
            .hint("Raise empatia.memory_limit, or compute fewer levels, grains or clients at once."),
            EngineError::InvalidParameter { .. } => Self::new(Code::ERRCODE_INVALID_PARAMETER_VALUE, error.to_string()),
            EngineError::EmptyInput { .. } => Self::new(Code::ERRCODE_NO_DATA_FOUND, error.to_string()),
            EngineError::NonFinite { .. } | EngineError::OutOfDomain { .. } | EngineError::InvalidWeight { .. } => {
                Self::new(Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, error.to_string())
            }
            EngineError::Dimension { .. } => Self::new(Code::ERRCODE_DATA_EXCEPTION, error.to_string()),
            EngineError::Limit { what, .. } => {
                let hint = match *what {
                    "clusters" => "Raise eps or min_points.",
                    _ => "Use algorithm => 'kmeans', which has no such limit, or fit less at once: a client of its own, a coarser level or grain.",
                };
                Self::new(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, error.to_string()).hint(hint)
            }
            EngineError::NoSolution { .. } => Self::new(Code::ERRCODE_DATA_EXCEPTION, error.to_string())
                .hint("Raise its option regularisation, lower k, or use algorithm => 'kmeans'."),
            EngineError::ThreadPool { .. } => {
                Self::new(Code::ERRCODE_INSUFFICIENT_RESOURCES, error.to_string()).hint("Lower empatia.threads.")
            }
            EngineError::Cube(CubeError::AmountOverflow { .. }) => {
                Self::new(Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, error.to_string())
            }
            EngineError::Cube(CubeError::NonFiniteGrade { .. }) => {
                Self::new(Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, error.to_string())
                    .hint("Correct grade and max_grade of that user's rows in fact_assignment.")
            }
            EngineError::Cube(CubeError::Allocation { .. }) => {
                Self::new(Code::ERRCODE_OUT_OF_MEMORY, error.to_string()).hint("Lower empatia.memory_limit.")
            }
            EngineError::Cube(CubeError::TooMany { .. }) => {
                Self::new(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, error.to_string())
            }
            EngineError::Onnx(OnnxError::Damaged { .. }) => Self::new(Code::ERRCODE_DATA_CORRUPTED, error.to_string())
                .hint("Write the file again, or copy it again without changes."),
            EngineError::Onnx(OnnxError::Inexpressible { .. }) => {
                Self::new(Code::ERRCODE_FEATURE_NOT_SUPPORTED, error.to_string())
                    .hint("Export it in the format 'empatia', or train without what the message names.")
            }
            EngineError::Onnx(OnnxError::Calibrated) => Self::new(Code::ERRCODE_FEATURE_NOT_SUPPORTED, error.to_string())
                .hint("Import what export_model(version) writes in the format 'empatia', which keeps the calibration; ONNX is for other programs."),
            EngineError::Onnx(_) => Self::new(Code::ERRCODE_FEATURE_NOT_SUPPORTED, error.to_string())
                .hint("Trees, their ensembles and logistic regressions over numbers can be imported."),
            EngineError::Sheet(sheet) => Self::of_sheet(sheet),
            EngineError::Codec(_) => Self::new(Code::ERRCODE_DATA_CORRUPTED, error.to_string()),
            // Linfa's own errors and variants added to the engine later: nothing the user could have given.
            _ => Self::internal(error.to_string()),
        }
    }
}

impl Error {
    /// 55000: too few data for what was asked; 22023: they lack what the split goes by.
    #[track_caller]
    fn refused(refusal: &Refusal, classes: &[String]) -> Self {
        let name = |class: u32| match classes.get(class as usize) {
            Some(name) => format!("\"{name}\""),
            None => class.to_string(),
        };
        match refusal {
            Refusal::OneClass { class } => Self::not_ready(format!(
                "expected rows of at least two classes, found only class {}",
                name(*class)
            ))
            .hint("Label rows of another class, or choose a target that tells rows apart."),
            Refusal::RowsOfClass { class, needed, found } => Self::not_ready(format!(
                "expected at least {needed} rows of class {}, found {found}",
                name(*class)
            ))
            .hint(
                "Label more rows of this class, join it with another class, or lower min_rows or the number of folds.",
            ),
            Refusal::GroupsOfClass { class, needed, found } => Self::not_ready(format!(
                "expected rows of class {} of at least {needed} students, found {found}",
                name(*class)
            ))
            .hint("Label rows of other students, or join this class with another."),
            Refusal::Groups { needed, found } => {
                Self::not_ready(format!("expected rows of at least {needed} students, found {found}"))
                    .hint("Use fewer folds, or rows of more students.")
            }
            Refusal::Periods { needed, found } => {
                Self::not_ready(format!("expected at least {needed} periods, found {found}"))
                    .hint("Use fewer or shorter windows, a finer grain, or a longer range of dates.")
            }
            Refusal::Unknown { what } => {
                Self::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, refusal.to_string()).hint(format!(
                    "Choose a split that does not go by {what}, or give the {what} of each row."
                ))
            }
            Refusal::FoldWithoutClass { fold, class } => Self::not_ready(format!(
                "expected class {} among the training rows of fold {fold}, found none",
                name(*class)
            ))
            .hint("Use another split or fewer folds, or label more rows of this class."),
            _ => Self::not_ready(refusal.to_string()).hint("Use fewer folds, or more rows."),
        }
    }

    #[track_caller]
    fn of_sheet(error: &SheetError) -> Self {
        use PgSqlErrorCode as Code;
        let (code, hint) = match error {
            SheetError::Definition(_) => (
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "docs/datasets.md describes definitions.",
            ),
            SheetError::Format { .. } => (
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                "Save it as XLSX or as CSV, or unpack it, and import that.",
            ),
            SheetError::Protected { .. } => (
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                "Save it without a password and import that.",
            ),
            SheetError::Damaged { .. } => (
                Code::ERRCODE_DATA_CORRUPTED,
                "Open it in the program that wrote it and save it anew.",
            ),
            SheetError::TooLarge { .. } => (
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                "Raise max_rows, or split the file.",
            ),
            SheetError::NoSheet { .. } => (
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "Name one of its sheets, or none to import all.",
            ),
            SheetError::NoHeader { .. } => (
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "Add the file's header to the aliases of the key in define_dataset(), or name another sheet.",
            ),
            SheetError::NoYear { .. } => (
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "Give year => 2024, say, or define the dataset with yearly => false.",
            ),
            _ => return Self::internal(error.to_string()),
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

/// Whole mebibytes, rounded up: a requirement must not read as fitting.
fn megabytes(bytes: usize) -> usize {
    bytes.div_ceil(1 << 20)
}
