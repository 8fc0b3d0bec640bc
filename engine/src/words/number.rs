//! Numbers as they are written in a language.

use crate::error::{EngineError, Result};

/// A language that reasons can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `1,5` and `90 %`.
    Portuguese,
    /// `1.5` and `90%`.
    English,
}

impl Language {
    /// # Errors
    /// [`EngineError::InvalidParameter`] for anything but `pt` and `en`.
    pub fn parse(code: &str) -> Result<Self> {
        match code {
            "pt" => Ok(Self::Portuguese),
            "en" => Ok(Self::English),
            _ => Err(EngineError::invalid("language", "pt or en", format!("\"{code}\""))),
        }
    }

    /// As [`Language::parse`] takes it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Portuguese => "pt",
            Self::English => "en",
        }
    }

    /// Whole numbers as such, others with one decimal (two below 0.1, so that little is not called nothing).
    pub(super) fn number(self, value: f64) -> String {
        let text = match value {
            _ if value.fract() == 0.0 => format!("{value:.0}"),
            _ if value.abs() < 0.1 => format!("{value:.2}"),
            _ => format!("{value:.1}"),
        };
        // 12.0 is 12, -0.00 is 0
        let text = match text.strip_suffix(".00").or_else(|| text.strip_suffix(".0")) {
            Some("-0") => "0".to_owned(),
            Some(whole) => whole.to_owned(),
            None => text,
        };
        match self {
            Self::Portuguese => text.replace('.', ","),
            Self::English => text,
        }
    }

    /// As [`Language::number`], with a plus sign where it is above zero.
    pub(super) fn signed(self, value: f64) -> String {
        let text = self.number(value);
        if text == "0" || text.starts_with('-') {
            text
        } else {
            format!("+{text}")
        }
    }

    /// A share in percent. What is not quite nothing, or not quite all, is not rounded to it.
    pub(super) fn percent(self, share: f64) -> String {
        let rounded = (share * 100.0).round();
        let shown = match rounded {
            _ if share > 0.0 && rounded == 0.0 => 1.0,
            _ if share < 1.0 && rounded == 100.0 => 99.0,
            _ => rounded + 0.0,
        };
        match self {
            Self::Portuguese => format!("{shown:.0} %"),
            Self::English => format!("{shown:.0}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_the_language() {
        let (pt, en) = (Language::Portuguese, Language::English);
        assert_eq!(
            [0.0, 7.0, 1.25, 0.04, 11.96, -0.001].map(|v| pt.number(v)),
            ["0", "7", "1,2", "0,04", "12", "0"]
        );
        assert_eq!([-0.5, 4.0, 0.0, 0.001].map(|v| en.signed(v)), ["-0.5", "+4", "0", "0"]);
        assert_eq!(
            [0.0, 0.001, 0.346, 0.999, 1.0].map(|v| pt.percent(v)),
            ["0 %", "1 %", "35 %", "99 %", "100 %"]
        );
        assert_eq!(en.percent(0.346), "35%");
        assert!(Language::parse("de").is_err());
    }
}
