//! The bearer token.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::error::Error;

/// Lets a request through that brings `token`; where none is set, all.
pub async fn require(State(token): State<Option<String>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|header| header.to_str().ok());
    match token {
        Some(token) if !matches(&token, given) => {
            let refused = Error::new(StatusCode::UNAUTHORIZED, "expected the bearer token of this service");
            ([(WWW_AUTHENTICATE, "Bearer")], refused).into_response()
        }
        _ => next.run(request).await,
    }
}

/// Compared in constant time: how long it takes tells nothing of the token.
fn matches(token: &str, header: Option<&str>) -> bool {
    let (scheme, given) = header.and_then(|header| header.split_once(' ')).unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer") && bool::from(given.trim().as_bytes().ct_eq(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        assert!(matches("secret", Some("Bearer secret")));
        assert!(matches("secret", Some("bearer secret")));
        for header in [
            None,
            Some("secret"),
            Some("Bearer"),
            Some("Bearer secre"),
            Some("Bearer secrets"),
            Some("Basic secret"),
        ] {
            assert!(!matches("secret", header), "{header:?}");
        }
    }
}
