//! Shared by the cube's tests: random facts, a naive cube, and a sink that keeps everything.
#![allow(dead_code)] // each test binary uses its part

use std::collections::{BTreeMap, BTreeSet};

use empatia_engine::calendar::{period_start, CivilDate, DateRange, FirstDayOfWeek, Grain};
use empatia_engine::context::Context;
use empatia_engine::cube::{
    AssignedCell, Assignment, Basis, Cell, CubeBatch, CubeBuilder, CubeParams, CubeStream, CubeSummary, FactCounts,
    Interaction, InteractionKind, Level, Members, Path,
};
use empatia_engine::error::EngineError;
use rand::seq::SliceRandom;
use rand::Rng;

#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub interactions: Vec<Interaction>,
    pub assignments: Vec<Assignment>,
    /// (space, user)
    pub members: Vec<(i64, i64)>,
}

/// Everything a pass handed to its sink, in the order it came.
#[derive(Debug, Default, PartialEq)]
pub struct Collected {
    pub cells: Vec<(Level, Grain, Cell)>,
    pub assigned: Vec<(Level, AssignedCell)>,
}

impl Collected {
    pub fn take(&mut self, batch: CubeBatch<'_>) {
        match batch {
            CubeBatch::Cells { level, grain, cells } => self.cells.extend(cells.iter().map(|c| (level, grain, *c))),
            CubeBatch::Assigned { level, cells } => {
                self.assigned.extend(cells.iter().map(|c| (level, *c)));
            }
        }
    }
}

pub fn build(ctx: &Context, params: CubeParams, facts: &Facts) -> Result<(Collected, CubeSummary), EngineError> {
    let members = Members::from_pairs(ctx, facts.members.iter().copied())?;
    finish(CubeBuilder::new(ctx, params.check(ctx)?)?, &members, facts)
}

/// With the students in order of their ids.
pub fn build_ordered(
    ctx: &Context,
    params: CubeParams,
    facts: &Facts,
) -> Result<(Collected, CubeSummary), EngineError> {
    let members = Members::from_pairs(ctx, facts.members.iter().copied())?;
    finish(
        CubeBuilder::ordered(ctx, params.check(ctx)?, &members)?,
        &members,
        facts,
    )
}

fn finish(mut builder: CubeBuilder, members: &Members, facts: &Facts) -> Result<(Collected, CubeSummary), EngineError> {
    for fact in &facts.interactions {
        builder.push_interaction(fact)?;
    }
    for fact in &facts.assignments {
        builder.push_assignment(fact)?;
    }
    let mut collected = Collected::default();
    let summary = builder.finish(members, |batch| {
        collected.take(batch);
        Ok::<(), EngineError>(())
    })?;
    Ok((collected, summary))
}

/// Orders the facts by user first, as the stream wants them.
pub fn stream(ctx: &Context, params: CubeParams, facts: &Facts) -> Result<(Collected, CubeSummary), EngineError> {
    let members = Members::from_pairs(ctx, facts.members.iter().copied())?;
    let mut collected = Collected::default();
    let mut by_user: BTreeMap<i64, (Vec<&Interaction>, Vec<&Assignment>)> = BTreeMap::new();
    for fact in &facts.interactions {
        by_user.entry(fact.user).or_default().0.push(fact);
    }
    for fact in &facts.assignments {
        by_user.entry(fact.user).or_default().1.push(fact);
    }
    let mut stream = CubeStream::new(ctx, params.check(ctx)?, &members, |batch| {
        collected.take(batch);
        Ok::<(), EngineError>(())
    })?;
    for (interactions, assignments) in by_user.values() {
        for fact in assignments {
            stream.push_assignment(fact)?;
        }
        for fact in interactions {
            stream.push_interaction(fact)?;
        }
    }
    let summary = stream.finish()?;
    Ok((collected, summary))
}

/// (level, grain, unit, user, period start)
pub type Key = (Level, Grain, i64, i64, i32);

#[derive(Debug, Default, PartialEq)]
pub struct NaiveCell {
    pub amounts: [i64; 5],
    pub active: BTreeSet<i32>,
    pub assigned: u32,
    pub submitted: u32,
    pub late: u32,
    pub grades: Vec<f64>,
}

#[derive(Debug, Default)]
pub struct Naive {
    pub cells: BTreeMap<Key, NaiveCell>,
    pub assigned: BTreeMap<(Level, i64, i64), u32>,
    pub interactions: FactCounts,
    pub assignments: FactCounts,
}

