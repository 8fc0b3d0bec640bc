//! Facts beyond the memory budget, in a temporary file until their students' turn comes.

use empatia_engine::cube::{CubeBuilder, CubeError, Kept};
use empatia_engine::error::EngineError;

use pgrx::check_for_interrupts;

use crate::error::Result;
use crate::pg::temp_file::{Reader, TempFile};

/// Fewer facts are not worth a round: what else there is leaves them too little room.
const LEAST: usize = 1 << 12;

/// Where a builder's facts go, once there is no room for them.
#[derive(Debug, Default)]
pub(super) struct Spill {
    file: Option<TempFile>,
    rounds: usize,
}

impl Spill {
    /// Sets aside what the builder holds; false when that was too little to go on with.
    pub fn make_room(&mut self, builder: &mut CubeBuilder) -> Result<bool> {
        let file = self.file.get_or_insert_with(TempFile::create);
        self.rounds += 1;
        // errors of the file are kept by themselves: the engine knows only its own
        let mut failed = None;
        let done = builder.set_aside(|bytes| {
            // hundreds of megabytes, in pieces of 64 kB
            check_for_interrupts!();
            file.append(bytes).map_err(|error| {
                failed = Some(error);
                EngineError::Cancelled
            })
        });
        match (failed, done) {
            (Some(error), _) => Err(error),
            (None, done) => Ok(done? >= LEAST),
        }
    }

    /// How often room was made, and bytes written.
    pub fn size(&self) -> (usize, i64) {
        (self.rounds, self.file.as_ref().map_or(0, TempFile::length))
    }

    /// For the threads that compute.
    pub fn reader(&self) -> Result<Back> {
        Ok(Back(self.file.as_ref().map(TempFile::reader).transpose()?))
    }

    /// When all is computed.
    pub fn close(self) {
        self.file.into_iter().for_each(TempFile::close);
    }
}

/// The way back.
#[derive(Debug)]
pub(super) struct Back(Option<Reader>);

impl Kept for Back {
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), EngineError> {
        let read = self.0.as_ref().map(|reader| reader.read(at, bytes));
        match read {
            Some(Ok(())) => Ok(()),
            _ => Err(CubeError::SetAside { at }.into()),
        }
    }
}
