//! Exact weighted K-Means.
//!
//! Lloyd's algorithm on the distinct rows, each weighted by how many rows of the dense table it stands for: the same
//! centroids, inertia and sizes as on the dense table, at the cost of the distinct rows. Guarantees: a result depends
//! on the multiset of rows, the parameters and the seed, and on nothing else (not on row order, thread count or
//! instruction set), to the last bit; there is never a NaN in it; labels, sizes and inertia belong to the final
//! centroids.

mod blocks;
mod choose_k;
mod fit;
mod init;
mod kernel;
mod linfa_traits;
mod lloyd;
mod model;
mod params;
mod relocate;

pub use choose_k::{choose_k, Candidate, KChoice};
pub use fit::Fitted;
pub use model::{KMeansModel, StartReport};
pub use params::{Init, KMeansParams, KMeansValidParams, MAX_CLUSTERS, MAX_STARTS};
