//! What a tree adds to the explanation of a row depends only on which way the row goes at each of its splits, and rows of real data
//! go few ways: each is computed once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::edges::Edges;
use super::ensemble::Ensemble;
use super::node::Tree;

/// Most splits of a tree whose ways are a key.
const MOST_SPLITS: usize = 64;
/// Most ways that are remembered of a tree at a time.
const MOST_WAYS: usize = 1 << 14;
/// About what the entry of a way takes.
const ENTRY: usize = 32;

/// A tree's splits and features.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Slot and cut of each split; empty where there are too many.
    splits: Vec<(u32, u32)>,
    /// Features that the tree splits at.
    features: Vec<u32>,
    /// Place of each feature among those.
    place: Vec<u32>,
}

impl Patterns {
    pub(crate) fn new(tree: &Tree, n_features: usize) -> Self {
        let nodes = || tree.nodes.iter().filter(|node| !node.is_leaf());
        let mut features: Vec<u32> = nodes().map(|node| node.feature() as u32).collect();
        features.sort_unstable();
        features.dedup();
        let mut place = vec![0; n_features];
        for (at, feature) in features.iter().enumerate() {
            place[*feature as usize] = at as u32;
        }
        let mut splits: Vec<(u32, u32)> = nodes().map(|node| (node.slot, node.cut)).collect();
        if splits.len() > MOST_SPLITS {
            splits.clear();
        }
        Self {
            splits,
            features,
            place,
        }
    }

    /// Numbers that a way takes.
    pub(crate) fn width(&self, outputs: usize) -> usize {
        self.features.len() * outputs
    }

    pub(crate) fn features(&self) -> &[u32] {
        &self.features
    }

    pub(crate) fn place(&self, feature: usize) -> usize {
        self.place[feature] as usize
    }

    /// Which way a row of codes goes at each split; none where there are too many to tell.
    #[inline]
    fn way(&self, codes: &[u32]) -> Option<u64> {
        if self.splits.is_empty() {
            return None;
        }
        let bits = self.splits.iter().enumerate();
        Some(bits.fold(0, |way, (bit, (slot, cut))| {
            way | u64::from(codes[*slot as usize] > *cut) << bit
        }))
    }
}

/// The ways through one tree that were computed.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    known: HashMap<u64, u32, BuildHasherDefault<Mixed>>,
    /// Contributions of the tree's features to each output, way by way.
    values: Vec<f64>,
    /// Those of a row whose way is not remembered.
    own: Vec<f64>,
}

impl Ways {
    /// Bytes that the ways of so many rows take at most.
    pub(crate) fn bytes(ensemble: &Ensemble, rows: usize) -> usize {
        let splits = ensemble.trees.iter().map(|tree| tree.nodes.len() / 2);
        let widest = splits.filter(|splits| *splits <= MOST_SPLITS).max().unwrap_or(0);
        rows.min(MOST_WAYS) * (widest.min(ensemble.n_features()) * ensemble.width * size_of::<f64>() + ENTRY)
    }

    /// For another tree.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.values.clear();
    }

    /// The contributions of a row: `compute` adds them to zeros where the way is new.
    #[inline]
    pub(crate) fn of(
        &mut self,
        patterns: &Patterns,
        codes: &[u32],
        width: usize,
        compute: impl FnOnce(&mut [f64]),
    ) -> &[f64] {
        let way = patterns.way(codes);
        if let Some(number) = way.and_then(|way| self.known.get(&way)) {
            return &self.values[*number as usize * width..][..width];
        }
        match way {
            Some(way) if self.known.len() < MOST_WAYS => {
                let number = self.known.len();
                self.known.insert(way, number as u32);
                self.values.resize((number + 1) * width, 0.0);
                let values = &mut self.values[number * width..];
                compute(values);
                values
            }
            _ => {
                self.own.clear();
                self.own.resize(width, 0.0);
                compute(&mut self.own);
                &self.own
            }
        }
    }
}

/// Mixes the one number that it is given.
#[derive(Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = crate::cube::hash::fold(self.0, value);
    }
}

/// A tree prepared for explanation.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) edges: Edges,
    pub(crate) patterns: Patterns,
}
