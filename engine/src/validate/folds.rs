//! Splits: which rows train and which test.

use rand_xoshiro::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::{group, time, Refusal};
use crate::data::Labels;
use crate::error::{EngineError, Result};
use crate::random::shuffle;

/// Most folds accepted.
pub const MAX_FOLDS: usize = 100;

/// How rows are split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Split {
    /// k folds, all rows of a group (student) in one of them, balanced by weight and class.
    Group { folds: usize },
    /// k folds with the classes' shares, rows independent of each other.
    Stratified { folds: usize },
    /// `windows` tests of `horizon` periods each, the last ones; each trains on all periods that end at least `gap`
    /// periods before its own begin (expanding window). `gap` is how far a target looks ahead of its row.
    Time { horizon: usize, windows: usize, gap: usize },
    /// One test of about `share` of the weight, by group where groups are known, else stratified.
    HoldOut { share: f64 },
}

/// One division into rows to train on and rows to test on, ascending, disjoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    pub train: Vec<u32>,
    pub test: Vec<u32>,
}

/// Folds whose tests are disjoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    folds: Vec<Fold>,
}

impl Split {
    /// Splits the rows of `labels`; the same seed gives the same folds.
    ///
    /// Every class that occurs must have at least `min_rows` rows (weight), and reach every training part.
    ///
    /// # Errors
    /// [`EngineError::Refusal`] when the data do not suffice, [`EngineError::InvalidParameter`],
    /// [`EngineError::EmptyInput`] when no row has weight.
    pub fn folds(&self, labels: &Labels, min_rows: usize, seed: u64) -> Result<Folds> {
        self.check()?;
        enough_rows(labels, min_rows)?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let folds = match *self {
            Self::Group { folds } => {
                let groups = labels.groups().ok_or(Refusal::Unknown { what: "group" })?;
                let fold_of = group::assign(labels, groups, folds, &mut rng)?;
                Folds::from_assignment(&fold_of, folds)?
            }
            Self::Stratified { folds } => Folds::from_assignment(&stratified(labels, folds, &mut rng)?, folds)?,
            Self::Time { horizon, windows, gap } => time::windows(labels, horizon, windows, gap)?,
            Self::HoldOut { share } => {
                // The first of about 1 / share folds, or all but the first where more is to be held out than not
                let parts = (1.0 / share.min(1.0 - share)).round().clamp(2.0, 100.0) as usize;
                let parts_of = match labels.groups() {
                    Some(groups) => group::assign(labels, groups, parts, &mut rng)?,
                    None => stratified(labels, parts, &mut rng)?,
                };
                Folds {
                    folds: vec![Fold::testing(&parts_of, |part| (part == 0) == (share <= 0.5))],
                }
            }
        };
        folds.check(labels)?;
        Ok(folds)
    }

    fn check(&self) -> Result<()> {
        let most = |name, found: usize, low: usize, high: usize| match (low..=high).contains(&found) {
            true => Ok(()),
            false => Err(EngineError::invalid(name, format!("between {low} and {high}"), found)),
        };
        match *self {
            Self::Group { folds } | Self::Stratified { folds } => most("folds", folds, 2, MAX_FOLDS),
            Self::Time { horizon, windows, gap } => {
                most("horizon", horizon, 1, 10_000)?;
                most("gap", gap, 0, 10_000)?;
                most("windows", windows, 1, MAX_FOLDS)
            }
            Self::HoldOut { share } if (0.01..=0.99).contains(&share) => Ok(()),
            Self::HoldOut { share } => Err(EngineError::invalid("share", "between 0.01 and 0.99", share)),
        }
    }
}

impl Fold {
    fn testing(part_of: &[u32], test: impl Fn(u32) -> bool) -> Self {
        let (test, train) = (0..part_of.len() as u32).partition(|row| test(part_of[*row as usize]));
        Self { train, test }
    }
}

impl Folds {
    /// `k` folds; fold i tests the rows i is assigned to and trains on all others.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`] for a fold number out of range, [`EngineError::Refusal`] for an empty fold.
    pub fn from_assignment(fold_of: &[u32], k: usize) -> Result<Self> {
        if !(2..=MAX_FOLDS).contains(&k) {
            return Err(EngineError::invalid("folds", format!("between 2 and {MAX_FOLDS}"), k));
        }
        if let Some(bad) = fold_of.iter().find(|fold| **fold as usize >= k) {
            return Err(EngineError::invalid("fold number", format!("less than {k}"), bad));
        }
        let folds = (0..k as u32)
            .map(|fold| Fold::testing(fold_of, |part| part == fold))
            .collect();
        Self::new(folds)
    }

