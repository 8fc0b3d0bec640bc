//! How much the features matter: by gain, by number of splits, by shuffling.

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::table::FeatureTable;
use crate::context::Context;
use crate::error::{EngineError, Result};
use crate::random::uniform;

/// What the splits at each feature gained, summed over all trees, and how many there were.
///
/// The gain is what the split search maximises: for bagged and single trees the decrease of the Gini impurity, as a
/// part of the tree's total weight, averaged over the trees; for boosted trees the decrease of the regularised loss.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Importance {
    pub(crate) gain: Vec<f64>,
    pub(crate) splits: Vec<u64>,
}

impl Importance {
    pub(crate) fn new(n_features: usize) -> Self {
        Self {
            gain: vec![0.0; n_features],
            splits: vec![0; n_features],
        }
    }

    /// Gain per feature, p.
    pub fn gain(&self) -> &[f64] {
        &self.gain
    }

    /// Number of splits per feature, p.
    pub fn splits(&self) -> &[u64] {
        &self.splits
    }

    /// The gains as shares of their sum (all 0 where there was no split), p.
    pub fn gain_share(&self) -> Vec<f64> {
        let total: f64 = self.gain.iter().sum();
        let share = |gain: &f64| if total > 0.0 { gain / total } else { 0.0 };
        self.gain.iter().map(share).collect()
    }

    pub(crate) fn count(&mut self, feature: usize, gain: f64) {
        self.gain[feature] += gain.max(0.0);
        self.splits[feature] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self, factor: f64) {
        let pairs = self.gain.iter_mut().zip(&other.gain);
        pairs.for_each(|(to, from)| *to += from * factor);
        self.splits
            .iter_mut()
            .zip(&other.splits)
            .for_each(|(to, from)| *to += from);
    }

    /// From the numbering of the varying features to that of the table.
    pub(crate) fn spread(self, varying: &[u32], n_features: usize) -> Self {
        let mut all = Self::new(n_features);
        for (at, feature) in varying.iter().enumerate() {
            all.gain[*feature as usize] = self.gain[at];
            all.splits[*feature as usize] = self.splits[at];
        }
        all
    }

    /// Checks what was stored.
    pub(crate) fn check(&self, n_features: usize) -> Result<()> {
        for found in [self.gain.len(), self.splits.len()] {
            if found != n_features {
                return Err(EngineError::Dimension {
                    what: "importances",
                    expected: n_features,
                    found,
                });
            }
        }
        match self.gain.iter().find(|gain| !(gain.is_finite() && **gain >= 0.0)) {
            Some(bad) => Err(EngineError::invalid("gain", "finite and at least 0", bad)),
            None => Ok(()),
        }
    }
}

/// What a score loses when a feature is shuffled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationImportance {
    pub feature: usize,
    /// Score as it is minus score with the feature shuffled, mean over the repeats.
    pub mean: f64,
    /// Standard deviation over the repeats (n - 1), 0 for one repeat.
    pub sd: f64,
}

/// Shuffles one feature after the other, `repeats` times each, and asks `score` (higher is better) again.
///
/// Meant for rows that the model was not trained on. Any model will do: `score` predicts and compares.
///
/// # Errors
/// [`EngineError::InvalidParameter`] for no repeats, [`EngineError::Memory`], [`EngineError::Cancelled`], and
/// whatever `score` returns.
pub fn permutation_importance(
    ctx: &Context,
    table: &FeatureTable,
    repeats: usize,
    seed: u64,
    mut score: impl FnMut(&FeatureTable) -> Result<f64>,
) -> Result<Vec<PermutationImportance>> {
    if repeats == 0 {
        return Err(EngineError::invalid("repeats", "at least 1", repeats));
    }
    let cells = table.n_rows().saturating_mul(table.n_features() + 1);
    let _memory = ctx.reserve_for::<f64>(cells)?;
    let mut shuffled = table.clone();
    let mut order: Vec<u32> = (0..table.n_rows() as u32).collect();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let base = score(table)?;
    let mut found = Vec::with_capacity(table.n_features());
    for feature in 0..table.n_features() {
        let column = table.column(feature);
        let mut losses = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            ctx.check()?;
            for last in (1..order.len()).rev() {
                order.swap(last, (uniform(&mut rng) * (last + 1) as f64) as usize);
            }
            shuffled.replace_column(feature, order.iter().map(|row| column[*row as usize]));
            losses.push(base - score(&shuffled)?);
        }
        shuffled.replace_column(feature, column.iter().copied());
        let mean = losses.iter().sum::<f64>() / repeats as f64;
        let squares: f64 = losses.iter().map(|loss| (loss - mean) * (loss - mean)).sum();
        let sd = (squares / (repeats.max(2) - 1) as f64).sqrt();
        found.push(PermutationImportance { feature, mean, sd });
    }
    Ok(found)
}
