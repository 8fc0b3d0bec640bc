//! `empatia._explain_row()`: why a classifier says what it says of one row of the cube.
//!
//! A teacher asks for one student after the other of the same class: model and unit are kept for the next call of the session, as
//! long as they are the same by number, time of making and time of building, and the unit for those who may read all of it.

use std::cell::RefCell;
use std::rc::Rc;

use empatia_engine::classifier::Contributions;
use empatia_engine::context::Context;
use empatia_engine::data::{Table, Values};
use empatia_engine::feature::{Cell, CubeModel, FeatureVectors, Member, UnitRows};
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;

use super::cube_model::{self, judge};
use super::cube_rows::CubeRows;
use super::cube_structure::{builds, Build, Structure};
use super::part::Part;
use super::reason_texts::ReasonTexts;
use super::student_attributes::StudentAttributes;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{Bool, Bytea, Timestamptz};
use crate::pg::read::query;
use crate::pg::threads::{compute, start_context, Limits};

/// Units with more cells than this are read anew by every call.
const KEPT_CELLS: usize = 1 << 18;

/// Why classifier `version` says what it says of a member of a unit in a period: the contribution of each feature to the score of the
/// row's class.
#[pg_extern(name = "_explain_row", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // the SQL function's
fn explain_row(
    client_id: i32,
    results: &str,
    level: &str,
    grain: &str,
    unit_id: i64,
    user_id: i64,
    period_start: Date,
    version: i64,
) -> Result<
    TableIterator<
        'static,
        (
            name!(feature, String),
            name!(value, Option<String>),
            name!(contribution, f64),
            name!(reason, String),
            name!(base_value, f64),
            name!(score, f64),
            name!(scale, String),
            name!(probability, f64),
            name!(class, String),
        ),
    >,
    ErrorReport,
> {
    let context = start_context(Limits {
        threads: 1,
        ..Limits::from_settings()
    })?;
    let part = Part::new(results, level, grain, &[])?;
    let (times, open) = times(&part, client_id, version)?;
    let model = model(version, times.made)?;
    let asked = Asked {
        results: results.to_owned(),
        level: level.to_owned(),
        grain: grain.to_owned(),
        client: client_id,
        unit: unit_id,
        version,
        times,
    };
    let unit = unit(&context, &part, asked, &model, open)?;
    let table = unit.row(&context, &model, user_id, period_start.to_pg_epoch_days())?;
    let explained = Explained::new(&context, &model, table)?;
    Ok(TableIterator::new(explained.rows(&model)?))
}

/// When a model was made and a part was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    made: i64,
    built: i64,
}

/// Tables that a unit is read from, besides the part's own.
const READ: [&str; 4] = ["cube_period", "cube_unit", "cube_member", "cube_assigned"];

/// The times, and whether a unit that this session has read may be shown: the role may be another than then, and what it may see.
fn times(part: &Part, client: i32, version: i64) -> Result<(Times, bool)> {
    let mut tables: Vec<String> = READ.iter().map(|name| part.table(name)).collect();
    tables.push(part.table(&part.partition("cube")));
    let tables: Vec<String> = tables.iter().map(quote_literal).collect();
    let sql = format!(
        "SELECT m.created_at, b.built_at,
                (SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(t.name, 'SELECT') AND NOT pg_catalog.row_security_active(t.name))
                 FROM pg_catalog.unnest(ARRAY[{}]) t (name))
         FROM empatia.model m, {} b
         WHERE m.version = $1 AND (b.client_id, b.level, b.grain) = ($2, {}, {})",
        tables.join(", "),
        part.table("cube_build"),
        quote_literal(part.level()),
        quote_literal(part.grain())
    );
    let mut found = None;
    query(
        &sql,
        &[version.into(), client.into()],
        &[Timestamptz, Timestamptz, Bool],
        |row| {
            if let (Some(made), Some(built), Some(open)) = (row.timestamptz(0), row.timestamptz(1), row.bool(2)) {
                found = Some((Times { made, built }, open));
            }
            Ok(())
        },
    )?;
    found.ok_or_else(|| Error::not_ready(format!("there is no model {version}, or the cube was not built")))
}

thread_local! {
    static MODEL: RefCell<Option<(i64, i64, Rc<CubeModel>)>> = const { RefCell::new(None) };
    static UNIT: RefCell<Option<Rc<Unit>>> = const { RefCell::new(None) };
}

fn model(version: i64, made: i64) -> Result<Rc<CubeModel>> {
    let kept = MODEL.with_borrow(|kept| match kept {
        Some((of, when, model)) if (*of, *when) == (version, made) => Some(Rc::clone(model)),
        _ => None,
    });
    if let Some(model) = kept {
        return Ok(model);
    }
    let mut found = None;
    query(
        "SELECT m.encoded FROM empatia.model m WHERE m.version = $1",
        &[version.into()],
        &[Bytea],
        |row| {
            found = row.bytes(0).map(CubeModel::decode).transpose()?;
            Ok(())
        },
    )?;
    let model = Rc::new(found.ok_or_else(|| Error::not_found("model", version))?);
    MODEL.set(Some((version, made, Rc::clone(&model))));
    Ok(model)
}

/// What is asked about, but for the member and the period.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    results: String,
    level: String,
    grain: String,
    client: i32,
    unit: i64,
    version: i64,
    times: Times,
}

/// A unit with its cells.
struct Unit {
    asked: Asked,
    build: Build,
    members: Vec<Member>,
    cells: Vec<Cell>,
    attributes: StudentAttributes,
}

