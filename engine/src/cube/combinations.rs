//! The set of level x grain combinations a pass computes.

use super::path::Level;
use crate::calendar::Grain;

/// A set of level x grain combinations; 35 exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Combinations {
    /// Per level, bit `grain.index()`.
    grains: [u8; 5],
}

impl Combinations {
    /// No combination.
    pub fn none() -> Self {
        Self::default()
    }

    /// All 35.
    pub fn all() -> Self {
        Level::ALL
            .into_iter()
            .flat_map(|level| Grain::ALL.into_iter().map(move |grain| (level, grain)))
            .collect()
    }

    /// This set and one more.
    #[must_use]
    pub fn with(mut self, level: Level, grain: Grain) -> Self {
        self.grains[level.index()] |= 1 << grain.index();
        self
    }

    pub fn contains(&self, level: Level, grain: Grain) -> bool {
        self.grains[level.index()] & (1 << grain.index()) != 0
    }

    pub fn is_empty(&self) -> bool {
        self.grains.iter().all(|grains| *grains == 0)
    }

    /// The levels with at least one grain, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = Level> + '_ {
        Level::ALL.into_iter().filter(|level| self.grains[level.index()] != 0)
    }

    /// The grains of a level, finest first.
    pub fn grains(&self, level: Level) -> impl Iterator<Item = Grain> + '_ {
        Grain::ALL.into_iter().filter(move |grain| self.contains(level, *grain))
    }

    /// Whether any level asks for the grain.
    pub fn uses(&self, grain: Grain) -> bool {
        Level::ALL.into_iter().any(|level| self.contains(level, grain))
    }
}

impl FromIterator<(Level, Grain)> for Combinations {
    fn from_iter<I: IntoIterator<Item = (Level, Grain)>>(pairs: I) -> Self {
        pairs
            .into_iter()
            .fold(Self::none(), |set, (level, grain)| set.with(level, grain))
    }
}
