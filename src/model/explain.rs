//! `empatia._explain_row()`: why a classifier says what it says of one row of the cube.
//!
//! A teacher asks for one student after the other, and mostly of the same classes: models and units are kept for the next calls of the
//! session, as long as they are what they were, and units for those who may read all of them.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use empatia_engine::classifier::{ClassifierExplainer, Contributions};
use empatia_engine::context::Context;
use empatia_engine::data::{Table, Values};
use empatia_engine::feature::{Cell, CubeModel, FeatureVectors, Member, UnitRows, UnitSummary};
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;

use super::cube_model::{self, judge};
use super::cube_rows::{cell, cell_types, CubeRows, CELL_COLUMNS};
use super::cube_structure::{builds, Build, Structure};
use super::fact_details::{FactDetails, Only, UnitDetails};
use super::model_cache::{is_quick, load, Kept, Models, Stored};
use super::part::Part;
use super::reason_texts::ReasonTexts;
use super::student_attributes::{warehouse_schema, StudentAttributes};
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{Bool, Timestamptz};
use crate::pg::read::query_kept;
use crate::pg::threads::{compute, quick_context, start_context, Limits};

/// Models, and units, that are kept take at most this part of `empatia.memory_limit` each.
const SHARE: usize = 8;

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
    let part = Part::new(results, level, grain, &[])?;
    let ready = load(&MODELS, version, Ready::new)?;
    let context = if ready.is_quick {
        quick_context()?
    } else {
        start_context(Limits::from_settings())?
    };
    let asked = Asked {
        results: results.to_owned(),
        level: level.to_owned(),
        grain: grain.to_owned(),
        client: client_id,
        unit: unit_id,
        history: ready.model.recipe.history,
        rank: ready.model.recipe.rank,
        coverage: ready.model.recipe.coverage,
        times: Times::read(&part, client_id, ready.model.recipe.coverage)?,
    };
    let attributes = cube_model::attributes(&context, level, Some(client_id), Some(user_id), &ready.model)?;
    let unit = unit(&context, &part, asked, &ready.model, &attributes)?;
    let day = period_start.to_pg_epoch_days();
    let table = unit.row(&context, &part, &ready.model, &attributes, (user_id, day))?;
    let explained = Explained::new(&context, &ready, table)?;
    Ok(TableIterator::new(explained.rows(&ready.model)?))
}

thread_local! {
    static MODELS: Models<Ready> = const { RefCell::new(Kept::new(SHARE)) };
    static UNITS: RefCell<Kept<Asked, Unit>> = const { RefCell::new(Kept::new(SHARE)) };
}

/// A model with what explains it.
struct Ready {
    model: CubeModel,
    explainer: ClassifierExplainer,
    /// Whether explaining one row takes less time than starting a thread.
    is_quick: bool,
}

impl Ready {
    fn new(stored: Stored) -> Result<(Self, usize)> {
        let encoded = stored
            .encoded
            .ok_or_else(|| Error::internal("found a model without bytes"))?;
        let model = CubeModel::decode(&encoded)?;
        let explainer = model.model.explainer();
        let is_quick = is_quick(&model.model);
        let bytes = encoded.len() + model.model.bytes() + model.model.explainer_bytes();
        let ready = Self {
            model,
            explainer,
            is_quick,
        };
        Ok((ready, bytes))
    }
}

/// When a part was built, and the structure of its client was brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    built: i64,
    synced: i64,
}

/// Tables that a unit is read from, besides the part's own, and the one that says when it changed.
const READ: [&str; 5] = ["cube_period", "cube_unit", "cube_member", "cube_assigned", "cube_sync"];

