//! Rows found by key or place and changed there, without a statement: the way in which PostgreSQL applies the changes of
//! logical replication. Indexes, constraints, generated columns and row triggers work; statement triggers do not fire.

use std::mem::MaybeUninit;

use pgrx::prelude::*;

use super::column::{deform, ColumnType, Tid};
use super::find::{attributes, check_table, values_of};
pub use super::finder::AHEAD;
use super::finder::{is_key, no_key, Finder};
use super::hot_update::HotUpdate;
use super::memory::{child_context, RestoreContext};
use super::value::Value;
use super::write::{open, Relation};
use crate::error::{Error, Result};

/// Gives `work` an editor of the rows of `relation`; `key` are the columns of a unique index of it, in their order. What it
/// did is visible to the next query of the same function.
///
/// # Errors
/// Returned, with nothing written:
/// * 42804 when a column's type differs from the declared one, 42703 when there is no such column
/// * 42501 without the privileges to SELECT, UPDATE and DELETE
/// * 0A000 when row-level security applies to the user
/// * 55000 for another kind of table than an ordinary one, or one without such an index
///
/// And what `work` returned. Raised: what the table's constraints and triggers raise. What was written until then is undone
/// with the transaction.
pub fn edit_rows<R>(
    relation: Relation<'_>,
    key: &[(&str, ColumnType)],
    columns: &[(&str, ColumnType)],
    work: impl FnOnce(&mut Editor<'_>) -> Result<R>,
) -> Result<R> {
    let restore = RestoreContext::new();
    let scratch = child_context(c"empatia edit");
    // SAFETY: `scratch` was just made. It is deleted only where nothing was raised; else it goes with its parent.
    unsafe { pg_sys::CurrentMemoryContext = scratch };
    let table = open(relation)?;
    // SAFETY: `table` is open, and locked until the transaction ends.
    unsafe {
        check(table)?;
        let key_numbers = attributes(table, key)?;
        let numbers = attributes(table, columns)?;
        // what this transaction wrote before is seen by the snapshot that follows
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let mut editor = Editor::open(table, columns, numbers);
        let types = key.iter().map(|(_, column_type)| *column_type).collect();
        let outcome = editor.open_index(&key_numbers, types).and_then(|()| work(&mut editor));
        editor.close();
        pg_sys::PopActiveSnapshot();
        pg_sys::CommandCounterIncrement();
        pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
        drop(restore);
        pg_sys::MemoryContextDelete(scratch);
        outcome
    }
}

/// # Safety
/// `table` is open.
unsafe fn check(table: pg_sys::Relation) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        check_table(table, &[pg_sys::ACL_SELECT, pg_sys::ACL_UPDATE, pg_sys::ACL_DELETE])?;
        if pg_sys::XactReadOnly && !(*table).rd_islocaltemp {
            pg_sys::PreventCommandIfReadOnly(c"UPDATE".as_ptr());
        }
        pg_sys::PreventCommandIfParallelMode(c"UPDATE".as_ptr());
    }
    Ok(())
}

/// A table whose rows are changed one by one; the row that was found last is the current one.
pub struct Editor<'a> {
    table: pg_sys::Relation,
    columns: &'a [(&'a str, ColumnType)],
    numbers: Vec<i16>,
    state: *mut pg_sys::EState,
    info: *mut pg_sys::ResultRelInfo,
    epq: Box<pg_sys::EPQState>,
    /// None until the index is found.
    finder: Option<Finder>,
    /// The short way, where there is one.
    hot: Option<HotUpdate>,
    current: *mut pg_sys::TupleTableSlot,
    new: *mut pg_sys::TupleTableSlot,
}

