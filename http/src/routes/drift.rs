//! `GET /drift`.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::Json;
use deadpool_postgres::Pool;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use crate::database;
use crate::error::{Error, Problem};

const SQL: &str = "SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]') FROM empatia.drift($1, $2::text::timestamptz) d";

/// Of what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Name of the model.
    model: String,
    /// Predictions from this instant on (ISO 8601); default: all that are kept.
    since: Option<String>,
}

/// How far the recorded inputs, scores and classes are from those of the training
#[utoipa::path(get, path = "/drift", params(Parameters), security((), ("token" = [])), responses(
    (status = 200, description = "per feature, score and class: PSI, Jensen-Shannon divergence, change of the missing rate, level", body = Vec<Object>),
    (status = 400, description = "a parameter is missing or cannot be read", body = Problem),
    (status = 401, description = "no or a wrong token", body = Problem),
    (status = 404, description = "no such model", body = Problem)))]
pub async fn drift(
    State(pool): State<Pool>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let Query(of) = parameters.map_err(|rejection| Error::new(rejection.status(), rejection.body_text()))?;
    database::json(&pool, SQL, &[&of.model, &of.since]).await
}
