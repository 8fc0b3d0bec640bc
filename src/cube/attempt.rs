//! What has to change in the cube because some students changed, computed within the memory budget; nothing is written.
//!
//! Cells of the finest grain are computed from the facts of the periods that changed. What changed in them changed in
//! the coarser periods around them too, by the same numbers: measures are sums over days. So coarser cells are not
//! computed but moved by the difference, unless a period of the finer grain holds changed days of two coarser ones. Sums
//! of grades are not moved, since they have to be those of a build from scratch to the last bit: a student with a changed
//! grade is to be computed at all grains.

use std::time::{Duration, Instant};

use empatia_engine::calendar::Grain;
use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{Cell, Combinations, CubeBuilder, CubeParams, CubePlan, Level};
use empatia_engine::error::EngineError;

use super::active_units::ActiveUnits;
use super::changes::{grow, Change, Delta, Moved};
use super::chunks::{cells_of, Chunk};
use super::fact_runs::Runs;
use super::facts::{read_facts, Stopped, Whose};
use super::stored::{key_of, same, Key, Part, Stored};
use super::structure::Structure;
use super::touched::{bit, grains, grains_of, period_of, Grains, Touched};
use crate::pg::buffers::{self, Known};

/// Part of the budget that facts leave for cells and rows.
const OTHER_SHARE: usize = 2;

/// By level and grain.
pub(super) type Table<T> = [[T; 7]; 5];

/// The changes of some students.
#[derive(Debug)]
pub(super) struct Outcome {
    pub changes: Table<Vec<Change>>,
    /// Rows of coarser grains to move.
    pub moved: Table<Vec<Moved>>,
    /// Positions of the students that have to be computed at all grains, ascending; what is here of them is not complete.
    pub again: Vec<usize>,
    pub facts: Duration,
    pub cells: Duration,
    pub stored: Duration,
    /// Where the pages of the parts are.
    pages: Option<(Known, Reservation)>,
    pub memory: Reservation,
}

impl Outcome {
    /// # Errors
    /// `Memory`.
    pub fn new(context: &Context) -> Result<Self, EngineError> {
        Ok(Self {
            changes: Default::default(),
            moved: Default::default(),
            again: Vec::new(),
            facts: Duration::ZERO,
            cells: Duration::ZERO,
            stored: Duration::ZERO,
            pages: None,
            memory: context.reserve(0)?,
        })
    }

    /// Whether it is known where the pages of the parts are.
    pub fn knows_pages(&self) -> bool {
        self.pages.is_some()
    }

    /// Before so many rows are looked up, if that fits into the budget.
    pub fn look_where_pages_are(&mut self, context: &Context, rows: usize) {
        if let Some(bytes) = buffers::bytes(rows) {
            if let Ok(reserved) = context.reserve(bytes) {
                self.pages = Some((buffers::look(), reserved));
            }
        }
    }

    /// Drops the changes of some students.
    pub fn forget(&mut self, who: impl Fn(i64) -> bool) {
        for changes in self.changes.iter_mut().flatten() {
            changes.retain(|change| !who(change.key.0));
        }
        for moved in self.moved.iter_mut().flatten() {
            moved.retain(|moved| !who(moved.key.0));
        }
    }
}

pub(super) struct Attempt<'a> {
    context: &'a Context,
    structure: &'a Structure,
    plan: &'a CubePlan,
    touched: &'a Touched,
    /// Positions in `touched`, ascending.
    users: &'a [usize],
    all_grains: bool,
    /// Grains computed from facts, by user and level.
    computed: Vec<[Grains; 5]>,
    cells: Table<Vec<Cell>>,
    /// Students with a grade on a day that changed, ascending.
    graded: Vec<usize>,
    /// Units with facts on days that changed, of students to whom only interactions were added.
    active: Option<ActiveUnits>,
    outcome: Outcome,
    memory: Reservation,
}

impl<'a> Attempt<'a> {
    pub fn new(
        context: &'a Context,
        structure: &'a Structure,
        plan: &'a CubePlan,
        touched: &'a Touched,
        users: &'a [usize],
        all_grains: bool,
    ) -> Result<Self, EngineError> {
        let memory = context.reserve_for::<[Grains; 5]>(users.len())?;
        let asked = Level::ALL.map(|level| grains_of(level, plan));
        let of_user = |user: &usize| match all_grains {
            true => asked,
            false => asked.map(|of_level| touched.computed(*user, of_level, plan)),
        };
        Ok(Self {
            context,
            structure,
            plan,
            touched,
            users,
            all_grains,
            computed: users.iter().map(of_user).collect(),
            cells: Default::default(),
            graded: Vec::new(),
            active: None,
            outcome: Outcome::new(context)?,
            memory,
        })
    }

