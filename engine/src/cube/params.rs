//! What a pass computes, and the checked form of it the pass runs on.

use std::sync::Arc;

use super::combinations::Combinations;
use crate::calendar::{DateRange, FirstDayOfWeek, Grain, Periods, MAX_RANGE_DAYS};
use crate::context::{Context, Reservation};
use crate::error::{EngineError, Result};

/// Which assignments a period's `assigned_exercises` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Basis {
    /// All of the member's in the unit, whatever their dates: reported once per (level, unit, user) as
    /// [`AssignedCell`](super::AssignedCell)s. A submission counts in the period of its own day.
    #[default]
    Universe,
    /// Those due (without due day: assigned) in the period. Submissions, lateness and grades are those of these
    /// assignments, whenever they were submitted.
    Due,
}

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CubeParams {
    /// Facts outside it do not count.
    pub range: DateRange,
    pub first_day_of_week: FirstDayOfWeek,
    pub basis: Basis,
    pub combinations: Combinations,
}

impl CubeParams {
    /// All 35 combinations, weeks from Sunday, basis universe.
    pub fn new(range: DateRange) -> Self {
        Self {
            range,
            first_day_of_week: FirstDayOfWeek::default(),
            basis: Basis::default(),
            combinations: Combinations::all(),
        }
    }

    /// Checks the parameters and lays out the period tables of the grains in use.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a range beyond [`MAX_RANGE_DAYS`], [`EngineError::EmptyInput`] without
    /// any combination, [`EngineError::Memory`] when the tables do not fit into the budget.
    pub fn check(self, ctx: &Context) -> Result<CubePlan> {
        if self.combinations.is_empty() {
            return Err(EngineError::EmptyInput {
                what: "set of level x grain combinations",
            });
        }
        if self.range.days() > MAX_RANGE_DAYS {
            let expected = format!("at most {MAX_RANGE_DAYS} days long");
            return Err(EngineError::invalid("range", expected, self.range.days()));
        }
        let used = Grain::ALL.into_iter().filter(|grain| self.combinations.uses(*grain));
        let bytes = Periods::max_bytes(self.range).saturating_mul(used.clone().count());
        let reservation = ctx.reserve(bytes)?;
        let periods = used
            .map(|grain| Periods::new(grain, self.range, self.first_day_of_week))
            .collect::<Result<Vec<_>>>()?;
        Ok(CubePlan {
            params: self,
            tables: Arc::new(Tables {
                periods,
                _reservation: reservation,
            }),
        })
    }
}

/// Checked [`CubeParams`] with their period tables; cheap to clone.
#[derive(Debug, Clone)]
pub struct CubePlan {
    params: CubeParams,
    tables: Arc<Tables>,
}

#[derive(Debug)]
struct Tables {
    periods: Vec<Periods>,
    _reservation: Reservation,
}

impl CubePlan {
    pub fn params(&self) -> &CubeParams {
        &self.params
    }

    /// The periods of a grain in use; none for the others.
    pub fn periods(&self, grain: Grain) -> Option<&Periods> {
        self.tables.periods.iter().find(|p| p.grain() == grain)
    }

    /// The period tables of a level's grains, finest first.
    pub(super) fn periods_of(&self, level: super::Level) -> impl Iterator<Item = &Periods> + Clone + '_ {
        let combinations = self.params.combinations;
        self.tables
            .periods
            .iter()
            .filter(move |p| combinations.contains(level, p.grain()))
    }
}
