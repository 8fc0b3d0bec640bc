//! Files of the server, for those who may read them.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use empatia_engine::sheet::sha256;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::guc;
use crate::pg::privilege::may_read_server_files;
use crate::pg::threads::run_interruptible;

/// A value of PostgreSQL is at most a gigabyte.
const LARGEST: u64 = (1 << 30) - (1 << 20);
/// Files that a folder may have.
const MOST_FILES: usize = 10_000;

fn check_privilege() -> Result<()> {
    if may_read_server_files() {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "must be superuser or have privileges of the pg_read_server_files role to import a file of the server",
    )
    .hint("Give the content of the file instead, as bytea: import_file(dataset, content)."))
}

fn failed(what: &str, path: &str, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let code = match error.kind() {
        ErrorKind::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
        ErrorKind::PermissionDenied => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
    };
    Error::new(code, format!("could not {what} \"{path}\": {}", error.kind()))
        .hint("The path is one of the database server's, seen by the user that it runs as.")
}

/// The content of a file of the server, for members of pg_read_server_files.
#[pg_extern(name = "_read_server_file", volatile, parallel_unsafe)]
fn read_server_file(path: &str) -> Result<Vec<u8>, ErrorReport> {
    Ok(read(path)?)
}

fn read(path: &str) -> Result<Vec<u8>> {
    check_privilege()?;
    if !Path::new(path).is_absolute() {
        return Err(Error::invalid_parameter(
            "path",
            "an absolute path",
            format!("\"{path}\""),
        ));
    }
    // Not to wait for the writer of a pipe.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut file = file.map_err(|e| failed("open file", path, &e))?;
    let about = file.metadata().map_err(|e| failed("read file", path, &e))?;
    if !about.is_file() {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{path}\" is not a regular file"),
        )
        .hint("import_folder() imports the files of a folder."));
    }
    let limit = LARGEST.min(guc::memory_limit() as u64 / 2);
    if about.len() > limit {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("file \"{path}\" has {} bytes, the limit is {limit}", about.len()),
        )
        .hint("Raise empatia.memory_limit, of which a file may be half, or split the file."));
    }
    let read = run_interruptible(|ctx| {
        let mut content = Vec::new();
        let size = usize::try_from(about.len()).unwrap_or(0);
        let _held = ctx.reserve(size)?;
        content.reserve_exact(size);
        // Not more than it had: a file that grows meanwhile is somebody's log.
        let mut block = (&mut file).take(about.len());
        loop {
            ctx.check()?;
            match block.by_ref().take(1 << 20).read_to_end(&mut content) {
                Ok(0) => return Ok(Ok(content)),
                Ok(_) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    })?;
    read.map_err(|e| failed("read file", path, &e))
}

/// The regular files of a folder of the server, by name; not those whose name begins with a dot or with `~$`, which Excel leaves behind.
#[pg_extern(name = "_list_server_files", volatile, parallel_unsafe)]
fn list_server_files(
    path: &str,
) -> Result<TableIterator<'static, (name!(name, String), name!(path, String))>, ErrorReport> {
    check_privilege()?;
    if !Path::new(path).is_absolute() {
        return Err(Error::invalid_parameter("path", "an absolute path", format!("\"{path}\"")).into());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| failed("open folder", path, &e))? {
        let entry = entry.map_err(|e| failed("read folder", path, &e))?;
        pgrx::check_for_interrupts!();
        let is_file = fs::metadata(entry.path()).is_ok_and(|about| about.is_file());
        let (Ok(name), Some(full)) = (
            entry.file_name().into_string(),
            entry.path().to_str().map(str::to_owned),
        ) else {
            continue;
        };
        if is_file && !name.starts_with('.') && !name.starts_with("~$") {
            files.push((name, full));
        }
        if files.len() > MOST_FILES {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("expected at most {MOST_FILES} files in \"{path}\", found more"),
            )
            .into());
        }
    }
    files.sort();
    Ok(TableIterator::new(files))
}

/// SHA-256 of a file's content, interruptible.
#[pg_extern(name = "_file_hash", immutable, parallel_unsafe)]
fn file_hash(file: &[u8]) -> Result<Vec<u8>, ErrorReport> {
    Ok(run_interruptible(|ctx| sha256(ctx, file).map(Vec::from))?)
}
