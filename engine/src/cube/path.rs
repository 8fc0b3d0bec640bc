//! The hierarchy's levels, and where in it a fact hangs.

use std::fmt;
use std::str::FromStr;

use super::packed::part;
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
#[derive(Debug, Clone, Copy, Eq, Default)]
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

    /// As bytes, see [`Path::from_bytes`].
    pub(super) fn to_bytes(self) -> [u8; 41] {
        let mut bytes = [0; 41];
        bytes[0] = self.present;
        for (id, place) in self.ids.iter().zip(bytes[1..].chunks_exact_mut(8)) {
            place.copy_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 41]) -> Self {
        let present = bytes[0];
        let id = |index: usize| i64::from_le_bytes(part(bytes, 1 + 8 * index));
        Self::new(std::array::from_fn(|index| {
            (present & (1 << index) != 0).then(|| id(index))
        }))
    }

    /// Every fact is looked up by it, so the five products are independent of each other.
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        let mut sum = u64::from(self.present);
        for (id, multiplier) in self.ids.iter().zip(MULTIPLIERS) {
            sum = sum.wrapping_add((*id as u64).wrapping_mul(multiplier));
        }
        super::hash::fold(0, sum)
    }
}

/// Odd, otherwise arbitrary.
const MULTIPLIERS: [u64; 5] = [
    0x9E37_79B9_7F4A_7C15,
    0xBF58_476D_1CE4_E5B9,
    0x94D0_49BB_1331_11EB,
    0xD6E8_FEB8_6659_FD93,
    0xA076_1D64_78BD_642F,
];

impl PartialEq for Path {
    /// Without a branch per id: the derived one calls memcmp, which costs more than the rest of a look-up.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let differing = self.ids.iter().zip(other.ids);
        let differing = differing.fold(0, |bits, (a, b)| bits | (a ^ b));
        differing == 0 && self.present == other.present
    }
}
