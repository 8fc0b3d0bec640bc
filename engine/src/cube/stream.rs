//! The streaming way in: facts ordered by user, memory of one chunk of students.

use std::ops::Range;

use super::cell::CubeBatch;
use super::error::CubeError;
use super::facts::{Assignment, AssignmentRow, CubeSummary, Interaction, InteractionRow, Row};
use super::intake::Intake;
use super::members::Members;
use super::memory::grow;
use super::params::CubePlan;
use super::paths::Units;
use super::runner::{first_user, Runner, TASK_FACTS};
use super::student::Shared;
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Beyond so many paths the dictionary starts anew with the next chunk.
const MAX_PATHS: usize = 1 << 18;

/// Builds the cube of one client from facts ordered by user, interactions and assignments taken together; emits a chunk
/// of students whenever enough facts have come.
///
/// Memory is that of one chunk, or of the largest single student, plus `members`; it does not grow with the facts.
#[derive(Debug)]
pub struct CubeStream<'m, S> {
    ctx: Context,
    intake: Intake,
    members: &'m Members,
    sink: S,
    units: Units,
    runner: Runner,
    interactions: Vec<InteractionRow>,
    assignments: Vec<AssignmentRow>,
    current_user: Option<i64>,
    memory: Reservation,
}

impl<'m, S, E> CubeStream<'m, S>
where
    S: FnMut(CubeBatch<'_>) -> Result<(), E>,
    E: From<EngineError>,
{
    /// # Errors
    /// [`EngineError::Memory`].
    pub fn new(ctx: &Context, plan: CubePlan, members: &'m Members, sink: S) -> Result<Self> {
        Ok(Self {
            ctx: ctx.clone(),
            intake: Intake::new(ctx, plan)?,
            members,
            sink,
            units: Units::new(ctx)?,
            runner: Runner::new(ctx)?,
            interactions: Vec::new(),
            assignments: Vec::new(),
            current_user: None,
            memory: ctx.reserve(0)?,
        })
    }

    /// Takes one interaction in; may first compute and emit the students before it.
    ///
    /// # Errors
    /// [`CubeError::OutOfOrder`] when its user is smaller than the last one's; the sink's own;
    /// [`EngineError::Cancelled`], [`EngineError::Memory`], [`EngineError::Cube`].
    #[inline]
    pub fn push_interaction(&mut self, fact: &Interaction) -> Result<(), E> {
        self.begin(fact.user)?;
        if let Some(row) = self.intake.interaction(fact)? {
            grow(&mut self.interactions, 1, &mut self.memory)?;
            self.interactions.push(row);
        }
        Ok(())
    }

    /// Takes one assignment in; may first compute and emit the students before it.
    ///
    /// # Errors
    /// As [`CubeStream::push_interaction`].
    pub fn push_assignment(&mut self, fact: &Assignment) -> Result<(), E> {
        self.begin(fact.user)?;
        if let Some(row) = self.intake.assignment(fact)? {
            grow(&mut self.assignments, 1, &mut self.memory)?;
            self.assignments.push(row);
        }
        Ok(())
    }

    /// Computes and emits what is left; returns what was done. Students came out ordered by user id.
    ///
    /// # Errors
    /// As [`CubeStream::push_interaction`].
    pub fn finish(mut self) -> Result<CubeSummary, E> {
        self.flush()?;
        Ok(self.intake.summary)
    }

    #[inline]
    fn begin(&mut self, user: i64) -> Result<(), E> {
        if self.current_user == Some(user) {
            return Ok(());
        }
        if let Some(previous) = self.current_user.filter(|previous| *previous > user) {
            return Err(EngineError::from(CubeError::OutOfOrder { user, previous }).into());
        }
        self.current_user = Some(user);
        // all students held are complete now
        if self.interactions.len() + self.assignments.len() >= self.runner.width() * TASK_FACTS {
            self.flush()?;
        }
        Ok(())
    }

    #[cold]
    fn flush(&mut self) -> Result<(), E> {
        self.ctx.check()?;
        let Intake { plan, paths, summary } = &mut self.intake;
        self.units.refresh(paths, plan.params().combinations.levels())?;
        let shared = Shared {
            plan,
            units: &self.units,
            members: self.members,
        };
        let (interactions, assignments) = (&self.interactions, &self.assignments);
        let tasks = split(interactions, assignments);
        let width = self.runner.width();
        let waves = (0..tasks.len())
            .step_by(width)
            .map(|first| first..tasks.len().min(first + width));
        self.runner.run(
            shared,
            &waves.collect::<Vec<_>>(),
            |task, slot| {
                let (i, a) = tasks[task].clone();
                slot.students(shared, &interactions[i], &assignments[a])
            },
            summary,
            &mut self.sink,
        )?;
        self.interactions.clear();
        self.assignments.clear();
        if paths.len() > MAX_PATHS {
            paths.clear();
            self.units.clear();
        }
        Ok(())
    }
}

/// Cuts both slices at the same users, into tasks of about [`TASK_FACTS`] facts.
fn split(interactions: &[InteractionRow], assignments: &[AssignmentRow]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut tasks = Vec::new();
    let (mut i, mut a) = (0, 0);
    while first_user(&interactions[i..], &assignments[a..]).is_some() {
        let cut = [
            interactions.get(i + TASK_FACTS).map(Row::user),
            assignments.get(a + TASK_FACTS).map(Row::user),
        ];
        let cut = cut.into_iter().flatten().min().unwrap_or(i64::MAX);
        let i_end = i + interactions[i..].partition_point(|row| row.user <= cut);
        let a_end = a + assignments[a..].partition_point(|row| row.user <= cut);
        tasks.push((i..i_end, a..a_end));
        (i, a) = (i_end, a_end);
    }
    tasks
}
