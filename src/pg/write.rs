//! Rows made in Rust into a table, through COPY: indexes, constraints, triggers, defaults, generated columns and
//! partition routing work as for any COPY, and the table is locked, checked for privileges and reported in
//! `pg_stat_progress_copy` like there.

use std::cell::RefCell;
use std::ffi::{c_int, c_void, CStr, CString};

use pgrx::prelude::*;

use super::column::{attribute, type_name, ColumnType};
use super::copy_row::{CopyRow, HEADER, TRAILER};
use super::memory::{child_context, RestoreContext};
use super::read::raise;
use super::settings::with_settings;
use super::snapshot::with_active_snapshot;
use crate::error::{Error, Result};

/// The table to write to.
#[derive(Clone, Copy, Debug)]
pub enum Relation<'a> {
    /// By OID, e.g. from a `regclass` argument.
    Oid(pg_sys::Oid),
    /// By its schema and name as they are stored: not quoted, case preserved.
    Named {
        /// Schema; `search_path` is not consulted.
        schema: &'a str,
        /// Table.
        table: &'a str,
    },
}

/// Writes rows into `columns` of `relation` until `produce` returns `Ok(false)`; columns left out get their defaults.
/// Returns the number of rows stored (a BEFORE trigger may have dropped some). They are visible to the next query
/// of the same function.
///
/// `produce` writes one row into its argument and returns `Ok(true)`; what it wrote before `Ok(false)` is discarded.
/// Its memory context lives until all rows are written.
///
/// # Errors
/// Returned, with nothing written:
/// * 42804 when a column's type differs from the declared one
/// * 0A000 when row-level security applies to the user: rows would evade the policies
///
/// Raised, as errors of PostgreSQL: what `produce` returned, no INSERT privilege (42501), an unknown table or column,
/// a violated constraint, a read-only transaction. Rows written until then are undone with the transaction.
pub fn copy_rows(
    relation: Relation<'_>,
    columns: &[(&str, ColumnType)],
    mut produce: impl FnMut(&mut CopyRow<'_>) -> Result<bool>,
) -> Result<u64> {
    let names = columns
        .iter()
        .map(|(name, _)| to_cstring(name))
        .collect::<Result<Vec<CString>>>()?;
    if names.is_empty() {
        return Err(Error::internal("expected at least one column to write"));
    }
    let types: Vec<ColumnType> = columns.iter().map(|(_, column_type)| *column_type).collect();
    let mut source = Source {
        columns: &types,
        produce: &mut produce,
        buffer: HEADER.to_vec(),
        sent: 0,
        done: false,
    };
    with_active_snapshot(|| {
        let restore = RestoreContext::new();
        let scratch = child_context(c"empatia copy");
        // SAFETY: `scratch` was just made. It is deleted only where nothing was raised; else it goes with its parent.
        unsafe { pg_sys::CurrentMemoryContext = scratch };
        let table = open(relation)?;
        let stored = with_utf8_from_client(|| copy_into(table, &names, &mut source));
        drop(restore);
        // SAFETY: opened above; the lock is kept until the transaction ends.
        unsafe {
            pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
            pg_sys::MemoryContextDelete(scratch);
        }
        stored
    })
}

pub(super) fn to_cstring(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, "name contains a NUL byte"))
}

pub(super) fn open(relation: Relation<'_>) -> Result<pg_sys::Relation> {
    open_for(relation, pg_sys::RowExclusiveLock)
}

/// Opens it with this lock, which is kept until the transaction ends unless it is given back.
pub(super) fn open_for(relation: Relation<'_>, lock: u32) -> Result<pg_sys::Relation> {
    let lock = lock as pg_sys::LOCKMODE;
    match relation {
        // SAFETY: raises when there is no such table.
        Relation::Oid(oid) => Ok(unsafe { pg_sys::table_open(oid, lock) }),
        Relation::Named { schema, table } => {
            let (schema, table) = (to_cstring(schema)?, to_cstring(table)?);
            // SAFETY: the range variable borrows the two strings, which outlive the look-up.
            unsafe {
                let range = pg_sys::makeRangeVar(schema.as_ptr().cast_mut(), table.as_ptr().cast_mut(), -1);
                Ok(pg_sys::table_openrv(range, lock))
            }
        }
    }
}

/// Runs `work` while text received from "the client" is taken for UTF-8: in binary format COPY hands our text to the
/// types' receive functions, and those convert from `client_encoding`.
fn with_utf8_from_client<R>(work: impl FnOnce() -> R) -> R {
    let utf8 = pg_sys::pg_enc::PG_UTF8 as c_int;
    // SAFETY: reads a variable of the backend.
    if unsafe { pg_sys::pg_get_client_encoding() } == utf8 {
        return work();
    }
    with_settings(&[(c"client_encoding", c"UTF8")], work)
}

