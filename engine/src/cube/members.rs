//! Who is a student of which space.

use std::ops::RangeInclusive;

use crate::context::{Context, Reservation};
use crate::error::Result;

/// The (space, user) pairs that are students; answers "which spaces is this user a student of".
#[derive(Debug)]
pub struct Members {
    /// Distinct users, ascending.
    users: Vec<i64>,
    /// `users[i]`'s spaces are `spaces[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    /// Ascending within a user.
    spaces: Vec<i64>,
    _reservation: Reservation,
}

/// Collects the pairs of a [`Members`]; repeated pairs count once.
#[derive(Debug)]
pub struct MembersBuilder {
    /// (user, space)
    pairs: Vec<(i64, i64)>,
    reservation: Reservation,
    ctx: Context,
}

impl MembersBuilder {
    /// # Errors
    /// None today; the signature leaves room for a first reservation.
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            pairs: Vec::new(),
            reservation: ctx.reserve(0)?,
            ctx: ctx.clone(),
        })
    }

    /// Makes `user` a student of `space`.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    pub fn push(&mut self, space: i64, user: i64) -> Result<()> {
        super::memory::grow(&mut self.pairs, 1, &mut self.reservation)?;
        self.pairs.push((user, space));
        Ok(())
    }

    /// Sorts the pairs into the look-up table.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    pub fn finish(mut self) -> Result<Members> {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        let distinct = self.pairs.chunk_by(|a, b| a.0 == b.0).count();
        let words = distinct * 2 + 1 + self.pairs.len();
        let reservation = self.ctx.reserve_for::<i64>(words)?;
        let mut members = Members {
            users: Vec::with_capacity(distinct),
            starts: Vec::with_capacity(distinct + 1),
            spaces: Vec::with_capacity(self.pairs.len()),
            _reservation: reservation,
        };
        for spaces_of_user in self.pairs.chunk_by(|a, b| a.0 == b.0) {
            members.users.extend(spaces_of_user.first().map(|pair| pair.0));
            members.starts.push(members.spaces.len());
            members.spaces.extend(spaces_of_user.iter().map(|pair| pair.1));
        }
        members.starts.push(members.spaces.len());
        Ok(members)
    }
}

impl Members {
    /// Builds the table from (space, user) pairs.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    pub fn from_pairs(ctx: &Context, pairs: impl IntoIterator<Item = (i64, i64)>) -> Result<Self> {
        let mut builder = MembersBuilder::new(ctx)?;
        for (space, user) in pairs {
            builder.push(space, user)?;
        }
        builder.finish()
    }

    /// The spaces `user` is a student of, ascending.
    pub fn spaces_of(&self, user: i64) -> &[i64] {
        match self.users.binary_search(&user) {
            Ok(index) => &self.spaces[self.starts[index]..self.starts[index + 1]],
            Err(_) => &[],
        }
    }

    /// The distinct users inside a range, ascending.
    pub fn users_in(&self, range: &RangeInclusive<i64>) -> &[i64] {
        let start = self.users.partition_point(|user| user < range.start());
        let end = self.users.partition_point(|user| user <= range.end());
        self.users.get(start..end).unwrap_or_default()
    }

    /// Number of (space, user) pairs.
    pub fn len(&self) -> usize {
        self.spaces.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }
}