/// The cube as the contract words it, one map entry at a time, nothing shared and nothing rolled up.
pub fn naive(params: &CubeParams, facts: &Facts) -> Naive {
    let mut cube = Naive::default();
    let members: BTreeSet<(i64, i64)> = facts.members.iter().copied().collect();
    let in_range = |day: Option<i32>| day.filter(|d| params.range.contains(*d));
    let keys = |path: Path, user: i64, day: i32| {
        let mut keys: Vec<Key> = Vec::new();
        for level in Level::ALL {
            for grain in Grain::ALL {
                let Some(unit) = path.unit(level) else {
                    continue;
                };
                if params.combinations.contains(level, grain) {
                    let week = params.first_day_of_week;
                    let start = period_start(grain, day, week, params.range.first());
                    keys.push((level, grain, unit, user, start));
                }
            }
        }
        keys
    };
    for fact in &facts.interactions {
        let Some(space) = fact.path.unit(Level::Space) else {
            cube.interactions.no_unit += 1;
            continue;
        };
        if !params.range.contains(fact.day) {
            cube.interactions.outside_range += 1;
            continue;
        }
        if !members.contains(&(space, fact.user)) {
            cube.interactions.not_member += 1;
            continue;
        }
        cube.interactions.counted += 1;
        for key in keys(fact.path, fact.user, fact.day) {
            let cell = cube.cells.entry(key).or_default();
            cell.amounts[fact.kind.index()] += fact.amount;
            cell.active.insert(fact.day);
        }
    }
    for fact in &facts.assignments {
        let Some(space) = fact.path.unit(Level::Space) else {
            cube.assignments.no_unit += 1;
            continue;
        };
        if !members.contains(&(space, fact.user)) {
            cube.assignments.not_member += 1;
            continue;
        }
        let submitted = in_range(fact.submitted);
        let period_day = match params.basis {
            Basis::Universe => submitted,
            Basis::Due => in_range(fact.due.or(fact.assigned)),
        };
        let some_date = match params.basis {
            Basis::Universe => fact.submitted,
            Basis::Due => fact.submitted.or(fact.due).or(fact.assigned),
        };
        if submitted.is_some() || period_day.is_some() {
            cube.assignments.counted += 1;
        } else if some_date.is_some() {
            cube.assignments.outside_range += 1;
        } else if params.basis == Basis::Universe {
            cube.assignments.counted += 1;
        } else {
            cube.assignments.undated += 1;
        }
        if let Some(day) = submitted {
            for key in keys(fact.path, fact.user, day) {
                cube.cells.entry(key).or_default().active.insert(day);
            }
        }
        if let Some(day) = period_day {
            for key in keys(fact.path, fact.user, day) {
                let cell = cube.cells.entry(key).or_default();
                cell.assigned += u32::from(params.basis == Basis::Due);
                if fact.submitted.is_some() {
                    cell.submitted += 1;
                    cell.late += u32::from(fact.late);
                    cell.grades.extend(fact.grade);
                }
            }
        }
        if params.basis == Basis::Universe {
            for level in params.combinations.levels() {
                if let Some(unit) = fact.path.unit(level) {
                    *cube.assigned.entry((level, unit, fact.user)).or_default() += 1;
                }
            }
        }
    }
    cube
}

/// Random facts over few ids, so that everything collides: any level but the space may be null, a unit may have several
/// parents, people act in spaces they are not students of, days lie around the range on both sides.
pub fn random_facts(rng: &mut impl Rng, params: &CubeParams, facts: usize) -> Facts {
    let users = 9i64;
    // ids of any sign and size, not dense
    let id = |level: usize, n: i64| [-7, 1 << 40, 3, 500, i64::MAX, i64::MIN][n as usize % 6] ^ level as i64;
    let path = |rng: &mut dyn rand::RngCore| {
        let mut ids = [None; 5];
        for (level, slot) in ids.iter_mut().enumerate() {
            let null_chance = if level == 2 { 0.05 } else { 0.25 };
            if !rng.gen_bool(null_chance) {
                *slot = Some(id(level, rng.gen_range(0..(2 + level as i64))));
            }
        }
        Path::new(ids)
    };
    let (first, last) = (params.range.first(), params.range.last());
    let day = |rng: &mut dyn rand::RngCore| rng.gen_range(first - 20..=last + 20);
    let opt = |rng: &mut dyn rand::RngCore| rng.gen_bool(0.7).then(|| day(rng));
    let mut all = Facts {
        interactions: Vec::new(),
        assignments: Vec::new(),
        members: Vec::new(),
    };
    for _ in 0..facts {
        all.interactions.push(Interaction {
            user: rng.gen_range(0..users) - 4,
            path: path(rng),
            day: day(rng),
            kind: *InteractionKind::ALL.choose(rng).unwrap(),
            amount: rng.gen_range(-2..30),
        });
    }
    for _ in 0..facts / 3 {
        all.assignments.push(Assignment {
            user: rng.gen_range(0..users) - 4,
            path: path(rng),
            assigned: opt(rng),
            due: opt(rng),
            submitted: opt(rng),
            late: rng.gen_bool(0.3),
            // sixty-fourths add up exactly in any order
            grade: rng.gen_bool(0.6).then(|| f64::from(rng.gen_range(0..=64)) / 64.0),
        });
    }
    for user in 0..users {
        for space in 0..4 {
            if rng.gen_bool(0.6) {
                all.members.push((id(2, space), user - 4));
            }
        }
    }
    // a pair given twice is one membership
    if let Some(pair) = all.members.first().copied() {
        all.members.push(pair);
    }
    all
}

