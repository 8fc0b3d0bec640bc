//! Facts that count for no unit, by the reasons that `empatia._left_out()` names.

/// Numbers of facts left out. A fact has one reason, the first that applies in the order of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub no_space: u64,
    pub not_student: u64,
    pub outside_range: u64,
}

impl LeftOut {
    pub fn add(&mut self, other: LeftOut) {
        self.no_space += other.no_space;
        self.not_student += other.not_student;
        self.outside_range += other.outside_range;
    }
}
