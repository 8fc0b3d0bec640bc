//! Why data do not suffice; the extension names the classes and says the remedy.

/// Data that do not suffice for what was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Every row with weight is of one class.
    #[error("expected rows of at least two classes, found only class {class}")]
    OneClass { class: u32 },
    /// A class that occurs has too few rows (weight).
    #[error("expected at least {needed} rows of class {class}, found {found}")]
    RowsOfClass { class: u32, needed: usize, found: f64 },
    /// A class that occurs is spread over too few groups (students).
    #[error("expected rows of class {class} in at least {needed} groups, found {found}")]
    GroupsOfClass { class: u32, needed: usize, found: usize },
    /// Too few groups (students) for so many folds.
    #[error("expected at least {needed} groups, found {found}")]
    Groups { needed: usize, found: usize },
    /// Too few periods before the first one tested, or to test on.
    #[error("expected at least {needed} periods, found {found}")]
    Periods { needed: usize, found: usize },
    /// A split by group or time of rows whose groups or periods are not known.
    #[error("expected the {what} of each row, found none")]
    Unknown { what: &'static str },
    /// A fold without rows to train on or to test on.
    #[error("expected {part} rows in fold {fold}, found none")]
    EmptyFold { fold: usize, part: &'static str },
    /// A fold whose training rows lack a class that occurs, or that are of one class.
    #[error("expected class {class} among the training rows of fold {fold}, found none")]
    FoldWithoutClass { fold: usize, class: u32 },
}