/// `open`: whoever asks may see all of the unit.
fn unit(context: &Context, part: &Part, asked: Asked, model: &CubeModel, open: bool) -> Result<Rc<Unit>> {
    let kept = UNIT.with_borrow(|kept| kept.as_ref().filter(|unit| unit.asked == asked).map(Rc::clone));
    // what is known of students besides the cube may change without a build
    if let Some(unit) = kept.filter(|_| open && model.recipe.attributes.is_empty()) {
        return Ok(unit);
    }
    let unit = Rc::new(Unit::read(context, part, asked, model)?);
    // what row security left of it is one role's, perhaps for the length of a setting
    let keep = open && unit.cells.len() <= KEPT_CELLS;
    UNIT.set(keep.then(|| Rc::clone(&unit)));
    Ok(unit)
}

impl Unit {
    fn read(context: &Context, part: &Part, asked: Asked, model: &CubeModel) -> Result<Self> {
        let build = builds(part, Some(asked.client))?.into_iter().next();
        let build = build.ok_or_else(|| Error::not_ready("the cube was not built"))?;
        let attributes = cube_model::attributes(context, Some(asked.client), model)?;
        let structure = Structure::read(context, part, &build, Some(asked.unit))?;
        let (mut members, mut cells) = (Vec::new(), Vec::new());
        let rows = CubeRows {
            ctx: context,
            part,
            recipe: &model.recipe,
            attributes: &attributes,
            build: &build,
            structure: &structure,
            only: Some(asked.unit),
            writing: false,
        };
        rows.each_unit(
            |_| 0,
            |_, rows| {
                members = rows.members().to_vec();
                cells = (0..members.len())
                    .flat_map(|member| rows.cells_of(member))
                    .copied()
                    .collect();
                Ok(())
            },
        )?;
        Ok(Self {
            asked,
            build,
            members,
            cells,
            attributes,
        })
    }

    /// The features of a member in a period that begins on `day`, as a table of one row.
    fn row(&self, context: &Context, model: &CubeModel, user: i64, day: i32) -> Result<Table> {
        let member = self.members.binary_search_by_key(&user, |member| member.user);
        let member = member.map_err(|_| {
            let expected = format!("a member of unit {} at level {}", self.asked.unit, self.asked.level);
            Error::invalid_parameter("user_id", expected, user)
        })?;
        let period = self.build.periods.binary_search(&day).map_err(|_| {
            let expected = format!(
                "the first day of a period of {} x {}",
                self.asked.level, self.asked.grain
            );
            Error::invalid_parameter("period_start", expected, "another day")
        })?;
        // the cells that the row's features are made of: the window, and the one with which the unit began
        let from = period.saturating_sub(model.recipe.history);
        let active = self.cells.iter().enumerate().filter(|(_, cell)| cell.activity() != 0);
        let first = active.min_by_key(|(_, cell)| cell.period).map(|(at, _)| at);
        let is_seen =
            |(at, cell): &(usize, &Cell)| (from..=period).contains(&(cell.period as usize)) || Some(*at) == first;
        let cells: Vec<Cell> = self
            .cells
            .iter()
            .enumerate()
            .filter(is_seen)
            .map(|(_, cell)| *cell)
            .collect();
        let attributes = self.attributes.attributes();
        let rows = UnitRows::build(
            context,
            &model.recipe,
            self.build.basis,
            self.build.periods.len(),
            &self.members,
            &cells,
            attributes,
        )?;
        let mut vector = Vec::new();
        rows.vector(member, period, &mut vector);
        let mut vectors = FeatureVectors::new(context, &model.recipe, self.build.basis, attributes.columns())?;
        vectors.insert(&vector)?;
        Ok(vectors.table(0, 1)?)
    }
}

/// A row's explanation.
struct Explained {
    table: Table,
    class: u32,
    probability: f64,
    found: Contributions,
}

type Row = (String, Option<String>, f64, String, f64, f64, String, f64, String);

impl Explained {
    fn new(context: &Context, model: &CubeModel, table: Table) -> Result<Self> {
        let model = &model.model;
        let (class, probability, found) = compute(context, || {
            let probabilities = model.predict(context, &table)?;
            let class = model.decide(&probabilities);
            let found = model.explain(context, &table, &[class])?;
            Ok((class, probabilities[class as usize], found))
        })?;
        Ok(Self {
            table,
            class,
            probability,
            found,
        })
    }

    /// One per feature, the strongest contribution first.
    fn rows(&self, model: &CubeModel) -> Result<Vec<Row>> {
        let texts = ReasonTexts::read()?;
        let judge = judge(model, &texts);
        let classifier = &model.model;
        let contributions = self.found.of(0);
        let mut columns: Vec<usize> = (0..contributions.len()).collect();
        columns.sort_by(|a, b| {
            contributions[*b]
                .abs()
                .total_cmp(&contributions[*a].abs())
                .then(a.cmp(b))
        });
        let row = |column: usize| {
            let name = &classifier.columns()[column].name;
            let contribution = contributions[column] + 0.0;
            (
                name.clone(),
                self.table.values(name).ok().and_then(shown),
                contribution,
                judge.words(&self.table, 0, column, contribution >= 0.0),
                self.found.base[0],
                self.found.score[0],
                self.found.scale.name().to_owned(),
                self.probability,
                classifier.classes()[self.class as usize].clone(),
            )
        };
        Ok(columns.into_iter().map(row).collect())
    }
}

/// The value of the only row; none where it is missing.
fn shown(values: &Values) -> Option<String> {
    match values {
        Values::Numeric(values) => values.first().filter(|value| !value.is_nan()).map(f64::to_string),
        Values::Category { levels, codes } => codes.first().and_then(|code| levels.get(*code as usize)).cloned(),
    }
}