impl Times {
    /// None where a unit that this session has read may not be shown: the role may be another than then, and what it may see.
    fn read(part: &Part, client: i32, coverage: bool) -> Result<Option<Self>> {
        if !is_open(part, coverage)? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT b.built_at, y.synced_at FROM {} b JOIN {} y USING (client_id) WHERE (b.client_id, b.level, b.grain) = ($1, {}, {})",
            part.table("cube_build"),
            part.table("cube_sync"),
            quote_literal(part.level()),
            quote_literal(part.grain())
        );
        let mut found = None;
        query_kept(&sql, &[client.into()], &[Timestamptz; 2], |row| {
            if let (Some(built), Some(synced)) = (row.timestamptz(0), row.timestamptz(1)) {
                found = Some(Self { built, synced });
            }
            Ok(())
        })?;
        found
            .map(Some)
            .ok_or_else(|| Error::not_ready("the cube was not built"))
    }
}

/// Whether the role may read all of the tables that a unit is read from; with `coverage`, which lectures its members use is part of it.
fn is_open(part: &Part, coverage: bool) -> Result<bool> {
    let mut tables: Vec<String> = READ.iter().map(|name| part.table(name)).collect();
    tables.push(part.table(&part.partition("cube")));
    if coverage {
        tables.push(format!("{}.fact_interaction", warehouse_schema()?));
    }
    let tables: Vec<String> = tables.iter().map(quote_literal).collect();
    let sql = format!(
        "SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(t.name, 'SELECT') AND NOT pg_catalog.row_security_active(t.name))
         FROM pg_catalog.unnest(ARRAY[{}]) t (name)",
        tables.join(", ")
    );
    let mut open = false;
    query_kept(&sql, &[], &[Bool], |row| {
        open = row.bool(0) == Some(true);
        Ok(())
    })?;
    Ok(open)
}

/// What is asked about, but for the member and the period.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    results: String,
    level: String,
    grain: String,
    client: i32,
    unit: i64,
    /// Of the recipe: what the summary depends on.
    history: usize,
    rank: bool,
    coverage: bool,
    /// None: what row security leaves of a unit is one role's, perhaps for the length of a setting, and not kept.
    times: Option<Times>,
}

/// A unit, but for its cells.
struct Unit {
    asked: Asked,
    build: Build,
    /// The unit whose members are its own.
    members_of: i64,
    /// Without attributes: these may change without a build.
    members: Vec<Member>,
    summary: Arc<UnitSummary>,
}

fn unit(
    context: &Context,
    part: &Part,
    asked: Asked,
    model: &CubeModel,
    attributes: &StudentAttributes,
) -> Result<Rc<Unit>> {
    if asked.times.is_none() {
        return Ok(Rc::new(Unit::read(context, part, asked, model, attributes)?));
    }
    if let Some(unit) = UNITS.with_borrow_mut(|units| units.get(&asked)) {
        return Ok(unit);
    }
    let unit = Rc::new(Unit::read(context, part, asked, model, attributes)?);
    let key = unit.asked.clone();
    UNITS.with_borrow_mut(|units| units.put(key, &unit, unit.bytes()));
    Ok(unit)
}

impl Unit {
    fn read(
        context: &Context,
        part: &Part,
        asked: Asked,
        model: &CubeModel,
        attributes: &StudentAttributes,
    ) -> Result<Self> {
        let build = builds(part, Some(asked.client))?.into_iter().next();
        let build = build.ok_or_else(|| Error::not_ready("the cube was not built"))?;
        let structure = Structure::read(context, part, &build, Some(asked.unit))?;
        let members_of = structure.units().next().map_or(asked.unit, |_| structure.members_of(0));
        let (mut members, mut summary) = (Vec::new(), Arc::default());
        let rows = CubeRows {
            ctx: context,
            part,
            recipe: &model.recipe,
            attributes,
            build: &build,
            structure: &structure,
            only: Some(asked.unit),
            writing: false,
        };
        rows.each_unit(
            |_| 0,
            |_, rows| {
                let bare = |member: &Member| Member {
                    attributes: 0,
                    ..*member
                };
                members = rows.members().iter().map(bare).collect();
                summary = rows.summary();
                Ok(())
            },
        )?;
        Ok(Self {
            asked,
            build,
            members_of,
            members,
            summary,
        })
    }

    fn bytes(&self) -> usize {
        self.members.len() * size_of::<Member>() + self.summary.bytes() + size_of::<Self>()
    }

