//! How much of what their classmates use members have used themselves.

use std::collections::HashMap;

use super::unit::UnitRows;
use super::work::Details;
use crate::error::Result;

/// Features of the part `coverage` of a recipe, in their order.
pub(super) const NAMES: [&str; 2] = ["lectures_used", "lecture_coverage"];
/// A lecture belongs to what the class uses once one in so many members has used it.
const ONE_IN: usize = 4;
/// About what an entry of a table of lectures takes.
const ENTRY: usize = 48;

/// The first time that a member used a lecture of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstUse {
    /// Position among the members.
    pub member: u32,
    /// Position among the periods.
    pub period: u32,
    pub lecture: i64,
}

/// The lectures that a class uses.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Period from which on each of them is.
    since: HashMap<i64, u32>,
    /// How many there are, by period.
    count: Vec<u32>,
}

impl Common {
    /// `uses`: once per member and lecture.
    fn of(uses: &[FirstUse], members: usize, periods: usize) -> Self {
        let mut when: HashMap<i64, Vec<u32>> = HashMap::new();
        for found in uses {
            when.entry(found.lecture).or_default().push(found.period);
        }
        let wanted = members.div_ceil(ONE_IN).max(1);
        let mut common = Self {
            since: HashMap::new(),
            count: vec![0; periods],
        };
        for (lecture, mut periods_of) in when {
            if periods_of.len() >= wanted {
                periods_of.sort_unstable();
                let since = periods_of[wanted - 1];
                common.since.insert(lecture, since);
                common.count[since as usize] += 1;
            }
        }
        let mut sum = 0;
        for count in &mut common.count {
            sum += *count;
            *count = sum;
        }
        common
    }

    pub fn bytes(&self) -> usize {
        self.since.len() * ENTRY + size_of_val(self.count.as_slice())
    }
}

impl<'a> UnitRows<'a> {
    /// Finds what the unit's members use, of whom these are all.
    pub(super) fn find_common(&mut self, details: &Details<'a>) -> Result<()> {
        if self.layout.coverage.is_none() {
            return Ok(());
        }
        let _lists = self.ctx.reserve(details.first_uses.len() * size_of::<u32>() + ENTRY)?;
        let common = Common::of(details.first_uses, self.members.len(), self.periods);
        // that of some members came with its common lectures, and is not the only owner of its summary
        if let Some(summary) = std::sync::Arc::get_mut(&mut self.summary) {
            summary.common = common;
        }
        Ok(())
    }

    /// Fills in what a member has used by the end of a period.
    pub(super) fn fill_coverage(&self, member: usize, period: usize, into: &mut [f64]) {
        let Some(at) = self.layout.coverage else { return };
        let common = &self.summary.common;
        let by_then = |when: u32| when as usize <= period;
        let used = self.details.first_uses_of(member).iter().filter(|u| by_then(u.period));
        let (mut all, mut of_common) = (0u32, 0u32);
        for found in used {
            all += 1;
            of_common += u32::from(common.since.get(&found.lecture).is_some_and(|since| by_then(*since)));
        }
        let wanted = common.count.get(period).copied().unwrap_or(0);
        into[at] = f64::from(all);
        into[at + 1] = if wanted == 0 {
            f64::NAN
        } else {
            f64::from(of_common) / f64::from(wanted)
        };
    }
}
