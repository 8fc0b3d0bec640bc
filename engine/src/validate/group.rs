//! Folds by group: all rows of a student on one side.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::Refusal;
use crate::data::Labels;
use crate::error::Result;
use crate::random::shuffle;

/// A group: its rows, and its weight in each class it has.
struct Group {
    rows: Vec<u32>,
    classes: Vec<(usize, f64)>,
    weight: f64,
}

/// Fold of each row, n.
///
/// Groups are taken in random order, heavier ones first, each to the fold where it makes the sum of the squared shares (of
/// each class's weight and of all weight) grow least; without weight in turn.
pub(super) fn assign(labels: &Labels, groups: &[u64], k: usize, rng: &mut Xoshiro256PlusPlus) -> Result<Vec<u32>> {
    let totals = labels.class_weights();
    let total: f64 = totals.iter().sum();
    let mut groups = collect(labels, groups);
    enough(&groups, &totals, k)?;
    shuffle(rng, &mut groups);
    groups.sort_by(|a, b| b.weight.total_cmp(&a.weight));

    let mut fold_of = vec![0; labels.n_rows()];
    let mut by_class = vec![vec![0.0; totals.len()]; k];
    let mut weights = vec![0.0; k];
    for (turn, group) in groups.iter().enumerate() {
        let growth = |fold: usize| {
            let square = |now: f64, more: f64, all: f64| (2.0 * now + more) * more / (all * all);
            let of_classes = group.classes.iter();
            of_classes
                .map(|(class, w)| square(by_class[fold][*class], *w, totals[*class]))
                .sum::<f64>()
                + square(weights[fold], group.weight, total)
        };
        let fold = match group.weight > 0.0 {
            true => (0..k).min_by(|a, b| growth(*a).total_cmp(&growth(*b))).unwrap_or(0),
            false => turn % k,
        };
        weights[fold] += group.weight;
        group.classes.iter().for_each(|(class, w)| by_class[fold][*class] += w);
        group.rows.iter().for_each(|row| fold_of[*row as usize] = fold as u32);
    }
    Ok(fold_of)
}

/// The groups in the order of their numbers.
fn collect(labels: &Labels, groups: &[u64]) -> Vec<Group> {
    let (targets, weights) = (labels.targets(), labels.weights());
    let key = |row: &u32| (groups[*row as usize], targets[*row as usize]);
    let mut rows: Vec<u32> = (0..labels.n_rows() as u32).collect();
    rows.sort_by_key(key);
    let weight = |rows: &[u32]| rows.iter().map(|row| weights[*row as usize]).sum::<f64>();
    let of_group = |rows: &[u32]| {
        let of_class = rows.chunk_by(|a, b| key(a) == key(b));
        let classes = of_class.map(|rows| (targets[rows[0] as usize] as usize, weight(rows)));
        Group {
            classes: classes.filter(|(_, w)| *w > 0.0).collect(),
            weight: weight(rows),
            rows: rows.to_vec(),
        }
    };
    rows.chunk_by(|a, b| key(a).0 == key(b).0).map(of_group).collect()
}

/// k folds need k groups with weight, and each class in two of them at least: one to train on when the other is tested.
fn enough(groups: &[Group], totals: &[f64], k: usize) -> Result<()> {
    let found = groups.iter().filter(|group| group.weight > 0.0).count();
    if found < k {
        return Err(Refusal::Groups { needed: k, found }.into());
    }
    let mut with_class = vec![0usize; totals.len()];
    for group in groups {
        group.classes.iter().for_each(|(class, _)| with_class[*class] += 1);
    }
    let few = |class: &usize| totals[*class] > 0.0 && with_class[*class] < 2;
    match (0..totals.len()).find(few) {
        Some(class) => Err(Refusal::GroupsOfClass {
            class: class as u32,
            needed: 2,
            found: with_class[class],
        }
        .into()),
        None => Ok(()),
    }
}
