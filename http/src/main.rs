//! HTTP in front of Empatia: each route calls one SQL function as an unprivileged role and hands on what it says.
//!
//! Runs beside PostgreSQL, never inside it. Settings come from the environment: see [`config::Config`].
#![forbid(unsafe_code)]

mod app;
mod auth;
mod config;
mod database;
mod error;
mod routes;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::config::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,tower_http=info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tracing::error!("{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let config = Config::from_environment(|name| std::env::var(name).ok())?;
    let pool = database::pool(&config)?;
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .map_err(|e| format!("cannot listen on {}: {e}", config.listen))?;
    tracing::info!(listen = %config.listen, authenticated = config.token.is_some(), "serving");
    axum::serve(listener, app::router(&config, pool))
        .with_graceful_shutdown(stopped())
        .await
        .map_err(|e| e.to_string())
}

/// Ends at SIGTERM or Ctrl-C: requests under way are answered first.
async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        interrupt.await.ok();
        return;
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}
