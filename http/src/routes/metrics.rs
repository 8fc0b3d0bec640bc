//! `GET /metrics`.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use deadpool_postgres::Pool;

use crate::database;
use crate::error::{Error, Problem};

const SQL: &str = "SELECT empatia.metrics()";

/// Metrics of the database's loads, builds, models and predictions, for Prometheus
#[utoipa::path(get, path = "/metrics", security((), ("token" = [])), responses(
    (status = 200, description = "text exposition format 0.0.4", body = String, content_type = "text/plain"),
    (status = 401, description = "no or a wrong token", body = Problem),
    (status = 503, description = "the database does not answer", body = Problem)))]
pub async fn metrics(State(pool): State<Pool>) -> Result<impl IntoResponse, Error> {
    let text: String = database::value(&pool, SQL, &[]).await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
