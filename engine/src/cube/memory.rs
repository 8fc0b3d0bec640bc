//! Growing vectors against the budget.

use super::error::CubeError;
use crate::context::Reservation;
use crate::error::Result;

/// Makes room for `extra` more values, at least doubling, after reserving the bytes.
///
/// # Errors
/// [`EngineError::Memory`](crate::error::EngineError::Memory) beyond the budget, [`CubeError::Allocation`] when the
/// allocator refuses.
#[inline]
pub(crate) fn grow<T>(vec: &mut Vec<T>, extra: usize, reservation: &mut Reservation) -> Result<()> {
    if vec.capacity() - vec.len() >= extra {
        return Ok(());
    }
    let capacity = vec
        .len()
        .saturating_add(extra)
        .max(vec.capacity().saturating_mul(2))
        .max(16);
    grow_to(vec, capacity, reservation)
}

/// Makes room for `capacity` values in all, exactly.
///
/// # Errors
/// As [`grow`].
#[cold]
pub(crate) fn grow_to<T>(vec: &mut Vec<T>, capacity: usize, reservation: &mut Reservation) -> Result<()> {
    let bytes = capacity.saturating_sub(vec.capacity()).saturating_mul(size_of::<T>());
    reservation.grow(bytes)?;
    vec.try_reserve_exact(capacity.saturating_sub(vec.len()))
        .map_err(|_| CubeError::Allocation { bytes }.into())
}