fn copy_into(table: pg_sys::Relation, names: &[CString], source: &mut Source<'_>) -> Result<u64> {
    // SAFETY: `table` is open and locked; the lists and nodes live in the current memory context, which outlives the
    // copy. The steps are those of DoCopy in PostgreSQL's commands/copy.c.
    unsafe {
        let (pstate, _) = prepare(table, names, source.columns)?;
        let name_list = name_list(names);
        let format = pg_sys::makeDefElem(c"format".as_ptr().cast_mut(), string_node(c"binary").cast(), -1);
        let current = Pushed::new(source);
        let state = pg_sys::BeginCopyFrom(
            pstate,
            table,
            std::ptr::null_mut(),
            std::ptr::null(),
            false,
            Some(supply),
            name_list,
            pg_sys::lappend(std::ptr::null_mut(), format.cast()),
        );
        let stored = pg_sys::CopyFrom(state);
        pg_sys::EndCopyFrom(state);
        drop(current);
        pg_sys::free_parsestate(pstate);
        pg_sys::CommandCounterIncrement();
        Ok(stored)
    }
}

/// Checks what COPY FROM does not check by itself when it is called from within; returns the parse state, with the table in its
/// range table, and the columns' attribute numbers.
///
/// # Safety
/// `table` is open with a RowExclusiveLock; nodes live in the current memory context.
pub(super) unsafe fn prepare(
    table: pg_sys::Relation,
    names: &[CString],
    columns: &[ColumnType],
) -> Result<(*mut pg_sys::ParseState, Vec<i32>)> {
    // SAFETY: by contract.
    unsafe {
        let numbers = int_list(pg_sys::CopyGetAttnums((*table).rd_att, table, name_list(names)));
        let pstate = pg_sys::make_parsestate(std::ptr::null_mut());
        check_insert(pstate, table, &numbers);
        check_row_security(table)?;
        check_types(table, &numbers, columns)?;
        if pg_sys::XactReadOnly && !(*table).rd_islocaltemp {
            pg_sys::PreventCommandIfReadOnly(c"COPY FROM".as_ptr());
        }
        pg_sys::PreventCommandIfParallelMode(c"COPY FROM".as_ptr());
        Ok((pstate, numbers))
    }
}

fn name_list(names: &[CString]) -> *mut pg_sys::List {
    names.iter().fold(std::ptr::null_mut(), |list, name| {
        // SAFETY: the nodes borrow the names, as string_node says.
        unsafe { pg_sys::lappend(list, string_node(name)) }
    })
}

/// A String node that borrows `text`.
fn string_node(text: &CStr) -> *mut c_void {
    // SAFETY: makeString keeps the pointer and nobody writes through it; callers keep `text` for as long.
    unsafe { pg_sys::makeString(text.as_ptr().cast_mut()).cast() }
}

/// # Safety
/// `list` is NIL or a List of integers.
unsafe fn int_list(list: *const pg_sys::List) -> Vec<i32> {
    // SAFETY: by contract.
    unsafe { list.as_ref() }.map_or_else(Vec::new, |list| {
        (0..list.length as usize)
            // SAFETY: below the length of a list of integers.
            .map(|index| unsafe { (*list.elements.add(index)).int_value })
            .collect()
    })
}

/// Enters `table` in the range table and raises unless the user may INSERT into these columns.
///
/// # Safety
/// `table` is open with a RowExclusiveLock; `numbers` are attribute numbers of it.
unsafe fn check_insert(pstate: *mut pg_sys::ParseState, table: pg_sys::Relation, numbers: &[i32]) {
    // SAFETY: by contract; nodes live in the current memory context.
    unsafe {
        let item = pg_sys::addRangeTableEntryForRelation(
            pstate,
            table,
            pg_sys::RowExclusiveLock as c_int,
            std::ptr::null_mut(),
            false,
            false,
        );
        let inserted = numbers.iter().fold(std::ptr::null_mut(), |set, number| {
            pg_sys::bms_add_member(set, number - pg_sys::FirstLowInvalidHeapAttributeNumber)
        });
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        {
            let entry = (*item).p_rte;
            (*entry).requiredPerms = pg_sys::ACL_INSERT;
            (*entry).insertedCols = inserted;
            pg_sys::ExecCheckRTPerms((*pstate).p_rtable, true);
        }
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        {
            let permissions = (*item).p_perminfo;
            (*permissions).requiredPerms = u64::from(pg_sys::ACL_INSERT);
            (*permissions).insertedCols = inserted;
            pg_sys::ExecCheckPermissions(
                (*pstate).p_rtable,
                pg_sys::lappend(std::ptr::null_mut(), permissions.cast()),
                true,
            );
        }
    }
}

