//! The features of one row.

use super::cell::{sum, total};
use super::recipe::{ASSIGNED, LATE, SUBMITTED};
use super::{Basis, Cell, Member, UnitRows};

impl UnitRows<'_> {
    /// The features of a row of `member` whose window holds `window`.
    pub(super) fn fill(&self, window: &[Cell], period: usize, member: usize, into: &mut Vec<f64>) {
        let Member {
            assigned, attributes, ..
        } = self.members[member];
        into.clear();
        into.resize(self.layout.attributes, 0.0);
        let now = window.last().filter(|cell| cell.period as usize == period);
        self.fill_counts(window, now, period, assigned, into);
        self.fill_ratios(window, assigned, into);
        self.fill_trend(window, period, into);
        let summary = &self.summary;
        let members = summary.members;
        if let Some(at) = self.layout.activity_rank {
            into[at] = summary.activity[period].rank(now.map_or(0, |cell| cell.activity(self.basis)), members);
        }
        if let Some(at) = self.layout.sum_rank {
            into[at] = summary.sums[period].rank(sum(window, self.basis), members);
        }
        if let Some(at) = self.layout.context {
            let active = &summary.activity[period];
            into[at] = members as f64;
            into[at + 1] = active.total() as f64 / members as f64;
            into[at + 2] = active.values().len() as f64 / members as f64;
        }
        if let Some(at) = self.layout.age {
            let age = summary.began.and_then(|began| period.checked_sub(began));
            into[at] = age.map_or(f64::NAN, |age| age as f64);
        }
        self.fill_work(member, period, into);
        self.fill_coverage(member, period, into);
        // where nothing is stored the row is that of others too
        if !window.is_empty() {
            self.fill_kinds(member, period, into);
        }
        if !self.attributes.columns().is_empty() {
            into.extend_from_slice(self.attributes.row(attributes));
        }
    }

    fn fill_counts(&self, window: &[Cell], now: Option<&Cell>, period: usize, assigned: i64, into: &mut [f64]) {
        for (at, count) in self.layout.counts.iter().enumerate() {
            into[at] = match (*count, self.basis) {
                (ASSIGNED, Basis::Universe) => assigned as f64,
                _ => now.map_or(0.0, |cell| cell.counts[*count] as f64),
            };
        }
        for (count, at) in &self.layout.lags {
            let lags = &mut into[*at..at + self.layout.n_lags];
            // there was no such period
            lags.iter_mut().skip(period).for_each(|lag| *lag = f64::NAN);
            for cell in window {
                let lag = period - cell.period as usize;
                if (1..=lags.len()).contains(&lag) {
                    lags[lag - 1] = cell.counts[*count] as f64;
                }
            }
        }
        for (count, at) in &self.layout.sums {
            into[*at] = total(window, *count) as f64;
        }
    }

    fn fill_ratios(&self, window: &[Cell], assigned: i64, into: &mut [f64]) {
        let share = |part: i64, whole: i64| {
            if whole == 0 {
                f64::NAN
            } else {
                part as f64 / whole as f64
            }
        };
        if let Some(at) = self.layout.conclusion {
            let assigned = match self.basis {
                Basis::Universe => assigned,
                Basis::Due => total(window, ASSIGNED),
            };
            into[at] = share(total(window, SUBMITTED), assigned);
        }
        if let Some(at) = self.layout.late_share {
            into[at] = share(total(window, LATE), total(window, SUBMITTED));
        }
        if let Some(at) = self.layout.grade {
            let (sum, count) = window.iter().fold((0.0, 0), |(sum, count), cell| {
                (sum + cell.grade_sum, count + cell.grade_count)
            });
            into[at] = if count == 0 { f64::NAN } else { sum / count as f64 };
        }
    }

    fn fill_trend(&self, window: &[Cell], period: usize, into: &mut [f64]) {
        let Some(at) = self.layout.trend else { return };
        let periods = self.history.min(period) + 1;
        let mut active = window.iter().filter(|cell| cell.activity(self.basis) != 0);
        into[at] = active.clone().count() as f64 / periods as f64;
        let since = active
            .next_back()
            .map_or(self.history + 1, |cell| period - cell.period as usize);
        into[at + 1] = since as f64;
        // least squares over 0, 1, .. periods - 1
        let mean = (periods - 1) as f64 / 2.0;
        let first = period + 1 - periods;
        let moment = |cell: &Cell| ((cell.period as usize - first) as f64 - mean) * cell.activity(self.basis) as f64;
        let spread = periods as f64 * (periods as f64 * periods as f64 - 1.0) / 12.0;
        into[at + 2] = match periods {
            1 => f64::NAN,
            // never -0.0, which would be another number to a hash
            _ => window.iter().map(moment).sum::<f64>() / spread + 0.0,
        };
    }
}
