//! Goes over the rows of a part of the cube and collects those that a classifier is trained on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::feature::{Basis, Census, FeatureRecipe, Target, TrainingRows, UnitRows};

use pgrx::prelude::*;

use super::cube_rows::CubeRows;
use super::cube_structure::{Build, Structure};
use super::cube_target::Label;
use super::part::Part;
use super::student_attributes::StudentAttributes;
use crate::error::Result;

/// In [`Member::group`](empatia_engine::feature::Member::group): takes no part.
const OUT: u32 = u32::MAX;
/// Rows between two looks for an interrupt.
const POLL_ROWS: usize = 1_024;

/// What every pass over the part works with.
pub(super) struct Ground<'a> {
    pub ctx: &'a Context,
    pub part: &'a Part,
    pub recipe: &'a FeatureRecipe,
    pub builds: &'a [Build],
    pub attributes: &'a StudentAttributes,
    /// Periods of all builds, ascending: their places are the numbers of the periods.
    pub periods: &'a [i32],
    pub seed: u64,
    /// Share of the students that take part.
    pub share: f64,
    /// What the client that was read last consists of: most are the only one, and are gone over twice.
    pub last: RefCell<Option<(i32, Rc<Structure>)>>,
}

/// What tells merged rows apart.
#[derive(Debug)]
pub(super) enum Parts {
    /// Each row is one of its own.
    Rows,
    /// The fold that tests the student, by number.
    Folds(Vec<u32>),
    /// The period.
    Periods,
    /// Folds that rows are dealt to in turn, class by class.
    Dealt { folds: usize, next: Vec<usize> },
}

/// What a pass found.
pub(super) struct Collected {
    pub rows: TrainingRows,
    /// Student and period of each row, where each is one of its own.
    pub groups: Vec<u64>,
    pub periods: Vec<i32>,
    pub students: Students,
    /// Places of the first and the last period among all.
    pub span: Option<(usize, usize)>,
    /// Rows that were merged.
    pub weight: f64,
    pub labels: LabelsUsed,
    _reserved: Reservation,
}

/// What became of labels.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct LabelsUsed {
    pub used: u64,
    /// Of somebody who is no member of the unit, or of a unit that is not there.
    pub without_member: u64,
    /// Of a day that is not the first of a period of the cube.
    pub without_period: u64,
    /// Of a row that has one already.
    pub repeated: u64,
}

/// Numbers of students.
#[derive(Debug, Default)]
pub(super) struct Students(HashMap<(i32, i64), u32>);

