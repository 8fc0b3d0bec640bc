//! What can be wrong with the facts themselves.

/// Facts the cube cannot be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CubeError {
    /// A streamed fact came after one of a later user.
    #[error("facts must come ordered by user, but user {user} follows user {previous}")]
    OutOfOrder { user: i64, previous: i64 },

    /// The amounts of one student add up beyond 64 bits.
    #[error("interaction amounts of user {user} add up beyond the 64-bit integers")]
    AmountOverflow { user: i64 },

    /// A grade that is NaN or infinite.
    #[error("grade of user {user} is not a finite number")]
    NonFiniteGrade { user: i64 },

    /// The allocator refused memory that the budget had room for.
    #[error("cannot allocate {bytes} bytes")]
    Allocation { bytes: usize },

    /// More distinct paths, or facts of one student, than 32 bits can number.
    #[error("more than {max} {what}")]
    TooMany { what: &'static str, max: u32 },

    /// Facts that were set aside and did not come back as they were.
    #[error("facts set aside at byte {at} cannot be read back")]
    SetAside { at: u64 },
}
