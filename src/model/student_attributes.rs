//! What `student.attributes` says of the students, as far as a recipe asks for it.

use std::collections::HashMap;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::feature::{Attribute, Attributes};
use pgrx::spi::{quote_identifier, quote_literal};

use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Int4, Int8, Text};
use crate::pg::read::query;

/// Attributes of the students of one client or of all.
#[derive(Debug)]
pub(super) struct StudentAttributes {
    attributes: Attributes,
    /// Combination of each student that has one; who has none has combination 0, all missing.
    of_student: HashMap<(i32, i64), u32>,
    _reserved: Reservation,
}

/// Client and user, and the level of each attribute.
type Student = ((i32, i64), Vec<Option<u32>>);

/// What one attribute was found to be.
#[derive(Default)]
struct Found {
    /// Positions of the levels.
    levels: HashMap<String, u32>,
    names: Vec<String>,
    numeric: bool,
}

/// About what a student's entry takes.
const ENTRY: usize = 48;

impl StudentAttributes {
    /// Reads the attributes `names` of the students of a client or of all, or of `user_id`. An attribute whose values are all numbers in JSON is a number, any other a category,
    /// unless `numeric` says which ones are.
    ///
    /// # Errors
    /// 53200 when they do not fit the budget of `ctx`.
    pub fn read(
        ctx: &Context,
        client_id: Option<i32>,
        user_id: Option<i64>,
        names: &[String],
        numeric: Option<&[bool]>,
    ) -> Result<Self> {
        let mut reserved = ctx.reserve(0)?;
        let mut found: Vec<Found> = (0..names.len())
            .map(|at| Found {
                numeric: numeric.is_none_or(|numeric| numeric[at]),
                ..Found::default()
            })
            .collect();
        let mut students = Vec::new();
        if !names.is_empty() {
            let (sql, columns) = select(names)?;
            query(&sql, &[client_id.into(), user_id.into()], &columns, |row| {
                let (Some(client), Some(user)) = (row.i32(0), row.i64(1)) else {
                    return Ok(());
                };
                reserved.grow(ENTRY + 8 * names.len())?;
                let mut values = Vec::with_capacity(names.len());
                for (at, found) in found.iter_mut().enumerate() {
                    let (value, kind) = (row.text(2 + 2 * at)?, row.text(3 + 2 * at)?);
                    found.numeric &= numeric.is_some() || kind.is_none_or(|kind| kind == "number" || kind == "null");
                    values.push(value.map(|value| found.level(value)));
                }
                students.push(((client, user), values));
                Ok(())
            })?;
        }
        Self::combine(names, &found, &students, reserved)
    }

    /// Numbers the distinct combinations of values.
    fn combine(names: &[String], found: &[Found], students: &[Student], reserved: Reservation) -> Result<Self> {
        let columns = names.iter().zip(found).map(|(name, found)| Attribute {
            name: name.clone(),
            levels: (!found.numeric).then(|| found.names.clone().into()),
        });
        let mut values = vec![f64::NAN; names.len()];
        let mut known = HashMap::from([(vec![None; names.len()], 0u32)]);
        let mut of_student = HashMap::with_capacity(students.len());
        for (student, levels) in students {
            let next = known.len() as u32;
            let number = *known.entry(levels.clone()).or_insert(next);
            if number == next {
                values.extend(levels.iter().zip(found).map(|(level, found)| found.value(*level)));
            }
            of_student.insert(*student, number);
        }
        Ok(Self {
            attributes: Attributes::new(columns.collect(), values)?,
            of_student,
            _reserved: reserved,
        })
    }

    /// The combinations.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Combination of a student.
    pub fn of(&self, client: i32, user: i64) -> u32 {
        self.of_student.get(&(client, user)).copied().unwrap_or(0)
    }
}

impl Found {
    fn level(&mut self, name: &str) -> u32 {
        match self.levels.get(name) {
            Some(level) => *level,
            None => {
                let level = self.names.len() as u32;
                self.levels.insert(name.to_owned(), level);
                self.names.push(name.to_owned());
                level
            }
        }
    }

    /// As [`Attributes`] hold it; text where a number is expected is missing.
    fn value(&self, level: Option<u32>) -> f64 {
        match level {
            None => f64::NAN,
            Some(level) if self.numeric => {
                let number = self.names[level as usize].parse::<f64>();
                number.ok().filter(|number| number.is_finite()).unwrap_or(f64::NAN)
            }
            Some(level) => f64::from(level),
        }
    }
}

/// Value and JSON type of each attribute, per student.
fn select(names: &[String]) -> Result<(String, Vec<ColumnType>)> {
    let mut schema = None;
    query(
        "SELECT w.dw_schema::text FROM empatia.warehouse w",
        &[],
        &[Text],
        |row| {
            schema = row.text(0)?.map(String::from);
            Ok(())
        },
    )?;
    let schema = schema.ok_or_else(|| {
        Error::not_ready("there is no warehouse").hint("Run SELECT * FROM empatia.create_warehouse().")
    })?;
    let mut columns = vec![Int4, Int8];
    columns.extend([Text; 2].repeat(names.len()));
    let values: String = names
        .iter()
        .map(|name| {
            let name = quote_literal(name);
            format!(", s.attributes ->> {name}, jsonb_typeof(s.attributes -> {name})")
        })
        .collect();
    let table = quote_identifier(&schema);
    let sql = format!(
        "SELECT s.client_id, s.user_id{values} FROM {table}.student s
         WHERE s.attributes IS NOT NULL AND ($1 IS NULL OR s.client_id = $1) AND ($2 IS NULL OR s.user_id = $2)"
    );
    Ok((sql, columns))
}