/// COPY does not evaluate policies, so where they apply it must not run.
///
/// # Safety
/// `table` is open.
pub(super) unsafe fn check_row_security(table: pg_sys::Relation) -> Result<()> {
    // SAFETY: by contract; raises by itself where row_security is off.
    let applies = unsafe { pg_sys::check_enable_rls((*table).rd_id, pg_sys::InvalidOid, false) };
    if applies != pg_sys::CheckEnableRlsResult::RLS_ENABLED as c_int {
        return Ok(());
    }
    // SAFETY: by contract.
    let name = unsafe { &(*(*table).rd_rel).relname };
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!(
            "cannot write to \"{}\": row-level security applies to the current user",
            pgrx::name_data_to_str(name)
        ),
    )
    .hint("Run it as the table's owner or as a role with BYPASSRLS."))
}

/// # Safety
/// `table` is open; `numbers` are attribute numbers of it.
pub(super) unsafe fn check_types(table: pg_sys::Relation, numbers: &[i32], columns: &[ColumnType]) -> Result<()> {
    for (number, column) in numbers.iter().zip(columns) {
        // SAFETY: attribute numbers of user columns count from 1.
        let attribute = unsafe { attribute((*table).rd_att, *number as usize - 1) };
        if !column.accepts(attribute.atttypid) {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" must be of type {}, not {}",
                    attribute.name(),
                    column.sql_name(),
                    type_name(attribute.atttypid)
                ),
            ));
        }
    }
    Ok(())
}

type Produce<'a> = &'a mut dyn FnMut(&mut CopyRow<'_>) -> Result<bool>;

/// Where a running copy gets its bytes from.
struct Source<'a> {
    columns: &'a [ColumnType],
    produce: Produce<'a>,
    /// Encoded rows; `buffer[sent..]` was not handed out yet.
    buffer: Vec<u8>,
    sent: usize,
    done: bool,
}

/// COPY asks for up to 64 kB at a time.
const CHUNK: usize = 64 * 1024;

impl Source<'_> {
    /// Encodes the next chunk of rows into the emptied buffer; at least one row, or the trailer.
    fn refill(&mut self) -> Result<()> {
        self.buffer.clear();
        self.sent = 0;
        while !self.done && self.buffer.len() < CHUNK {
            let start = self.buffer.len();
            let mut row = CopyRow::begin(&mut self.buffer, self.columns);
            if (self.produce)(&mut row)? {
                row.finish()?;
            } else {
                self.buffer.truncate(start);
                self.buffer.extend_from_slice(&TRAILER);
                self.done = true;
            }
        }
        Ok(())
    }
}

thread_local! {
    /// The running copies, innermost last: COPY's callback has no argument of ours, and a trigger on the table may
    /// start another copy.
    static SOURCES: RefCell<Vec<*mut Source<'static>>> = const { RefCell::new(Vec::new()) };
}

/// Number of copies that are running in this backend; 0 between statements, whatever went wrong in them.
pub fn running_copies() -> usize {
    SOURCES.with_borrow(Vec::len)
}

/// A source on the stack, taken off when dropped: an error of PostgreSQL arrives as unwinding, so this runs then too.
struct Pushed {
    depth: usize,
}

impl Pushed {
    fn new(source: &mut Source<'_>) -> Self {
        let pointer: *mut Source<'_> = source;
        SOURCES.with_borrow_mut(|stack| {
            let depth = stack.len();
            stack.push(pointer.cast());
            Self { depth }
        })
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        SOURCES.with_borrow_mut(|stack| stack.truncate(self.depth));
    }
}

/// COPY's data source: fills `out` with `1..=max` bytes; 0 at the end.
#[pg_guard]
unsafe extern "C-unwind" fn supply(out: *mut c_void, _min: c_int, max: c_int) -> c_int {
    let Some(source) = SOURCES.with_borrow(|stack| stack.last().copied()) else {
        raise(Error::internal("COPY asked for rows while no copy is running"));
    };
    // SAFETY: pushed by `copy_into`, whose frame encloses this call and which does not touch the source meanwhile.
    let source = unsafe { &mut *source };
    if source.sent == source.buffer.len() && !source.done {
        if let Err(error) = source.refill() {
            raise(error);
        }
    }
    let pending = &source.buffer[source.sent..];
    let count = pending.len().min(usize::try_from(max).unwrap_or(0));
    // SAFETY: PostgreSQL offers `max` bytes at `out`, which is not ours.
    unsafe { std::ptr::copy_nonoverlapping(pending.as_ptr(), out.cast(), count) };
    source.sent += count;
    // Bounded by `max`.
    count as c_int
}
