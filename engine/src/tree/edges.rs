//! A tree prepared for explanation: what the integrand of [`super::shap`] gains or loses at each edge.
//!
//! The node below an edge stands for the edge. An edge at whose feature the path was split before replaces the factor
//! of the earlier edge, `before`, by the factor of both together. There are three cases: the row has already failed at
//! the feature, fails here, or passes.

use super::node::{Node, Tree};
use super::quadrature::gauss_legendre;

/// Quadrature nodes worked on together.
const LANES: usize = 8;
type Lanes = [f64; LANES];

/// What an edge does in one case.
#[derive(Debug, Clone, Copy, Default)]
struct Effect {
    /// Factor of the products below the edge.
    ratio: Lanes,
    /// Contribution to the feature per unit of what comes up, quadrature weight included.
    gain: Lanes,
}

/// An edge whatever the row.
#[derive(Debug, Clone, Copy)]
struct Edge {
    /// Share of the weight that passes all splits at the feature down to here.
    share: f64,
    /// The edge of the last split at the same feature; 0, the root, where there is none.
    before: u32,
}

#[derive(Debug)]
pub(crate) struct Edges<'a> {
    tree: &'a Tree,
    width: usize,
    edges: Vec<Edge>,
    /// Batches x nodes x cases.
    effects: Vec<[Effect; 3]>,
    batches: Vec<[(f64, f64); LANES]>,
    prepared: bool,
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

impl<'a> Edges<'a> {
    /// Upper estimate for trees of usual depth.
    pub(crate) const BYTES_PER_NODE: usize = size_of::<[Effect; 3]>() + size_of::<Edge>();

    /// `prepared`: compute all cases of every edge now, not for each row those that it needs.
    pub(crate) fn new(tree: &'a Tree, width: usize, prepared: bool) -> Self {
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
        let batches: Vec<_> = batches.collect();
        let mut prepared_edges = Self {
            tree,
            width,
            edges,
            effects: Vec::new(),
            batches,
            prepared,
        };
        if prepared {
            let mut effects = Vec::with_capacity(n * prepared_edges.batches.len());
            for batch in &prepared_edges.batches {
                for edge in &prepared_edges.edges {
                    effects.push([0, 1, 2].map(|case| prepared_edges.effect(edge, batch, case)));
                }
            }
            prepared_edges.effects = effects;
        }
        prepared_edges
    }

    pub(crate) fn n_nodes(&self) -> usize {
        self.edges.len() * self.batches.len()
    }

    #[inline(always)]
    fn effect(&self, edge: &Edge, batch: &[(f64, f64); LANES], case: u8) -> Effect {
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

    /// Passes what each feature contributes to each output from `first` on to `add`(output, feature, value).
    #[inline(always)]
    pub(crate) fn add_row(
        &self,
        codes: &[u32],
        first: usize,
        scratch: &mut Scratch,
        mut add: impl FnMut(usize, usize, f64),
    ) {
        let nodes = &self.tree.nodes[..];
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
        for node in nodes.iter().filter(|node| !node.is_leaf()) {
            let right = codes[node.slot as usize] > node.cut;
            for side in [false, true] {
                let child = node.child as usize + usize::from(side);
                let before = passes[self.edges[child].before as usize];
                let now = before && side == right;
                passes[child] = now;
                cases[child] = u8::from(before) + u8::from(now);
            }
        }
        for (number, batch) in self.batches.iter().enumerate() {
            if !self.prepared {
                own.clear();
                let effects = self.edges.iter().zip(cases.iter());
                own.extend(effects.map(|(edge, case)| self.effect(edge, batch, *case)));
            }
            let effect = |child: usize| {
                if self.prepared {
                    &self.effects[number * n + child][usize::from(cases[child])]
                } else {
                    &own[child]
                }
            };
            for (index, node) in nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
                let above = products[index];
                for child in [node.child as usize, node.child as usize + 1] {
                    let ratio = &effect(child).ratio;
                    let product = &mut products[child];
                    for lane in 0..LANES {
                        product[lane] = above[lane] * ratio[lane];
                    }
                }
            }
            for output in first..self.width {
                self.sum_up(nodes, products, sums, output, |feature, child, sum| {
                    let gain = &effect(child).gain;
                    let mut value = [0.0; LANES];
                    for lane in 0..LANES {
                        value[lane] = sum[lane] * gain[lane];
                    }
                    add(output, feature, value.iter().sum());
                });
            }
        }
    }

    /// Adds the leaves up from below, and passes the sum of each edge on.
    #[inline(always)]
    fn sum_up(
        &self,
        nodes: &[Node],
        products: &[Lanes],
        sums: &mut [Lanes],
        output: usize,
        mut edge: impl FnMut(usize, usize, &Lanes),
    ) {
        for index in (0..nodes.len()).rev() {
            let node = nodes[index];
            if node.is_leaf() {
                let value = self.tree.values[node.child as usize * self.width + output];
                for lane in 0..LANES {
                    sums[index][lane] = products[index][lane] * value;
                }
            } else {
                let (left, right) = (sums[node.child as usize], sums[node.child as usize + 1]);
                edge(node.feature(), node.child as usize, &left);
                edge(node.feature(), node.child as usize + 1, &right);
                for lane in 0..LANES {
                    sums[index][lane] = left[lane] + right[lane];
                }
            }
        }
    }
}
