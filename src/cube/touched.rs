//! Who changed on which days since a part was built, and what has to be computed again for it.

use std::ops::Range;

use empatia_engine::calendar::Grain;
use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{CubePlan, Level};
use empatia_engine::error::EngineError;

use super::changes::grow;
use super::fact_runs::Runs;
use super::structure::Source;
use crate::error::Result;
use crate::pg::column::ColumnType::{Bool, Date, Int4, Int8};
use crate::pg::read::query_stable;

/// Part of the budget that ids of new interactions may take.
const IDS_SHARE: usize = 4;

/// Grains of a level, bit `grain.index()`.
pub(super) type Grains = u8;

pub(super) fn bit(grain: Grain) -> Grains {
    1 << grain.index()
}

/// Students that changed, ascending.
#[derive(Debug)]
pub(super) struct Touched {
    users: Vec<User>,
    days: Vec<i32>,
    /// Source and id of interactions that came, ascending.
    new: Vec<(i32, i64)>,
    _new: Reservation,
    _reservation: Reservation,
}

#[derive(Debug)]
struct User {
    id: i64,
    /// Every day of the range.
    whole: bool,
    /// Interactions came and nothing else happened.
    only_added: bool,
    /// It is known of which, and that no row of the parts has them.
    known: bool,
    /// Position of the user's days, ascending.
    days: Range<usize>,
}

impl Touched {
    /// What changed after change `since`, which the parts of `plan` contain, inside its range: as the calling statement sees it, and as that sees the
    /// facts.
    pub fn read(context: &Context, source: &Source, since: i64, plan: &CubePlan) -> Result<Self> {
        let params = plan.params();
        let range = params.range;
        let mut touched = Self {
            users: Vec::new(),
            days: Vec::new(),
            new: Vec::new(),
            _new: context.reserve(0)?,
            _reservation: context.reserve(0)?,
        };
        // changes that were committed while a part was built may be in it already; who names no interaction does not say which came
        let sql = format!(
            "SELECT DISTINCT h.user_id, h.day, bool_and(h.only_added) OVER w, bool_and(EXISTS (SELECT FROM unnest(h.added) i WHERE i IS NOT NULL) AND h.source_id IS NOT NULL AND h.change_id > s.seen) OVER w \
             FROM {}.change h, (SELECT CASE WHEN count(*) = count(b.seen_change_id) THEN max(b.seen_change_id) END AS seen FROM {}.cube_build b \
             WHERE b.client_id = $1 AND (b.level, b.grain) IN (SELECT p.level, p.grain FROM unnest($3, $4) p (level, grain))) s \
             WHERE h.client_id = $1 AND h.change_id > $2 WINDOW w AS (PARTITION BY h.user_id) ORDER BY 1, 2",
            source.dw, source.results
        );
        let parts = params.combinations.levels().flat_map(|level| {
            let grains = params.combinations.grains(level);
            grains.map(move |grain| (level.to_string(), grain.to_string()))
        });
        let (levels, grains): (Vec<_>, Vec<_>) = parts.unzip();
        let args = [source.client_id.into(), since.into(), levels.into(), grains.into()];
        // nulls come last of a user
        query_stable(&sql, &args, &[Int8, Date, Bool, Bool], |row| {
            let (Some(user), day) = (row.i64(0), row.date(1)) else {
                return Ok(());
            };
            if day.is_none_or(|day| range.contains(day)) {
                let is = |column| row.bool(column) == Some(true);
                touched.push(user, day, (is(2), is(2) && is(3)))?;
            }
            Ok(())
        })?;
        touched.read_new(context, source, since)?;
        Ok(touched)
    }

    /// Where their ids are too many, none are known.
    fn read_new(&mut self, context: &Context, source: &Source, since: i64) -> Result<()> {
        if !self.users.iter().any(|user| user.known) {
            return Ok(());
        }
        let (mut new, mut memory, mut fit) = (Vec::new(), context.reserve(0)?, true);
        let most = context.budget() / IDS_SHARE / size_of::<(i32, i64)>();
        let sql = format!(
            "SELECT h.source_id, unnest(h.added) FROM {}.change h WHERE h.client_id = $1 AND h.change_id > $2 AND h.only_added",
            source.dw
        );
        let args = [source.client_id.into(), since.into()];
        query_stable(&sql, &args, &[Int4, Int8], |row| {
            fit = fit && new.len() < most && grow(&mut new, &mut memory).is_ok();
            new.extend(row.i32(0).zip(row.i64(1)).filter(|_| fit));
            Ok(())
        })?;
        if fit {
            new.sort_unstable();
            (self.new, self._new) = (new, memory);
        } else {
            self.users.iter_mut().for_each(|user| user.known = false);
        }
        Ok(())
    }

