//! The hash by which a file is known again.

use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::error::Result;

/// SHA-256 of `bytes`, looking at the cancel flag every few milliseconds.
///
/// # Errors
/// `Cancelled`.
pub fn sha256(ctx: &Context, bytes: &[u8]) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    for block in bytes.chunks(1 << 20) {
        ctx.check()?;
        hasher.update(block);
    }
    Ok(hasher.finalize().into())
}
