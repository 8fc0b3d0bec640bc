//! Davies-Bouldin and Calinski-Harabasz indices of weighted rows, equal to scikit-learn's on the repeated rows.

use super::n_clusters;
use crate::context::Context;
use crate::data::WeightedRows;
use crate::error::Result;

/// Below this, distances count as zero: scikit-learn's `allclose` to 0.
const ZERO_DISTANCE: f64 = 1e-8;
/// Rows between two looks at the cancel flag.
const CHECK_ROWS: usize = 16_384;

/// The clusters that have weight: their weights, means (row-major) and original labels' new numbers.
struct Clusters {
    weights: Vec<f64>,
    means: Vec<f64>,
    /// New number per label; `usize::MAX` for an empty one.
    number: Vec<usize>,
}

impl Clusters {
    fn new(ctx: &Context, rows: &WeightedRows, labels: &[u32]) -> Result<Self> {
        let (k, p) = (n_clusters(rows, labels)?, rows.n_features());
        let mut weights = vec![0.0; k];
        let mut means = vec![0.0; k * p];
        for (index, ((row, weight), label)) in rows.iter().zip(labels).enumerate() {
            if index % CHECK_ROWS == 0 {
                ctx.check()?;
            }
            let label = *label as usize;
            weights[label] += weight;
            for (sum, x) in means[label * p..(label + 1) * p].iter_mut().zip(row) {
                *sum += weight * x;
            }
        }
        let mut clusters = Self {
            weights: Vec::new(),
            means: Vec::new(),
            number: vec![usize::MAX; k],
        };
        for label in (0..k).filter(|label| weights[*label] > 0.0) {
            clusters.number[label] = clusters.weights.len();
            clusters.weights.push(weights[label]);
            clusters
                .means
                .extend(means[label * p..(label + 1) * p].iter().map(|sum| sum / weights[label]));
        }
        Ok(clusters)
    }

    fn mean(&self, number: usize, p: usize) -> &[f64] {
        &self.means[number * p..(number + 1) * p]
    }

    /// Calls `f` with number, squared distance to the own mean and weight of every row that has weight.
    fn for_each(
        &self,
        ctx: &Context,
        rows: &WeightedRows,
        labels: &[u32],
        mut f: impl FnMut(usize, f64, f64),
    ) -> Result<()> {
        for (index, ((row, weight), label)) in rows.iter().zip(labels).enumerate() {
            if index % CHECK_ROWS == 0 {
                ctx.check()?;
            }
            if weight > 0.0 {
                let number = self.number[*label as usize];
                f(number, squared(row, self.mean(number, rows.n_features())), weight);
            }
        }
        Ok(())
    }
}

/// Davies-Bouldin index: mean over the clusters of the worst (s_i + s_j) / d_ij; lower is better, 0 the best.
///
/// s: mean distance of a cluster's rows to its mean; d: distance of the means. `rows` n x p, `labels` n; weights are
/// multiplicities. `None` with fewer than two clusters. As scikit-learn's `davies_bouldin_score` (Davies & Bouldin
/// 1979): 0 when all s or all d vanish, coinciding means are skipped.
///
/// # Errors
/// [`EngineError::Dimension`](crate::error::EngineError::Dimension),
/// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
pub fn davies_bouldin(ctx: &Context, rows: &WeightedRows, labels: &[u32]) -> Result<Option<f64>> {
    let clusters = Clusters::new(ctx, rows, labels)?;
    let (k, p) = (clusters.weights.len(), rows.n_features());
    if k < 2 {
        return Ok(None);
    }
    let mut spread = vec![0.0; k];
    clusters.for_each(ctx, rows, labels, |number, distance, weight| {
        spread[number] += weight * distance.sqrt()
    })?;
    spread.iter_mut().zip(&clusters.weights).for_each(|(s, w)| *s /= w);
    let (mut sum, mut apart) = (0.0, false);
    for i in 0..k {
        let mut worst = 0.0f64;
        for j in (0..k).filter(|j| *j != i) {
            let distance = squared(clusters.mean(i, p), clusters.mean(j, p)).sqrt();
            apart |= distance > ZERO_DISTANCE;
            if distance > 0.0 {
                worst = worst.max((spread[i] + spread[j]) / distance);
            }
        }
        sum += worst;
    }
    let tight = spread.iter().all(|s| *s <= ZERO_DISTANCE);
    Ok(Some(if tight || !apart { 0.0 } else { sum / k as f64 }))
}