    pub fn run(mut self) -> Result<Outcome, Stopped> {
        let began = Instant::now();
        self.compute()?;
        self.outcome.cells = began.elapsed() - self.outcome.facts;
        self.look_where_pages_are();
        for level in Level::ALL {
            for grain in Grain::ALL {
                self.compare(level, grain)?;
            }
        }
        self.outcome.again.sort_unstable();
        self.outcome.again.dedup();
        self.outcome.stored = began.elapsed() - self.outcome.facts - self.outcome.cells;
        Ok(self.outcome)
    }

    /// Before the rows of the cells are looked up.
    fn look_where_pages_are(&mut self) {
        let rows = Level::ALL.map(|level| {
            let cells: usize = self.cells[level.index()].iter().map(Vec::len).sum();
            cells * grains_of(level, self.plan).count_ones() as usize
        });
        self.outcome.look_where_pages_are(self.context, rows.iter().sum());
    }

    /// Position of a user among `users`.
    fn position(&self, id: i64) -> Option<usize> {
        self.users.binary_search_by_key(&id, |user| self.touched.id(*user)).ok()
    }

    /// Computes the cells of the periods that changed.
    fn compute(&mut self) -> Result<(), Stopped> {
        let mut runs = Runs::default();
        let mut used = [0; 5];
        for (user, of_user) in self.users.iter().zip(&self.computed) {
            let union = of_user.iter().fold(0, |union, of_level| union | of_level);
            self.touched.days_of(*user, union, self.plan, &mut runs);
            for (used, of_level) in used.iter_mut().zip(of_user) {
                *used |= of_level;
            }
        }
        let runs = runs.merged();
        if runs.is_empty() {
            return Ok(());
        }
        let _runs = self.context.reserve_for::<(i64, i32, i32)>(runs.users.len() * 3)?;
        let combinations: Combinations = Level::ALL
            .into_iter()
            .flat_map(|level| grains(used[level.index()]).map(move |grain| (level, grain)))
            .collect();
        let params = CubeParams {
            combinations,
            ..*self.plan.params()
        };
        let began = Instant::now();
        let builder = self.read(params.check(self.context)?, runs)?;
        self.outcome.facts = began.elapsed();
        cells_of(self.context, self.structure, builder, combinations, |chunk| {
            self.keep(chunk)
        })
    }

    fn read(&mut self, plan: CubePlan, runs: Runs) -> Result<CubeBuilder, Stopped> {
        let _others = self.context.reserve(self.context.budget() / OTHER_SHARE)?;
        let params = *plan.params();
        let mut builder = CubeBuilder::ordered(self.context, plan, &self.structure.members)?;
        let (mut graded, mut active, mut last) = (Vec::new(), ActiveUnits::new(self.context)?, None);
        read_facts(
            self.structure,
            &Whose::Runs(runs),
            &params,
            &mut builder,
            None,
            |fact| {
                if last.is_none_or(|(user, _)| user != fact.user) {
                    last = self
                        .position(fact.user)
                        .map(|position| (fact.user, self.users[position]));
                }
                let user = last.map(|(_, user)| user).filter(|user| self.only_added(*user));
                match user.and_then(|user| self.touched.first_day(user, fact.day, fact.day)) {
                    Some(_) => active.push(fact),
                    None => Ok(()),
                }
            },
            |user, day| {
                let Some((position, day)) = self.position(user).zip(day).filter(|_| !self.all_grains) else {
                    return;
                };
                let user = self.users[position];
                if graded.last() != Some(&user) && self.touched.first_day(user, day, day).is_some() {
                    graded.push(user);
                }
            },
        )?;
        graded.sort_unstable();
        self.graded = graded;
        active.finish();
        self.active = Some(active);
        Ok(builder)
    }

    /// Keeps the cells of periods that changed: only those are complete.
    fn keep(&mut self, chunk: &Chunk) -> Result<(), EngineError> {
        let (level, grain) = (chunk.level, chunk.grain);
        let Some(periods) = self.plan.periods(grain) else {
            return Ok(());
        };
        for of_user in chunk.cells.chunk_by(|a, b| a.user == b.user) {
            let Some(position) = self.position(of_user[0].user) else {
                continue;
            };
            if self.computed[position][level.index()] & bit(grain) == 0 {
                continue;
            }
            let active = self.active.as_ref().filter(|_| self.only_added(self.users[position]));
            for cell in of_user {
                if active.is_some_and(|active| !active.contains(level, cell.user, cell.unit)) {
                    continue;
                }
                let period = periods.as_slice()[cell.period as usize];
                if self
                    .touched
                    .first_day(self.users[position], period.start, period.end)
                    .is_some()
                {
                    let cells = &mut self.cells[level.index()][grain.index()];
                    grow(cells, &mut self.memory)?;
                    cells.push(*cell);
                }
            }
        }
        Ok(())
    }

