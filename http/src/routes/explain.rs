//! `GET /explain`.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::Json;
use deadpool_postgres::Pool;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use crate::database;
use crate::error::{Error, Problem};

const SQL: &str = "SELECT coalesce(jsonb_agg(to_jsonb(e)), '[]') FROM empatia.explain($1, $2) e";

/// Whose predictions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The student's key, as predictions were recorded.
    student_id: String,
    /// At most so many, newest first; default 10.
    limit: Option<i32>,
}

/// A student's recorded predictions, with factors and what changed since the previous one
#[utoipa::path(get, path = "/explain", params(Parameters), security((), ("token" = [])), responses(
    (status = 200, description = "newest first; none for a student without predictions", body = Vec<Object>),
    (status = 400, description = "a parameter is missing or cannot be read", body = Problem),
    (status = 401, description = "no or a wrong token", body = Problem)))]
pub async fn explain(
    State(pool): State<Pool>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let Query(of) = parameters.map_err(|rejection| Error::new(rejection.status(), rejection.body_text()))?;
    database::json(&pool, SQL, &[&of.student_id, &of.limit.unwrap_or(10)]).await
}
