//! What a classifier of the cube learns to tell, where it comes from the cube itself.

use super::{Basis, UnitRows, COUNTS};
use crate::context::Context;
use crate::data::VectorSet;
use crate::error::{EngineError, Result};
use crate::segment::SegmentModel;

/// A target that every row has, or every row of some population.
#[derive(Debug)]
pub enum Target {
    /// Class 1 where the member is not active in the `horizon` periods after the row's, else 0; rows without so many
    /// periods after them take no part, nor, unless `everybody`, those of members who were not active in the window.
    InactiveNext { horizon: usize, everybody: bool },
    /// The segment of the row's measures.
    Segment(Box<SegmentClasses>),
}

/// Names of the classes of [`Target::InactiveNext`].
pub const ACTIVE_CLASSES: [&str; 2] = ["active", "inactive"];

/// Classes of rows by their segment: the rank, best first from 0, noise last.
#[derive(Debug)]
pub struct SegmentClasses {
    model: SegmentModel,
    /// Which count each feature of the model is.
    features: Vec<usize>,
    /// Ranks in the order of the classes.
    ranks: Vec<u32>,
    known: VectorSet,
    classes: Vec<u32>,
    raw: Vec<f64>,
    counts: Vec<i64>,
}

impl SegmentClasses {
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a model of other features than counts of the cube, [`EngineError::Memory`].
    pub fn new(ctx: &Context, model: SegmentModel) -> Result<Self> {
        let position = |name: &str| {
            let found = COUNTS.iter().position(|count| *count == name);
            found.ok_or_else(|| {
                EngineError::invalid("feature of the segments", format!("one of {}", COUNTS.join(", ")), name)
            })
        };
        let names = model.recipe().features().iter().map(|feature| feature.name.as_str());
        let features = names.map(position).collect::<Result<Vec<_>>>()?;
        let mut ranks: Vec<u32> = model.segments().iter().map(|segment| segment.rank).collect();
        // noise, rank 0, goes last
        ranks.sort_unstable_by_key(|rank| rank.wrapping_sub(1));
        Ok(Self {
            known: VectorSet::new(ctx, features.len())?,
            classes: Vec::new(),
            raw: Vec::with_capacity(features.len()),
            counts: Vec::with_capacity(features.len()),
            model,
            features,
            ranks,
        })
    }

    /// Ranks of the segments in the order of the classes.
    pub fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    fn class(&mut self, counts: &[i64; COUNTS.len()]) -> Result<u32> {
        self.counts.clear();
        self.counts.extend(self.features.iter().map(|feature| counts[*feature]));
        match self.known.insert(&self.counts) {
            Ok(number) if number < self.classes.len() => return Ok(self.classes[number]),
            Ok(_) => {}
            Err(_) => {
                // no room for more: it begins to learn anew
                self.known.clear();
                self.classes.clear();
                self.known.insert(&self.counts)?;
            }
        }
        self.raw.clear();
        self.raw.extend(self.counts.iter().map(|count| *count as f64));
        let rank = self.model.assign(&self.raw)?;
        let class = self.ranks.iter().position(|other| *other == rank).unwrap_or(0) as u32;
        self.classes.push(class);
        Ok(class)
    }
}

/// Rows of one kind: those of a member in a period, or several that share their features.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    pub period: u32,
    pub group: u32,
    pub class: u32,
    pub rows: usize,
    pub vector: &'a [f64],
}

impl Target {
    /// Whether rows of members who have nothing in the window take part.
    pub fn is_dense(&self) -> bool {
        match self {
            Self::InactiveNext { everybody, .. } => *everybody,
            Self::Segment(_) => true,
        }
    }

