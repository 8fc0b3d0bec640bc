//! DBSCAN on distinct rows: a row is core when the rows within eps of it, repeats and itself counted, are at least `min_points`.
//!
//! linfa grows the clusters; it asks an index of ours who is near, which adds up weights (linfa has none), works on the context's threads,
//! and finds nobody any more once the computation is cancelled, so that linfa ends at once. The same clusters as DBSCAN on the dense rows.
//! A row that is not core belongs to the cluster of the nearest core row within eps, the first among equals, else to none: it is noise.
//! DBSCAN leaves open which of several clusters a border row joins; this rule holds for rows met at the fit and for others alike.

mod fit;
mod model;
mod neighbours;
mod params;

pub use model::DensityModel;
pub use params::{DensityParams, MAX_DISTINCT, MAX_FOUND};
