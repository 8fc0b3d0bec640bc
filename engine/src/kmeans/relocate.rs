//! Empty clusters get the rows that are worst served, as in scikit-learn.

use super::blocks::Blocks;
use super::kernel::squared_distance;
use crate::context::Context;
use crate::error::Result;

/// Rows between two looks at the cancel flag.
const CHECK_ROWS: usize = 65_536;

/// Moves one row into each cluster without weight: of all rows, those farthest from their centroid (the first among
/// equals), farthest first; `sums` (k x p) and `weights` (k) follow. Row weights above 0 make a row eligible, they
/// do not scale its distance. A row that is alone in its cluster is not taken: that would only move the hole.
pub(crate) fn fill_empty_clusters(
    ctx: &Context,
    blocks: &Blocks,
    labels: &[u32],
    centroids: &[f64],
    sums: &mut [f64],
    weights: &mut [f64],
) -> Result<()> {
    let p = blocks.p();
    let empty: Vec<usize> = (0..weights.len()).filter(|cluster| weights[*cluster] == 0.0).collect();
    if empty.is_empty() {
        return Ok(());
    }
    let mut row = vec![0.0; p];
    let mut rows_in = vec![0usize; weights.len()];
    let mut distances: Vec<(f64, usize)> = Vec::with_capacity(blocks.n());
    for (index, label) in labels[..blocks.n()].iter().enumerate() {
        if index % CHECK_ROWS == 0 {
            ctx.check()?;
        }
        blocks.copy_row(index, &mut row);
        let label = *label as usize;
        rows_in[label] += 1;
        distances.push((squared_distance(&row, &centroids[label * p..(label + 1) * p]), index));
    }
    distances.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut farthest = distances.into_iter().map(|(_, index)| index);
    for cluster in empty {
        let donor = farthest.find(|index| rows_in[labels[*index] as usize] > 1);
        let Some(index) = donor else { break };
        let (old, weight) = (labels[index] as usize, blocks.weights()[index]);
        rows_in[old] -= 1;
        blocks.copy_row(index, &mut row);
        for (column, x) in row.iter().enumerate() {
            sums[old * p + column] -= weight * x;
            sums[cluster * p + column] = weight * x;
        }
        weights[old] -= weight;
        weights[cluster] = weight;
    }
    Ok(())
}
