//! How trees are stored: flat little-endian bytes, checked in full before anything is made of them.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cuts::Cuts;
use super::ensemble::Ensemble;
use super::importance::Importance;
use super::node::{Node, Tree};
use super::table::{MAX_CLASSES, MAX_FEATURES};
use crate::error::{EngineError, Result};

/// Bytes that are stored as bytes, not as a list of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }

            // formats without bytes, JSON for one
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

impl Blob {
    fn of_words(words: impl Iterator<Item = u32>) -> Self {
        Self(words.flat_map(u32::to_le_bytes).collect())
    }

    fn of_floats<'a>(floats: impl IntoIterator<Item = &'a f64>) -> Self {
        Self(floats.into_iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn words(&self) -> Result<Vec<u32>> {
        let words = self.0.chunks_exact(4);
        match words.remainder() {
            [] => Ok(words.map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect()),
            rest => Err(odd(rest)),
        }
    }

    fn floats(&self) -> Result<Vec<f64>> {
        let words = self.0.chunks_exact(8);
        match words.remainder() {
            [] => Ok(words
                .map(|w| f64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]))
                .collect()),
            rest => Err(odd(rest)),
        }
    }
}

fn odd(rest: &[u8]) -> EngineError {
    EngineError::invalid(
        "stored numbers",
        "of whole words",
        format!("{} bytes too many", rest.len()),
    )
}

/// What was stored, before it is trusted.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredEnsemble {
    outputs: usize,
    width: usize,
    /// Number of cuts of each feature, u32, and all cuts, f64.
    cut_counts: Blob,
    cuts: Blob,
    /// Number of nodes of each tree, u32; of all nodes slot, cut and child, u32 each.
    node_counts: Blob,
    nodes: Blob,
    /// Cover of each node; values of each leaf x width.
    cover: Blob,
    values: Blob,
    gain: Blob,
    splits: Vec<u64>,
}

impl From<Ensemble> for StoredEnsemble {
    fn from(ensemble: Ensemble) -> Self {
        let tables = || (0..ensemble.cuts.n_features()).map(|feature| ensemble.cuts.of(feature));
        let trees = || ensemble.trees.iter();
        Self {
            outputs: ensemble.outputs,
            width: ensemble.width,
            cut_counts: Blob::of_words(tables().map(|cuts| cuts.len() as u32)),
            cuts: Blob::of_floats(tables().flatten()),
            node_counts: Blob::of_words(trees().map(|tree| tree.nodes.len() as u32)),
            nodes: Blob::of_words(
                trees()
                    .flat_map(|tree| &tree.nodes)
                    .flat_map(|n| [n.slot, n.cut, n.child]),
            ),
            cover: Blob::of_floats(trees().flat_map(|tree| &tree.cover)),
            values: Blob::of_floats(trees().flat_map(|tree| &tree.values)),
            gain: Blob::of_floats(&ensemble.importance.gain),
            splits: ensemble.importance.splits,
        }
    }
}

impl TryFrom<StoredEnsemble> for Ensemble {
    type Error = EngineError;

    fn try_from(stored: StoredEnsemble) -> Result<Self> {
        let mut all_cuts = Parts(stored.cuts.floats()?.into_iter());
        let mut tables = Vec::new();
        for count in stored.cut_counts.words()? {
            tables.push(all_cuts.take(count as usize)?);
        }
        all_cuts.end()?;
        let mut nodes = Parts(stored.nodes.words()?.into_iter());
        let mut cover = Parts(stored.cover.floats()?.into_iter());
        let mut values = Parts(stored.values.floats()?.into_iter());
        let mut trees = Vec::new();
        for count in stored.node_counts.words()? {
            let count = count as usize;
            let words = nodes.take(count.saturating_mul(3))?;
            trees.push(Tree {
                nodes: words
                    .chunks_exact(3)
                    .map(|w| Node {
                        slot: w[0],
                        cut: w[1],
                        child: w[2],
                    })
                    .collect(),
                cover: cover.take(count)?,
                values: values.take((count / 2 + 1).saturating_mul(stored.width))?,
            });
        }
        nodes.end()?;
        cover.end()?;
        values.end()?;
        let importance = Importance {
            gain: stored.gain.floats()?,
            splits: stored.splits,
        };
        let ensemble = Ensemble {
            cuts: Cuts::from_tables(tables),
            trees,
            outputs: stored.outputs,
            width: stored.width,
            importance,
        };
        ensemble.check()?;
        Ok(ensemble)
    }
}

impl Ensemble {
    /// Checks what was not grown here.
    pub(crate) fn check(&self) -> Result<()> {
        super::params::within("number of features", self.n_features(), 1, MAX_FEATURES)?;
        super::params::within("number of outputs", self.outputs, 1, MAX_CLASSES)?;
        if self.width != 1 && self.width != self.outputs {
            let expected = format!("1 or {}", self.outputs);
            return Err(EngineError::invalid("values per leaf", expected, self.width));
        }
        for feature in 0..self.n_features() {
            let cuts = self.cuts.of(feature);
            let bad = cuts.iter().any(|cut| !cut.is_finite()) || cuts.windows(2).any(|pair| pair[0] >= pair[1]);
            if bad || cuts.len() >= super::node::LEAF as usize - 1 {
                return Err(EngineError::invalid(
                    "cuts",
                    "finite and ascending",
                    format!("others at feature {feature}"),
                ));
            }
        }
        for tree in &self.trees {
            tree.check(self.width, self.n_features(), |feature| self.cuts.of(feature).len())?;
        }
        self.importance.check(self.n_features())
    }
}

/// A list that is handed out in parts.
struct Parts<T>(std::vec::IntoIter<T>);

impl<T> Parts<T> {
    fn take(&mut self, count: usize) -> Result<Vec<T>> {
        if count > self.0.len() {
            return Err(EngineError::Dimension {
                what: "stored numbers",
                expected: count,
                found: self.0.len(),
            });
        }
        Ok(self.0.by_ref().take(count).collect())
    }

    fn end(&self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            found => Err(EngineError::Dimension {
                what: "stored numbers left",
                expected: 0,
                found,
            }),
        }
    }
}
