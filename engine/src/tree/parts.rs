//! A tree taken apart for explanation. What some leaves add to the SHAP values of a row depends only on which way the row goes at the
//! splits above them and between them. Of few leaves these are few: the ways that rows of real data go are few, too, and each is computed once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::edges::Edges;
use super::node::Tree;

/// Most splits that a part of several leaves depends on.
const PART_SPLITS: usize = 10;
/// Most splits whose ways are the index of a table.
const TABLE_SPLITS: usize = 12;
/// Most splits whose ways are a key.
const KEY_SPLITS: usize = 64;
/// Most ways that are remembered of a part at a time.
const MOST_WAYS: usize = 1 << 14;
/// How many times as many nodes as the tree its parts may have: splits near the root are in all of them.
const MOST_NODES: usize = 4;
/// About what the entry of a way takes.
const ENTRY: usize = 32;
/// Of a node that is no leaf.
const NONE: u32 = u32::MAX;

/// A node of a part; the first is the tree's root.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PartNode {
    /// Its number in the tree.
    pub(crate) of: u32,
    pub(crate) parent: u32,
    /// See [`super::edges::Edge`].
    pub(crate) before: u32,
    /// The split above it, among the part's, and the place of its feature among the part's.
    pub(crate) split: u32,
    pub(crate) feature: u32,
    pub(crate) is_right: bool,
    leaf: u32,
}

impl PartNode {
    /// Its number among the part's leaves, if it is one.
    #[inline(always)]
    pub(crate) fn leaf(&self) -> Option<usize> {
        (self.leaf != NONE).then_some(self.leaf as usize)
    }
}

/// Some leaves of a tree that have a node in common, with all nodes above them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Parents first.
    pub(crate) nodes: Vec<PartNode>,
    /// Slot and cut of each split.
    pub(crate) splits: Vec<(u32, u32)>,
    /// Features of the splits, ascending.
    pub(crate) features: Vec<u32>,
    /// Leaves x width.
    pub(crate) values: Vec<f64>,
}

