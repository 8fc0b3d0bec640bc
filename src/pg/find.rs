//! Rows found by many keys of a unique index, in the order of the keys, without a query.

use pgrx::prelude::*;

use super::column::{attribute, deform, ColumnType, Tid};
use super::finder::{is_key, no_key, Finder, AHEAD};
use super::memory::{child_context, RestoreContext};
use super::value::Value;
use super::write::{check_row_security, check_types, open_for, to_cstring, Relation};
use crate::error::{Error, Result};

/// Calls `on_row` with place and values of each row of `relation` that has one of `keys`, which had better ascend; `key` are the columns of
/// a unique index of it, in their order. Sees what the transaction wrote before. Returns the number of rows.
///
/// # Errors
/// As [`edit_rows`](super::edit::edit_rows), but needs no more than the privilege to SELECT; XX000 for a null in one of `columns`.
pub fn find_rows<const K: usize, const N: usize>(
    relation: Relation<'_>,
    key: &[(&str, ColumnType); K],
    columns: &[(&str, ColumnType); N],
    keys: impl Iterator<Item = [Value; K]>,
    mut on_row: impl FnMut(usize, Tid, [Value; N]) -> Result<()>,
) -> Result<u64> {
    let restore = RestoreContext::new();
    let scratch = child_context(c"empatia find");
    // SAFETY: `scratch` was just made. It is deleted only where nothing was raised; else it goes with its parent.
    unsafe { pg_sys::CurrentMemoryContext = scratch };
    let table = open_for(relation, pg_sys::AccessShareLock)?;
    // SAFETY: `table` is open, and locked until the transaction ends; so is the index while the finder is used.
    unsafe {
        check_table(table, &[pg_sys::ACL_SELECT])?;
        let key_numbers = attributes(table, key)?;
        let numbers = attributes(table, columns)?;
        let index = open_index(table, &key_numbers)?;
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let slot = pg_sys::table_slot_create(table, std::ptr::null_mut());
        let types = key.iter().map(|(_, column_type)| *column_type).collect();
        let mut finder = Finder::new(table, index, types, slot, false);
        let find_all = || {
            let (mut keys, mut found) = (keys, 0);
            announce(&mut finder, keys.by_ref().take(AHEAD))?;
            let mut position = 0;
            while finder.has_announced() {
                announce(&mut finder, keys.next())?;
                if finder.find_announced()? {
                    found += 1;
                    let values = values_of(slot, &numbers, columns).ok_or_else(null)?;
                    on_row(position, tid_of(slot), values)?;
                }
                position += 1;
                check_for_interrupts!();
            }
            Ok(found)
        };
        let outcome = find_all();
        finder.close();
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::PopActiveSnapshot();
        pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
        pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
        drop(restore);
        pg_sys::MemoryContextDelete(scratch);
        outcome
    }
}

fn announce<const K: usize>(finder: &mut Finder, keys: impl IntoIterator<Item = [Value; K]>) -> Result<()> {
    keys.into_iter().try_for_each(|key| finder.announce(&key))
}

fn null() -> Error {
    Error::internal("found a null in a column that cannot hold one")
}

/// # Safety
/// `table` is open and locked.
pub(super) unsafe fn open_index(table: pg_sys::Relation, key: &[i16]) -> Result<pg_sys::Relation> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: by contract; the list is one of OIDs.
    unsafe {
        let list = pg_sys::RelationGetIndexList(table);
        for position in 0..list.as_ref().map_or(0, |list| list.length as usize) {
            let index = pg_sys::index_open((*(*list).elements.add(position)).oid_value, lock);
            if is_key(index, key) {
                return Ok(index);
            }
            pg_sys::index_close(index, lock);
        }
        Err(no_key(pgrx::name_data_to_str(&(*(*table).rd_rel).relname)))
    }
}

/// Whether it is an ordinary table of which the user has these privileges, and sees all rows.
///
/// # Safety
/// `table` is open.
pub(super) unsafe fn check_table(table: pg_sys::Relation, privileges: &[u32]) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        let class = &*(*table).rd_rel;
        let name = pgrx::name_data_to_str(&class.relname);
        if class.relkind as u8 != pg_sys::RELKIND_RELATION {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("expected an ordinary table, which \"{name}\" is not"),
            ));
        }
        for privilege in privileges {
            #[allow(clippy::useless_conversion)] // the type is wider since 16
            let found = pg_sys::pg_class_aclcheck((*table).rd_id, pg_sys::GetUserId(), (*privilege).into());
            if found != pg_sys::AclResult::ACLCHECK_OK {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                    format!("permission denied for table {name}"),
                ));
            }
        }
        check_row_security(table)
    }
}

/// Attribute numbers of the columns.
///
/// # Safety
/// `table` is open.
pub(super) unsafe fn attributes(table: pg_sys::Relation, columns: &[(&str, ColumnType)]) -> Result<Vec<i16>> {
    columns
        .iter()
        .map(|(name, column_type)| {
            let wanted = to_cstring(name)?;
            // SAFETY: by contract; the attribute was found in the table.
            unsafe {
                let number = pg_sys::get_attnum((*table).rd_id, wanted.as_ptr());
                if number <= 0 {
                    return Err(Error::new(
                        PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                        format!("column \"{name}\" does not exist"),
                    ));
                }
                check_types(table, &[i32::from(number)], &[*column_type])?;
                if !attribute((*table).rd_att, number as usize - 1).attbyval {
                    return Err(Error::internal(format!("column \"{name}\" is not passed by value")));
                }
                Ok(number)
            }
        })
        .collect()
}

/// The values of these columns of the row in a slot; none where one is NULL.
///
/// # Safety
/// The slot holds a row of the table that the numbers are of, and the columns have these types.
pub(super) unsafe fn values_of<const N: usize>(
    slot: *mut pg_sys::TupleTableSlot,
    numbers: &[i16],
    columns: &[(&str, ColumnType)],
) -> Option<[Value; N]> {
    let mut values = [Value::Int4(0); N];
    // SAFETY: by contract; attributes up to the last are deformed first.
    unsafe {
        deform(slot, numbers.iter().copied().max().unwrap_or(0));
        for ((value, number), (_, column)) in values.iter_mut().zip(numbers).zip(columns) {
            let position = *number as usize - 1;
            if *(*slot).tts_isnull.add(position) {
                return None;
            }
            *value = Value::from_datum(*(*slot).tts_values.add(position), *column)?;
        }
    }
    Some(values)
}

/// # Safety
/// The slot holds a row of a table.
unsafe fn tid_of(slot: *const pg_sys::TupleTableSlot) -> Tid {
    // SAFETY: by contract.
    let tid = unsafe { (*slot).tts_tid };
    Tid {
        block: u32::from(tid.ip_blkid.bi_hi) << 16 | u32::from(tid.ip_blkid.bi_lo),
        position: tid.ip_posid,
    }
}
