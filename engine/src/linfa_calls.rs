//! Calls into linfa-clustering: its errors and its panics become errors of this crate.

use std::any::Any;
use std::fmt::Display;
use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::error::{EngineError, Result};

/// Runs `call`, which must not have effects that matter after a panic.
///
/// linfa unwraps inside (an ill-conditioned matrix, a NaN among distances); what is checked beforehand keeps it from there, and what
/// was forgotten is an error, not the end of the thread.
pub(crate) fn guarded<R, E: Display>(algorithm: &'static str, call: impl FnOnce() -> Result<R, E>) -> Result<R> {
    let reason = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => message(panic.as_ref()),
    };
    Err(EngineError::NoSolution { algorithm, reason })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "linfa panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_and_an_error_are_errors_with_their_message() {
        let panicked = guarded("gmm", || -> Result<(), String> { panic!("no {}", "way") }).unwrap_err();
        assert_eq!(panicked.to_string(), "gmm found no solution: no way");
        let failed = guarded("gmm", || Err::<(), _>("singular")).unwrap_err();
        assert_eq!(failed.to_string(), "gmm found no solution: singular");
        assert_eq!(guarded("gmm", || Ok::<_, String>(3)).unwrap(), 3);
    }
}