impl Part {
    /// Of a node of the tree, at most.
    pub(crate) const BYTES_PER_NODE: usize = MOST_NODES * (size_of::<PartNode>() + 16);

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.nodes.len() * size_of::<PartNode>()
            + self.splits.len() * size_of::<(u32, u32)>()
            + self.features.len() * size_of::<u32>()
            + self.values.len() * size_of::<f64>()
    }

    /// The parts of `tree`, which have each leaf once; none of a tree without splits.
    pub(crate) fn all(tree: &Tree, edges: &Edges, width: usize) -> Vec<Self> {
        let n = tree.nodes.len();
        if n == 1 {
            return Vec::new();
        }
        let (mut parent, mut depth, mut inner) = (vec![0u32; n], vec![0usize; n], vec![0usize; n]);
        for (index, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
            for child in [node.child as usize, node.child as usize + 1] {
                parent[child] = index as u32;
                depth[child] = depth[index] + 1;
            }
        }
        for (index, node) in tree.nodes.iter().enumerate().rev() {
            if !node.is_leaf() {
                inner[index] = 1 + inner[node.child as usize] + inner[node.child as usize + 1];
            }
        }
        let (mut tops, mut open, mut nodes) = (Vec::new(), vec![0], 0);
        while let Some(top) = open.pop() {
            if tree.nodes[top].is_leaf() || depth[top] + inner[top] <= PART_SPLITS {
                tops.push(top);
                nodes += depth[top] + 2 * inner[top] + 1;
            } else {
                let left = tree.nodes[top].child as usize;
                open.extend([left + 1, left]);
            }
        }
        // a large tree would be computed many times over, and seldom go the same way again
        if nodes > MOST_NODES * n {
            tops = vec![0];
        }
        let mut place = vec![0; n];
        let of = |top: usize| Self::new(tree, edges, width, top, &parent, &mut place);
        tops.into_iter().map(of).collect()
    }

    /// The leaves below `top`. `place` is a buffer.
    fn new(tree: &Tree, edges: &Edges, width: usize, top: usize, parent: &[u32], place: &mut [u32]) -> Self {
        let mut above = vec![top];
        while let Some(node) = above.last().copied().filter(|node| *node > 0) {
            above.push(parent[node] as usize);
        }
        above.reverse();
        let mut part = Self {
            nodes: Vec::new(),
            splits: Vec::new(),
            features: Vec::new(),
            values: Vec::new(),
        };
        // the way down to the top has one side of each split, what is below it both
        for node in above.into_iter().filter(|node| *node != top) {
            part.push(tree, edges, width, node, parent, place);
        }
        let mut open = vec![top];
        while let Some(node) = open.pop() {
            part.push(tree, edges, width, node, parent, place);
            if !tree.nodes[node].is_leaf() {
                let left = tree.nodes[node].child as usize;
                open.extend([left + 1, left]);
            }
        }
        part.features = part.splits.iter().map(|(slot, _)| slot / 2).collect();
        part.features.sort_unstable();
        part.features.dedup();
        for node in &mut part.nodes {
            let feature = part.splits[node.split as usize].0 / 2;
            node.feature = part.features.binary_search(&feature).unwrap_or(0) as u32;
        }
        part
    }

    fn push(&mut self, tree: &Tree, edges: &Edges, width: usize, index: usize, parent: &[u32], place: &mut [u32]) {
        let (node, above) = (tree.nodes[index], parent[index] as usize);
        place[index] = self.nodes.len() as u32;
        let mut leaf = NONE;
        if node.is_leaf() {
            leaf = (self.values.len() / width) as u32;
            self.values
                .extend_from_slice(&tree.values[node.child as usize * width..][..width]);
        }
        // the number of a split is taken by its node before its children ask for it
        let split = match index {
            0 => 0,
            _ => self.nodes[place[above] as usize].feature,
        };
        self.nodes.push(PartNode {
            of: index as u32,
            parent: place[above],
            before: place[edges.of(index).before as usize],
            split,
            feature: self.splits.len() as u32,
            is_right: index != tree.nodes[above].child as usize,
            leaf,
        });
        if !node.is_leaf() {
            self.splits.push((node.slot, node.cut));
        }
    }

    /// Numbers that a way takes.
    pub(crate) fn width(&self, outputs: usize) -> usize {
        self.features.len() * outputs
    }

    /// Bytes that the ways of so many rows take at most.
    pub(crate) fn ways_bytes(&self, rows: usize, outputs: usize) -> usize {
        let most = match self.splits.len() {
            splits if splits <= TABLE_SPLITS => 1 << splits,
            splits if splits <= KEY_SPLITS => MOST_WAYS,
            _ => 0,
        };
        rows.min(most) * (self.width(outputs) * size_of::<f64>() + ENTRY) + (size_of::<u32>() << TABLE_SPLITS)
    }

    /// Which way each of `n` rows goes, a bit per split; nothing where there are too many splits to tell. `codes`: slots x n.
    #[inline(always)]
    pub(crate) fn keys(&self, codes: &[u32], n: usize, keys: &mut Vec<u64>) {
        keys.clear();
        if self.splits.len() > KEY_SPLITS {
            return;
        }
        keys.resize(n, 0);
        for (bit, (slot, cut)) in self.splits.iter().enumerate() {
            let codes = &codes[*slot as usize * n..][..n];
            for (key, code) in keys.iter_mut().zip(codes) {
                *key |= u64::from(code > cut) << bit;
            }
        }
    }
}

/// The ways through one part that were computed.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// By key, for few splits; [`NONE`] is not computed yet.
    table: Vec<u32>,
    known: HashMap<u64, u32, BuildHasherDefault<Mixed>>,
    /// Contributions of the part's features to each output, way by way.
    values: Vec<f64>,
    /// Those of a row whose way is not remembered.
    own: Vec<f64>,
    width: usize,
}

impl Ways {
    /// For another part.
    pub(crate) fn start(&mut self, part: &Part, outputs: usize) {
        self.table.clear();
        if part.splits.len() <= TABLE_SPLITS {
            self.table.resize(1 << part.splits.len(), NONE);
        }
        self.known.clear();
        self.values.clear();
        self.width = part.width(outputs);
    }

    /// The contributions of a row that goes the way `key`: `compute` adds them to zeros where the way is new.
    #[inline(always)]
    pub(crate) fn of(&mut self, key: Option<u64>, compute: impl FnOnce(&mut [f64])) -> &[f64] {
        let width = self.width;
        let next = (self.values.len() / width.max(1)) as u32;
        let number = match key {
            Some(key) if !self.table.is_empty() => {
                let number = &mut self.table[key as usize];
                if *number == NONE {
                    *number = next;
                }
                *number
            }
            Some(key) => match self.known.get(&key) {
                Some(number) => *number,
                None if (next as usize) < MOST_WAYS => {
                    self.known.insert(key, next);
                    next
                }
                None => NONE,
            },
            None => NONE,
        };
        if number == NONE {
            self.own.clear();
            self.own.resize(width, 0.0);
            compute(&mut self.own);
            return &self.own;
        }
        let start = number as usize * width;
        if number == next {
            self.values.resize(start + width, 0.0);
            compute(&mut self.values[start..]);
        }
        &self.values[start..start + width]
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
