//! Numbers as people write them.

use super::rules::Rule;

/// Longest text that may be a number.
const LONGEST: usize = 64;

/// What a column of texts says about its decimal mark: more than 0 for the comma, less for the point.
pub(super) fn evidence(text: &str) -> i8 {
    let body: &str = text.trim().trim_end_matches('%');
    if body.len() > LONGEST || !body.bytes().any(|b| b.is_ascii_digit()) {
        return 0;
    }
    if body.bytes().any(|b| b.is_ascii_alphabetic()) {
        return 0;
    }
    match (body.rfind(','), body.rfind('.')) {
        (Some(comma), Some(point)) => {
            if comma > point {
                1
            } else {
                -1
            }
        }
        (Some(comma), None) if one_decimal(body, comma) => 1,
        (None, Some(point)) if one_decimal(body, point) => -1,
        _ => 0,
    }
}

/// Whether the only mark, at `at`, cannot separate thousands.
fn one_decimal(body: &str, at: usize) -> bool {
    let mark = &body[at..=at];
    body.matches(mark).count() == 1 && !could_be_thousands(&body[..at], &body[at + 1..])
}

fn could_be_thousands(before: &str, after: &str) -> bool {
    let before = before.trim_start_matches(['-', '+', ' ']);
    after.len() == 3 && (1..=3).contains(&before.len()) && !before.starts_with('0')
}

/// The number of a text, and how it was written if not plainly. `comma` says which mark the column uses where a text alone does not tell;
/// `None`: not known.
pub(super) fn parse(text: &str, comma: Option<bool>) -> Option<(f64, Option<Rule>)> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\'' || c == '\u{feff}');
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let (text, percent) = match text.strip_suffix('%') {
        Some(rest) => (rest.trim_end(), true),
        None => (text, false),
    };
    let (text, negative) = sign(text);
    let (text, currency) = ["R$", "US$", "$", "€"]
        .iter()
        .find_map(|symbol| text.strip_prefix(symbol).map(|rest| (rest.trim_start(), true)))
        .unwrap_or((text, false));
    let (text, negative) = if currency && !negative {
        sign(text)
    } else {
        (text, negative)
    };
    let (plain, rule) = plain(text, comma)?;
    let number: f64 = plain.parse().ok().filter(|number: &f64| number.is_finite())?;
    let number = if percent { number / 100.0 } else { number };
    let rule = match (percent, currency) {
        (true, _) => Some(Rule::Percent),
        (_, true) => Some(Rule::Currency),
        _ => rule,
    };
    Some((if negative { -number } else { number }, rule))
}

fn sign(text: &str) -> (&str, bool) {
    match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (rest.trim_start(), true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    }
}

/// Digits with at most one point and an exponent, as Rust reads them.
fn plain(text: &str, comma: Option<bool>) -> Option<(String, Option<Rule>)> {
    let (body, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, ""),
    };
    let digits_of_exponent = exponent.get(1..).unwrap_or("").trim_start_matches(['+', '-']);
    let good_exponent = exponent.is_empty()
        || (!digits_of_exponent.is_empty() && digits_of_exponent.bytes().all(|d| d.is_ascii_digit()));
    let (grouped, spaced) = without_spaces(body)?;
    if !good_exponent || !grouped.bytes().any(|d| d.is_ascii_digit()) {
        return None;
    }
    if !grouped.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',') {
        return None;
    }
    let (points, commas) = (grouped.matches('.').count(), grouped.matches(',').count());
    let (mark, thousands) = match (points, commas) {
        (0, 0) => (None, None),
        (1, 0) | (0, 1) => {
            let mark = if points == 1 { '.' } else { ',' };
            let (before, after) = grouped.split_once(mark)?;
            // Where the column's decimal mark is the other one; unknown, either is taken for the decimal mark.
            let other = comma == Some(mark == '.');
            if other && could_be_thousands(before, after) {
                (None, Some(mark))
            } else {
                (Some(mark), None)
            }
        }
        (_, 0) => (None, Some('.')),
        (0, _) => (None, Some(',')),
        _ if grouped.rfind(',') > grouped.rfind('.') => (Some(','), Some('.')),
        _ => (Some('.'), Some(',')),
    };
    let (whole, fraction) = match mark {
        Some(mark) => grouped.split_once(mark)?,
        None => (grouped.as_str(), ""),
    };
    if fraction.contains(['.', ',']) {
        return None;
    }
    let whole = match thousands {
        Some(separator) => ungrouped(whole, separator)?,
        None => whole.to_owned(),
    };
    let rule = if thousands.is_some() || spaced {
        Some(Rule::Thousands)
    } else {
        (mark == Some(',')).then_some(Rule::DecimalComma)
    };
    Some((format!("{whole}.{fraction}{exponent}"), rule))
}

