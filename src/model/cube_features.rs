//! `empatia._cube_features()`: what a classifier sees of the rows of a part, to look at and to compare with.

use empatia_engine::feature::{FeatureRecipe, FeatureVectors, UnitRows, COUNTS};
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::JsonB;
use serde_json::{Map, Value};

use super::cube_rows::CubeRows;
use super::cube_structure::{builds, Build, Structure};
use super::part::Part;
use super::student_attributes::StudentAttributes;
use crate::error::{Error, Result};
use crate::pg::json::Document;
use crate::pg::threads::{start_context, Limits};

/// About what a row of the answer takes, per feature.
const FEATURE: usize = 64;

/// The features of every row of the dense cube of a client at a level and grain, or of one unit of it.
#[pg_extern(name = "_cube_features", volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the SQL function's
fn cube_features(
    results: &str,
    level: &str,
    grain: &str,
    client_id: i32,
    recipe: Document,
    unit_id: default!(Option<i64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(user_id, i64),
            name!(unit_id, i64),
            name!(period_start, Date),
            name!(features, JsonB),
        ),
    >,
    ErrorReport,
> {
    let recipe: FeatureRecipe = serde_json::from_value(recipe.0)
        .map_err(|e| Error::invalid_parameter("recipe", "an object of the parts of a recipe of features", e))?;
    let part = Part::new(results, level, grain, &COUNTS.map(String::from))?;
    let mut found = Vec::new();
    for build in builds(&part, Some(client_id))? {
        read(&part, &recipe, &build, unit_id, &mut found)?;
    }
    Ok(TableIterator::new(found))
}

fn read(
    part: &Part,
    recipe: &FeatureRecipe,
    build: &Build,
    only: Option<i64>,
    into: &mut Vec<(i64, i64, Date, JsonB)>,
) -> Result<()> {
    let context = start_context(Limits {
        threads: 1,
        ..Limits::from_settings()
    })?;
    recipe.check().map_err(Error::from)?;
    let attributes = StudentAttributes::read(
        &context,
        part.level(),
        Some(build.client),
        None,
        &recipe.attributes,
        None,
    )?;
    let structure = Structure::read(&context, part, build, only)?;
    let mut answer = context.reserve(0)?;
    let rows = CubeRows {
        ctx: &context,
        part,
        recipe,
        attributes: &attributes,
        build,
        structure: &structure,
        only,
        writing: false,
    };
    rows.each_unit(
        |_| 0,
        |unit, rows: &UnitRows<'_>| {
            let columns = attributes.attributes().columns();
            let mut vectors = FeatureVectors::new(&context, recipe, build.basis, columns)?;
            let names: Vec<String> = vectors.names().map(String::from).collect();
            let mut vector = Vec::with_capacity(rows.width());
            for (at, member) in rows.members().iter().enumerate() {
                check_for_interrupts!();
                for (period, day) in build.periods.iter().enumerate() {
                    rows.vector(at, period, &mut vector);
                    answer.grow(names.len() * FEATURE)?;
                    let number = vectors.insert(&vector)?;
                    let features = as_json(&vectors, number, &names);
                    into.push((member.user, unit, Date::saturating_from_raw(*day), JsonB(features)));
                }
            }
            Ok(())
        },
    )
}

/// Names and values; what is missing is null, categories are their names.
fn as_json(vectors: &FeatureVectors, number: usize, names: &[String]) -> Value {
    let value = |column: usize| match vectors.level(number, column) {
        Some(level) => Value::from(level),
        None => Value::from(vectors.value(number, column)), // null where it is not a number
    };
    let features: Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (name.clone(), value(at)))
        .collect();
    Value::Object(features)
}
