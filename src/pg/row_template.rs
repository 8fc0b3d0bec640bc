//! Rows of one table that differ in fixed-length columns only, made by copying one and changing it.
//!
//! Where each column lies is not computed here but observed: PostgreSQL forms a row in which the column has every bit
//! set and one in which it has none.

use pgrx::pg_sys;

use super::column::attribute;

/// A formed row and the place of each of its columns.
pub(super) struct RowTemplate {
    /// The row, header included; 64-bit words, because a row is aligned like them.
    row: Vec<u64>,
    length: usize,
    /// By column: where a value lies; the datum that the row holds, for what lies elsewhere in memory.
    columns: Vec<Column>,
}

#[derive(Clone, Copy)]
enum Column {
    Value { offset: usize, length: usize },
    Reference(pg_sys::Datum),
}

impl RowTemplate {
    /// Forms rows with these values to observe; none where a column is null or its place is not plain.
    ///
    /// # Safety
    /// Both arrays have an entry per column of `desc`, which is valid; memory is the current context's.
    pub unsafe fn observe(desc: pg_sys::TupleDesc, values: *const pg_sys::Datum, nulls: *const bool) -> Option<Self> {
        // SAFETY: by contract.
        unsafe {
            let count = (*desc).natts as usize;
            let mut datums = std::slice::from_raw_parts(values, count).to_vec();
            let mut nulls = std::slice::from_raw_parts(nulls, count).to_vec();
            if nulls.contains(&true) {
                return None;
            }
            let by_value: Vec<Option<usize>> = (0..count)
                .map(|i| attribute(desc, i))
                .map(|a| a.attbyval.then_some(a.attlen as usize))
                .collect();
            for (datum, length) in datums.iter_mut().zip(&by_value) {
                if length.is_some() {
                    *datum = pg_sys::Datum::from(0usize);
                }
            }
            let blank = bytes_of(pg_sys::heap_form_tuple(desc, datums.as_mut_ptr(), nulls.as_mut_ptr()));
            let mut columns = Vec::with_capacity(count);
            for (index, length) in by_value.into_iter().enumerate() {
                let Some(length) = length else {
                    columns.push(Column::Reference(datums[index]));
                    continue;
                };
                datums[index] = pg_sys::Datum::from(usize::MAX);
                let marked = bytes_of(pg_sys::heap_form_tuple(desc, datums.as_mut_ptr(), nulls.as_mut_ptr()));
                datums[index] = pg_sys::Datum::from(0usize);
                let offset = place(&blank, &marked, length)?;
                columns.push(Column::Value { offset, length });
            }
            let mut row = vec![0u64; blank.len().div_ceil(8)];
            std::ptr::copy_nonoverlapping(blank.as_ptr(), row.as_mut_ptr().cast(), blank.len());
            Some(Self {
                row,
                length: blank.len(),
                columns,
            })
        }
    }

    pub fn length(&self) -> usize {
        self.length
    }

    pub fn header(&mut self) -> pg_sys::HeapTupleHeader {
        self.row.as_mut_ptr().cast()
    }

    /// Makes it the row with these values; `false` where one lies elsewhere in memory than the template's.
    ///
    /// # Safety
    /// The array has an entry per column.
    #[inline]
    pub unsafe fn fill(&mut self, values: *const pg_sys::Datum) -> bool {
        let row: *mut u8 = self.row.as_mut_ptr().cast();
        for (index, column) in self.columns.iter().enumerate() {
            // SAFETY: by contract.
            let datum = unsafe { *values.add(index) };
            match *column {
                Column::Reference(held) if held.value() != datum.value() => return false,
                Column::Reference(_) => {}
                Column::Value { offset, length } => {
                    let bytes = datum.value().to_ne_bytes();
                    // SAFETY: observed to lie inside the row; a value has at most the eight bytes of a datum.
                    unsafe {
                        match length {
                            8 => std::ptr::copy_nonoverlapping(bytes.as_ptr(), row.add(offset), 8),
                            4 => std::ptr::copy_nonoverlapping(low(&bytes, 4), row.add(offset), 4),
                            other => std::ptr::copy_nonoverlapping(low(&bytes, other), row.add(offset), other),
                        }
                    }
                }
            }
        }
        true
    }
}

/// The `length` bytes of a datum that hold a shorter value.
#[inline]
fn low(bytes: &[u8; 8], length: usize) -> *const u8 {
    let skipped = if cfg!(target_endian = "big") { 8 - length } else { 0 };
    bytes[skipped..].as_ptr()
}

/// # Safety
/// `tuple` is one that was formed.
unsafe fn bytes_of(tuple: pg_sys::HeapTuple) -> Vec<u8> {
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts((*tuple).t_data.cast::<u8>(), (*tuple).t_len as usize).to_vec() }
}

/// Where `length` bytes, and no others, have every bit set in `marked` and none in `blank`.
fn place(blank: &[u8], marked: &[u8], length: usize) -> Option<usize> {
    if blank.len() != marked.len() || length > 8 {
        return None;
    }
    let offset = blank.iter().zip(marked).position(|(a, b)| a != b)?;
    let differ = |i: usize| blank[i] == 0 && marked[i] == 0xff;
    let end = offset + length;
    let plain = end <= blank.len() && (offset..end).all(differ) && blank[end..] == marked[end..];
    plain.then_some(offset)
}
