//! The router: routes, and what every request goes through.

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use axum::Router;
use deadpool_postgres::Pool;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

use crate::config::Config;
use crate::routes::{drift, explain, health, metrics, predict};
use crate::{auth, routes};

/// Everything that is served.
pub fn router(config: &Config, pool: Pool) -> Router {
    let guarded = Router::new()
        .route("/predict", post(predict::predict))
        .route("/explain", get(explain::explain))
        .route("/drift", get(drift::drift))
        .route("/metrics", get(metrics::metrics))
        .layer(middleware::from_fn_with_state(config.token.clone(), auth::require));
    Router::new()
        .merge(guarded)
        .route("/health", get(health::health))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", routes::Api::openapi()))
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(config.body_limit))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            config.timeout,
        ))
        .layer(TraceLayer::new_for_http())
        .with_state(pool)
}
