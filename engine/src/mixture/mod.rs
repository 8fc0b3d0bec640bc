//! Gaussian mixture with full covariances, fitted by linfa's EM on the rows repeated by their weights.
//!
//! linfa takes no weights, so the distinct rows are expanded; [`MAX_ROWS`] and [`MAX_CELLS`] bound what one call of linfa, which cannot be
//! cancelled, has to do. Around it: the first responsibilities come from weighted K-Means, EM goes on in calls of two iterations with a
//! look at the cancel flag between them, and responsibilities, likelihood and predictions are computed here, on distinct rows and in
//! logarithms (linfa sums plain exponentials, which are all zero far from every component). Guarantee: a model depends on the multiset
//! of rows, the parameters and the seed, not on row order or thread count.

mod fit;
mod model;
mod params;
mod replay;

pub use model::{MixtureModel, MixtureReport};
pub use params::{MixtureParams, MAX_CELLS, MAX_ROWS};
