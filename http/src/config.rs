//! Settings from the environment.

use std::net::SocketAddr;
use std::time::Duration;

/// What the service is told.
#[derive(Clone)]
pub struct Config {
    /// `EMPATIA_DATABASE`: how to reach PostgreSQL, a libpq connection string or URL. The role should be a member of `empatia_service` and of nothing else.
    pub database: String,
    /// `EMPATIA_LISTEN`, default 127.0.0.1:8080: other machines reach it only where this says so.
    pub listen: SocketAddr,
    /// `EMPATIA_TOKEN`: bearer token that every request but `/health` has to bring; none: no request has to.
    pub token: Option<String>,
    /// `EMPATIA_CONNECTIONS`, default 16: connections to PostgreSQL.
    pub connections: usize,
    /// `EMPATIA_TIMEOUT`, seconds, default 10: for a request; a statement gets the same and is cancelled by PostgreSQL itself.
    pub timeout: Duration,
    /// `EMPATIA_BODY_LIMIT`, bytes, default 1 MiB.
    pub body_limit: usize,
}

impl Config {
    /// Reads the settings through `variable`.
    ///
    /// # Errors
    /// A message with the name of the variable, what was expected and what was found.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str, default: u64, low: u64, high: u64| match variable(name) {
            None => Ok(default),
            Some(text) => match text.parse::<u64>() {
                Ok(value) if (low..=high).contains(&value) => Ok(value),
                _ => Err(format!(
                    "{name} must be a whole number from {low} to {high}, not \"{text}\""
                )),
            },
        };
        let listen = variable("EMPATIA_LISTEN").unwrap_or_else(|| "127.0.0.1:8080".into());
        let database = variable("EMPATIA_DATABASE")
            .ok_or("EMPATIA_DATABASE is not set: expected a connection string such as \"host=/run/postgresql dbname=warehouse user=empatia_http\"")?;
        Ok(Self {
            database,
            listen: listen.parse().map_err(|_| {
                format!("EMPATIA_LISTEN must be an address and port such as 127.0.0.1:8080, not \"{listen}\"")
            })?,
            // an empty token would let everybody in who sends an empty one
            token: variable("EMPATIA_TOKEN").filter(|token| !token.is_empty()),
            connections: number("EMPATIA_CONNECTIONS", 16, 1, 1_000)? as usize,
            timeout: Duration::from_secs(number("EMPATIA_TIMEOUT", 10, 1, 3_600)?),
            body_limit: number("EMPATIA_BODY_LIMIT", 1 << 20, 1, 1 << 30)? as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_environment(|name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_serve_this_machine_only() {
        let config = with(&[("EMPATIA_DATABASE", "host=/tmp")]).unwrap();
        assert!(config.listen.ip().is_loopback());
        assert_eq!(
            (config.connections, config.body_limit, config.timeout.as_secs()),
            (16, 1 << 20, 10)
        );
    }

    #[test]
    fn an_empty_token_is_none() {
        let config = with(&[("EMPATIA_DATABASE", "host=/tmp"), ("EMPATIA_TOKEN", "")]).unwrap();
        assert!(config.token.is_none());
    }

    #[test]
    fn what_is_missing_or_no_number_is_named() {
        assert!(with(&[]).err().unwrap().contains("EMPATIA_DATABASE"));
        for (name, value) in [
            ("EMPATIA_LISTEN", "8080"),
            ("EMPATIA_CONNECTIONS", "0"),
            ("EMPATIA_TIMEOUT", "soon"),
            ("EMPATIA_BODY_LIMIT", "-1"),
        ] {
            let message = with(&[("EMPATIA_DATABASE", "host=/tmp"), (name, value)]).err().unwrap();
            assert!(message.contains(name) && message.contains(value), "{message}");
        }
    }
}
