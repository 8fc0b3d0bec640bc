//! Connections to PostgreSQL.

use std::str::FromStr;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tokio_postgres::NoTls;

use crate::config::Config;
use crate::error::Error;

/// A pool that connects when it is first asked.
///
/// # Errors
/// A message where the connection string is not one.
pub fn pool(config: &Config) -> Result<Pool, String> {
    let mut connect = tokio_postgres::Config::from_str(&config.database)
        .map_err(|e| format!("EMPATIA_DATABASE is no connection string: {e}"))?;
    connect.application_name("empatia-http");
    connect.connect_timeout(config.timeout);
    // The server cancels what nobody waits for any more
    let limit = format!("-c statement_timeout={}", config.timeout.as_millis());
    let options = connect
        .get_options()
        .map_or(limit.clone(), |given| format!("{limit} {given}"));
    connect.options(options);
    let manager = Manager::from_config(
        connect,
        NoTls,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    Pool::builder(manager)
        .max_size(config.connections)
        .wait_timeout(Some(config.timeout))
        .create_timeout(Some(config.timeout))
        .recycle_timeout(Some(config.timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|e| e.to_string())
}

/// The one value of the one row of `sql`, which is prepared once per connection.
///
/// # Errors
/// [`Error`]: no connection, or what PostgreSQL says.
pub async fn value<T>(pool: &Pool, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<T, Error>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    let client = pool.get().await?;
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_one(&statement, parameters).await?.try_get(0)?)
}

/// As [`value`], for JSON.
///
/// # Errors
/// As [`value`].
pub async fn json(pool: &Pool, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<axum::Json<Value>, Error> {
    value(pool, sql, parameters).await.map(axum::Json)
}
