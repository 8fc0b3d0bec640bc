//! What features of a row say of all members of its unit.

use super::coverage::Common;
use super::ranks::Ranks;

/// What the rows of a unit know of all of its cells.
#[derive(Debug, Default)]
pub struct UnitSummary {
    /// How many members.
    pub(super) members: usize,
    /// Activity of the period, by period.
    pub(super) activity: Vec<Ranks>,
    /// Activity of the window, by period; empty where no feature asks for it.
    pub(super) sums: Vec<Ranks>,
    /// First period with activity.
    pub(super) began: Option<usize>,
    /// Empty where no feature asks for it.
    pub(super) common: Common,
}

impl UnitSummary {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let of = |ranks: &Ranks| size_of::<Ranks>() + size_of_val(ranks.values());
        size_of::<Self>() + self.common.bytes() + self.activity.iter().chain(&self.sums).map(of).sum::<usize>()
    }
}
