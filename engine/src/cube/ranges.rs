//! Buckets of facts by ranges of users.

use std::ops::RangeInclusive;

use super::buckets::BUCKETS;
use super::members::Members;
use crate::context::{Context, Reservation};
use crate::error::Result;

/// Stripes of users of the same width, several times as many as buckets.
const STRIPES: usize = 4 * BUCKETS;

/// Bucket `i` ends before user `bounds[i]`; the last is open.
///
/// Every fact is looked up here. A binary search of all bounds is a dozen branches that nobody can foresee; ids are handed out one after the other
/// nearly everywhere, so that the stripe of an id leaves none or one bound to compare with.
#[derive(Debug)]
pub(super) struct Ranges {
    bounds: Vec<i64>,
    /// Where the first stripe begins, and the logarithm of the users of a stripe.
    first: i64,
    shift: u32,
    /// How many bounds lie before each stripe, and before the end.
    before: Vec<u16>,
    _reservation: Reservation,
}

impl Ranges {
    /// With about as many members each.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    pub fn new(ctx: &Context, members: &Members) -> Result<Self> {
        let mut reservation = ctx.reserve_for::<i64>(BUCKETS)?;
        reservation.grow((STRIPES + 2) * size_of::<u16>())?;
        let users = members.users_in(&(i64::MIN..=i64::MAX));
        let bounds: Vec<i64> = (1..BUCKETS)
            .filter_map(|bucket| users.get(bucket * users.len() / BUCKETS).copied())
            .collect();
        let first = bounds.first().copied().unwrap_or(0);
        let width = bounds.last().map_or(0, |last| last.wrapping_sub(first) as u64);
        let shift = (width / STRIPES as u64 + 1).next_power_of_two().trailing_zeros();
        let mut ranges = Self {
            bounds,
            first,
            shift,
            before: Vec::with_capacity(STRIPES + 2),
            _reservation: reservation,
        };
        let stripes = ranges.bounds.last().map_or(0, |last| ranges.stripe(*last)) + 1;
        let mut passed = 0;
        for stripe in 0..=stripes {
            while ranges
                .bounds
                .get(passed)
                .is_some_and(|bound| ranges.stripe(*bound) < stripe)
            {
                passed += 1;
            }
            ranges.before.push(passed as u16);
        }
        Ok(ranges)
    }

    /// Of a user that is not before the first bound.
    #[inline]
    fn stripe(&self, user: i64) -> usize {
        (user.wrapping_sub(self.first) as u64 >> self.shift) as usize
    }

    #[inline]
    pub fn bucket(&self, user: i64) -> usize {
        if user < self.first {
            return 0;
        }
        let stripe = self.stripe(user).min(self.before.len() - 2);
        let (from, to) = (self.before[stripe] as usize, self.before[stripe + 1] as usize);
        from + self.bounds[from..to].partition_point(|bound| *bound <= user)
    }

    /// Those of a bucket.
    pub fn users(&self, bucket: usize) -> RangeInclusive<i64> {
        let first = match bucket.checked_sub(1) {
            None => i64::MIN,
            // a bucket after the last bound has nobody
            Some(before) => self.bounds.get(before).copied().unwrap_or(i64::MAX),
        };
        let last = self
            .bounds
            .get(bucket)
            .map_or(i64::MAX, |bound| bound.saturating_sub(1));
        first..=last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every user near a bound and at the ends of all numbers, against a search of all bounds.
    fn check(users: impl Iterator<Item = i64>) {
        let ctx = Context::builder().memory_budget(64 << 20).build().unwrap();
        let members = Members::from_pairs(&ctx, users.map(|user| (1, user))).unwrap();
        let ranges = Ranges::new(&ctx, &members).unwrap();
        let mut asked = vec![i64::MIN, -1, 0, 1, i64::MAX];
        for bound in &ranges.bounds {
            asked.extend([bound.saturating_sub(1), *bound, bound.saturating_add(1)]);
        }
        for user in asked {
            let expected = ranges.bounds.partition_point(|bound| *bound <= user);
            assert_eq!(ranges.bucket(user), expected, "user {user}");
            assert!(ranges.users(expected).contains(&user), "user {user}");
        }
    }

    #[test]
    fn a_users_bucket_is_that_of_the_bounds() {
        check(std::iter::empty());
        check(std::iter::once(7));
        check(1..100_000);
        check((0..5000).map(|n| n * 1_000_003 - 2_000_000_000));
        // two crowds far apart, so that one stripe has half of all bounds, and ids at both ends
        check((0..3000).chain((0..3000).map(|n| i64::MAX - n)));
        check((0..3000).flat_map(|n| [i64::MIN + n, i64::MAX - n]));
        check((0..60).map(|n| 1 << n));
    }
}
