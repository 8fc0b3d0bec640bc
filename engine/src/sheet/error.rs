//! What can be wrong with a file or with a definition.

/// Why a file was not imported. Where a part of it is at fault, the rest is; those parts are in the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SheetError {
    /// A definition that contradicts itself.
    #[error("{0}")]
    Definition(String),

    /// Neither a known container nor text.
    #[error("expected XLSX, XLS, ODS or delimited text, found {found}")]
    Format { found: String },

    /// A container that breaks off or contradicts itself.
    #[error("the {format} file is damaged: {reason}")]
    Damaged { format: &'static str, reason: String },

    /// A protected workbook.
    #[error("the {format} file is protected by a password")]
    Protected { format: &'static str },

    /// Beyond a limit that was given, or that the format has.
    #[error("expected at most {limit} {what}, found more{place}")]
    TooLarge {
        what: &'static str,
        limit: usize,
        place: String,
    },

    /// A sheet that was asked for by name.
    #[error("sheet \"{name}\" does not exist; the file has {found}")]
    NoSheet { name: String, found: String },

    /// No row of a sheet names the key.
    #[error("no row of {place} names the key column {expected}; the first row has {found}")]
    NoHeader {
        place: String,
        expected: String,
        found: String,
    },

    /// Rows need a year and nothing says which.
    #[error("{place} does not say which year its rows are of")]
    NoYear { place: String },
}

impl SheetError {
    pub(super) fn damaged(format: &'static str, reason: impl Into<String>) -> Self {
        Self::Damaged {
            format,
            reason: reason.into(),
        }
    }
}
