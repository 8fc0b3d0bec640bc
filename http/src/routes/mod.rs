//! One file per route.

pub mod drift;
pub mod explain;
pub mod health;
pub mod metrics;
pub mod predict;

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The description served at `/openapi.json`.
#[derive(OpenApi)]
#[openapi(
    info(title = "Empatia", description = "Predictions, explanations, drift and metrics of the models inside a PostgreSQL database"),
    paths(predict::predict, explain::explain, drift::drift, metrics::metrics, health::health),
    components(schemas(crate::error::Problem, predict::Request)),
    modifiers(&Token)
)]
pub struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}
