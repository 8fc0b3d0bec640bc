//! Classifiers to and from ONNX files.

use empatia_engine::feature::{Basis, CubeModel, FeatureRecipe};
use empatia_engine::onnx::{export, import, ExportOptions, ImportOptions};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::Error;
use crate::pg::json::Document;
use crate::pg::threads::run_interruptible;

/// An encoded classifier of the cube as an ONNX file: an input per feature.
#[pg_extern(name = "_to_onnx", immutable, parallel_unsafe)]
fn to_onnx(encoded: &[u8]) -> Result<Vec<u8>, ErrorReport> {
    let found = CubeModel::decode(encoded).map_err(Error::from)?;
    Ok(run_interruptible(move |ctx| {
        export(ctx, &found.model, ExportOptions::default())
    })?)
}

/// An ONNX file as an encoded classifier of the cube. `recipe`: the features that it is to get; `columns` and `classes`: names where
/// those of the file do not serve.
#[pg_extern(name = "_from_onnx", immutable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn from_onnx(
    bytes: &[u8],
    recipe: Document,
    columns: Option<Vec<String>>,
    classes: Option<Vec<String>>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(encoded, Vec<u8>),
            name!(classes, Vec<String>),
            name!(features, Vec<String>),
            name!(algorithm, String),
        ),
    >,
    ErrorReport,
> {
    let recipe: FeatureRecipe = serde_json::from_value(recipe.0)
        .map_err(|e| Error::invalid_parameter("recipe", "an object of the parts of a recipe of features", e))?;
    recipe.check().map_err(Error::from)?;
    let options = ImportOptions { columns, classes };
    let bytes = bytes.to_vec();
    let model = run_interruptible(move |ctx| import(ctx, &bytes, &options))?;
    let known: Vec<String> = recipe
        .numbers(Basis::Due)
        .into_iter()
        .chain(recipe.attributes.clone())
        .collect();
    let features: Vec<String> = model.columns().iter().map(|column| column.name.clone()).collect();
    if let Some(unknown) = features.iter().find(|feature| !known.contains(feature)) {
        return Err(
            Error::invalid_parameter("input of the file", "a feature of the recipe", format!("\"{unknown}\""))
                .hint(format!(
                    "The features are {}. Give columns => names in the order of the file's inputs.",
                    known.join(", ")
                ))
                .into(),
        );
    }
    let classes = model.classes().to_vec();
    let algorithm = model
        .members()
        .first()
        .map_or("ensemble", |member| member.model().algorithm().name());
    let algorithm = algorithm.to_owned();
    let encoded = CubeModel { recipe, model }.encode().map_err(Error::from)?;
    Ok(TableIterator::once((encoded, classes, features, algorithm)))
}
