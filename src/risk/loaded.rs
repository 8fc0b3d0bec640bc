//! Decoded models, kept by the session: decoding one takes longer than predicting with it.

use std::cell::RefCell;
use std::rc::Rc;

use empatia_engine::classifier::{ClassifierExplainer, ClassifierModel};
use empatia_engine::scoring::Schema;
use empatia_engine::sheet::{Definition, Spellings};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::model_cache::{self, is_quick, Kept, Models, Stored};

thread_local! {
    static MODELS: Models<Loaded> = const { RefCell::new(Kept::new(8)) };
}

/// A model of a table, ready for use.
pub struct Loaded {
    pub model: ClassifierModel,
    pub schema: Schema,
    /// Of the dataset that the table is of.
    pub spellings: Option<Spellings>,
    /// Of a case that comes by itself.
    pub explainer: ClassifierExplainer,
    /// Whether explaining one row takes less time than starting a thread.
    pub is_quick: bool,
}

/// Model `version` of the registry.
///
/// # Errors
/// 42704 where there is none, 42809 where it is not one of a table, XX001 for damaged bytes.
pub fn load(version: i64) -> Result<Rc<Loaded>> {
    model_cache::load(&MODELS, version, |stored| make(version, stored))
}

fn make(version: i64, stored: Stored) -> Result<(Loaded, usize)> {
    let (Some(encoded), Some(recipe), Some(_)) = (stored.encoded, stored.recipe, stored.relation) else {
        return Err(Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("model {version} is not one of a table"),
        )
        .hint("Those of train_table() have a name in empatia.model."));
    };
    let recipe: Value = serde_json::from_str(&recipe).map_err(|e| Error::internal(e.to_string()))?;
    let damaged = |what: String| {
        Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("recipe of model {version}: {what}"),
        )
    };
    let definition = recipe.get("dataset").filter(|definition| !definition.is_null());
    // each name and category as it is and folded, in a table
    let spelt = definition.map_or(0, |definition| 4 * definition.to_string().len());
    let spellings = definition
        .map(|definition| Definition::from_json(&definition.to_string()))
        .transpose()
        .map_err(|e| damaged(e.to_string()))?
        .map(|definition| Spellings::new(&definition));
    let schema: Schema = serde_json::from_value(recipe).map_err(|e| damaged(e.to_string()))?;
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
    let bytes = encoded.len() + model.bytes() + model.single_row_explainer_bytes() + spelt;
    let loaded = Loaded {
        explainer: model.single_row_explainer(),
        is_quick: is_quick(&model),
        model,
        schema,
        spellings,
    };
    Ok((loaded, bytes))
}
