//! Numbers that say how good a result is.

mod dispersion;
mod silhouette;

pub use dispersion::{calinski_harabasz, davies_bouldin};
pub use silhouette::{silhouette, Silhouette, SilhouetteParams};

use crate::data::WeightedRows;
use crate::error::{EngineError, Result};

/// Checks that there is one label per row and gives the number of clusters, 1 + the largest label.
fn n_clusters(rows: &WeightedRows, labels: &[u32]) -> Result<usize> {
    let (expected, found) = (rows.n_rows(), labels.len());
    if expected != found {
        return Err(EngineError::Dimension {
            what: "labels",
            expected,
            found,
        });
    }
    let most = crate::kmeans::MAX_CLUSTERS;
    match labels.iter().max() {
        None => Ok(0),
        Some(&largest) if (largest as usize) < most => Ok(largest as usize + 1),
        Some(largest) => Err(EngineError::invalid("label", format!("less than {most}"), largest)),
    }
}
