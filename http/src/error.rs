//! What PostgreSQL says, as an HTTP answer: SQLSTATE to status, message and hint as they are.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not answered.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    problem: Problem,
}

/// The body of every answer that is no success.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What was expected and what was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// SQLSTATE of the error, where it is PostgreSQL's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Error {
    /// An error of this service's own.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            problem: Problem {
                message: message.into(),
                hint: None,
                code: None,
            },
        }
    }
}

/// Status of an error of PostgreSQL: whose fault is it, and is trying again of any use?
fn status_of(code: &str) -> StatusCode {
    match code {
        "57014" => StatusCode::GATEWAY_TIMEOUT,
        "42704" => StatusCode::NOT_FOUND,
        "42501" => StatusCode::FORBIDDEN,
        "55000" | "55P03" | "40001" => StatusCode::CONFLICT,
        _ => match &code[..2.min(code.len())] {
            "22" | "23" => StatusCode::BAD_REQUEST,
            "08" | "53" | "57" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => {
                let status = status_of(said.code().code());
                if status.is_server_error() {
                    tracing::warn!(code = said.code().code(), "{}", said.message());
                }
                Self {
                    status,
                    problem: Problem {
                        message: said.message().to_owned(),
                        hint: said.hint().map(str::to_owned),
                        code: Some(said.code().code().to_owned()),
                    },
                }
            }
            None => {
                // addresses and role names are nobody's business who asks
                tracing::warn!("{error}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer")
            }
        }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => {
                tracing::warn!("{other}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no connection to the database is free")
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(self.problem)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_faults_are_told_from_the_servers() {
        assert_eq!(status_of("22023"), StatusCode::BAD_REQUEST);
        assert_eq!(status_of("42704"), StatusCode::NOT_FOUND);
        assert_eq!(status_of("42501"), StatusCode::FORBIDDEN);
        assert_eq!(status_of("57014"), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(status_of("53300"), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status_of("XX000"), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(status_of(""), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
