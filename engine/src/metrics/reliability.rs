//! Whether 70 % means 70 %: predicted probability against what happened, bin by bin.

use super::{wilson, Interval, Ranking};
use crate::error::{EngineError, Result};

/// How scores are put into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bins {
    /// So many of equal width from 0 to 1; a score on an edge belongs to the bin below (as scikit-learn's
    /// `calibration_curve`).
    Uniform(usize),
    /// At most so many, of about equal weight; equal scores stay together.
    Quantile(usize),
}

/// A bin that has rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Lowest and highest score in it.
    pub scores: Interval,
    pub weight: f64,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of positive rows.
    pub observed: f64,
    /// 95 % Wilson interval of `observed`.
    pub interval: Interval,
}

/// The bins and how far they are off.
#[derive(Debug, Clone, PartialEq)]
pub struct Reliability {
    /// Scores rising.
    pub bins: Vec<ReliabilityBin>,
    /// Expected calibration error: weighted mean of |predicted - observed|.
    pub expected_error: f64,
    /// Largest |predicted - observed|.
    pub largest_error: f64,
}

/// The reliability table of scores between 0 and 1; `None` without rows.
///
/// # Errors
/// [`EngineError::InvalidParameter`] for a number of bins outside 1..=1000 or a score outside 0..=1.
pub fn reliability(ranking: &Ranking, bins: Bins) -> Result<Option<Reliability>> {
    let (Bins::Uniform(n) | Bins::Quantile(n)) = bins;
    if !(1..=1_000).contains(&n) {
        return Err(EngineError::invalid("bins", "between 1 and 1000", n));
    }
    let outside = |score: &f64| !(0.0..=1.0).contains(score);
    if let Some(bad) = ranking.levels().iter().map(|level| level.score).find(outside) {
        return Err(EngineError::invalid("score", "between 0 and 1", bad));
    }
    let total = ranking.positive() + ranking.negative();
    let mut before = 0.0;
    let number = ranking.levels().iter().rev().map(|level| {
        let weight = level.positive + level.negative;
        let position = match bins {
            Bins::Uniform(_) => return (1..n).filter(|edge| level.score > *edge as f64 / n as f64).count(),
            Bins::Quantile(_) => (before + weight / 2.0) / total,
        };
        before += weight;
        ((position * n as f64) as usize).min(n - 1)
    });
    let numbers: Vec<usize> = number.collect();
    let levels: Vec<_> = ranking.levels().iter().rev().zip(numbers).collect();
    let mut table = Vec::new();
    for bin in levels.chunk_by(|a, b| a.1 == b.1) {
        let positive: f64 = bin.iter().map(|(level, _)| level.positive).sum();
        let weight = bin.iter().map(|(level, _)| level.negative).sum::<f64>() + positive;
        let scores = bin
            .iter()
            .map(|(level, _)| level.score * (level.positive + level.negative));
        table.push(ReliabilityBin {
            scores: Interval {
                low: bin[0].0.score,
                high: bin[bin.len() - 1].0.score,
            },
            weight,
            predicted: scores.sum::<f64>() / weight,
            observed: positive / weight,
            interval: wilson(positive, weight, 0.95)?,
        });
    }
    let error = |bin: &ReliabilityBin| (bin.predicted - bin.observed).abs();
    Ok((!table.is_empty()).then(|| Reliability {
        expected_error: table.iter().map(|bin| error(bin) * bin.weight).sum::<f64>() / total,
        largest_error: table.iter().map(error).fold(0.0, f64::max),
        bins: table,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;

    #[test]
    fn score_on_an_edge_is_in_the_bin_below() {
        let ctx = Context::builder().build().unwrap();
        let ranking = Ranking::new(&ctx, &[0.5, 0.6, 0.0, 1.0], &[true, false, false, true], &[1.0; 4]).unwrap();
        let table = reliability(&ranking, Bins::Uniform(2)).unwrap().unwrap();
        assert_eq!(table.bins.len(), 2);
        assert_eq!((table.bins[0].predicted, table.bins[0].observed), (0.25, 0.5));
        approx::assert_relative_eq!(table.expected_error, (0.25 + 0.3) / 2.0, max_relative = 1e-14);
        approx::assert_relative_eq!(table.largest_error, 0.3, max_relative = 1e-14);
    }

    #[test]
    fn quantile_bins_keep_ties_together_and_cover_all_weight() {
        let ctx = Context::builder().build().unwrap();
        let scores: Vec<f64> = (0..100).map(|i| f64::from(i / 10) / 10.0).collect();
        let positive: Vec<bool> = (0..100).map(|i| i % 3 == 0).collect();
        let ranking = Ranking::new(&ctx, &scores, &positive, &[2.0; 100]).unwrap();
        let table = reliability(&ranking, Bins::Quantile(5)).unwrap().unwrap();
        assert_eq!(table.bins.iter().map(|bin| bin.weight).collect::<Vec<_>>(), [40.0; 5]);
        assert!(reliability(&ranking, Bins::Uniform(0)).is_err());
    }

    #[test]
    fn no_rows_no_table() {
        let ctx = Context::builder().build().unwrap();
        let ranking = Ranking::new(&ctx, &[], &[], &[]).unwrap();
        assert_eq!(reliability(&ranking, Bins::Uniform(10)).unwrap(), None);
    }
}
