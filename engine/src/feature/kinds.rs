//! Members whose rows may be shared.

use super::unit::UnitRows;
use super::Member;

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
        let kind = |member: &Member| {
            let assigned = if rows.by_assigned() { member.assigned } else { 0 };
            let attributes = if !rows.by_attributes() { 0 } else { member.attributes };
            (assigned, attributes, member.group)
        };
        let mut kinds: Vec<_> = rows.members().iter().map(kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let place = |member: &Member| kinds.binary_search(&kind(member)).unwrap_or(0) as u32;
        let of_member: Vec<u32> = rows.members().iter().map(place).collect();
        let mut sizes = vec![0; kinds.len()];
        of_member.iter().for_each(|kind| sizes[*kind as usize] += 1);
        Self {
            kinds,
            sizes,
            of_member,
        }
    }
}
