//! Drift of a model of a table: of recorded inputs, or of the rows of a query, against the rows of the training.

use empatia_engine::classifier::ClassifierModel;
use empatia_engine::data::Table;
use empatia_engine::scoring::{drift, score_drift, Drift, Input, Levels, Shift};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::Value;

use super::loaded::{load, Loaded};
use super::source::{read, Kind};
use crate::error::{Error, Result};
use crate::pg::column::ColumnType;
use crate::pg::json::{parse, Document};
use crate::pg::read::query as read_query;
use crate::pg::threads::{run_with, start_context, Limits};

/// Most recorded predictions that are compared, the newest.
const MOST_RECORDED: usize = 1_000_000;

type DriftRow = (String, String, Option<f64>, Option<f64>, f64, f64, String, i64);

/// Compares with the training: the rows of `query` (columns `names` by `kinds`), or, where `names` is null, recorded inputs, one
/// jsonb object as text per row.
#[pg_extern(name = "_drift", volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the SQL function's
fn drift_of(
    version: i64,
    query: &str,
    names: Option<Vec<String>>,
    kinds: Option<Vec<String>>,
    levels: Document,
) -> Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(kind, String),
            name!(psi, Option<f64>),
            name!(jensen_shannon, Option<f64>),
            name!(missing_before, f64),
            name!(missing_now, f64),
            name!(level, String),
            name!(rows, i64),
        ),
    >,
    ErrorReport,
> {
    let levels: Levels = serde_json::from_value(levels.0)
        .map_err(|e| Error::invalid_parameter("levels of drift", "an object with look and shift", e))?;
    let loaded = load(version)?;
    let table = match (names, kinds) {
        (Some(names), Some(kinds)) => {
            let kinds: Vec<Kind> = kinds.iter().map(|kind| Kind::parse(kind)).collect::<Result<_>>()?;
            let context = start_context(Limits::from_settings())?;
            read(&context, query, &names, &kinds, 1, 0)?.table
        }
        _ => recorded(&loaded, query)?,
    };
    if table.n_rows() == 0 {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            "there is no row to compare with those of the training",
        )
        .hint("Record predictions first, or name a relation: drift(model, against => 'relation').")
        .into());
    }
    Ok(TableIterator::new(compared(&loaded.model, &table, &levels)?))
}

fn compared(model: &ClassifierModel, table: &Table, levels: &Levels) -> Result<Vec<DriftRow>> {
    let rows = table.n_rows() as i64;
    let (features, scores, classes) = run_with(Limits::from_settings(), |ctx| {
        let features = drift(ctx, model, table, levels)?;
        let probabilities = model.predict(ctx, table)?;
        let k = model.classes().len();
        let of_class = |class: usize| {
            probabilities
                .iter()
                .skip(class)
                .step_by(k)
                .copied()
                .collect::<Vec<f64>>()
        };
        let scored: Vec<Vec<f64>> = model
            .score_histograms()
            .iter()
            .map(|histogram| {
                of_class(
                    model
                        .classes()
                        .iter()
                        .position(|class| *class == histogram.name)
                        .unwrap_or(k - 1),
                )
            })
            .collect();
        let decided: Vec<u32> = probabilities.chunks_exact(k).map(|row| model.decide(row)).collect();
        Ok((features, score_drift(model, &scored, levels)?, decided))
    })?;
    let row = |kind: &str, drift: Drift| {
        let level = match drift.level {
            Shift::Stable => "stable",
            Shift::Look => "look",
            Shift::Shift => "shift",
        };
        (
            drift.name,
            kind.to_owned(),
            drift.psi,
            drift.jensen_shannon,
            drift.missing_before,
            drift.missing_now,
            level.to_owned(),
            rows,
        )
    };
    let mut found: Vec<DriftRow> = features.into_iter().map(|drift| row("feature", drift)).collect();
    found.extend(scores.into_iter().map(|drift| row("score", drift)));
    // shares of the decided classes, for SQL to compare with those of the training
    for (class, name) in model.classes().iter().enumerate() {
        let share = classes.iter().filter(|decided| **decided as usize == class).count() as f64 / rows.max(1) as f64;
        found.push((
            name.clone(),
            "class".into(),
            None,
            None,
            f64::NAN,
            share,
            "stable".into(),
            rows,
        ));
    }
    Ok(found)
}

/// Recorded inputs as a table. Whoever may record predictions may have written anything: what cannot be a model's input is left out, and told.
fn recorded(loaded: &Loaded, query: &str) -> Result<Table> {
    let context = start_context(Limits::from_settings())?;
    let mut held = context.reserve(0)?;
    let width = size_of::<Vec<Value>>() + loaded.schema.columns.len() * size_of::<Value>();
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut unreadable: u64 = 0;
    read_query(query, &[], &[ColumnType::Text], |row| {
        if rows.len() >= MOST_RECORDED {
            return Err(Error::invalid_parameter(
                "since",
                format!("late enough for at most {MOST_RECORDED} predictions"),
                "earlier",
            ));
        }
        let text = row.text(0)?.unwrap_or("null");
        let given = parse(text).ok();
        let Some(values) = given.and_then(|given| Input::of_recorded(&loaded.schema, &given)) else {
            unreadable += 1;
            return Ok(());
        };
        // the values, and their column in the table that is made of them
        held.grow(width + 2 * text.len() + 8 * loaded.schema.columns.len())?;
        rows.push(values);
        Ok(())
    })?;
    if unreadable > 0 {
        warning!("left out of the recorded predictions: {unreadable}, whose inputs are no object, or hold a number that no column takes");
    }
    Ok(Input::table(&loaded.schema, &rows)?)
}
