//! A reader that notices a cancel, and an element that does not end.

use std::io::{self, Read};

use crate::context::Context;

/// Longest element or record, in bytes: what a parser holds of it is not reserved. A cell of a spreadsheet has at most 32 767 characters.
pub(super) const LONGEST: usize = 4 << 20;

/// Looks at the cancel flag at each read, and fails once [`LONGEST`] bytes were read since [`Watched::mark`].
pub(super) struct Watched<R> {
    inner: R,
    ctx: Context,
    since_mark: usize,
}

impl<R> Watched<R> {
    pub fn new(ctx: &Context, inner: R) -> Self {
        Self {
            inner,
            ctx: ctx.clone(),
            since_mark: 0,
        }
    }

    /// An element ended.
    pub fn mark(&mut self) {
        self.since_mark = 0;
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // The caller asks the context itself what happened.
        if self.ctx.check().is_err() {
            return Err(io::Error::other("cancelled"));
        }
        if self.since_mark > LONGEST {
            return Err(io::Error::other(format!("an element of more than {LONGEST} bytes")));
        }
        let read = self.inner.read(into)?;
        self.since_mark += read;
        Ok(read)
    }
}
