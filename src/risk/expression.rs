//! Whether a text can stand inside parentheses and stay there.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};

/// Returns the expression, trimmed, if every parenthesis and quote that it opens it closes, and it has neither `;` nor a comment.
///
/// It runs with the rights of whoever wrote it, so this guards against slips, and against rows that are not those of the table.
#[pg_extern(name = "_checked_expression", immutable, parallel_safe)]
fn checked_expression(what: &str, expression: &str) -> Result<String, ErrorReport> {
    let expression = expression.trim();
    if expression.is_empty() {
        return Err(Error::invalid_parameter(what, "an expression of the table's columns", "empty").into());
    }
    closes(expression)
        .map_err(|found| Error::invalid_parameter(what, "one expression of the table's columns", found))?;
    Ok(expression.to_owned())
}

fn closes(expression: &str) -> Result<(), String> {
    let mut open = Vec::new();
    let mut rest = expression;
    // a dollar inside a name is part of it: in a$b$ no quotation begins
    let mut in_name = false;
    while let Some(next) = rest.chars().next() {
        let begun = in_name;
        in_name = next == '_' || next.is_ascii_alphanumeric() || !next.is_ascii() || (begun && next == '$');
        let skip = match next {
            '$' if begun => 1,
            '\'' | '"' => quoted(rest, next)?,
            '$' => dollar_quoted(rest)?,
            ';' => return Err("one with a semicolon".into()),
            '-' if rest.starts_with("--") => return Err("one with a comment".into()),
            '/' if rest.starts_with("/*") => return Err("one with a comment".into()),
            '\\' => return Err("one with a backslash".into()),
            '(' | '[' => {
                open.push(next);
                1
            }
            ')' | ']' => {
                let expected = if next == ')' { '(' } else { '[' };
                if open.pop() != Some(expected) {
                    return Err(format!("one with an unmatched {next}"));
                }
                1
            }
            other => other.len_utf8(),
        };
        rest = &rest[skip..];
    }
    match open.pop() {
        Some(left) => Err(format!("one with an unmatched {left}")),
        None => Ok(()),
    }
}

/// Length of the quoted part that `rest` begins with. Backslashes are refused: what they mean depends on settings.
fn quoted(rest: &str, quote: char) -> Result<usize, String> {
    let mut at = 1;
    loop {
        let Some(end) = rest[at..].find(quote) else {
            return Err(format!("one with an unmatched {quote}"));
        };
        if rest[at..at + end].contains('\\') {
            return Err("one with a backslash".into());
        }
        at += end + 1;
        if !rest[at..].starts_with(quote) {
            return Ok(at);
        }
        at += 1;
    }
}

/// Length of the dollar-quoted part that `rest` begins with, or of a plain dollar.
fn dollar_quoted(rest: &str) -> Result<usize, String> {
    let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
    let Some(tag) = tag.filter(|tag| tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_')) else {
        return Err("one with a parameter".into());
    };
    match rest[tag.len()..].find(tag) {
        Some(end) => Ok(end + 2 * tag.len()),
        None => Err(format!("one with an unmatched {tag}")),
    }
}

#[cfg(test)]
mod tests {
    use super::closes;

    #[test]
    fn what_would_leave_its_parentheses_is_refused() {
        for good in [
            "defasagem < 0",
            "a = ')' or b in ('x', 'it''s')",
            "\"odd ) name\" > 1",
            "x[1] > 2",
            "t = $$a)b$$",
            "a$b$ > c$b$",
        ] {
            assert_eq!(closes(good), Ok(()), "{good}");
        }
        for bad in [
            "1) from t; --",
            "a; b",
            "(a",
            "a)",
            "a -- b",
            "a /* b",
            "'a",
            "E'\\'' ) '",
            "$1 = 2",
            "a$x$ ), f((b$x$",
            "€$x$ ), f((€$x$",
            "(a]",
        ] {
            assert!(closes(bad).is_err(), "{bad}");
        }
    }
}
