//! A tree prepared for explanation: what the integrand of [`super::shap`] gains or loses at each edge.
//!
//! The node below an edge stands for the edge. An edge at whose feature the path was split before replaces the factor
//! of the earlier edge, `before`, by the factor of both together. There are three cases: the row has already failed at
//! the feature, fails here, or passes.

use super::node::Tree;
use super::parts::Part;
use super::quadrature::gauss_legendre;

/// Quadrature nodes worked on together.
pub(super) const LANES: usize = 4;
pub(super) type Lanes = [f64; LANES];
/// Their places t, and their weights.
pub(super) type Points = [(f64, f64); LANES];

/// What an edge does in one case.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Effect {
    /// Factor of the products below the edge.
    ratio: Lanes,
    /// Contribution to the feature per unit of what comes up, quadrature weight included.
    gain: Lanes,
}

/// An edge whatever the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Edge {
    /// Share of the weight that passes all splits at the feature down to here.
    pub(super) share: f64,
    /// The edge of the last split at the same feature; 0, the root, where there is none.
    pub(crate) before: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edges {
    width: usize,
    edges: Vec<Edge>,
    /// Batches x nodes x cases; empty where they are computed when they are needed.
    effects: Vec<[Effect; 3]>,
    batches: Vec<Points>,
}

/// Buffers of a thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Does the row pass all splits at the edge's feature?
    passes: Vec<bool>,
    cases: Vec<u8>,
    products: Vec<Lanes>,
    sums: Vec<Lanes>,
    own: Vec<Effect>,
}

impl Scratch {
    fn fit(&mut self, n: usize) {
        if self.cases.len() < n {
            self.passes.resize(n, true);
            self.cases.resize(n, 0);
            self.products.resize(n, [1.0; LANES]);
            self.sums.resize(n, [0.0; LANES]);
        }
    }
}

/// The part of a node's weight that goes to a child.
pub(crate) fn share(tree: &Tree, node: usize, child: usize) -> f64 {
    if tree.cover[node] > 0.0 {
        (tree.cover[child] / tree.cover[node]).min(1.0)
    } else {
        0.0
    }
}

impl Edges {
    /// Of a node, prepared, for trees of usual depth.
    pub(crate) const BYTES_PER_NODE: usize = 2 * size_of::<[Effect; 3]>() + size_of::<Edge>();

    pub(crate) fn new(tree: &Tree, width: usize) -> Self {
        let n = tree.nodes.len();
        let root = Edge { share: 1.0, before: 0 };
        let mut edges = vec![root; n];
        let (mut parent, mut depth, mut deepest) = (vec![0u32; n], vec![0usize; n], 1);
        for (index, node) in tree.nodes.iter().enumerate() {
            if node.is_leaf() {
                deepest = deepest.max(depth[index]);
                continue;
            }
            let mut before = index;
            while before > 0 && tree.nodes[parent[before] as usize].feature() != node.feature() {
                before = parent[before] as usize;
            }
            for child in [node.child as usize, node.child as usize + 1] {
                parent[child] = index as u32;
                edges[child] = Edge {
                    share: edges[before].share * share(tree, index, child),
                    before: before as u32,
                };
                // features on the path, not splits
                depth[child] = depth[index] + usize::from(before == 0);
            }
        }
        let points = gauss_legendre(deepest.div_ceil(2));
        let batches = points.chunks(LANES).map(|chunk| {
            // A weight of 0 makes a lane harmless.
            let mut batch = [(0.5, 0.0); LANES];
            batch[..chunk.len()].copy_from_slice(chunk);
            batch
        });
        Self {
            width,
            edges,
            effects: Vec::new(),
            batches: batches.collect(),
        }
    }

    /// Computes all cases of every edge now, not for each row those that it needs.
    pub(crate) fn prepare(&mut self) {
        let mut effects = Vec::with_capacity(self.edges.len() * self.batches.len());
        for batch in &self.batches {
            for edge in &self.edges {
                effects.push([0, 1, 2].map(|case| self.effect(edge, batch, case)));
            }
        }
        self.effects = effects;
    }

