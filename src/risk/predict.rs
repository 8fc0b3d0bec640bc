//! Predictions of a model of a table: of one case given as JSON, and of the rows of a query.

use empatia_engine::classifier::{ClassifierModel, Contributions};
use empatia_engine::context::Context;
use empatia_engine::data::{Table, Values, MISSING};
use empatia_engine::error::EngineError;
use empatia_engine::scoring::{factors, Input, Language};
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};
use pgrx::prelude::*;
use pgrx::JsonB;
use serde_json::{json, Map, Value};

use super::loaded::{load, Loaded};
use super::source::{read, Kind};
use crate::error::{Error, Result};
use crate::pg::json::Document;
use crate::pg::threads::{compute, quick_context, run_with, start_context, Limits};

/// The class that a score is of: the positive one, else the last.
fn positive(model: &ClassifierModel) -> u32 {
    model.positive().unwrap_or(model.classes().len() as u32 - 1)
}

fn language(name: &str) -> Result<Language> {
    match name {
        "pt" => Ok(Language::Portuguese),
        "en" => Ok(Language::English),
        _ => Err(Error::unknown_name("language", name, &["pt", "en"])),
    }
}

fn count(most: i32) -> Result<usize> {
    usize::try_from(most).map_err(|_| Error::invalid_parameter("factors", "zero or more", most))
}

/// Probabilities of the rows and, where asked for, why.
struct Scored {
    probabilities: Vec<f64>,
    why: Option<Contributions>,
}

/// `why`: explains the class of each row.
type Why<'a> = &'a (dyn Fn(&Context, &Table, &[u32]) -> Result<Contributions, EngineError> + Sync);

fn score(ctx: &Context, model: &ClassifierModel, table: &Table, why: Option<Why>) -> Result<Scored, EngineError> {
    let probabilities = model.predict(ctx, table)?;
    let classes = vec![positive(model); table.n_rows()];
    let why = why.map(|why| why(ctx, table, &classes));
    Ok(Scored {
        probabilities,
        why: why.transpose()?,
    })
}

/// Predicts one case: `input` is an object of columns by any of their names.
#[pg_extern(name = "_predict", stable, parallel_safe)]
#[allow(clippy::type_complexity)] // the SQL function's
fn predict(
    version: i64,
    input: Document,
    most: i32,
    language_name: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(student_id, Option<String>),
            name!(risk_score, f64),
            name!(class, String),
            name!(threshold, Option<f64>),
            name!(probabilities, JsonB),
            name!(factors, JsonB),
            name!(imputed, Vec<String>),
            name!(unknown, Vec<String>),
            name!(refused, JsonB),
            name!(inputs, JsonB),
        ),
    >,
    ErrorReport,
> {
    let (most, language) = (count(most)?, language(language_name)?);
    let Value::Object(given) = &input.0 else {
        return Err(Error::invalid_parameter("input", "an object of the columns of the model", &input.0).into());
    };
    let loaded = load(version)?;
    let Loaded {
        model,
        schema,
        spellings,
        explainer,
        ..
    } = loaded.as_ref();
    let read = Input::read(schema, spellings.as_ref(), model, given);
    let why: Why = &|ctx, table, classes| model.explain_with(ctx, explainer, table, classes);
    let context = if loaded.is_quick {
        quick_context()?
    } else {
        start_context(Limits::from_settings())?
    };
    let rows = [read.values];
    let scored = compute(&context, || {
        score(
            &context,
            model,
            &Input::table(schema, &rows)?,
            (most > 0).then_some(why),
        )
    })?;
    let [values] = rows;
    let row = Case {
        loaded: &loaded,
        scored: &scored,
        row: 0,
    };
    let inputs: Map<String, Value> = schema
        .columns
        .iter()
        .map(|column| column.name.clone())
        .zip(values.iter().cloned())
        .filter(|(_, value)| !value.is_null())
        .collect();
    Ok(TableIterator::once((
        read.key,
        row.risk(),
        row.class(),
        model.threshold(),
        JsonB(row.probabilities()),
        JsonB(row.factors(&values, most, language)?),
        read.missing,
        read.unknown,
        JsonB(serde_json::to_value(&read.refused).map_err(|e| Error::internal(e.to_string()))?),
        JsonB(Value::Object(inputs)),
    )))
}

