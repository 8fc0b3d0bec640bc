//! `POST /predict`.

use axum::extract::rejection::JsonRejection;
use axum::extract::State;
use axum::Json;
use deadpool_postgres::Pool;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::database;
use crate::error::{Error, Problem};

const SQL: &str = "SELECT to_jsonb(p) FROM empatia.predict($1, $2) p";

/// What is to be predicted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Name of the model.
    #[schema(example = "defasagem")]
    pub model: String,
    /// What is known of the student, by the names of the model's columns in any order and spelling that the data set knows.
    #[schema(value_type = Object)]
    pub input: Value,
}

/// The risk of one student, with the strongest reasons
#[utoipa::path(post, path = "/predict", request_body = Request, security((), ("token" = [])), responses(
    (status = 200, description = "risk_score, class, threshold, top_risk_factors, imputed and unknown fields, model version", body = Object),
    (status = 400, description = "no such field or a value that cannot be read", body = Problem),
    (status = 401, description = "no or a wrong token", body = Problem),
    (status = 404, description = "no such model", body = Problem),
    (status = 503, description = "the database does not answer", body = Problem)))]
pub async fn predict(
    State(pool): State<Pool>,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<Json<Value>, Error> {
    let Json(request) = request.map_err(|rejection| Error::new(rejection.status(), rejection.body_text()))?;
    database::json(&pool, SQL, &[&request.model, &request.input]).await
}