    /// Compares computed cells with the stored rows of the same students and periods.
    fn compare(&mut self, level: Level, grain: Grain) -> Result<(), Stopped> {
        let mut runs = Runs::default();
        for (user, of_user) in self.users.iter().zip(&self.computed) {
            if of_user[level.index()] & bit(grain) != 0 && !self.only_added(*user) {
                self.touched.periods_of(*user, grain, self.plan, &mut runs);
            }
        }
        let cells = std::mem::take(&mut self.cells[level.index()][grain.index()]);
        if runs.is_empty() && cells.is_empty() {
            return Ok(());
        }
        let keys = cells.iter().map(key_of).filter(|(user, ..)| {
            self.position(*user)
                .is_some_and(|position| self.only_added(self.users[position]))
        });
        let _keys = self.context.reserve_for::<Key>(2 * cells.len())?;
        let mut keys: Vec<Key> = keys.collect();
        keys.sort_unstable();
        let stored = self.part(level, grain).rows(&runs, &keys, &mut self.memory)?;
        let mut cells = cells.iter().peekable();
        for row in &stored {
            while let Some(cell) = cells.next_if(|cell| key_of(cell) < row.key) {
                self.note(level, grain, None, Some(cell))?;
            }
            let cell = cells.next_if(|cell| key_of(cell) == row.key);
            self.note(level, grain, Some(row), cell)?;
        }
        for cell in cells {
            self.note(level, grain, None, Some(cell))?;
        }
        Ok(())
    }

    fn part(&self, level: Level, grain: Grain) -> Part<'a> {
        Part {
            source: &self.structure.source,
            level,
            grain,
        }
    }

    /// Whether new interactions are all that happened to a user: then no row has gone, and rows of units without facts on the days
    /// that changed are as they were.
    fn only_added(&self, user: usize) -> bool {
        !self.all_grains && self.touched.only_added(user)
    }

    /// Takes down the difference between a row and a cell of the same key, for this grain and those that follow from it.
    fn note(
        &mut self,
        level: Level,
        grain: Grain,
        row: Option<&Stored>,
        cell: Option<&Cell>,
    ) -> Result<(), EngineError> {
        let Some(key) = cell.map(key_of).or(row.map(|row| row.key)) else {
            return Ok(());
        };
        let (old, new) = (row.map(|row| row.measures), cell.map(|cell| cell.measures));
        if new.is_some_and(|new| new.grade_count > 1) {
            self.suspect(key.0);
        }
        if old.zip(new).is_some_and(|(old, new)| same(&old, &new)) {
            return Ok(());
        }
        self.push(
            level,
            grain,
            Change {
                key,
                place: row.map(|row| row.tid),
                measures: new,
            },
        )?;
        let Some(position) = self.position(key.0) else {
            return Ok(());
        };
        let (user, computed) = (self.users[position], self.computed[position][level.index()]);
        let moved = grains_of(level, self.plan) & !computed;
        if moved == 0 {
            return Ok(());
        }
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        if old.grade_count != new.grade_count || old.grade_sum.to_bits() != new.grade_sum.to_bits() {
            self.outcome.again.push(user);
            return Ok(());
        }
        let delta = Delta::between(&old, &new);
        let period = period_of(grain, key.2.max(self.plan.params().range.first()), self.plan);
        let day = period.and_then(|(first, last)| self.touched.first_day(user, first, last));
        for coarser in grains(moved) {
            if self.touched.source(user, coarser, computed, self.plan) != Some(grain) {
                continue;
            }
            // a row of a period that there is not, or that nothing touched, is no build's
            let Some((first, _)) = day.and_then(|day| period_of(coarser, day, self.plan)) else {
                self.outcome.again.push(user);
                continue;
            };
            let moved = &mut self.outcome.moved[level.index()][coarser.index()];
            grow(moved, &mut self.outcome.memory)?;
            moved.push(Moved {
                key: (key.0, key.1, first),
                delta,
            });
        }
        Ok(())
    }

    /// A period of several grades, one of them on a day that changed, may have the same sum of others. (A single grade is the
    /// sum, and on whichever of its days it is, coarser sums add it in the same place.)
    fn suspect(&mut self, id: i64) {
        if let Some(position) = self.position(id).filter(|_| !self.all_grains) {
            let user = self.users[position];
            if !self.only_added(user)
                && self.graded.binary_search(&user).is_ok()
                && self.outcome.again.last() != Some(&user)
            {
                self.outcome.again.push(user);
            }
        }
    }

    fn push(&mut self, level: Level, grain: Grain, change: Change) -> Result<(), EngineError> {
        let changes = &mut self.outcome.changes[level.index()][grain.index()];
        grow(changes, &mut self.outcome.memory)?;
        changes.push(change);
        Ok(())
    }
}
