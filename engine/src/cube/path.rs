//! The hierarchy's levels, and where in it a fact hangs.

use std::fmt;
use std::str::FromStr;

use crate::error::{EngineError, Result};

/// Node type of the hierarchy, outer to inner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    Environment,
    Course,
    Space,
    Subject,
    Lecture,
}

impl Level {
    /// Every level, outermost first.
    pub const ALL: [Level; 5] = [
        Level::Environment,
        Level::Course,
        Level::Space,
        Level::Subject,
        Level::Lecture,
    ];

    /// Position in [`Level::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in SQL, such as `SPA`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Environment => "ENV",
            Level::Course => "CRS",
            Level::Space => "SPA",
            Level::Subject => "SUB",
            Level::Lecture => "LEC",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = EngineError;

    /// # Errors
    /// [`EngineError::InvalidParameter`], listing the names.
    fn from_str(name: &str) -> Result<Self> {
        Level::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| EngineError::invalid("level", "one of ENV, CRS, SPA, SUB, LEC", name))
    }
}

/// The units a fact hangs on, one per level where there is one. Any level may be absent, also between two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Path {
    /// 0 where absent, so that equal paths are equal bytes.
    ids: [i64; 5],
    /// Bit `level.index()` says whether the level's id is there.
    present: u8,
}

impl Path {
    /// A path from its ids, outer to inner.
    #[inline]
    pub fn new(ids: [Option<i64>; 5]) -> Self {
        let mut path = Self::default();
        for (index, id) in ids.into_iter().enumerate() {
            if let Some(id) = id {
                path.ids[index] = id;
                path.present |= 1 << index;
            }
        }
        path
    }

    /// The unit at a level, if the path names one.
    #[inline]
    pub fn unit(&self, level: Level) -> Option<i64> {
        (self.present & (1 << level.index()) != 0).then(|| self.ids[level.index()])
    }

    #[inline]
    pub(super) fn hash(&self) -> u64 {
        self.ids.iter().fold(u64::from(self.present), |state, id| {
            super::hash::fold(state, *id as u64)
        })
    }
}
