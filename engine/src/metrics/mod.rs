//! Numbers that say how good a result is.

mod auc_difference;
mod confusion;
mod dispersion;
mod divergence;
mod interval;
mod normal;
mod predictions;
mod ranking;
mod reliability;
mod silhouette;

pub use auc_difference::{auc_difference, auc_with_error, mean_difference, AucDifference, Estimate};
pub use confusion::{BinaryCounts, ConfusionMatrix};
pub use dispersion::{calinski_harabasz, davies_bouldin};
pub use divergence::{jensen_shannon, population_stability_index};
pub use interval::{wilson, Interval};
pub use normal::{normal_quantile, two_sided_p};
pub(crate) use predictions::most_probable;
pub use predictions::{check_probabilities, Predictions};
pub use ranking::{Level, PrPoint, Ranking, RocPoint};
pub use reliability::{reliability, Bins, Reliability, ReliabilityBin};
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