pub fn params(first: i32, last: i32, basis: Basis, first_day: u8) -> CubeParams {
    CubeParams {
        first_day_of_week: FirstDayOfWeek::new(first_day).unwrap(),
        basis,
        ..CubeParams::new(DateRange::new(first, last).unwrap())
    }
}

pub fn context(threads: usize) -> Context {
    Context::builder().threads(threads).build().unwrap()
}

pub const ENV: i64 = 1;
pub const CRS: i64 = 10;
pub const SPA: i64 = 100;
pub const SUB: i64 = 1_000;
pub const LEC: i64 = 10_000;
pub const ANA: i64 = 7;

pub fn day(month: u8, day: u8) -> i32 {
    let date = CivilDate { year: 2024, month, day };
    i32::try_from(date.to_days()).unwrap()
}

pub fn lecture() -> Path {
    Path::new([Some(ENV), Some(CRS), Some(SPA), Some(SUB), Some(LEC)])
}

pub fn on_space() -> Path {
    Path::new([Some(ENV), Some(CRS), Some(SPA), None, None])
}

pub fn did(kind: InteractionKind, day: i32, path: Path, amount: i64) -> Interaction {
    Interaction {
        user: ANA,
        path,
        day,
        kind,
        amount,
    }
}

pub fn of(found: &Collected, level: Level, grain: Grain) -> Vec<Cell> {
    let cells = found.cells.iter().filter(|(l, g, _)| (*l, *g) == (level, grain));
    cells.map(|(_, _, cell)| *cell).collect()
}

/// One student, February and March 2024: a post and 5 clicks at a lecture on 15 Feb, a help request at the space on 16 Feb,
/// a help reply at the lecture on 1 March.
pub fn small() -> Facts {
    Facts {
        interactions: vec![
            did(InteractionKind::Post, day(2, 15), lecture(), 1),
            did(InteractionKind::Access, day(2, 15), lecture(), 5),
            did(InteractionKind::HelpRequest, day(2, 16), on_space(), 1),
            did(InteractionKind::HelpRequestReply, day(3, 1), lecture(), 1),
        ],
        assignments: vec![],
        members: vec![(SPA, ANA)],
    }
}

pub fn february_to_march(basis: Basis) -> CubeParams {
    params(day(2, 10), day(3, 31), basis, 0)
}

/// Three assignments of the lecture: submitted late with grade 0.5 in March, due in February; submitted in range, due
/// after it, grade 1.0; never submitted, no due day, assigned in February (its grade and lateness must be ignored).
pub fn assigned() -> Facts {
    let base = Assignment {
        user: ANA,
        path: lecture(),
        assigned: Some(day(2, 1)),
        due: None,
        submitted: None,
        late: false,
        grade: None,
    };
    let late = Assignment {
        due: Some(day(2, 20)),
        submitted: Some(day(3, 5)),
        late: true,
        grade: Some(0.5),
        ..base
    };
    let early = Assignment {
        due: Some(day(6, 1)),
        submitted: Some(day(3, 5)),
        grade: Some(1.0),
        ..base
    };
    let open = Assignment {
        assigned: Some(day(2, 12)),
        late: true,
        grade: Some(0.25),
        ..base
    };
    Facts {
        interactions: vec![],
        assignments: vec![late, early, open],
        members: vec![(SPA, ANA)],
    }
}
