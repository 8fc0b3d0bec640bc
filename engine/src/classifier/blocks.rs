//! What belongs together while fitting: groups where they are known, else the folds.
//!
//! Rows that were merged because they are equal stand for many students, so they have no group. Their folds were assigned
//! before merging, by student: rows of different folds have no student in common, which is what holding out needs.

use crate::data::Labels;
use crate::error::Result;
use crate::validate::Folds;

/// The labels, rows without known groups grouped by the fold that tests them; a row in no test is alone.
pub(super) fn grouped(labels: &Labels, folds: &Folds) -> Result<Labels> {
    if labels.groups().is_some() {
        return Ok(labels.clone());
    }
    let first = folds.len() as u64;
    let mut blocks: Vec<u64> = (0..labels.n_rows() as u64).map(|row| first + row).collect();
    for (fold, rows) in folds.iter().enumerate() {
        rows.test.iter().for_each(|row| blocks[*row as usize] = fold as u64);
    }
    labels.clone().with_groups(blocks)
}

/// Removes the classes that no row with weight has: gives the labels of the others, and which these are.
pub(super) fn present(labels: &Labels) -> Result<(Labels, Vec<u32>)> {
    let weights = labels.class_weights();
    let kept: Vec<u32> = (0..labels.n_classes() as u32)
        .filter(|class| weights[*class as usize] > 0.0)
        .collect();
    if kept.len() == labels.n_classes() || kept.len() < 2 {
        return Ok((labels.clone(), (0..labels.n_classes() as u32).collect()));
    }
    let position = |class: &u32| kept.binary_search(class).unwrap_or(0) as u32;
    let targets = labels.targets().iter().map(position).collect();
    let mut present = Labels::new(targets, kept.len(), labels.weights().to_vec())?;
    if let Some(groups) = labels.groups() {
        present = present.with_groups(groups.to_vec())?;
    }
    if let Some(periods) = labels.periods() {
        present = present.with_periods(periods.to_vec())?;
    }
    Ok((present, kept))
}
