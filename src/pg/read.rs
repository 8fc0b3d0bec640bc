//! Any SELECT into Rust, a row at a time, at the speed of the executor.
//!
//! The executor hands its slots to a `DestReceiver` of ours: no result table is built and nothing is copied, so memory
//! does not grow with the number of rows. Permissions, row-level security, views, partitions and interrupts are the
//! executor's business, as for any query. No transaction id is assigned (pgrx's `Spi::get_one` and `Spi::run` do
//! assign one), so it works on a hot standby and in a parallel worker.

use std::ffi::{CStr, CString};

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::column::{attribute, deform, type_name, ColumnType};
use super::memory::{child_context, RestoreContext};
use super::plans;
use super::row::Row;
use super::snapshot::with_active_snapshot;
use crate::error::{Error, Result};

/// Runs `sql`, one SELECT with parameters `$1`.. = `args`, and calls `on_row` for each row. Returns the number of rows
/// given to `on_row`.
///
/// It sees what the transaction wrote before it, also earlier in the same function (a new snapshot in READ COMMITTED,
/// after a command counter increment): for VOLATILE functions and procedures. STABLE ones use [`query_stable`].
///
/// `columns` are the result's columns, all of them, in order. Text values are borrowed for the length of the call.
/// `on_row` may run queries of its own; what it allocates with palloc is freed after the row. It must not write:
/// parallel workers may be running the query ([`query_writing`]).
///
/// # Errors
/// * what `on_row` returned; the query stops there and is closed properly
/// * 42601 when `sql` is not exactly one statement, 0A000 when it is not a plain SELECT
/// * raised as errors of PostgreSQL: whatever the query raises, and 42804 (or 42601) when the types (or the number) of
///   the columns differ from `columns`, before any row
pub fn query(
    sql: &str,
    args: &[DatumWithOid<'_>],
    columns: &[ColumnType],
    mut on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<u64> {
    with_active_snapshot(|| run(sql, args, columns, Mode::Volatile, &mut on_row))
}

/// [`query_stable`] whose plan the session keeps, by its text: for look-ups that are asked for again and again. Their condition should be the same
/// for all values of the parameters, so that one plan serves them.
///
/// # Errors
/// As [`query`].
pub fn query_kept(
    sql: &str,
    args: &[DatumWithOid<'_>],
    columns: &[ColumnType],
    mut on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<u64> {
    with_active_snapshot(|| run(sql, args, columns, Mode::Kept, &mut on_row))
}

/// [`query`] that no parallel worker runs, so `on_row` may write; it does not see what it wrote.
///
/// # Errors
/// As [`query`].
pub fn query_writing(
    sql: &str,
    args: &[DatumWithOid<'_>],
    columns: &[ColumnType],
    mut on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<u64> {
    with_active_snapshot(|| run(sql, args, columns, Mode::Writing, &mut on_row))
}

/// [`query`] under the caller's snapshot: sees what the statement that called this function sees, and nothing that it
/// wrote since. For STABLE functions.
///
/// # Errors
/// As [`query`].
pub fn query_stable(
    sql: &str,
    args: &[DatumWithOid<'_>],
    columns: &[ColumnType],
    mut on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<u64> {
    with_active_snapshot(|| run(sql, args, columns, Mode::Stable, &mut on_row))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A new snapshot.
    Volatile,
    /// The same, in this process alone.
    Writing,
    /// The caller's snapshot.
    Stable,
    /// The same, the plan being kept.
    Kept,
}

type OnRow<'a> = &'a mut dyn FnMut(&Row<'_>) -> Result<()>;

/// PostgreSQL knows this as the `DestReceiver` it begins with.
#[repr(C)]
struct Receiver<'a> {
    base: pg_sys::DestReceiver,
    columns: &'a [ColumnType],
    on_row: OnRow<'a>,
    /// Where `on_row` allocates; reset after each row.
    row_context: pg_sys::MemoryContext,
    rows: u64,
    failure: Option<Error>,
}

fn run(sql: &str, args: &[DatumWithOid<'_>], columns: &[ColumnType], mode: Mode, on_row: OnRow<'_>) -> Result<u64> {
    let source = CString::new(sql).map_err(|_| Error::internal("query contains a NUL byte"))?;
    let mut types: Vec<pg_sys::Oid> = args.iter().map(DatumWithOid::oid).collect();

    let _context = RestoreContext::new();
    // SAFETY: called on the backend's thread inside a transaction.
    check_spi("SPI_connect", unsafe { pg_sys::SPI_connect() })?;
    // From here on an error of PostgreSQL unwinds past SPI_finish on purpose: the abort of the (sub)transaction
    // closes SPI, and closing it before would free the memory of an executor that is still open.
    let prepare = |types: &mut [pg_sys::Oid]| prepare(&source, types, mode != Mode::Writing);
    let plan = match mode {
        Mode::Kept => plans::kept(sql, &mut types, prepare),
        _ => prepare(&mut types),
    };
    let result = plan.and_then(|plan| {
        let mut receiver = Receiver::new(columns, on_row);
        let options = pg_sys::SPIExecuteOptions {
            // SAFETY: SPI is connected, so the list is allocated in its context and freed by SPI_finish.
            params: unsafe { parameters(args) },
            read_only: matches!(mode, Mode::Stable | Mode::Kept),
            must_return_tuples: true,
            dest: (&raw mut receiver).cast(),
            ..Default::default()
        };
        // SAFETY: `plan` is valid until SPI_finish; `receiver` outlives the call and is reached only through `dest`.
        let code = unsafe { pg_sys::SPI_execute_plan_extended(plan, &options) };
        check_spi("SPI_execute_plan_extended", code)?;
        match receiver.failure {
            Some(failure) => Err(failure),
            None => Ok(receiver.rows),
        }
    });
    // SAFETY: connected above, and nothing of SPI's is referenced any more.
    check_spi("SPI_finish", unsafe { pg_sys::SPI_finish() })?;
    result
}

/// Plans `source`, refusing everything but one plain SELECT.
pub(super) fn prepare(source: &CStr, types: &mut [pg_sys::Oid], parallel: bool) -> Result<pg_sys::SPIPlanPtr> {
    let options = if parallel { pg_sys::CURSOR_OPT_PARALLEL_OK } else { 0 };
    // SAFETY: SPI is connected; `types` holds as many entries as announced and SPI copies it.
    let plan =
        unsafe { pg_sys::SPI_prepare_cursor(source.as_ptr(), types.len() as i32, types.as_mut_ptr(), options as i32) };
    if plan.is_null() {
        // SAFETY: set by the call above.
        check_spi("SPI_prepare_cursor", unsafe { pg_sys::SPI_result })?;
        return Err(Error::internal("SPI_prepare_cursor returned no plan"));
    }
    // SAFETY: the plan's sources are a List of CachedPlanSource, their query_list a List of Query.
    unsafe {
        let sources = pg_sys::SPI_plan_get_plan_sources(plan);
        if list_length(sources) != 1 {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
                format!("expected one statement, not {}", list_length(sources)),
            ));
        }
        let queries = (*list_nth::<pg_sys::CachedPlanSource>(sources, 0)).query_list;
        let plain = list_length(queries) == 1 && {
            let query = list_nth::<pg_sys::Query>(queries, 0);
            (*query).commandType == pg_sys::CmdType::CMD_SELECT
                && (*query).utilityStmt.is_null()
                && !(*query).hasModifyingCTE
                && (*query).rowMarks.is_null()
        };
        if !plain {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "expected a SELECT that neither writes nor locks rows",
            ));
        }
    }
    Ok(plan)
}

/// # Safety
/// `list` is NIL or points to a valid List.
unsafe fn list_length(list: *const pg_sys::List) -> i32 {
    // SAFETY: by contract.
    unsafe { list.as_ref() }.map_or(0, |list| list.length)
}

/// # Safety
/// `list` is a List of pointers to `T` with more than `index` elements.
unsafe fn list_nth<T>(list: *const pg_sys::List, index: usize) -> *const T {
    // SAFETY: by contract.
    unsafe { (*(*list).elements.add(index)).ptr_value.cast() }
}

/// The parameter list of `args`, null for none.
///
/// # Safety
/// The current memory context outlives the execution that uses the list; so do the datums of `args`.
unsafe fn parameters(args: &[DatumWithOid<'_>]) -> pg_sys::ParamListInfo {
    if args.is_empty() {
        return std::ptr::null_mut();
    }
    // SAFETY: makeParamList allocates room for as many entries as asked for.
    unsafe {
        let list = pg_sys::makeParamList(args.len() as i32);
        let entries = (*list).params.as_mut_ptr();
        for (index, arg) in args.iter().enumerate() {
            let datum = arg.datum().map(|d| d.sans_lifetime());
            entries.add(index).write(pg_sys::ParamExternData {
                value: datum.unwrap_or(pg_sys::Datum::from(0)),
                isnull: datum.is_none(),
                // lets the planner use the value itself
                pflags: pg_sys::PARAM_FLAG_CONST as u16,
                ptype: arg.oid(),
            });
        }
        list
    }
}

pub(super) fn check_spi(function: &str, code: i32) -> Result<()> {
    if code >= 0 {
        return Ok(());
    }
    // SAFETY: returns a static string, or one in a static buffer.
    let name = unsafe { CStr::from_ptr(pg_sys::SPI_result_code_string(code)) };
    Err(Error::internal(format!(
        "{function} failed: {}",
        name.to_string_lossy()
    )))
}

impl<'a> Receiver<'a> {
    /// Its row context is a child of the current memory context, which therefore has to outlive it.
    fn new(columns: &'a [ColumnType], on_row: OnRow<'a>) -> Self {
        Self {
            base: pg_sys::DestReceiver {
                receiveSlot: Some(receive_slot),
                rStartup: Some(start),
                rShutdown: Some(shut_down),
                rDestroy: Some(shut_down),
                // anything but DestSPI and DestNone, which SPI treats specially
                mydest: pg_sys::CommandDest::DestTuplestore,
            },
            columns,
            on_row,
            row_context: child_context(c"empatia row"),
            rows: 0,
            failure: None,
        }
    }
}

/// Compares the result's columns with the declared ones. Here and not after planning, because a plan may be made anew
/// between planning and execution.
#[pg_guard]
unsafe extern "C-unwind" fn start(
    this: *mut pg_sys::DestReceiver,
    _operation: std::ffi::c_int,
    desc: pg_sys::TupleDesc,
) {
    // SAFETY: PostgreSQL passes back the `dest` it was given, which is a Receiver, and a valid descriptor.
    let (columns, found) = unsafe { ((*this.cast::<Receiver<'_>>()).columns, (*desc).natts as usize) };
    if found != columns.len() {
        raise(Error::new(
            PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
            format!("expected {} columns, not {found}", columns.len()),
        ));
    }
    for (index, column) in columns.iter().enumerate() {
        // SAFETY: `index` is below the number of attributes.
        let attribute = unsafe { attribute(desc, index) };
        if !column.accepts(attribute.atttypid) {
            raise(
                Error::new(
                    PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" must be of type {}, not {}",
                        attribute.name(),
                        column.sql_name(),
                        type_name(attribute.atttypid)
                    ),
                )
                .hint(format!("Cast it to {} in the query.", column.sql_name())),
            );
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn receive_slot(slot: *mut pg_sys::TupleTableSlot, this: *mut pg_sys::DestReceiver) -> bool {
    // SAFETY: PostgreSQL passes back the `dest` it was given, which is a Receiver, and a slot that is valid for the
    // call. `on_row` cannot reach the receiver, so the reference is the only one. Types were compared in `start`.
    // Should `on_row` unwind, the guard makes it an error of PostgreSQL, whose handling sets the memory context.
    unsafe {
        let receiver = &mut *this.cast::<Receiver<'_>>();
        let wanted = receiver.columns.len() as i16;
        deform(slot, wanted);
        let executor_context = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = receiver.row_context;
        let outcome = (receiver.on_row)(&Row::from_slot(slot, receiver.columns));
        pg_sys::CurrentMemoryContext = executor_context;
        if !(*receiver.row_context).isReset {
            pg_sys::MemoryContextReset(receiver.row_context);
        }
        match outcome {
            Ok(()) => {
                receiver.rows += 1;
                true
            }
            Err(failure) => {
                receiver.failure = Some(failure);
                false
            }
        }
    }
}

/// Nothing to close: the receiver lives on the Rust side.
unsafe extern "C-unwind" fn shut_down(_this: *mut pg_sys::DestReceiver) {}

/// Raises `error` as an error of PostgreSQL, from within a callback that cannot return one.
pub(super) fn raise(error: Error) -> ! {
    std::panic::panic_any(pg_sys::panic::ErrorReport::from(error))
}
