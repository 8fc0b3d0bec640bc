//! `GET /health`.

use axum::extract::State;
use axum::Json;
use deadpool_postgres::Pool;
use serde_json::{json, Value};

use crate::database;
use crate::error::{Error, Problem};

const SQL: &str = "SELECT empatia.version()";

/// Whether the database answers; needs no token
#[utoipa::path(get, path = "/health", responses(
    (status = 200, description = "it does; with the extension's version", body = Object),
    (status = 503, description = "it does not", body = Problem)))]
pub async fn health(State(pool): State<Pool>) -> Result<Json<Value>, Error> {
    let version: String = database::value(&pool, SQL, &[]).await?;
    Ok(Json(json!({ "status": "ok", "version": version })))
}
