//! Decoded models, kept by the session: decoding one takes longer than predicting with it.

use std::cell::RefCell;
use std::rc::Rc;

use empatia_engine::classifier::ClassifierModel;
use empatia_engine::scoring::Schema;
use pgrx::datum::DatumWithOid;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::pg::column::ColumnType;
use crate::pg::read::query_stable;

/// Most models that a session keeps.
const KEPT: usize = 4;

thread_local! {
    /// The last used comes last.
    static MODELS: RefCell<Vec<Rc<Loaded>>> = const { RefCell::new(Vec::new()) };
}

/// A model of a table, ready for use.
pub struct Loaded {
    version: i64,
    /// Versions are numbered anew after DROP EXTENSION; a model is what it was created as.
    created_at: i64,
    pub model: ClassifierModel,
    pub schema: Schema,
}

/// Model `version` of the registry.
///
/// # Errors
/// 42704 where there is none, 42809 where it is not one of a table, XX001 for damaged bytes.
pub fn load(version: i64) -> Result<Rc<Loaded>> {
    let created_at = created_at(version)?;
    let known = MODELS.with_borrow_mut(|models| {
        let place = models
            .iter()
            .position(|model| model.version == version && model.created_at == created_at)?;
        let model = models.remove(place);
        models.push(Rc::clone(&model));
        Some(model)
    });
    if let Some(model) = known {
        return Ok(model);
    }
    let model = Rc::new(read(version, created_at)?);
    MODELS.with_borrow_mut(|models| {
        models.retain(|other| other.version != version);
        if models.len() >= KEPT {
            models.remove(0);
        }
        models.push(Rc::clone(&model));
    });
    Ok(model)
}

fn created_at(version: i64) -> Result<i64> {
    let mut found = None;
    query_stable(
        "SELECT m.created_at FROM empatia.model m WHERE m.version = $1",
        &[DatumWithOid::from(version)],
        &[ColumnType::Timestamptz],
        |row| {
            found = row.timestamptz(0);
            Ok(())
        },
    )?;
    found.ok_or_else(|| Error::not_found("model version", version))
}

fn read(version: i64, created_at: i64) -> Result<Loaded> {
    let mut found = None;
    query_stable(
        "SELECT m.encoded, m.recipe::text, m.relation FROM empatia.model m WHERE m.version = $1",
        &[DatumWithOid::from(version)],
        &[ColumnType::Bytea, ColumnType::Text, ColumnType::Text],
        |row| {
            let recipe = row.text(1)?.map(str::to_owned).filter(|_| !row.is_null(2));
            found = Some((row.bytes(0).map(<[u8]>::to_vec), recipe));
            Ok(())
        },
    )?;
    let Some((Some(encoded), Some(recipe))) = found else {
        return Err(Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("model {version} is not one of a table"),
        )
        .hint("Those of train_table() have a name in empatia.model."));
    };
    let recipe: Value = serde_json::from_str(&recipe).map_err(|e| Error::internal(e.to_string()))?;
    let schema: Schema = serde_json::from_value(recipe).map_err(|e| {
        Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("recipe of model {version}: {e}"),
        )
    })?;
    let model = ClassifierModel::decode(&encoded)?;
    let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    if model
        .columns()
        .iter()
        .any(|column| !names.contains(&column.name.as_str()))
    {
        return Err(Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("the recipe of model {version} does not name all of its columns"),
        ));
    }
    Ok(Loaded {
        version,
        created_at,
        model,
        schema,
    })
}
