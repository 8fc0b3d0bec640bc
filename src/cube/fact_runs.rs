//! Facts of some days of some users: looked up user by user, or picked out of all facts of these days where those are hardly more.

use pgrx::datum::DatumWithOid;

use super::structure::Source;
use crate::error::Result;
use crate::pg::column::ColumnType;
use crate::pg::estimate::expected;
use crate::pg::read::query_stable;
use crate::pg::row::Row;
use crate::pg::settings::with_settings;

/// So many runs are looked up without further ado, and so many of them to learn how many facts there are to each.
const MANY: usize = 256;
const SAMPLE: usize = 32;
/// A fact that is looked up by user takes so many times as long as one of all facts of some days.
const DEARER: f64 = 2.0;
/// Who expects less than this part of the facts that there must be knows nothing of them.
const KNOWN: f64 = 0.25;
/// What the planner adds to the cost of a way that was turned off.
const NO_INDEX: f64 = 1e9;

/// Days of some users, a row each; users ascending, the days of one user apart.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub users: Vec<i64>,
    pub first_days: Vec<i32>,
    pub last_days: Vec<i32>,
}

impl Runs {
    pub fn push(&mut self, user: i64, first: i32, last: i32) {
        self.users.push(user);
        self.first_days.push(first);
        self.last_days.push(last);
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    pub fn len(&self) -> usize {
        self.users.len()
    }

    fn iter(&self) -> impl Iterator<Item = (i64, i32, i32)> + '_ {
        let days = self.first_days.iter().zip(&self.last_days);
        self.users
            .iter()
            .zip(days)
            .map(|(user, (first, last))| (*user, *first, *last))
    }

    /// Makes one of those that touch.
    pub fn merged(&self) -> Self {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable();
        let mut merged = Self::default();
        for (user, first, last) in all {
            match (merged.users.last(), merged.last_days.last_mut()) {
                (Some(same), Some(end)) if *same == user && first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push(user, first, last),
            }
        }
        merged
    }

    /// Two halves: one run in so many, and the others.
    fn split(&self, one_in: usize) -> (Self, Self) {
        let (mut some, mut others) = (Self::default(), Self::default());
        for (position, (user, first, last)) in self.iter().enumerate() {
            let half = if position % one_in == 0 { &mut some } else { &mut others };
            half.push(user, first, last);
        }
        (some, others)
    }

    /// First and last day of all, if every run has most of the days between.
    fn common_days(&self) -> Option<(i32, i32)> {
        let first = self.first_days.iter().copied().min()?;
        let last = self.last_days.iter().copied().max()?;
        let all = i64::from(last) - i64::from(first) + 1;
        let mostly = |(_, from, to)| 2 * (i64::from(to) - i64::from(from) + 1) > all;
        self.iter().all(mostly).then_some((first, last))
    }

    fn contains(&self, user: i64, day: i32) -> bool {
        let from = self.users.partition_point(|other| *other < user);
        let of_user = self.users[from..].iter().take_while(|other| **other == user).count();
        (from..from + of_user).any(|run| (self.first_days[run]..=self.last_days[run]).contains(&day))
    }
}

/// Calls `on_row` with the facts of `select`, which begins with user, kind, amount and day, ends with conditions, has the client as `$1` and the
/// facts as `f`; as the calling statement sees them. So many of them are `new`, and the planner may not know them.
pub(super) fn read_runs(
    select: &str,
    source: &Source,
    runs: &Runs,
    new: usize,
    columns: &[ColumnType],
    mut on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<u64> {
    let Some((first, last)) = runs.common_days().filter(|_| runs.len() >= MANY) else {
        return look_up(select, "f.day", source, runs, columns, on_row);
    };
    let (sample, others) = runs.split(runs.len() / SAMPLE);
    let sampled = look_up(select, "f.day", source, &sample, columns, &mut on_row)?;
    let of_runs = sampled as f64 * others.len() as f64 / sample.len() as f64;
    let days = format!("AND f.day BETWEEN date '2000-01-01' + {first} AND date '2000-01-01' + {last}");
    let literal = select.replace("$1", &source.client_id.to_string());
    let by_pages = [(c"enable_seqscan", c"off"), (c"enable_indexscan", c"off")];
    let expected = with_settings(&by_pages, || expected(&format!("{literal} {days}")))?;
    // far fewer than there must be: the planner does not know these days yet
    let worth_while = (of_runs * KNOWN..of_runs * DEARER).contains(&(expected.rows + new as f64));
    if !worth_while || expected.cost > NO_INDEX {
        return Ok(sampled + look_up(select, "f.day", source, &others, columns, on_row)?);
    }
    let mut found = sampled;
    let sql = format!("{select} {days}");
    let of_others = |row: &Row<'_>| {
        if row
            .i64(0)
            .zip(row.date(3))
            .is_some_and(|(user, day)| others.contains(user, day))
        {
            found += 1;
            on_row(row)?;
        }
        Ok(())
    };
    with_settings(&by_pages, || {
        query_stable(&sql, &[source.client_id.into()], columns, of_others)
    })?;
    Ok(found)
}

/// Run by run. OFFSET keeps the planner from joining in any other way than by looking up each: how many facts there are to a run no
/// statistics tell, and without statistics it would read the whole table.
pub(super) fn look_up(
    select: &str,
    day: &str,
    source: &Source,
    runs: &Runs,
    columns: &[ColumnType],
    on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<u64> {
    let sql = format!(
        "SELECT i.* FROM unnest($2, $3, $4) r (user_id, first_day, last_day), LATERAL ({select} AND f.user_id = r.user_id \
         AND {day} BETWEEN date '2000-01-01' + r.first_day AND date '2000-01-01' + r.last_day OFFSET 0) i"
    );
    let args = [
        source.client_id.into(),
        runs.users.clone().into(),
        runs.first_days.clone().into(),
        runs.last_days.clone().into(),
    ];
    look_up_each(&sql, &args, columns, on_row)
}

/// [`query_stable`] of a LATERAL for each of some rows, all of them different: to remember what was found for each would be in vain.
pub(super) fn look_up_each(
    sql: &str,
    args: &[DatumWithOid<'_>],
    columns: &[ColumnType],
    on_row: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<u64> {
    with_settings(&[(c"enable_memoize", c"off")], || {
        query_stable(sql, args, columns, on_row)
    })
}