    fn push(&mut self, user: i64, day: Option<i32>, (only_added, known): (bool, bool)) -> Result<(), EngineError> {
        if self.users.last().is_none_or(|last| last.id != user) {
            grow(&mut self.users, &mut self._reservation)?;
            self.users.push(User {
                id: user,
                whole: false,
                only_added,
                known,
                days: self.days.len()..self.days.len(),
            });
        }
        if let Some(day) = day {
            grow(&mut self.days, &mut self._reservation)?;
            self.days.push(day);
        }
        if let Some(last) = self.users.last_mut() {
            last.whole |= day.is_none();
            last.days.end = self.days.len();
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.users.len()
    }

    pub fn id(&self, user: usize) -> i64 {
        self.users[user].id
    }

    /// Whether no row of the cube can have gone and no grade be another.
    pub fn only_added(&self, user: usize) -> bool {
        self.users[user].only_added && !self.users[user].whole
    }

    /// Whether what changed follows from the interactions that came, those that [`Self::is_new`].
    pub fn is_known(&self, user: usize) -> bool {
        self.users[user].known && self.only_added(user)
    }

    pub fn is_new(&self, source: i32, interaction: i64) -> bool {
        self.new.binary_search(&(source, interaction)).is_ok()
    }

    pub fn new_count(&self) -> usize {
        self.new.len()
    }

    /// The days that changed.
    pub fn changed_days(&self, user: usize) -> &[i32] {
        &self.days[self.users[user].days.clone()]
    }

    /// The first day of `first..=last` that changed.
    pub fn first_day(&self, user: usize, first: i32, last: i32) -> Option<i32> {
        let user = &self.users[user];
        if user.whole {
            return Some(first);
        }
        let days = &self.days[user.days.clone()];
        let next = days.get(days.partition_point(|day| *day < first)).copied();
        next.filter(|day| *day <= last)
    }

    /// Position of a user.
    pub fn position(&self, id: i64) -> Option<usize> {
        self.users.binary_search_by_key(&id, |user| user.id).ok()
    }

    /// The grains out of `asked` that have to be computed from facts: the finest, and those whose periods part days that
    /// changed within one period of each of these. What changed in the others follows from what changed in these.
    pub fn computed(&self, user: usize, asked: Grains, plan: &CubePlan) -> Grains {
        let user = &self.users[user];
        if user.whole {
            return asked;
        }
        let days = &self.days[user.days.clone()];
        let mut computed = 0;
        for grain in grains(asked) {
            if source_of(grain, computed, days, plan).is_none() {
                computed |= bit(grain);
            }
        }
        computed
    }

    /// The grain of `computed` from whose changes those of `grain` follow.
    pub fn source(&self, user: usize, grain: Grain, computed: Grains, plan: &CubePlan) -> Option<Grain> {
        let user = &self.users[user];
        let days = &self.days[user.days.clone()];
        source_of(grain, computed, days, plan).filter(|_| !user.whole)
    }

    /// The days of the periods, of any of these grains, that changed.
    pub fn days_of(&self, user: usize, of: Grains, plan: &CubePlan, runs: &mut Runs) {
        let range = plan.params().range;
        let id = self.users[user].id;
        if self.users[user].whole {
            runs.push(id, range.first(), range.last());
            return;
        }
        for day in &self.days[self.users[user].days.clone()] {
            for grain in grains(of) {
                if let Some((first, last)) = period_of(grain, *day, plan) {
                    runs.push(id, first.max(range.first()), last.min(range.last()));
                }
            }
        }
    }

    /// First days of the periods of a grain that changed, as runs of them.
    pub fn periods_of(&self, user: usize, grain: Grain, plan: &CubePlan, runs: &mut Runs) {
        let Some(periods) = plan.periods(grain).map(|periods| periods.as_slice()) else {
            return;
        };
        let id = self.users[user].id;
        if self.users[user].whole {
            if let (Some(first), Some(last)) = (periods.first(), periods.last()) {
                runs.push(id, first.start, last.start);
            }
            return;
        }
        for day in &self.days[self.users[user].days.clone()] {
            if let Some((first, _)) = period_of(grain, *day, plan) {
                runs.push(id, first, first);
            }
        }
    }
}

pub(super) fn grains(of: Grains) -> impl Iterator<Item = Grain> {
    Grain::ALL.into_iter().filter(move |grain| of & bit(*grain) != 0)
}

pub(super) fn grains_of(level: Level, plan: &CubePlan) -> Grains {
    plan.params()
        .combinations
        .grains(level)
        .fold(0, |all, grain| all | bit(grain))
}

pub(super) fn period_of(grain: Grain, day: i32, plan: &CubePlan) -> Option<(i32, i32)> {
    let periods = plan.periods(grain)?;
    let period = periods.as_slice().get(periods.ordinal(day)? as usize)?;
    Some((period.start, period.end))
}

/// Of `computed` the finest grain none of whose periods holds days of two periods of `grain`; days ascend.
fn source_of(grain: Grain, computed: Grains, days: &[i32], plan: &CubePlan) -> Option<Grain> {
    grains(computed).find(|source| {
        days.windows(2).all(|pair| {
            period_of(*source, pair[0], plan) != period_of(*source, pair[1], plan)
                || period_of(grain, pair[0], plan) == period_of(grain, pair[1], plan)
        })
    })
}
