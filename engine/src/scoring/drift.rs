//! How far rows are from those that a model was trained on.

use serde::{Deserialize, Serialize};

use crate::classifier::{Bins, ClassifierModel, Histogram};
use crate::context::Context;
use crate::data::{Table, Values};
use crate::error::{EngineError, Result};
use crate::metrics::{jensen_shannon, population_stability_index};

/// Bins that an index is computed over: where the twentieths of the training leave more of them, its tenths are taken.
const MOST_BINS: usize = 10;

/// From which index on a shift is worth a look, and from which on it is one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Levels {
    pub look: f64,
    pub shift: f64,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            look: 0.10,
            shift: 0.25,
        }
    }
}

/// What an index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shift {
    Stable,
    Look,
    Shift,
}

impl Levels {
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        if self.look > 0.0 && self.look <= self.shift && self.shift.is_finite() {
            return Ok(());
        }
        let found = format!("{} and {}", self.look, self.shift);
        Err(EngineError::invalid(
            "levels of drift",
            "two numbers above 0, the second not below the first",
            found,
        ))
    }

    fn of(&self, psi: f64) -> Shift {
        match psi {
            psi if psi >= self.shift => Shift::Shift,
            psi if psi >= self.look => Shift::Look,
            _ => Shift::Stable,
        }
    }
}

/// How far one column is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    pub name: String,
    /// Over the rows that have a value; none where no row has one, then or now.
    pub psi: Option<f64>,
    /// In bits, over the same bins.
    pub jensen_shannon: Option<f64>,
    pub missing_before: f64,
    pub missing_now: f64,
    pub level: Shift,
}

/// Of every column of the model; one that `table` does not have counts as missing in every row.
///
/// # Errors
/// [`EngineError::Column`] for values of another kind, [`EngineError::EmptyInput`] for no rows, [`EngineError::Cancelled`].
pub fn drift(ctx: &Context, model: &ClassifierModel, table: &Table, levels: &Levels) -> Result<Vec<Drift>> {
    levels.check()?;
    if table.n_rows() == 0 {
        return Err(EngineError::EmptyInput {
            what: "set of rows to compare",
        });
    }
    let weights = vec![1.0; table.n_rows()];
    let of = |histogram: &Histogram| {
        ctx.check()?;
        match table.columns().iter().find(|column| column.name == histogram.name) {
            Some(column) => compared(histogram, &histogram.count(&column.values, &weights)?, levels),
            None => {
                let mut counts = vec![0.0; histogram.shares.len()];
                counts[histogram.shares.len() - 1] = table.n_rows() as f64;
                compared(histogram, &counts, levels)
            }
        }
    };
    model.histograms().iter().map(of).collect()
}

/// Of the probabilities; `scores` per histogram of the model's scores.
///
/// # Errors
/// As [`drift`].
pub fn score_drift(model: &ClassifierModel, scores: &[Vec<f64>], levels: &Levels) -> Result<Vec<Drift>> {
    levels.check()?;
    let of = |(histogram, scores): (&Histogram, &Vec<f64>)| {
        let weights = vec![1.0; scores.len()];
        compared(
            histogram,
            &histogram.count(&Values::Numeric(scores.clone()), &weights)?,
            levels,
        )
    };
    model.score_histograms().iter().zip(scores).map(of).collect()
}

fn compared(histogram: &Histogram, counts: &[f64], levels: &Levels) -> Result<Drift> {
    let n = histogram.n_bins();
    let (before, now) = (&histogram.shares[..n], &counts[..n]);
    let total: f64 = counts.iter().sum();
    let known = |shares: &[f64]| shares.iter().sum::<f64>() > 0.0;
    let (psi, js) = if known(before) && known(now) {
        let (before, now) = merged(&histogram.bins, before, now);
        (
            Some(population_stability_index(&before, &now)?),
            Some(jensen_shannon(&before, &now)?),
        )
    } else {
        (None, None)
    };
    let missing_now = if total > 0.0 { counts[n] / total } else { 1.0 };
    // a column that came or went is as far away as can be
    let gone = known(before) != known(now);
    Ok(Drift {
        name: histogram.name.clone(),
        level: if gone {
            Shift::Shift
        } else {
            levels.of(psi.unwrap_or(0.0))
        },
        psi,
        jensen_shannon: js,
        missing_before: histogram.missing_share(),
        missing_now,
    })
}

