//! The facts as they come in, and as they are held.

use super::path::Path;
use crate::error::EngineError;

/// What a student did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InteractionKind {
    Post,
    PostReply,
    HelpRequest,
    HelpRequestReply,
    /// Page views, clicks, log events.
    Access,
}

impl InteractionKind {
    /// Every kind, in the order of [`Measures::amounts`](super::Measures).
    pub const ALL: [InteractionKind; 5] = [
        InteractionKind::Post,
        InteractionKind::PostReply,
        InteractionKind::HelpRequest,
        InteractionKind::HelpRequestReply,
        InteractionKind::Access,
    ];

    /// Position in [`InteractionKind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl TryFrom<u8> for InteractionKind {
    type Error = EngineError;

    /// # Errors
    /// [`EngineError::InvalidParameter`] beyond the positions of [`InteractionKind::ALL`].
    fn try_from(index: u8) -> Result<Self, EngineError> {
        InteractionKind::ALL
            .get(usize::from(index))
            .copied()
            .ok_or_else(|| EngineError::invalid("interaction kind", "between 0 and 4", index))
    }
}

/// One row of the interaction facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interaction {
    pub user: i64,
    pub path: Path,
    /// Day number, see [`calendar`](crate::calendar).
    pub day: i32,
    pub kind: InteractionKind,
    /// What the row adds to its kind's measure.
    pub amount: i64,
}

/// One row of the assignment facts: one student x assignment. Days are day numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    pub user: i64,
    pub path: Path,
    pub assigned: Option<i32>,
    pub due: Option<i32>,
    /// First submission.
    pub submitted: Option<i32>,
    /// Submitted after due (by the instants, so also within one day); ignored without submission.
    pub late: bool,
    /// grade / max_grade, finite; ignored without submission.
    pub grade: Option<f64>,
}

/// What became of the facts of one kind. Each fact is in `counted` or under the one reason it was left out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FactCounts {
    pub counted: u64,
    /// No space: it hangs on no unit that could make the person a member.
    pub no_unit: u64,
    /// The person is not a student of the fact's space. (Interactions outside the range are not looked up: they are
    /// under `outside_range`, whoever they are from.)
    pub not_member: u64,
    /// Dated outside the range. For an assignment: basis universe, its submission (it still counts as assigned); basis due,
    /// its due (or assigned) day and its submission, as far as there are any.
    pub outside_range: u64,
    /// Assignments of basis due only: neither due nor assigned day nor submission.
    pub undated: u64,
}

impl FactCounts {
    pub(super) fn add(&mut self, other: &FactCounts) {
        self.counted += other.counted;
        self.no_unit += other.no_unit;
        self.not_member += other.not_member;
        self.outside_range += other.outside_range;
        self.undated += other.undated;
    }

    /// All facts seen.
    pub fn total(&self) -> u64 {
        self.counted + self.no_unit + self.not_member + self.outside_range + self.undated
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CubeSummary {
    pub interactions: FactCounts,
    pub assignments: FactCounts,
    /// Cells emitted, per level (outer to inner) and grain (finest first).
    pub cells: [[u64; 7]; 5],
}

impl CubeSummary {
    pub(super) fn add_facts(&mut self, other: &CubeSummary) {
        self.interactions.add(&other.interactions);
        self.assignments.add(&other.assignments);
    }

    /// Cells emitted over all combinations.
    pub fn total_cells(&self) -> u64 {
        self.cells.iter().flatten().sum()
    }
}

/// An interaction as held: 24 bytes. Its space is known to exist, its day to be in the range.
#[derive(Debug, Clone, Copy)]
pub(super) struct InteractionRow {
    pub user: i64,
    pub amount: i64,
    pub path: u32,
    /// Days since the range's first (22 bits) x 8 + kind.
    day_kind: u32,
}

impl InteractionRow {
    #[inline]
    pub fn new(user: i64, path: u32, day: u32, kind: InteractionKind, amount: i64) -> Self {
        Self::packed(user, path, (day << 3) | kind as u32, amount)
    }

    /// As [`InteractionRow::day_kind`] says day and kind.
    #[inline]
    pub fn packed(user: i64, path: u32, day_kind: u32, amount: i64) -> Self {
        Self {
            user,
            amount,
            path,
            day_kind,
        }
    }

    #[inline]
    pub fn day_kind(&self) -> u32 {
        self.day_kind
    }

    #[inline]
    pub fn day(&self) -> u32 {
        self.day_kind >> 3
    }

    /// Position in [`InteractionKind::ALL`].
    #[inline]
    pub fn kind(&self) -> usize {
        (self.day_kind & 7) as usize
    }
}

/// An assignment as held. Its space is known to exist; its days are since the range's first, [`NO_DAY`] outside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AssignmentRow {
    pub user: i64,
    /// NaN: none.
    pub grade: f64,
    pub path: u32,
    /// The day whose period counts the assignment: due basis, its due or assigned day; universe, its submission's.
    pub event_day: u32,
    pub submitted_day: u32,
    pub submitted: bool,
    pub late: bool,
    /// It has some day that would date it, in the range or not.
    pub dated: bool,
}

/// No such day inside the range.
pub(super) const NO_DAY: u32 = u32::MAX;

/// What the parallel tasks and both entries hold of a fact.
pub(super) trait Row: Copy + Send + Sync {
    fn user(&self) -> i64;
}

impl Row for InteractionRow {
    #[inline]
    fn user(&self) -> i64 {
        self.user
    }
}

impl Row for AssignmentRow {
    #[inline]
    fn user(&self) -> i64 {
        self.user
    }
}