    /// Bytes that preparing adds.
    pub(crate) fn effect_bytes(&self) -> usize {
        self.edges.len() * self.batches.len() * size_of::<[Effect; 3]>()
    }

    /// Bytes without these.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.edges.len() * size_of::<Edge>()
    }

    /// The edge above `node`.
    pub(crate) fn of(&self, node: usize) -> Edge {
        self.edges[node]
    }

    /// The nodes of the quadrature.
    pub(super) fn points(&self) -> &[Points] {
        &self.batches
    }

    /// How often each node is visited.
    pub(crate) fn visits(&self) -> usize {
        self.batches.len()
    }

    #[inline(always)]
    fn effect(&self, edge: &Edge, batch: &Points, case: u8) -> Effect {
        let first = edge.before == 0;
        let (o, z) = (f64::from(case == 2), edge.share);
        let o_before = f64::from(case > 0);
        let z_before = if first {
            1.0
        } else {
            self.edges[edge.before as usize].share
        };
        let mut effect = Effect::default();
        for (lane, (t, weight)) in batch.iter().enumerate() {
            let factor = o * t + z * (1.0 - t);
            let factor_before = o_before * t + z_before * (1.0 - t);
            // Where a factor is 0 so is everything below, and nothing can come up.
            if factor > 0.0 && factor_before > 0.0 {
                let ratio = factor / factor_before;
                effect.ratio[lane] = ratio;
                effect.gain[lane] = weight * ((o - z) - (o_before - z_before) * ratio) / factor;
            }
        }
        effect
    }

    /// Adds what each feature of `part` contributes to each output from `first` on to `out`, outputs x the part's features, for a row
    /// that goes right at the splits that `goes_right` says.
    #[inline(always)]
    pub(crate) fn add_part(
        &self,
        part: &Part,
        goes_right: impl Fn(usize) -> bool,
        first: usize,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) {
        let nodes = &part.nodes[..];
        let n = nodes.len();
        scratch.fit(n);
        let Scratch {
            passes,
            cases,
            products,
            sums,
            own,
        } = scratch;
        let (passes, cases) = (&mut passes[..n], &mut cases[..n]);
        let (products, sums) = (&mut products[..n], &mut sums[..n]);
        passes[0] = true;
        products[0] = [1.0; LANES];
        for (at, node) in nodes.iter().enumerate().skip(1) {
            let before = passes[node.before as usize];
            let now = before && goes_right(node.split as usize) == node.is_right;
            passes[at] = now;
            cases[at] = u8::from(before) + u8::from(now);
        }
        for (number, batch) in self.batches.iter().enumerate() {
            let prepared = match self.effects.is_empty() {
                false => &self.effects[number * self.edges.len()..][..self.edges.len()],
                true => {
                    own.clear();
                    let effects = nodes.iter().zip(cases.iter());
                    own.extend(effects.map(|(node, case)| self.effect(&self.edges[node.of as usize], batch, *case)));
                    &[]
                }
            };
            let effect = |at: usize| match prepared.is_empty() {
                false => &prepared[nodes[at].of as usize][usize::from(cases[at])],
                true => &own[at],
            };
            for (at, node) in nodes.iter().enumerate().skip(1) {
                let above = products[node.parent as usize];
                let ratio = &effect(at).ratio;
                for lane in 0..LANES {
                    products[at][lane] = above[lane] * ratio[lane];
                }
            }
            for (output, out) in (first..self.width).zip(out.chunks_exact_mut(part.features.len())) {
                sums.fill([0.0; LANES]);
                // from the leaves up; each passes what has come to it on
                for (at, node) in nodes.iter().enumerate().skip(1).rev() {
                    if let Some(leaf) = node.leaf() {
                        let value = part.values[leaf * self.width + output];
                        for lane in 0..LANES {
                            sums[at][lane] = products[at][lane] * value;
                        }
                    }
                    let (sum, gain) = (sums[at], &effect(at).gain);
                    let mut value = [0.0; LANES];
                    let above = &mut sums[node.parent as usize];
                    for lane in 0..LANES {
                        value[lane] = sum[lane] * gain[lane];
                        above[lane] += sum[lane];
                    }
                    out[node.feature as usize] += value.iter().sum::<f64>();
                }
            }
        }
    }
}