/// Not more bins than [`MOST_BINS`]: an index over many bins that few rows fall into is large by chance.
fn merged(bins: &Bins, before: &[f64], now: &[f64]) -> (Vec<f64>, Vec<f64>) {
    if before.len() <= MOST_BINS {
        return (before.to_vec(), now.to_vec());
    }
    let total: f64 = before.iter().sum();
    let (mut p, mut q): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for (at, (b, n)) in before.iter().zip(now).enumerate() {
        let begins = match (bins, p.last()) {
            (_, None) => true,
            (
                Bins::Numeric {
                    tenths: Some(tenths), ..
                },
                _,
            ) => at > 0 && tenths.contains(&(at as u32 - 1)),
            // the next bin begins where the last one has its share
            (_, Some(last)) => p.len() < MOST_BINS && *last >= total / MOST_BINS as f64 - 1e-12,
        };
        if begins {
            p.push(0.0);
            q.push(0.0);
        }
        let last = p.len() - 1;
        p[last] += b;
        q[last] += n;
    }
    (p, q)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram() -> Histogram {
        Histogram {
            name: "ips".into(),
            bins: Bins::Numeric {
                edges: vec![5.0],
                tenths: None,
            },
            shares: vec![0.4, 0.4, 0.2],
        }
    }

    #[test]
    fn index_and_missing_rates_by_hand() {
        let found = compared(&histogram(), &[1.0, 3.0, 4.0], &Levels::default()).unwrap();
        // shares of the known rows (.5, .5) and (.25, .75)
        approx::assert_relative_eq!(found.psi.unwrap(), 0.25 * 3f64.ln(), max_relative = 1e-12);
        assert_eq!(
            (found.missing_before, found.missing_now, found.level),
            (0.2, 0.5, Shift::Shift)
        );
    }

    #[test]
    fn a_column_that_is_gone_is_a_shift_without_an_index() {
        let found = compared(&histogram(), &[0.0, 0.0, 7.0], &Levels::default()).unwrap();
        assert_eq!((found.psi, found.level, found.missing_now), (None, Shift::Shift, 1.0));
    }

    #[test]
    fn twenty_even_bins_become_ten() {
        let bins = Bins::Numeric {
            edges: (1..20).map(f64::from).collect(),
            tenths: None,
        };
        let (p, q) = merged(&bins, &[0.05; 20], &[1.0; 20]);
        assert_eq!((p.len(), q.len()), (10, 10));
        p.iter()
            .for_each(|share| approx::assert_relative_eq!(*share, 0.1, max_relative = 1e-9));
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        before: Vec<Option<f64>>,
        now: Vec<Option<f64>>,
        psi: f64,
        jensen_shannon: f64,
    }

    /// engine/tests/truth/drift_fixtures.py
    #[test]
    fn indices_are_those_of_numpys_bins() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/truth/drift.json")).unwrap();
        assert_eq!(cases.len(), 6);
        for case in cases {
            let numbers = |values: &[Option<f64>]| values.iter().map(|x| x.unwrap_or(f64::NAN)).collect::<Vec<f64>>();
            let count = |values: &[Option<f64>]| (Values::Numeric(numbers(values)), vec![1.0; values.len()]);
            let ((before, weights), (now, ones)) = (count(&case.before), count(&case.now));
            let histogram = Histogram::of(&case.name, &before, &weights).unwrap();
            let found = compared(&histogram, &histogram.count(&now, &ones).unwrap(), &Levels::default()).unwrap();
            let apart = (found.psi.unwrap() - case.psi).abs();
            assert!(apart < 1e-12, "{}: {:?}, not {}", case.name, found.psi, case.psi);
            let apart = (found.jensen_shannon.unwrap() - case.jensen_shannon).abs();
            assert!(apart < 1e-12, "{}: {:?}", case.name, found.jensen_shannon);
        }
    }

    /// Of a model that was made before tenths were kept: more than ten bins become those that have about a tenth.
    #[test]
    fn many_bins_of_before_are_merged_by_their_shares() {
        let bins = Bins::Numeric {
            edges: (1..20).map(f64::from).collect(),
            tenths: None,
        };
        let (p, q) = merged(&bins, &[0.05; 20], &(1..=20).map(f64::from).collect::<Vec<_>>());
        assert_eq!(q, [3.0, 7.0, 11.0, 15.0, 19.0, 23.0, 27.0, 31.0, 35.0, 39.0]);
        assert!(p.len() == 10 && p.iter().all(|share| (share - 0.1).abs() < 1e-12));
    }
}
