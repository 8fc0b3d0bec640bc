//! A tree prepared for explanation: what the integrand of [`super::shap`] gains or loses at each edge.
//!
//! The node below an edge stands for the edge. An edge at whose feature the path was split before replaces the factor
//! of the earlier edge, `before`, by the factor of both together. There are three cases: the row has already failed at
//! the feature, fails here, or passes.

use super::node::Tree;
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
pub(crate) struct Edges {
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
    /// Of a row alone: 1 / factor of edges that it passes, and what an edge contributes per unit of what comes up.
    inverses: Vec<Lanes>,
    gains: Vec<Lanes>,
    /// Contributions lane by lane.
    lanes: Vec<Lanes>,
}

impl Scratch {
    fn fit(&mut self, n: usize) {
        if self.cases.len() < n {
            self.passes.resize(n, true);
            self.cases.resize(n, 0);
            self.products.resize(n, [1.0; LANES]);
            self.sums.resize(n, [0.0; LANES]);
            self.inverses.resize(n, [0.0; LANES]);
            self.gains.resize(n, [0.0; LANES]);
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
    /// Upper estimate for trees of usual depth.
    pub(crate) const BYTES_PER_NODE: usize = size_of::<[Effect; 3]>() + size_of::<Edge>();

    /// `prepared`: compute all cases of every edge now, not for each row those that it needs.
    pub(crate) fn new(tree: &Tree, width: usize, prepared: bool) -> Self {
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

    /// Adds what each feature of `tree` contributes to each output from `first` on to `out`: outputs x `features` places, `place` being that
    /// of a feature.
    #[inline(always)]
    pub(crate) fn add_row(
        &self,
        tree: &Tree,
        codes: &[u32],
        first: usize,
        scratch: &mut Scratch,
        (features, place): (usize, impl Fn(usize) -> usize),
        out: &mut [f64],
    ) {
        let n = tree.nodes.len();
        scratch.fit(n);
        scratch.lanes.clear();
        scratch.lanes.resize(features * (self.width - first), [0.0; LANES]);
        self.follow(tree, codes, scratch);
        for (number, batch) in self.batches.iter().enumerate() {
            let effects = &self.effects[(number * n).min(self.effects.len())..];
            if self.prepared {
                self.descend_prepared(tree, effects, scratch);
            } else {
                self.descend(tree, batch, scratch);
            }
            for output in first..self.width {
                let place = |feature| (output - first) * features + place(feature);
                if self.prepared {
                    self.sum_up(tree, scratch, output, place, |child, case, _| {
                        &effects[child][usize::from(case)].gain
                    });
                } else {
                    self.sum_up(tree, scratch, output, place, |child, _, gains| &gains[child]);
                }
            }
        }
        for (sum, lanes) in out.iter_mut().zip(&scratch.lanes) {
            *sum += lanes.iter().sum::<f64>();
        }
    }

    /// Which edges the row passes.
    #[inline(always)]
    fn follow(&self, tree: &Tree, codes: &[u32], scratch: &mut Scratch) {
        let n = tree.nodes.len();
        let (passes, cases) = (&mut scratch.passes[..n], &mut scratch.cases[..n]);
        passes[0] = true;
        for node in tree.nodes.iter().filter(|node| !node.is_leaf()) {
            let right = codes[node.slot as usize] > node.cut;
            for side in [false, true] {
                let child = node.child as usize + usize::from(side);
                let before = passes[self.edges[child].before as usize];
                let now = before && side == right;
                passes[child] = now;
                cases[child] = u8::from(before) + u8::from(now);
            }
        }
    }

    /// The products down the tree, from the effects of every case.
    #[inline(always)]
    fn descend_prepared(&self, tree: &Tree, effects: &[[Effect; 3]], scratch: &mut Scratch) {
        let n = tree.nodes.len();
        let effects = &effects[..n];
        let (products, cases) = (&mut scratch.products[..n], &scratch.cases[..n]);
        products[0] = [1.0; LANES];
        for (index, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
            let above = products[index];
            for child in [node.child as usize, node.child as usize + 1] {
                let ratio = &effects[child][usize::from(cases[child])].ratio;
                for lane in 0..LANES {
                    products[child][lane] = above[lane] * ratio[lane];
                }
            }
        }
    }

    /// The same for a row alone. With f = o t + z (1 - t), and g that of the edge before (1 where there is none), an edge multiplies by f / g and
    /// gains w (o - z) / f - w (o' - z') / g: one division for an edge that the row passes, none for one that it fails, since its f is z (1 - t)
    /// and 1 / g is known; and below an edge that it failed, all is z / z' and nothing is gained.
    #[inline(always)]
    fn descend(&self, tree: &Tree, batch: &[(f64, f64); LANES], scratch: &mut Scratch) {
        let n = tree.nodes.len();
        let (mut t, mut u, mut w, mut fail) = ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for (lane, (point, weight)) in batch.iter().enumerate() {
            (t[lane], u[lane], w[lane]) = (*point, 1.0 - point, *weight);
            fail[lane] = -weight / (1.0 - point);
        }
        let (edges, cases) = (&self.edges[..n], &scratch.cases[..n]);
        let (products, gains) = (&mut scratch.products[..n], &mut scratch.gains[..n]);
        let inverses = &mut scratch.inverses[..n];
        (products[0], inverses[0]) = ([1.0; LANES], [1.0; LANES]);
        for (index, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
            let (above, left) = (products[index], node.child as usize);
            // the same for both sides: it is a split further up
            let before = edges[left].before as usize;
            let share = edges[before].share;
            if cases[left] == 0 && cases[left + 1] == 0 {
                let part = if share > 0.0 { 1.0 / share } else { 0.0 };
                for child in [left, left + 1] {
                    let ratio = edges[child].share * part;
                    for lane in 0..LANES {
                        products[child][lane] = above[lane] * ratio;
                    }
                }
                continue;
            }
            let passed = left + usize::from(cases[left + 1] == 2);
            let failed = 2 * left + 1 - passed;
            let (z, z_failed) = (edges[passed].share, edges[failed].share);
            let (mut own, mut shared, mut less) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                shared[lane] = above[lane] * inverses[before][lane];
                less[lane] = w[lane] * (1.0 - share) * inverses[before][lane];
            }
            let (product, gain) = (&mut products[passed], &mut gains[passed]);
            for lane in 0..LANES {
                let factor = t[lane] + z * u[lane];
                own[lane] = 1.0 / factor;
                product[lane] = shared[lane] * factor;
                gain[lane] = w[lane] * (1.0 - z) * own[lane] - less[lane];
            }
            inverses[passed] = own;
            let (product, gain) = (&mut products[failed], &mut gains[failed]);
            for lane in 0..LANES {
                product[lane] = shared[lane] * (z_failed * u[lane]);
                gain[lane] = fail[lane] - less[lane];
            }
        }
    }

    /// Adds the leaves up from below, and what each edge makes of its sum to the lanes at `place`(feature).
    #[inline(always)]
    fn sum_up<'a>(
        &self,
        tree: &Tree,
        scratch: &'a mut Scratch,
        output: usize,
        place: impl Fn(usize) -> usize,
        gain: impl Fn(usize, u8, &'a [Lanes]) -> &'a Lanes,
    ) {
        let n = tree.nodes.len();
        let (products, gains, cases) = (&scratch.products[..n], &scratch.gains[..n], &scratch.cases[..n]);
        let (sums, lanes) = (&mut scratch.sums[..n], &mut scratch.lanes[..]);
        for index in (0..n).rev() {
            let node = tree.nodes[index];
            if node.is_leaf() {
                let value = tree.values[node.child as usize * self.width + output];
                for lane in 0..LANES {
                    sums[index][lane] = products[index][lane] * value;
                }
                continue;
            }
            let left = node.child as usize;
            let (low, high) = (sums[left], sums[left + 1]);
            // below edges that the row fails a second time nothing is gained
            if cases[left] > 0 || cases[left + 1] > 0 {
                let lanes = &mut lanes[place(node.feature())];
                let (of_low, of_high) = (gain(left, cases[left], gains), gain(left + 1, cases[left + 1], gains));
                for lane in 0..LANES {
                    lanes[lane] += low[lane] * of_low[lane] + high[lane] * of_high[lane];
                }
            }
            let mut both = [0.0; LANES];
            for lane in 0..LANES {
                both[lane] = low[lane] + high[lane];
            }
            sums[index] = both;
        }
    }
}