impl<'a> Editor<'a> {
    /// The steps of `apply_handle_update` in PostgreSQL's replication/logical/worker.c.
    ///
    /// # Safety
    /// `table` is open and locked; the current memory context outlives the editor.
    unsafe fn open(table: pg_sys::Relation, columns: &'a [(&'a str, ColumnType)], numbers: Vec<i16>) -> Self {
        // SAFETY: by contract; nodes are allocated in the current memory context.
        unsafe {
            let state = pg_sys::CreateExecutorState();
            let pstate = pg_sys::make_parsestate(std::ptr::null_mut());
            let lock = pg_sys::RowExclusiveLock as std::ffi::c_int;
            pg_sys::addRangeTableEntryForRelation(pstate, table, lock, std::ptr::null_mut(), false, false);
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            pg_sys::ExecInitRangeTable(state, (*pstate).p_rtable);
            #[cfg(any(feature = "pg16", feature = "pg17"))]
            pg_sys::ExecInitRangeTable(state, (*pstate).p_rtable, (*pstate).p_rteperminfos);
            #[cfg(feature = "pg18")]
            pg_sys::ExecInitRangeTable(
                state,
                (*pstate).p_rtable,
                (*pstate).p_rteperminfos,
                pg_sys::bms_make_singleton(1),
            );
            (*state).es_output_cid = pg_sys::GetCurrentCommandId(true);
            let info: *mut pg_sys::ResultRelInfo = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast();
            (*info).type_ = pg_sys::NodeTag::T_ResultRelInfo;
            pg_sys::InitResultRelInfo(info, table, 1, std::ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(info, false);
            let mut epq = Box::new(MaybeUninit::<pg_sys::EPQState>::zeroed().assume_init());
            let none = std::ptr::null_mut();
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            pg_sys::EvalPlanQualInit(&mut *epq, state, std::ptr::null_mut(), none, -1);
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            pg_sys::EvalPlanQualInit(&mut *epq, state, std::ptr::null_mut(), none, -1, none);
            pg_sys::AfterTriggerBeginQuery();
            Self {
                table,
                columns,
                numbers,
                state,
                info,
                epq,
                finder: None,
                hot: None,
                current: pg_sys::table_slot_create(table, std::ptr::null_mut()),
                new: pg_sys::MakeSingleTupleTableSlot((*table).rd_att, &raw const pg_sys::TTSOpsVirtual),
            }
        }
    }

    /// Opens the unique index on these columns.
    ///
    /// # Safety
    /// `self` is open, a snapshot is active.
    unsafe fn open_index(&mut self, key: &[i16], types: Vec<ColumnType>) -> Result<()> {
        // SAFETY: by contract; the executor opened the indexes.
        unsafe {
            let count = (*self.info).ri_NumIndices as usize;
            let found = (0..count)
                .map(|i| *(*self.info).ri_IndexRelationDescs.add(i))
                .find(|index| is_key(*index, key));
            let index = found.ok_or_else(|| no_key(pgrx::name_data_to_str(&(*(*self.table).rd_rel).relname)))?;
            let finder = Finder::new(self.table, index, types, self.current, true);
            if finder.is_plain() {
                self.hot = HotUpdate::new(self.table, self.info, &self.numbers, (*self.state).es_output_cid);
            }
            self.finder = Some(finder);
        }
        Ok(())
    }

    fn finder(&mut self) -> Result<&mut Finder> {
        self.finder
            .as_mut()
            .ok_or_else(|| Error::internal("an editor has no index"))
    }

    /// A key that is about to be asked for: [`Self::find_announced`] finds its row faster. Faster still where keys ascend.
    pub fn announce(&mut self, key: &[Value]) -> Result<()> {
        self.finder()?.announce(key)
    }

    /// Makes the row with the key that was announced first the current one; whether there is one.
    pub fn find_announced(&mut self) -> Result<bool> {
        self.finder()?.find_announced()
    }

    /// Makes the row with this key the current one, which may be at the place `hint`; whether there is one. No key is announced.
    pub fn find_hinted(&mut self, key: &[Value], hint: Option<Tid>) -> Result<bool> {
        self.finder()?.find_hinted(key, hint)
    }

    /// A place that [`Self::at`] or [`Self::find_hinted`] is about to go to: soon, or after some others.
    pub fn announce_place(&self, place: Tid, soon: bool) {
        if let Some(finder) = &self.finder {
            finder.announce_place(place, soon);
        }
    }

    /// Makes the row at this place, read in this transaction, the current one.
    ///
    /// # Errors
    /// 40001 for a row that another session changed meanwhile.
    pub fn at(&mut self, place: Tid) -> Result<()> {
        if self.finder()?.at(place) {
            return Ok(());
        }
        Err(Error::new(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "a row was changed by another session while it was brought up to date",
        )
        .hint("Run it again."))
    }

    /// The current row's values of the editor's columns; none where one is NULL.
    pub fn get<const N: usize>(&self) -> Option<[Value; N]> {
        // SAFETY: the current slot holds a row of the table, whose columns were found and have these types.
        unsafe { values_of(self.current, &self.numbers, self.columns) }
    }

    /// Gives the current row other values in the editor's columns.
    ///
    /// # Errors
    /// XX000 for values of other types than the columns'.
    pub fn set(&mut self, values: &[Value]) -> Result<()> {
        let fit = values.len() == self.columns.len() && values.iter().zip(self.columns).all(|(v, (_, c))| v.is_of(*c));
        if !fit {
            return Err(Error::internal("values do not have the types of the columns to set"));
        }
        // SAFETY: the current slot holds a row of the table; both slots have the table's attributes. What the new slot borrows
        // of the old one is read before the old one is cleared.
        unsafe {
            if self.hot.as_mut().is_some_and(|hot| hot.set(self.current, values)) {
                check_for_interrupts!();
                return Ok(());
            }
            let (current, new) = (self.current, self.new);
            let natts = (*(*current).tts_tupleDescriptor).natts;
            deform(current, natts as i16);
            let clear = (*(*new).tts_ops).clear;
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                if let Some(clear) = clear {
                    clear(new);
                }
            });
            std::ptr::copy_nonoverlapping((*current).tts_values, (*new).tts_values, natts as usize);
            std::ptr::copy_nonoverlapping((*current).tts_isnull, (*new).tts_isnull, natts as usize);
            for (number, value) in self.numbers.iter().zip(values) {
                let position = *number as usize - 1;
                *(*new).tts_values.add(position) = value.datum();
                *(*new).tts_isnull.add(position) = false;
            }
            pg_sys::ExecStoreVirtualTuple(new);
            pg_sys::ExecSimpleRelationUpdate(self.info, self.state, &mut *self.epq, current, new);
            self.reset();
        }
        Ok(())
    }

    /// Deletes the current row.
    pub fn delete(&mut self) {
        // SAFETY: the current slot holds a row of the table.
        unsafe {
            pg_sys::ExecSimpleRelationDelete(self.info, self.state, &mut *self.epq, self.current);
            self.reset();
        }
    }

    /// Frees what evaluating constraints and triggers left, and lets interrupts through.
    ///
    /// # Safety
    /// The editor is open.
    unsafe fn reset(&self) {
        // SAFETY: by contract.
        unsafe {
            let context = (*self.state).es_per_tuple_exprcontext;
            if !context.is_null() {
                pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
            }
        }
        check_for_interrupts!();
    }

    /// # Safety
    /// Called once, in the memory context of `open`.
    unsafe fn close(mut self) {
        // SAFETY: by contract; everything was made by `open` and `open_index`.
        unsafe {
            if let Some(finder) = self.finder {
                finder.close();
            }
            if let Some(hot) = &self.hot {
                hot.close();
            }
            pg_sys::AfterTriggerEndQuery(self.state);
            pg_sys::EvalPlanQualEnd(&mut *self.epq);
            pg_sys::ExecDropSingleTupleTableSlot(self.current);
            pg_sys::ExecDropSingleTupleTableSlot(self.new);
            pg_sys::ExecCloseIndices(self.info);
            pg_sys::FreeExecutorState(self.state);
        }
    }
}