/// Calinski-Harabasz index: between-cluster over within-cluster variance, each per degree of freedom; higher is
/// better.
///
/// `rows` n x p, `labels` n; weights are multiplicities. `None` with fewer than two clusters, or with no more rows
/// than clusters. As scikit-learn's `calinski_harabasz_score` (Calinski & Harabasz 1974): 1 when nothing varies
/// within the clusters.
///
/// # Errors
/// [`EngineError::Dimension`](crate::error::EngineError::Dimension),
/// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
pub fn calinski_harabasz(ctx: &Context, rows: &WeightedRows, labels: &[u32]) -> Result<Option<f64>> {
    let clusters = Clusters::new(ctx, rows, labels)?;
    let (k, p) = (clusters.weights.len(), rows.n_features());
    let total: f64 = clusters.weights.iter().sum();
    if k < 2 || total <= k as f64 {
        return Ok(None);
    }
    let mut centre = vec![0.0; p];
    for (number, weight) in clusters.weights.iter().enumerate() {
        for (c, m) in centre.iter_mut().zip(clusters.mean(number, p)) {
            *c += weight * m / total;
        }
    }
    let between: f64 = clusters
        .weights
        .iter()
        .enumerate()
        .map(|(i, weight)| weight * squared(clusters.mean(i, p), &centre))
        .sum();
    let mut within = 0.0;
    clusters.for_each(ctx, rows, labels, |_, distance, weight| within += weight * distance)?;
    let k = k as f64;
    Ok(Some(if within == 0.0 {
        1.0
    } else {
        between * (total - k) / (within * (k - 1.0))
    }))
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64], weights: &[f64]) -> WeightedRows {
        WeightedRows::new(values.to_vec(), 1, weights.to_vec()).unwrap()
    }

    #[test]
    fn two_clusters_on_a_line_by_hand() {
        // clusters {0, 0, 2} and {10, 12}: means 2/3 and 11
        let ctx = Context::builder().build().unwrap();
        let rows = line(&[0.0, 2.0, 10.0, 12.0], &[2.0, 1.0, 1.0, 1.0]);
        let labels = [0, 0, 1, 1];
        let (s0, s1, d) = (8.0 / 9.0, 1.0, 11.0 - 2.0 / 3.0);
        let db = davies_bouldin(&ctx, &rows, &labels).unwrap().unwrap();
        approx::assert_relative_eq!(db, (s0 + s1) / d, max_relative = 1e-14);
        // within 8/3 + 2, between d^2 * 3*2/5, degrees of freedom 3 and 1
        let ch = calinski_harabasz(&ctx, &rows, &labels).unwrap().unwrap();
        approx::assert_relative_eq!(ch, d * d * 6.0 / 5.0 * 3.0 / (14.0 / 3.0), max_relative = 1e-13);
    }

    #[test]
    fn one_cluster_has_no_index() {
        let ctx = Context::builder().build().unwrap();
        let rows = line(&[0.0, 2.0], &[2.0, 1.0]);
        assert_eq!(davies_bouldin(&ctx, &rows, &[1, 1]).unwrap(), None);
        assert_eq!(calinski_harabasz(&ctx, &rows, &[1, 1]).unwrap(), None);
    }

    #[test]
    fn zero_weight_clusters_do_not_count() {
        let ctx = Context::builder().build().unwrap();
        let rows = line(&[0.0, 2.0, 99.0], &[2.0, 1.0, 0.0]);
        assert_eq!(davies_bouldin(&ctx, &rows, &[0, 0, 1]).unwrap(), None);
    }

    #[test]
    fn clusters_without_inner_distance_give_scikit_learns_constants() {
        let ctx = Context::builder().build().unwrap();
        let rows = line(&[0.0, 2.0], &[2.0, 3.0]);
        assert_eq!(davies_bouldin(&ctx, &rows, &[0, 1]).unwrap(), Some(0.0));
        assert_eq!(calinski_harabasz(&ctx, &rows, &[0, 1]).unwrap(), Some(1.0));
        let rows = line(&[0.0, 2.0], &[1.0, 1.0]);
        assert_eq!(calinski_harabasz(&ctx, &rows, &[0, 1]).unwrap(), None);
    }

    #[test]
    fn label_count_must_match() {
        let ctx = Context::builder().build().unwrap();
        let rows = line(&[0.0, 2.0], &[2.0, 1.0]);
        assert!(davies_bouldin(&ctx, &rows, &[0]).is_err());
        assert!(calinski_harabasz(&ctx, &rows, &[0, u32::MAX]).is_err());
    }
}
