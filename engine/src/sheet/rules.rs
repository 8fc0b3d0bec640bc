//! What can be done to a cell, a header or a row; the names stand in the report.

/// Why a cell, a header or a row is in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    // the value was understood, but is written otherwise
    DecimalComma,
    Thousands,
    Percent,
    Currency,
    NumberAsText,
    NumberInText,
    WordAsNumber,
    BooleanAsNumber,
    DateAsNumber,
    SerialAsDate,
    DayFirst,
    CategoryAlias,
    Trimmed,
    LetterCase,
    // null, because it means that nothing is known
    MissingMarker,
    SpreadsheetError,
    // null, because it cannot be what the column holds
    NotANumber,
    NotWhole,
    OutOfRange,
    DateNotRecovered,
    NotABoolean,
    NotADate,
    UnknownCategory,
    /// A second column of the same meaning says something else; the first is kept.
    DuplicateColumn,
    // headers
    HeaderRenamed,
    HeaderUnknown,
    HeaderDuplicate,
    HeaderOtherYear,
    HeaderMissing,
    EmptyColumn,
    // rows
    NoKey,
    NoYear,
    DuplicateKey,
}

impl Rule {
    /// The name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::DecimalComma => "decimal_comma",
            Self::Thousands => "thousands_separator",
            Self::Percent => "percent",
            Self::Currency => "currency",
            Self::NumberAsText => "number_as_text",
            Self::NumberInText => "number_in_text",
            Self::WordAsNumber => "word_as_number",
            Self::BooleanAsNumber => "boolean_as_number",
            Self::DateAsNumber => "date_as_number",
            Self::SerialAsDate => "serial_as_date",
            Self::DayFirst => "day_first",
            Self::CategoryAlias => "category_alias",
            Self::Trimmed => "trimmed",
            Self::LetterCase => "letter_case",
            Self::MissingMarker => "missing_marker",
            Self::SpreadsheetError => "spreadsheet_error",
            Self::NotANumber => "not_a_number",
            Self::NotWhole => "not_whole",
            Self::OutOfRange => "out_of_range",
            Self::DateNotRecovered => "date_not_recovered",
            Self::NotABoolean => "not_a_boolean",
            Self::NotADate => "not_a_date",
            Self::UnknownCategory => "unknown_category",
            Self::DuplicateColumn => "duplicate_column",
            Self::HeaderRenamed => "header_renamed",
            Self::HeaderUnknown => "header_unknown",
            Self::HeaderDuplicate => "header_duplicate",
            Self::HeaderOtherYear => "header_other_year",
            Self::HeaderMissing => "header_missing",
            Self::EmptyColumn => "empty_column",
            Self::NoKey => "no_key",
            Self::NoYear => "no_year",
            Self::DuplicateKey => "duplicate_key",
        }
    }

    /// Whether it speaks of a whole column rather than of a cell.
    pub fn of_header(self) -> bool {
        self.name().starts_with("header_") || self == Self::EmptyColumn
    }
}
