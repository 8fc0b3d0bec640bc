//! Members whose rows may be shared.

use super::unit::UnitRows;

/// Which members are alike but for what they did.
pub(super) struct Kinds {
    /// Assignments, attributes and group.
    pub kinds: Vec<(i64, u32, u32)>,
    /// Members of each kind.
    pub sizes: Vec<u32>,
    pub of_member: Vec<u32>,
}

impl Kinds {
    pub fn of(rows: &UnitRows<'_>) -> Self {
        let members = 0..rows.members().len();
        let mut kinds: Vec<_> = members.clone().map(|member| rows.kind(member)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let place = |member| kinds.binary_search(&rows.kind(member)).unwrap_or(0) as u32;
        let of_member: Vec<u32> = members.map(place).collect();
        let mut sizes = vec![0; kinds.len()];
        of_member.iter().for_each(|kind| sizes[*kind as usize] += 1);
        Self {
            kinds,
            sizes,
            of_member,
        }
    }
}
