//! A classifier with everything the registry knows of it, as one value that leaves the database and comes back.

use empatia_engine::classifier::{ClassifierModel, Evaluation, PackedModel};
use empatia_engine::codec::{kind_of, Kind};
use empatia_engine::error::EngineError;
use empatia_engine::feature::CubeModel;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::JsonB;

use crate::error::Error;
use crate::pg::json::Document;

/// Packs a row of the registry with its model and evaluation.
#[pg_extern(name = "_pack_model", immutable, parallel_safe)]
fn pack_model(registry: Document, encoded: Vec<u8>, evaluation: Option<Vec<u8>>) -> Result<Vec<u8>, ErrorReport> {
    let packed = PackedModel {
        registry: registry.0.to_string(),
        encoded,
        evaluation,
    };
    Ok(packed.encode().map_err(Error::from)?)
}

/// Unpacks what [`pack_model`] made. Model and evaluation are decoded too: nothing is registered that could not be used.
#[pg_extern(name = "_unpack_model", immutable, parallel_safe)]
#[allow(clippy::type_complexity)]
fn unpack_model(
    bytes: &[u8],
) -> Result<
    TableIterator<
        'static,
        (
            name!(registry, JsonB),
            name!(classes, Vec<String>),
            name!(encoded, Vec<u8>),
            name!(evaluation, Option<Vec<u8>>),
        ),
    >,
    ErrorReport,
> {
    let packed = PackedModel::decode(bytes).map_err(Error::from)?;
    let registry = serde_json::from_str(&packed.registry)
        .map_err(|e| Error::invalid_parameter("registry of a packed model", "JSON", e))?;
    // a model of a table is a classifier without a recipe of the cube
    let model = match kind_of(&packed.encoded)
        .map_err(EngineError::from)
        .map_err(Error::from)?
    {
        Kind::CLASSIFIER => ClassifierModel::decode(&packed.encoded).map_err(Error::from)?,
        _ => CubeModel::decode(&packed.encoded).map_err(Error::from)?.model,
    };
    if let Some(evaluation) = &packed.evaluation {
        Evaluation::decode(evaluation).map_err(Error::from)?;
    }
    Ok(TableIterator::once((
        JsonB(registry),
        model.classes().to_vec(),
        packed.encoded,
        packed.evaluation,
    )))
}