impl Students {
    pub fn number(&mut self, client: i32, user: i64) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry((client, user)).or_insert(next)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The key by which evaluations know a student.
pub(super) fn student_key(client: i32, user: i64) -> u64 {
    mix(mix(0x656d_7061_7469_6121, client as u64), user as u64)
}

/// SplitMix64's finaliser. Stored: never to be changed.
fn mix(state: u64, value: u64) -> u64 {
    let mut z = (state ^ value).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Ground<'_> {
    /// The basis of all builds, see `with_one_basis()`.
    pub fn basis(&self) -> Basis {
        self.builds.first().map_or(Basis::Universe, |build| build.basis)
    }

    /// Whether a student takes part: by chance, but always the same.
    fn takes_part(&self, client: i32, user: i64) -> bool {
        self.share >= 1.0
            || (mix(student_key(client, user), self.seed) >> 11) as f64 / ((1u64 << 53) as f64) < self.share
    }

    /// Calls `on_unit` for the units of every client, with the rows. `group_of`: see [`Member::group`](empatia_engine::feature::Member::group).
    fn each_unit(
        &self,
        group_of: &dyn Fn(i32, i64) -> u32,
        mut on_unit: impl FnMut(&Build, i64, &UnitRows<'_>) -> Result<()>,
    ) -> Result<()> {
        for build in self.builds {
            let structure = self.structure(build)?;
            let rows = CubeRows {
                ctx: self.ctx,
                part: self.part,
                recipe: self.recipe,
                attributes: self.attributes,
                build,
                structure: &structure,
                only: None,
                writing: false,
            };
            rows.each_unit(
                |user| group_of(build.client, user),
                |unit, rows| on_unit(build, unit, rows),
            )?;
        }
        Ok(())
    }

    fn structure(&self, build: &Build) -> Result<Rc<Structure>> {
        let last = self.last.take().filter(|(client, _)| *client == build.client);
        let structure = match last {
            Some((_, structure)) => structure,
            None => Rc::new(Structure::read(self.ctx, self.part, build, None)?),
        };
        self.last.replace(Some((build.client, Rc::clone(&structure))));
        Ok(structure)
    }

    /// Counts the rows of each student by class.
    pub fn census(&self, target: &mut Target) -> Result<(Census, Students)> {
        let mut census = Census::new(self.ctx)?;
        let mut students = Students::default();
        let group_of = |client, user| if self.takes_part(client, user) { 0 } else { OUT };
        self.each_unit(&group_of, |build, _, rows| {
            let members = rows.members();
            let mut given = vec![0usize; members.len()];
            target.rows(rows, |member, _, class| {
                given[member] += 1;
                match members[member].group {
                    OUT => Ok(()),
                    _ => census.add(students.number(build.client, members[member].user), class, 1.0),
                }
            })?;
            for (at, member) in members.iter().enumerate().filter(|(_, member)| member.group != OUT) {
                let (class, rest) = target.rest(rows, at, given[at])?;
                if rest > 0 {
                    census.add(students.number(build.client, member.user), class, rest as f64)?;
                }
            }
            Ok(())
        })?;
        Ok((census, students))
    }

    /// Collects the rows of a target of the cube.
    pub fn collect(&self, target: &mut Target, parts: &mut Parts, pass: &mut Collected) -> Result<()> {
        let fold_of = match &*parts {
            Parts::Folds(folds) => Some((folds.clone(), std::mem::take(&mut pass.students))),
            _ => None,
        };
        let group_of = |client, user| match (&fold_of, self.takes_part(client, user)) {
            (_, false) => OUT,
            (None, true) => 0,
            (Some((folds, students)), true) => {
                let number = students.0.get(&(client, user));
                number.map_or(OUT, |number| folds[*number as usize])
            }
        };
        self.each_unit(&group_of, |build, _, rows| {
            let members = rows.members();
            let mut vector = Vec::with_capacity(rows.width());
            let mut seen = 0usize;
            target.rows(rows, |member, period, class| {
                seen += 1;
                if seen.is_multiple_of(POLL_ROWS) {
                    check_for_interrupts!();
                }
                let found = members[member];
                if found.group == OUT {
                    return Ok(());
                }
                rows.vector(member, period, &mut vector);
                pass.add(self, build, (found.user, found.group), period, class, &vector, parts)
            })?;
            target.shared(rows, |found| match found.group {
                OUT => Ok(()),
                _ => pass.add_shared(self, build, found, parts),
            })?;
            Ok(())
        })?;
        if let Some((_, students)) = fold_of {
            pass.students = students;
        }
        Ok(())
    }

    /// Collects the labelled rows.
    pub fn collect_labelled(&self, labels: &[Label], pass: &mut Collected) -> Result<()> {
        self.each_unit(&|_, _| 0, |build, unit, rows| {
            let own = &labels[of_unit(labels, build.client, unit)];
            let mut vector = Vec::with_capacity(rows.width());
            let mut last = None;
            for label in own.iter().filter(|label| self.takes_part(label.client, label.user)) {
                let member = rows.members().binary_search_by_key(&label.user, |member| member.user);
                match (member, build.periods.binary_search(&label.day)) {
                    (Err(_), _) => pass.labels.without_member += 1,
                    (_, Err(_)) => pass.labels.without_period += 1,
                    (Ok(member), Ok(period)) if last != Some((member, period)) => {
                        last = Some((member, period));
                        pass.labels.used += 1;
                        rows.vector(member, period, &mut vector);
                        pass.add(
                            self,
                            build,
                            (label.user, 0),
                            period,
                            label.class,
                            &vector,
                            &mut Parts::Rows,
                        )?;
                    }
                    _ => pass.labels.repeated += 1,
                }
            }
            Ok(())
        })?;
        let LabelsUsed {
            used,
            without_member,
            without_period,
            repeated,
        } = pass.labels;
        let seen = used + without_member + without_period + repeated;
        let taking = labels
            .iter()
            .filter(|label| self.takes_part(label.client, label.user))
            .count() as u64;
        pass.labels.without_member += taking - seen;
        Ok(())
    }
}

impl Collected {
    pub fn new(ctx: &Context, rows: TrainingRows) -> Result<Self> {
        Ok(Self {
            rows,
            groups: Vec::new(),
            periods: Vec::new(),
            students: Students::default(),
            span: None,
            weight: 0.0,
            labels: LabelsUsed::default(),
            _reserved: ctx.reserve(0)?,
        })
    }

    #[allow(clippy::too_many_arguments)] // what a row is
    fn add(
        &mut self,
        ground: &Ground<'_>,
        build: &Build,
        (user, fold): (i64, u32),
        period: usize,
        class: u32,
        vector: &[f64],
        parts: &mut Parts,
    ) -> Result<(), empatia_engine::error::EngineError> {
        let period = self.seen(ground, build, period);
        let student = match parts {
            Parts::Folds(_) => 0,
            _ => self.students.number(build.client, user),
        };
        let part = match parts {
            Parts::Rows => {
                self._reserved.grow(size_of::<(u64, i32)>())?;
                self.groups.push(u64::from(student));
                self.periods.push(period as i32);
                self.rows.len() as u64
            }
            Parts::Folds(_) => u64::from(fold),
            Parts::Periods => period as u64,
            Parts::Dealt { folds, next } => deal(next, class, *folds),
        };
        self.weight += 1.0;
        self.rows
            .add(vector, class, part, 1.0, Some(student_key(build.client, user)))
    }

    fn add_shared(
        &mut self,
        ground: &Ground<'_>,
        build: &Build,
        found: &empatia_engine::feature::Shared<'_>,
        parts: &mut Parts,
    ) -> Result<(), empatia_engine::error::EngineError> {
        let period = self.seen(ground, build, found.period as usize);
        self.weight += found.rows as f64;
        let mut add = |part, rows: usize| match rows {
            0 => Ok(()),
            _ => self.rows.add(found.vector, found.class, part, rows as f64, None),
        };
        match parts {
            Parts::Rows | Parts::Periods => add(period as u64, found.rows),
            Parts::Folds(_) => add(u64::from(found.group), found.rows),
            Parts::Dealt { folds, next } => {
                for fold in 0..*folds {
                    add(fold as u64, found.rows / *folds)?;
                }
                for _ in 0..found.rows % *folds {
                    add(deal(next, found.class, *folds), 1)?;
                }
                Ok(())
            }
        }
    }

    /// Number of a period of `build`.
    fn seen(&mut self, ground: &Ground<'_>, build: &Build, period: usize) -> usize {
        let number = ground.periods.binary_search(&build.periods[period]).unwrap_or(0);
        let (first, last) = self.span.unwrap_or((number, number));
        self.span = Some((first.min(number), last.max(number)));
        number
    }
}

/// The next fold for a row of a class.
fn deal(next: &mut Vec<usize>, class: u32, folds: usize) -> u64 {
    let class = class as usize;
    if next.len() <= class {
        next.resize(class + 1, 0);
    }
    let fold = next[class] % folds;
    next[class] += 1;
    fold as u64
}

/// The labels of a unit.
fn of_unit(labels: &[Label], client: i32, unit: i64) -> Range<usize> {
    let from = labels.partition_point(|label| (label.client, label.unit) < (client, unit));
    let to = labels.partition_point(|label| (label.client, label.unit) <= (client, unit));
    from..to
}
