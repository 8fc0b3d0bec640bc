//! Rows of a query as a table of the engine's.

use std::collections::HashMap;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::data::{Column, Table, Values, MISSING};
use pgrx::PgSqlErrorCode;

use crate::error::{Error, Result};
use crate::pg::column::ColumnType;
use crate::pg::read::query;
use crate::pg::row::Row;

/// Most columns accepted; a row of PostgreSQL has at most 1664, so this is for what else may ask.
pub const MAX_COLUMNS: usize = 10_000;
/// Rows between two looks at the budget.
const STEP: usize = 1_024;

/// What a column of the query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number,
    Category,
}

impl Kind {
    /// From the word that SQL has for it.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "number" | "boolean" | "date" | "instant" => Ok(Self::Number),
            "text" => Ok(Self::Category),
            _ => Err(Error::unknown_name(
                "kind of column",
                word,
                &["number", "boolean", "text", "date", "instant"],
            )),
        }
    }
}

/// A column being filled.
enum Filling {
    Numbers(Vec<f64>),
    Categories {
        known: HashMap<String, u32>,
        levels: Vec<String>,
        codes: Vec<u32>,
    },
}

/// What a query gave: a table of its first columns, and the text columns after them.
pub struct Rows {
    pub table: Table,
    pub texts: Vec<Vec<Option<String>>>,
    pub numbers: Vec<Vec<Option<i32>>>,
    /// What the rows hold of the budget.
    pub reservation: Reservation,
}

/// Reads the rows of `sql`: columns `names` (double precision or text, by `kinds`), then `texts` text columns, then `numbers`
/// integer ones.
///
/// # Errors
/// 54000 for more than [`MAX_COLUMNS`] columns, 22003 for an infinity, 53200 beyond the budget; what the query raises.
pub fn read(
    context: &Context,
    sql: &str,
    names: &[String],
    kinds: &[Kind],
    texts: usize,
    numbers: usize,
) -> Result<Rows> {
    check(names, kinds)?;
    let mut filling: Vec<Filling> = kinds.iter().map(Filling::new).collect();
    let mut text_columns: Vec<Vec<Option<String>>> = vec![Vec::new(); texts];
    let mut number_columns: Vec<Vec<Option<i32>>> = vec![Vec::new(); numbers];
    let types: Vec<ColumnType> = kinds
        .iter()
        .map(|kind| match kind {
            Kind::Number => ColumnType::Float8,
            Kind::Category => ColumnType::Text,
        })
        .chain(std::iter::repeat_n(ColumnType::Text, texts))
        .chain(std::iter::repeat_n(ColumnType::Int4, numbers))
        .collect();
    // what a row takes, its texts and what the computation makes of it included
    let width = 24 * kinds.len() + 64 * texts + 8 * numbers;
    let mut reservation = context.reserve(0)?;
    let mut n_rows = 0usize;
    query(sql, &[], &types, |row| {
        if n_rows.is_multiple_of(STEP) {
            reservation.grow(STEP * width)?;
        }
        for (at, column) in filling.iter_mut().enumerate() {
            column.push(row, at, n_rows, &names[at])?;
        }
        for (at, column) in text_columns.iter_mut().enumerate() {
            column.push(row.text(kinds.len() + at)?.map(str::to_owned));
        }
        for (at, column) in number_columns.iter_mut().enumerate() {
            column.push(row.i32(kinds.len() + texts + at));
        }
        n_rows += 1;
        Ok(())
    })?;
    let columns = names.iter().zip(filling).map(|(name, filling)| Column {
        name: name.clone(),
        values: filling.into_values(),
    });
    Ok(Rows {
        table: Table::new(columns.collect())?,
        texts: text_columns,
        numbers: number_columns,
        reservation,
    })
}

fn check(names: &[String], kinds: &[Kind]) -> Result<()> {
    if names.len() > MAX_COLUMNS {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("expected at most {MAX_COLUMNS} columns, found {}", names.len()),
        )
        .hint("Name those to use with features."));
    }
    if names.is_empty() || names.len() != kinds.len() {
        return Err(Error::invalid_parameter(
            "features",
            "one or more columns, each with its kind",
            names.len(),
        ));
    }
    Ok(())
}

impl Filling {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Number => Self::Numbers(Vec::new()),
            Kind::Category => Self::Categories {
                known: HashMap::new(),
                levels: Vec::new(),
                codes: Vec::new(),
            },
        }
    }

    fn push(&mut self, row: &Row<'_>, at: usize, n_rows: usize, name: &str) -> Result<()> {
        match self {
            Self::Numbers(values) => {
                let value = row.f64(at).unwrap_or(f64::NAN);
                if value.is_infinite() {
                    return Err(Error::new(
                        PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                        format!("column \"{name}\" must be finite, found {value} in row {}", n_rows + 1),
                    )
                    .hint("Leave the column out with exclude, or make a view that has null there."));
                }
                values.push(value);
            }
            Self::Categories { known, levels, codes } => codes.push(match row.text(at)? {
                None => MISSING,
                Some(text) => match known.get(text) {
                    Some(code) => *code,
                    None => {
                        let code = levels.len() as u32;
                        known.insert(text.to_owned(), code);
                        levels.push(text.to_owned());
                        code
                    }
                },
            }),
        }
        Ok(())
    }

    fn into_values(self) -> Values {
        match self {
            Self::Numbers(values) => Values::Numeric(values),
            Self::Categories { levels, codes, .. } => Values::Category {
                levels: levels.into(),
                codes,
            },
        }
    }
}

/// A stable number for a text (FNV-1a, 64 bits).
pub fn hashed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
