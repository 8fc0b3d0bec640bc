//! A temporary file of the transaction, written by the backend's thread and read by any.
//!
//! It is PostgreSQL's own: in the tablespaces for temporary files, within `temp_file_limit`, removed when the transaction ends,
//! however that happens, or after a crash. Its pages are freed by a thread, whoever removes it.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use pgrx::prelude::*;

use super::freed_later::Pages;
use crate::error::{Error, Result};

/// The writing end.
#[derive(Debug)]
pub struct TempFile {
    file: pg_sys::File,
    length: i64,
    /// Dropped with this, also where an error leaves: before PostgreSQL removes the file.
    _pages: Pages,
}

impl TempFile {
    /// An empty one.
    pub fn create() -> Self {
        // SAFETY: plain calls on the backend's thread, inside a transaction. The current resource owner closes and removes the file
        // where an error leaves before `close`.
        let file = unsafe {
            pg_sys::PrepareTempTablespaces();
            pg_sys::OpenTemporaryFile(false)
        };
        Self {
            file,
            length: 0,
            _pages: Pages::of(copy_of(file).ok()),
        }
    }

    /// Adds to the end.
    ///
    /// # Errors
    /// 58030 when the system cannot write. Raised: 53400 beyond `temp_file_limit`.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let amount = bytes.len().min(1 << 30);
            // SAFETY: the file is open; the bytes are only read.
            let written = unsafe {
                pg_sys::FileWrite(
                    self.file,
                    bytes.as_ptr().cast_mut().cast(),
                    amount as _,
                    self.length,
                    pg_sys::PG_WAIT_EXTENSION,
                )
            };
            let written = usize::try_from(written).ok().filter(|written| *written > 0);
            let written = written.ok_or_else(|| failed("write to", &std::io::Error::last_os_error()))?;
            self.length += written as i64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Bytes written.
    pub fn length(&self) -> i64 {
        self.length
    }

    /// The reading end, which stays usable whatever becomes of this one.
    ///
    /// # Errors
    /// 58030 when the system has no descriptor left.
    pub fn reader(&self) -> Result<Reader> {
        copy_of(self.file).map(Reader).map_err(|error| failed("open", &error))
    }

    /// Removes it.
    pub fn close(self) {
        // SAFETY: open, and used no more.
        unsafe { pg_sys::FileClose(self.file) };
    }
}

fn copy_of(file: pg_sys::File) -> std::io::Result<File> {
    // SAFETY: the file is open; its descriptor is copied before anything else can close it.
    let copy = unsafe { BorrowedFd::borrow_raw(pg_sys::FileGetRawDesc(file)).try_clone_to_owned() };
    copy.map(File::from)
}

/// The reading end of a [`TempFile`].
#[derive(Debug)]
pub struct Reader(File);

impl Reader {
    /// Fills `bytes` with those from `at` on.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(bytes, at)
    }
}

fn failed(what: &str, error: &std::io::Error) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_IO_ERROR,
        format!("cannot {what} a temporary file: {error}"),
    )
}