    pub(super) fn new(folds: Vec<Fold>) -> Result<Self> {
        for (fold, rows) in folds.iter().enumerate() {
            for (part, rows) in [("training", &rows.train), ("test", &rows.test)] {
                if rows.is_empty() {
                    return Err(Refusal::EmptyFold { fold, part }.into());
                }
            }
        }
        Ok(Self { folds })
    }

    /// The folds.
    pub fn iter(&self) -> std::slice::Iter<'_, Fold> {
        self.folds.iter()
    }

    /// Number of folds.
    pub fn len(&self) -> usize {
        self.folds.len()
    }

    /// Never: there is at least one fold.
    pub fn is_empty(&self) -> bool {
        self.folds.is_empty()
    }

    /// Whether every fold can be trained and tested: row numbers in range, weight in the test, every class that occurs
    /// in the training part.
    ///
    /// # Errors
    /// [`EngineError::Refusal`], [`EngineError::InvalidParameter`].
    pub fn check(&self, labels: &Labels) -> Result<()> {
        let overall = labels.class_weights();
        for (fold, rows) in self.folds.iter().enumerate() {
            let train = labels.select(&rows.train)?.class_weights();
            let missing = (0..overall.len()).find(|class| overall[*class] > 0.0 && train[*class] == 0.0);
            if let Some(class) = missing {
                let class = class as u32;
                return Err(Refusal::FoldWithoutClass { fold, class }.into());
            }
            if labels.select(&rows.test)?.weights().iter().all(|w| *w == 0.0) {
                return Err(Refusal::EmptyFold { fold, part: "test" }.into());
            }
        }
        Ok(())
    }
}

/// Whether there are two classes, each that occurs with at least `min_rows` rows.
pub(crate) fn enough_rows(labels: &Labels, min_rows: usize) -> Result<()> {
    let weights = labels.class_weights();
    let mut present = (0..weights.len()).filter(|class| weights[*class] > 0.0);
    let first = present.next().ok_or(EngineError::EmptyInput { what: "training set" })?;
    if present.next().is_none() {
        return Err(Refusal::OneClass { class: first as u32 }.into());
    }
    let few = |class: &usize| weights[*class] > 0.0 && weights[*class] < min_rows as f64;
    match (0..weights.len()).find(few) {
        Some(class) => Err(Refusal::RowsOfClass {
            class: class as u32,
            needed: min_rows,
            found: weights[class],
        }
        .into()),
        None => Ok(()),
    }
}

/// Deals the rows of each class out to the folds in random order, each to the fold that has least weight of its class.
fn stratified(labels: &Labels, k: usize, rng: &mut Xoshiro256PlusPlus) -> Result<Vec<u32>> {
    let mut order: Vec<u32> = (0..labels.n_rows() as u32).collect();
    shuffle(rng, &mut order);
    let targets = labels.targets();
    // Heavy rows first, so that the light ones even them out
    let weight = |row: &u32| labels.weights()[*row as usize];
    order.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    order.sort_by_key(|row| targets[*row as usize]);
    let mut fold_of = vec![0; labels.n_rows()];
    let mut totals: Vec<f64> = vec![0.0; k];
    for rows in order.chunk_by(|a, b| targets[*a as usize] == targets[*b as usize]) {
        let class = targets[rows[0] as usize];
        let with_weight = rows.iter().filter(|row| weight(row) > 0.0).count();
        if with_weight > 0 && with_weight < k {
            return Err(Refusal::RowsOfClass {
                class,
                needed: k,
                found: with_weight as f64,
            }
            .into());
        }
        let mut own: Vec<f64> = vec![0.0; k];
        for row in rows {
            let least = |a: &usize, b: &usize| {
                own[*a]
                    .total_cmp(&own[*b])
                    .then(f64::total_cmp(&totals[*a], &totals[*b]))
            };
            let fold = (0..k).min_by(least).unwrap_or(0);
            own[fold] += weight(row);
            totals[fold] += weight(row);
            fold_of[*row as usize] = fold as u32;
        }
    }
    Ok(fold_of)
}
