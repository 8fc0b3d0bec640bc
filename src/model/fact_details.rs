//! What the facts say of members besides the cells of the cube: their assignments, and which lectures they used.
//!
//! Read only where a recipe asks for it, and as the warehouse is now; facts count where the cube counts them, in the spaces of their students.

use empatia_engine::context::{Context, Reservation};
use empatia_engine::feature::{Assignment, Details, FeatureRecipe, FirstUse, KindUse, Member};
use pgrx::datum::Date;
use pgrx::spi::quote_literal;

use super::cube_structure::{null, push, Build};
use super::part::Part;
use super::student_attributes::warehouse_schema;
use crate::error::Result;
use crate::pg::column::ColumnType::{Bool, Date as Day, Float8, Int4, Int8};
use crate::pg::read::query;
use crate::pg::row::Row;

/// Whose facts are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Only {
    pub unit: Option<i64>,
    pub user: Option<i64>,
}

/// Facts of a client at a level, by unit and user. Their members are numbered once these are known.
#[derive(Debug)]
pub(super) struct FactDetails {
    assignments: Vec<((i64, i64), Assignment)>,
    uses: Vec<((i64, i64), KindUse)>,
    first_uses: Vec<((i64, i64), FirstUse)>,
    reserved: Reservation,
}

impl FactDetails {
    /// Reads what `recipe` asks for.
    ///
    /// # Errors
    /// 53200 where it does not fit the budget of `ctx`.
    pub fn read(ctx: &Context, part: &Part, recipe: &FeatureRecipe, build: &Build, only: Only) -> Result<Self> {
        let mut found = Self {
            assignments: Vec::new(),
            uses: Vec::new(),
            first_uses: Vec::new(),
            reserved: ctx.reserve(0)?,
        };
        if recipe.assignments {
            found.read_assignments(part, build, only)?;
        }
        if !recipe.kinds.is_empty() {
            found.read_uses(part, recipe, build, only)?;
        }
        if recipe.coverage {
            found.read_first_uses(part, build, only)?;
        }
        Ok(found)
    }

    fn read_first_uses(&mut self, part: &Part, build: &Build, only: Only) -> Result<()> {
        let Some(first_day) = build.periods.first() else {
            return Ok(());
        };
        let sql = format!(
            "SELECT f.{unit}, f.user_id, f.lecture_id, pg_catalog.min(f.day) FROM {dw}.fact_interaction f {of_students}
             WHERE f.client_id = $1 AND f.{unit} IS NOT NULL AND f.lecture_id IS NOT NULL AND f.day BETWEEN $4 AND $5
                   AND ($2 IS NULL OR f.{unit} = $2) AND ($3 IS NULL OR f.user_id = $3)
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            unit = unit_column(part.level()),
            dw = warehouse_schema()?,
            of_students = of_students(part),
        );
        let day = |day: &i32| Date::saturating_from_raw(*day);
        let (first_day, last_day) = (day(first_day), day(&build.last_day));
        let args = [
            build.client.into(),
            only.unit.into(),
            only.user.into(),
            first_day.into(),
            last_day.into(),
        ];
        let (uses, reserved) = (&mut self.first_uses, &mut self.reserved);
        query(&sql, &args, &[Int8, Int8, Int8, Day], |row| {
            let (Some(unit), Some(user), Some(lecture), Some(day)) = (row.i64(0), row.i64(1), row.i64(2), row.date(3))
            else {
                return Err(null());
            };
            let found = FirstUse {
                member: 0,
                period: build.period_by(day).ok_or_else(null)?,
                lecture,
            };
            push(uses, ((unit, user), found), reserved)
        })?;
        Ok(())
    }

    fn read_assignments(&mut self, part: &Part, build: &Build, only: Only) -> Result<()> {
        let sql = format!(
            "SELECT f.{unit}, f.user_id, f.due_day, f.submitted_day, f.submitted_day < f.assigned_day, f.grade, f.max_grade,
                    CASE WHEN a.weight >= 0 AND a.weight < 'Infinity' THEN a.weight ELSE 1 END::float8
             FROM {dw}.fact_assignment f {of_students}
             LEFT JOIN {dw}.assignment a ON (a.client_id, a.source_id, a.kind, a.assignment_id) = (f.client_id, f.source_id, f.kind, f.assignment_id)
             WHERE f.client_id = $1 AND f.{unit} IS NOT NULL AND ($2 IS NULL OR f.{unit} = $2) AND ($3 IS NULL OR f.user_id = $3)
             ORDER BY 1, 2, f.submitted_day NULLS LAST, f.due_day, f.source_id, f.kind, f.assignment_id",
            unit = unit_column(part.level()),
            dw = warehouse_schema()?,
            of_students = of_students(part),
        );
        let columns = [Int8, Int8, Day, Day, Bool, Float8, Float8, Float8];
        let args = [build.client.into(), only.unit.into(), only.user.into()];
        let (assignments, reserved) = (&mut self.assignments, &mut self.reserved);
        query(&sql, &args, &columns, |row| {
            push(assignments, assignment(row, build)?, reserved)
        })?;
        Ok(())
    }

