//! What is known of students besides the facts, as far as a recipe asks for it.
//!
//! `student.attributes` says it of the student, `enrolment.attributes` of the student in a space, which goes before; of an enrolment two more things are
//! known: `course`, the name of its course, and `enrolled_days`, the days from enrolling to the start of the space's lessons.

use std::collections::HashMap;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::feature::{Attribute, Attributes};
use pgrx::spi::{quote_identifier, quote_literal};

use super::part::look_for_interrupts;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{Int4, Int8, Text};
use crate::pg::read::query;

/// Attributes of the students of one client or of all.
#[derive(Debug)]
pub(super) struct StudentAttributes {
    attributes: Attributes,
    /// Combination of each student that has one; who has none has combination 0, all missing.
    of_student: HashMap<(i32, i64), u32>,
    /// Combination in a space, where it is another: client, space, user.
    of_enrolment: HashMap<(i32, i64, i64), u32>,
    _reserved: Reservation,
}

/// Client, space (none: the student anywhere), user, and the level of each attribute.
type Student = ((i32, Option<i64>, i64), Vec<Option<u32>>);

/// Attributes that every enrolment has, unless it has some of its own that are called so.
const OF_ENROLMENTS: [&str; 2] = ["course", "enrolled_days"];

/// Students between two looks for an interrupt.
const BETWEEN_LOOKS: usize = 4096;

/// What one attribute was found to be.
#[derive(Default)]
struct Found {
    /// Positions of the levels.
    levels: HashMap<String, u32>,
    names: Vec<String>,
    numeric: bool,
}

/// About what a student takes while combinations are numbered, besides [`PER_ATTRIBUTE`]: as read, and in the table of combinations.
const ENTRY: usize = 160;
/// Twice the level of an attribute, and its value where no other student has the same combination.
const PER_ATTRIBUTE: usize = 24;

impl StudentAttributes {
    /// Reads the attributes `names` of the students of a client or of all, or of `user_id`, for units of a level. An attribute whose values are all numbers
    /// in JSON is a number, any other a category, unless `numeric` says which ones are.
    ///
    /// # Errors
    /// 53200 when they do not fit the budget of `ctx`.
    pub fn read(
        ctx: &Context,
        level: &str,
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
        let mut read = |sql: &str| -> Result<()> {
            let mut columns = vec![Int4, Int8, Int8];
            columns.extend([Text; 2].repeat(names.len()));
            query(sql, &[client_id.into(), user_id.into()], &columns, |row| {
                let (Some(client), space, Some(user)) = (row.i32(0), row.i64(1), row.i64(2)) else {
                    return Ok(());
                };
                reserved.grow(ENTRY + PER_ATTRIBUTE * names.len())?;
                let mut values = Vec::with_capacity(names.len());
                for (at, found) in found.iter_mut().enumerate() {
                    let (value, kind) = (row.text(3 + 2 * at)?, row.text(4 + 2 * at)?);
                    found.numeric &= numeric.is_some() || kind.is_none_or(|kind| kind == "number" || kind == "null");
                    values.push(value.map(|value| found.level(value)));
                }
                students.push(((client, space, user), values));
                Ok(())
            })?;
            Ok(())
        };
        if !names.is_empty() {
            let schema = warehouse_schema()?;
            read(&select_students(&schema, names))?;
            // members of what is above spaces are so by several enrolments
            if !matches!(level, "ENV" | "CRS") {
                read(&select_enrolments(&schema, names))?;
            }
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
        let (mut of_student, mut of_enrolment) = (HashMap::new(), HashMap::new());
        for (at, ((client, space, user), levels)) in students.iter().enumerate() {
            if at % BETWEEN_LOOKS == 0 {
                look_for_interrupts();
            }
            let next = known.len() as u32;
            let number = *known.entry(levels.clone()).or_insert(next);
            if number == next {
                values.extend(levels.iter().zip(found).map(|(level, found)| found.value(*level)));
            }
            match space {
                None => of_student.insert((*client, *user), number),
                Some(space) => of_enrolment.insert((*client, *space, *user), number),
            };
        }
        Ok(Self {
            attributes: Attributes::new(columns.collect(), values)?,
            of_student,
            of_enrolment,
            _reserved: reserved,
        })
    }

    /// The combinations.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Combination of a student in a unit, `space` being the unit whose members are that unit's.
    pub fn of(&self, client: i32, space: i64, user: i64) -> u32 {
        let enrolled = self.of_enrolment.get(&(client, space, user));
        let found = enrolled.or_else(|| self.of_student.get(&(client, user)));
        found.copied().unwrap_or(0)
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

/// Schema of the warehouse, quoted.
pub(super) fn warehouse_schema() -> Result<String> {
    let mut schema = None;
    query(
        "SELECT w.dw_schema::text FROM empatia.warehouse w",
        &[],
        &[Text],
        |row| {
            schema = row.text(0)?.map(quote_identifier);
            Ok(())
        },
    )?;
    schema
        .ok_or_else(|| Error::not_ready("there is no warehouse").hint("Run SELECT * FROM empatia.create_warehouse()."))
}

/// Value and JSON type of each attribute, per student.
fn select_students(schema: &str, names: &[String]) -> String {
    let of = |name: &String| {
        let name = quote_literal(name);
        format!(", s.attributes ->> {name}, pg_catalog.jsonb_typeof(s.attributes -> {name})")
    };
    let values: String = names.iter().map(of).collect();
    format!(
        "SELECT s.client_id, NULL::bigint, s.user_id{values} FROM {schema}.student s
         WHERE s.attributes IS NOT NULL AND ($1 IS NULL OR s.client_id = $1) AND ($2 IS NULL OR s.user_id = $2)"
    )
}

/// The same per enrolment, where there is something to say of it; of several in one space, of the last.
fn select_enrolments(schema: &str, names: &[String]) -> String {
    let of = |name: &String| {
        let own = match name.as_str() {
            "course" => "pg_catalog.to_jsonb(c.name)",
            // no days between moments that no calendar has
            "enrolled_days" => {
                "CASE WHEN pg_catalog.isfinite(p.starts_at) AND pg_catalog.isfinite(e.enrolled_at)
                 THEN pg_catalog.to_jsonb((p.starts_at AT TIME ZONE k.time_zone)::date - (e.enrolled_at AT TIME ZONE k.time_zone)::date) END"
            }
            _ => "NULL",
        };
        let name = quote_literal(name);
        let value = format!("coalesce(e.attributes -> {name}, s.attributes -> {name}, {own})");
        format!(", {value} #>> '{{}}', pg_catalog.jsonb_typeof({value})")
    };
    let values: String = names.iter().map(of).collect();
    let always = names.iter().any(|name| OF_ENROLMENTS.contains(&name.as_str()));
    format!(
        "SELECT DISTINCT ON (e.client_id, e.space_id, e.user_id) e.client_id, e.space_id, e.user_id{values}
         FROM {schema}.enrolment e
         JOIN {schema}.client k ON k.client_id = e.client_id
         JOIN {schema}.student s ON (s.client_id, s.user_id) = (e.client_id, e.user_id)
         JOIN {schema}.space p ON (p.client_id, p.space_id) = (e.client_id, e.space_id)
         JOIN {schema}.course c ON (c.client_id, c.course_id) = (p.client_id, p.course_id)
         WHERE ({always} OR e.attributes IS NOT NULL) AND ($1 IS NULL OR e.client_id = $1) AND ($2 IS NULL OR e.user_id = $2)
         ORDER BY e.client_id, e.space_id, e.user_id, e.enrolled_at DESC NULLS LAST, e.enrolment_id"
    )
}
