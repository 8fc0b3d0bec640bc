//! Which cells new interactions can have changed: those of the units that have a fact on a day that changed.

use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{Interaction, Level};
use empatia_engine::error::EngineError;

use super::changes::grow;

/// Users and units, per level.
#[derive(Debug)]
pub(super) struct ActiveUnits {
    of_level: [Vec<(i64, i64)>; 5],
    memory: Reservation,
}

impl ActiveUnits {
    /// # Errors
    /// `Memory`.
    pub fn new(context: &Context) -> Result<Self, EngineError> {
        Ok(Self {
            of_level: Default::default(),
            memory: context.reserve(0)?,
        })
    }

    /// Takes down the units of a fact.
    ///
    /// # Errors
    /// `Memory`.
    pub fn push(&mut self, fact: &Interaction) -> Result<(), EngineError> {
        for level in Level::ALL {
            let of_level = &mut self.of_level[level.index()];
            // facts of a student come together, and most are in the same units
            let key = fact.path.unit(level).map(|unit| (fact.user, unit));
            if let Some(key) = key.filter(|key| of_level.last() != Some(key)) {
                grow(of_level, &mut self.memory)?;
                of_level.push(key);
            }
        }
        Ok(())
    }

    /// When all facts are there.
    pub fn finish(&mut self) {
        for of_level in &mut self.of_level {
            of_level.sort_unstable();
            of_level.dedup();
        }
    }

    pub fn contains(&self, level: Level, user: i64, unit: i64) -> bool {
        self.of_level[level.index()].binary_search(&(user, unit)).is_ok()
    }
}