    fn read_uses(&mut self, part: &Part, recipe: &FeatureRecipe, build: &Build, only: Only) -> Result<()> {
        let sql = format!(
            "SELECT f.{unit}, f.user_id, pg_catalog.width_bucket(f.day, $5) - 1, pg_catalog.array_position($4, l.kind) - 1, LEAST(pg_catalog.sum(f.amount), 9223372036854775807)::bigint
             FROM {dw}.fact_interaction f {of_students}
             JOIN {dw}.lecture l ON (l.client_id, l.lecture_id) = (f.client_id, f.lecture_id) AND l.kind = ANY ($4)
             WHERE f.client_id = $1 AND f.{unit} IS NOT NULL AND ($2 IS NULL OR f.{unit} = $2) AND ($3 IS NULL OR f.user_id = $3)
                   AND f.day BETWEEN $5[1] AND $6
             GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            unit = unit_column(part.level()),
            dw = warehouse_schema()?,
            of_students = of_students(part),
        );
        let day = |day: &i32| Date::saturating_from_raw(*day);
        let days: Vec<Date> = build.periods.iter().map(day).collect();
        let args = [
            build.client.into(),
            only.unit.into(),
            only.user.into(),
            recipe.kinds.clone().into(),
            days.into(),
            day(&build.last_day).into(),
        ];
        let (uses, reserved) = (&mut self.uses, &mut self.reserved);
        query(&sql, &args, &[Int8, Int8, Int4, Int4, Int8], |row| {
            let (Some(unit), Some(user), Some(period), Some(kind), Some(amount)) =
                (row.i64(0), row.i64(1), row.i32(2), row.i32(3), row.i64(4))
            else {
                return Err(null());
            };
            let found = KindUse {
                member: 0,
                period: period as u32,
                kind: kind as u32,
                amount,
            };
            push(uses, ((unit, user), found), reserved)
        })?;
        Ok(())
    }

    /// Puts those of a unit's members, who come by user, into the lists.
    pub fn of_unit(&mut self, unit: i64, members: &[Member], into: &mut UnitDetails) -> Result<()> {
        into.assignments.clear();
        into.uses.clear();
        into.first_uses.clear();
        for (member, found) in of(&self.assignments, unit, members) {
            push(
                &mut into.assignments,
                Assignment { member, ..*found },
                &mut self.reserved,
            )?;
        }
        for (member, found) in of(&self.uses, unit, members) {
            push(&mut into.uses, KindUse { member, ..*found }, &mut self.reserved)?;
        }
        for (member, found) in of(&self.first_uses, unit, members) {
            push(&mut into.first_uses, FirstUse { member, ..*found }, &mut self.reserved)?;
        }
        Ok(())
    }
}

/// Those of one unit, for [`Details`].
#[derive(Debug, Default)]
pub(super) struct UnitDetails {
    assignments: Vec<Assignment>,
    uses: Vec<KindUse>,
    first_uses: Vec<FirstUse>,
}

impl UnitDetails {
    pub fn details(&self) -> Details<'_> {
        Details {
            assignments: &self.assignments,
            uses: &self.uses,
            first_uses: &self.first_uses,
        }
    }
}

/// What is of a unit's members, with the member's place.
fn of<'a, T>(all: &'a [((i64, i64), T)], unit: i64, members: &'a [Member]) -> impl Iterator<Item = (u32, &'a T)> + 'a {
    let from = all.partition_point(|((other, _), _)| *other < unit);
    let to = all.partition_point(|((other, _), _)| *other <= unit);
    let mut at = 0;
    all[from..to].iter().filter_map(move |((_, user), found)| {
        while members.get(at).is_some_and(|member| member.user < *user) {
            at += 1;
        }
        let is_member = members.get(at).is_some_and(|member| member.user == *user);
        is_member.then_some((at as u32, found))
    })
}

fn assignment(row: &Row<'_>, build: &Build) -> Result<((i64, i64), Assignment)> {
    let (Some(unit), Some(user)) = (row.i64(0), row.i64(1)) else {
        return Err(null());
    };
    let (due, done) = (row.date(2).filter(is_day), row.date(3).filter(is_day));
    let period = |day: Option<i32>| day.and_then(|day| build.period_by(day));
    let found = Assignment {
        member: 0,
        due: period(due),
        done: period(done),
        day: done.unwrap_or(i32::MAX),
        credited: row.bool(4) == Some(true),
        days_early: due
            .zip(done)
            .map_or(f64::NAN, |(due, done)| f64::from(due) - f64::from(done)),
        // what the division does not know, nor anybody: not finite
        grade: (done.and(row.f64(5)).zip(row.f64(6)))
            .map(|(grade, max_grade)| grade / max_grade)
            .filter(|grade| grade.is_finite())
            .unwrap_or(f64::NAN),
        weight: row.f64(7).unwrap_or(1.0),
    };
    Ok(((unit, user), found))
}

/// Not an infinity.
fn is_day(day: &i32) -> bool {
    *day != i32::MIN && *day != i32::MAX
}

/// Join that leaves of facts `f` those of students in their own spaces.
fn of_students(part: &Part) -> String {
    format!(
        "JOIN {} m ON (m.client_id, m.level, m.unit_id, m.user_id) = (f.client_id, {}, f.space_id, f.user_id)",
        part.table("cube_member"),
        quote_literal("SPA"),
    )
}

/// Column of the facts that says which unit of a level they are of.
fn unit_column(level: &str) -> &'static str {
    match level {
        "ENV" => "environment_id",
        "CRS" => "course_id",
        "SPA" => "space_id",
        "SUB" => "subject_id",
        _ => "lecture_id",
    }
}