/// Spaces and apostrophes may stand between groups of three digits.
fn without_spaces(body: &str) -> Option<(String, bool)> {
    let space = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '\u{2019}');
    if !body.contains(space) {
        return Some((body.to_owned(), false));
    }
    let end = body.find([',', '.']).unwrap_or(body.len());
    let (whole, rest) = body.split_at(end);
    if rest.contains(space) {
        return None;
    }
    let whole = whole.replace(space, " ");
    Some((ungrouped(&whole, ' ')? + rest, true))
}

/// Groups of three, the first shorter perhaps.
fn ungrouped(whole: &str, separator: char) -> Option<String> {
    let mut groups = whole.split(separator);
    let first = groups.next()?;
    let good = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    good.then(|| whole.replace(separator, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_they_are_written() {
        use Rule::{Currency, DecimalComma, Percent, Thousands};
        for (text, comma, expected) in [
            ("7", None, Some((7.0, None))),
            ("7.5", None, Some((7.5, None))),
            (" -7.25 ", None, Some((-7.25, None))),
            ("\u{2212}3", None, Some((-3.0, None))),
            ("7,5", None, Some((7.5, Some(DecimalComma)))),
            ("1.234,5", None, Some((1234.5, Some(Thousands)))),
            ("1,234.5", None, Some((1234.5, Some(Thousands)))),
            ("1.234.567", None, Some((1_234_567.0, Some(Thousands)))),
            ("1.234", None, Some((1.234, None))),
            ("1.234", Some(true), Some((1234.0, Some(Thousands)))),
            ("1.2345", Some(true), Some((1.2345, None))),
            ("0.234", Some(true), Some((0.234, None))),
            ("1,234", Some(false), Some((1234.0, Some(Thousands)))),
            ("1,234", None, Some((1.234, Some(DecimalComma)))),
            ("1 234 567,5", None, Some((1_234_567.5, Some(Thousands)))),
            ("1\u{a0}234", None, Some((1234.0, Some(Thousands)))),
            ("1'234.5", None, Some((1234.5, Some(Thousands)))),
            ("85%", None, Some((0.85, Some(Percent)))),
            ("R$ 1.234,50", None, Some((1234.5, Some(Currency)))),
            ("1e3", None, Some((1000.0, None))),
            ("7,5E+00", None, Some((7.5, Some(DecimalComma)))),
            (".5", None, Some((0.5, None))),
            ("5.", None, Some((5.0, None))),
            ("'7", None, Some((7.0, None))),
        ] {
            assert_eq!(parse(text, comma), expected, "{text} {comma:?}");
        }
        for wrong in [
            "",
            " ",
            "abc",
            "D108",
            "7E",
            "INCLUIR",
            "#NULO!",
            "1.2.3",
            "11/01/1900",
            "1900-01-11",
            "1,2,3",
            "12.34,5",
            "1.23.456,7",
            "NaN",
            "inf",
            "0x10",
            "7 5",
            "7 anos",
            "--7",
            ".",
            ",",
            "1e",
            "e5",
            "7-",
            "1 23",
            "1e999",
            "٣",
        ] {
            assert_eq!(parse(wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn what_texts_say_of_their_column() {
        for (text, sign) in [
            ("7,5", 1),
            ("7.5", -1),
            ("1.234", 0),
            ("1,234", 0),
            ("1.234,5", 1),
            ("1,234.5", -1),
            ("a,b", 0),
            ("7", 0),
            ("0.123", -1),
        ] {
            assert_eq!(evidence(text), sign, "{text}");
        }
    }
}
