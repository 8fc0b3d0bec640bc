//! Members whose rows may be shared.

use super::unit::UnitRows;

/// Which members are alike but for what they did.
pub(super) struct Kinds {
    /// Assignments, attributes, group, and the member where each is of a kind of its own.
    pub kinds: Vec<(i64, u32, u32, u32)>,
    /// A member of each kind.
    pub members: Vec<u32>,
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
        let mut members = vec![0; kinds.len()];
        for (member, kind) in of_member.iter().enumerate() {
            sizes[*kind as usize] += 1;
            members[*kind as usize] = member as u32;
        }
        Self {
            kinds,
            members,
            sizes,
            of_member,
        }
    }
}