    /// Calls `on_row` with member, period and class of each row that is given by itself: those of their own and, for a
    /// target that looks ahead, the few others whose members turn active.
    ///
    /// # Errors
    /// Those of `on_row`; [`EngineError::Cancelled`].
    pub fn rows(&mut self, rows: &UnitRows<'_>, mut on_row: impl FnMut(usize, usize, u32) -> Result<()>) -> Result<()> {
        match self {
            Self::Segment(classes) => rows
                .own_places(|member, period, _| on_row(member, period, classes.class(&rows.counts(member, period))?)),
            Self::InactiveNext { horizon, everybody } => {
                let (horizon, everybody) = (*horizon, *everybody);
                rows.own_places(
                    |member, period, active| match rows.active_after(member, period, horizon) {
                        Some(next) if active || everybody => on_row(member, period, u32::from(!next)),
                        _ => Ok(()),
                    },
                )?;
                if everybody {
                    before_activity(rows, horizon, |member, period| on_row(member, period, 0))?;
                }
                Ok(())
            }
        }
    }

    /// Class of the rows of `member` that [`Target::rows`] leaves out though they take part, and how many these are, given
    /// that it gave `given` rows of that member.
    ///
    /// # Errors
    /// [`EngineError::NonFinite`] and the like, for numbers that a model does not take.
    pub fn rest(&mut self, rows: &UnitRows<'_>, member: usize, given: usize) -> Result<(u32, usize)> {
        match self {
            Self::InactiveNext { everybody: false, .. } => Ok((1, 0)),
            Self::InactiveNext { horizon, .. } => Ok((1, rows.periods().saturating_sub(*horizon) - given)),
            Self::Segment(classes) => {
                let assigned = rows.members()[member].assigned;
                Ok((classes.empty(rows.basis(), assigned)?, rows.periods() - given))
            }
        }
    }

    /// Calls `on_rows` for the rows that [`Target::rows`] leaves out though they take part, as far as they are alike.
    ///
    /// # Errors
    /// Those of `on_rows`; [`EngineError::Cancelled`], [`EngineError::Memory`].
    pub fn shared(&mut self, rows: &UnitRows<'_>, mut on_rows: impl FnMut(&Shared<'_>) -> Result<()>) -> Result<()> {
        if !self.is_dense() {
            return Ok(());
        }
        let mut given = std::collections::HashMap::<_, usize>::new();
        let mut last = rows.periods();
        if let Self::InactiveNext { horizon, .. } = self {
            last = rows.periods().saturating_sub(*horizon);
            before_activity(rows, *horizon, |member, period| {
                *given.entry((period as u32, rows.kind(member))).or_default() += 1;
                Ok(())
            })?;
        }
        rows.shared(|found| {
            if found.period as usize >= last {
                return Ok(());
            }
            let kind = (found.assigned, found.attributes, found.group, found.who);
            let given = given.get(&(found.period, kind)).copied().unwrap_or(0);
            let class = match self {
                Self::InactiveNext { .. } => 1,
                Self::Segment(classes) => classes.empty(rows.basis(), found.assigned)?,
            };
            if found.members == given {
                return Ok(());
            }
            on_rows(&Shared {
                period: found.period,
                group: found.group,
                class,
                rows: found.members - given,
                vector: found.vector,
            })
        })
    }
}

impl SegmentClasses {
    /// Class of a row without a cell.
    fn empty(&mut self, basis: Basis, assigned: i64) -> Result<u32> {
        let mut counts = [0; COUNTS.len()];
        if basis == Basis::Universe {
            counts[super::recipe::ASSIGNED] = assigned;
        }
        self.class(&counts)
    }
}

/// Calls `on_row` for the rows not of their own whose member is active in one of the next `horizon` periods.
fn before_activity(
    rows: &UnitRows<'_>,
    horizon: usize,
    mut on_row: impl FnMut(usize, usize) -> Result<()>,
) -> Result<()> {
    let last = rows.periods().saturating_sub(horizon);
    for member in 0..rows.members().len() {
        let mut next = 0;
        for cell in rows.cells_of(member) {
            let period = cell.period as usize;
            if cell.activity(rows.basis()) != 0 {
                for before in next.max(period.saturating_sub(horizon))..period.min(last) {
                    if !rows.is_own(member, before) {
                        on_row(member, before)?;
                    }
                }
                next = period;
            }
        }
    }
    Ok(())
}