    /// The features of a member in a period that begins on `day`, as a table of one row.
    fn row(
        &self,
        context: &Context,
        part: &Part,
        model: &CubeModel,
        attributes: &StudentAttributes,
        (user, day): (i64, i32),
    ) -> Result<Table> {
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
        let member = Member {
            attributes: attributes.of(self.asked.client, self.members_of, user),
            ..self.members[member]
        };
        let window = period.saturating_sub(model.recipe.history)..period + 1;
        let cells = cells_of(part, &self.asked, &self.build.periods, user, window)?;
        let (members, attributes) = ([member], attributes.attributes());
        let only = Only {
            unit: Some(self.asked.unit),
            user: Some(user),
        };
        let mut of_unit = UnitDetails::default();
        let mut facts = FactDetails::read(context, part, &model.recipe, &self.build, only)?;
        facts.of_unit(self.asked.unit, &members, &mut of_unit)?;
        let rows = UnitRows::some(
            context,
            &model.recipe,
            self.build.basis,
            self.build.periods.len(),
            &members,
            &cells,
            attributes,
            Arc::clone(&self.summary),
        )?
        .with_details(of_unit.details())?;
        let mut vector = Vec::new();
        rows.vector(0, period, &mut vector);
        let mut vectors = FeatureVectors::new(context, &model.recipe, self.build.basis, attributes.columns())?;
        vectors.insert(&vector)?;
        Ok(vectors.table(0, 1)?)
    }
}

/// The cells of a member in some periods.
fn cells_of(part: &Part, asked: &Asked, periods: &[i32], user: i64, window: Range<usize>) -> Result<Vec<Cell>> {
    let sql = format!(
        "SELECT {CELL_COLUMNS} FROM {} x WHERE x.client_id = $1 AND x.user_id = $2 AND x.unit_id = $3 AND x.period_start BETWEEN $4 AND $5
         ORDER BY x.period_start",
        part.table(&part.partition("cube"))
    );
    let day = |period: usize| Date::saturating_from_raw(periods[period]);
    let args = [
        asked.client.into(),
        user.into(),
        asked.unit.into(),
        day(window.start).into(),
        day(window.end - 1).into(),
    ];
    let mut cells = Vec::with_capacity(window.len());
    query_kept(&sql, &args, &cell_types(), |row| {
        cells.push(cell(row, 0, periods)?);
        Ok(())
    })?;
    Ok(cells)
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
    fn new(context: &Context, ready: &Ready, table: Table) -> Result<Self> {
        let (model, explainer) = (&ready.model.model, &ready.explainer);
        let (class, probability, found) = compute(context, || {
            let probabilities = model.predict(context, &table)?;
            let class = model.decide(&probabilities);
            let found = model.explain_with(context, explainer, &table, &[class])?;
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
        let classifier = &model.model;
        let contributions = self.found.of(0);
        let mut words = judge(model, &texts).words(&self.table, 0, contributions);
        let mut columns: Vec<usize> = (0..contributions.len()).collect();
        columns.sort_by(|a, b| {
            contributions[*b]
                .abs()
                .total_cmp(&contributions[*a].abs())
                .then(a.cmp(b))
        });
        let mut row = |column: usize| {
            let name = &classifier.columns()[column].name;
            (
                name.clone(),
                self.table.values(name).ok().and_then(shown),
                contributions[column] + 0.0,
                std::mem::take(&mut words[column]),
                self.found.base[0],
                self.found.score[0],
                self.found.scale.name().to_owned(),
                self.probability,
                classifier.classes()[self.class as usize].clone(),
            )
        };
        Ok(columns.into_iter().map(&mut row).collect())
    }
}

/// The value of the only row; none where it is missing.
fn shown(values: &Values) -> Option<String> {
    match values {
        Values::Numeric(values) => values.first().filter(|value| !value.is_nan()).map(f64::to_string),
        Values::Category { levels, codes } => codes.first().and_then(|code| levels.get(*code as usize)).cloned(),
    }
}
