//! Logistic regression, binary and multinomial, with an L2 penalty and weighted rows.
//!
//! The coefficients are scikit-learn's with C = 1 / `l2` on the repeated rows. Columns are standardised inside, with the
//! penalty adapted, so that the result is that of the columns as given and the number of iterations does not depend on
//! their scales. Deterministic, whatever the number of threads.

mod explain;
mod fit;
mod model;
mod newton;
mod objective;
mod params;

pub use explain::LinearExplanation;
pub use model::LogisticModel;
pub(crate) use objective::{bounded_ln, ln_1p_exp, log_odds, sigmoid};
pub use params::LogisticParams;