/// Predicts the rows of `query`: columns `names` as double precision or text by `kinds`, then the key. Columns of the model that
/// the query does not have count as missing.
#[pg_extern(name = "_predict_rows", stable, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the SQL function's
fn predict_rows(
    version: i64,
    query: &str,
    names: Vec<String>,
    kinds: Vec<String>,
    most: i32,
    language_name: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(student_id, Option<String>),
            name!(risk_score, f64),
            name!(class, String),
            name!(factors, JsonB),
            name!(imputed, Vec<String>),
            name!(inputs, JsonB),
        ),
    >,
    ErrorReport,
> {
    let (most, language) = (count(most)?, language(language_name)?);
    let loaded = load(version)?;
    let kinds: Vec<Kind> = kinds.iter().map(|kind| Kind::parse(kind)).collect::<Result<_>>()?;
    let context = start_context(Limits::from_settings())?;
    let mut rows = read(&context, query, &names, &kinds, 1, 0)?;
    let keys = rows.texts.pop().unwrap_or_default();
    let (model, table) = (&loaded.model, &rows.table);
    // the same of each row, however many there are
    let why: Why = &|ctx, table, classes| model.explain(ctx, table, classes);
    let scored = run_with(Limits::from_settings(), |ctx| {
        score(ctx, model, table, (most > 0).then_some(why))
    })?;
    // made as they are fetched: all at once they would take many times what the scores do
    let held = (context, rows.reservation);
    let table = rows.table;
    Ok(TableIterator::new(keys.into_iter().enumerate().map(
        move |(row, key)| {
            let _held = &held;
            let case = Case {
                loaded: &loaded,
                scored: &scored,
                row,
            };
            case.output(key, &table, most, language).unwrap_or_report()
        },
    )))
}

type RowOutput = (Option<String>, f64, String, JsonB, Vec<String>, JsonB);

/// One row of what was scored.
struct Case<'a> {
    loaded: &'a Loaded,
    scored: &'a Scored,
    row: usize,
}

impl Case<'_> {
    fn of_row(&self) -> &[f64] {
        let k = self.loaded.model.classes().len();
        self.scored
            .probabilities
            .get(self.row * k..(self.row + 1) * k)
            .unwrap_or(&[])
    }

    fn risk(&self) -> f64 {
        self.of_row()
            .get(positive(&self.loaded.model) as usize)
            .copied()
            .unwrap_or(f64::NAN)
    }

    fn class(&self) -> String {
        let class = self.loaded.model.decide(self.of_row()) as usize;
        self.loaded.model.classes().get(class).cloned().unwrap_or_default()
    }

    fn probabilities(&self) -> Value {
        let classes = self.loaded.model.classes().iter().cloned();
        Value::Object(classes.zip(self.of_row().iter().map(|p| json!(p))).collect())
    }

    fn factors(&self, values: &[Value], most: usize, language: Language) -> Result<Value> {
        let Some(why) = &self.scored.why else {
            return Ok(json!([]));
        };
        let found = factors(
            &self.loaded.schema,
            &self.loaded.model,
            why,
            self.row,
            values,
            most,
            language,
        );
        serde_json::to_value(found).map_err(|e| Error::internal(e.to_string()))
    }

    /// What `_predict_rows` returns of the row.
    fn output(
        &self,
        key: Option<String>,
        table: &Table,
        most: usize,
        language: Language,
    ) -> Result<RowOutput, ErrorReport> {
        let values = self.values(table);
        let factors = self.factors(&values, most, language)?;
        let (mut missing, mut inputs) = (Vec::new(), Map::new());
        for (column, value) in self.loaded.schema.columns.iter().zip(values) {
            if value.is_null() {
                missing.push(column.name.clone());
            } else {
                inputs.insert(column.name.clone(), value);
            }
        }
        let inputs = JsonB(Value::Object(inputs));
        Ok((key, self.risk(), self.class(), JsonB(factors), missing, inputs))
    }

    /// The row's values by column of the schema.
    fn values(&self, table: &Table) -> Vec<Value> {
        let of = |name: &str| match table.values(name) {
            Ok(Values::Numeric(values)) => values
                .get(self.row)
                .filter(|x| !x.is_nan())
                .map_or(Value::Null, |x| json!(x)),
            Ok(Values::Category { levels, codes }) => match codes.get(self.row) {
                Some(code) if *code != MISSING => json!(levels[*code as usize]),
                _ => Value::Null,
            },
            Err(_) => Value::Null,
        };
        self.loaded
            .schema
            .columns
            .iter()
            .map(|column| of(&column.name))
            .collect()
    }
}
