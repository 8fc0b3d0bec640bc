//! Mixing of 64-bit ids for tables in memory; not for adversarial keys, not stored anywhere.

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Folds `value` into `state` with a full 64 x 64 -> 128 bit product, so that every input bit reaches every output bit.
#[inline]
pub(crate) fn fold(state: u64, value: u64) -> u64 {
    let product = u128::from(state ^ value ^ MULTIPLIER) * u128::from(MULTIPLIER | 1);
    (product as u64) ^ ((product >> 64) as u64)
}
