//! Tables that tests of the classifier share.

#![allow(dead_code)]

use empatia_engine::classifier::Training;
use empatia_engine::context::Context;
use empatia_engine::data::{Column, Labels, Table};
use serde_json::Value;

pub fn ctx(threads: usize) -> Context {
    Context::builder().threads(threads).build().unwrap()
}

/// Numbers in [0, 1) of a fixed sequence.
pub fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2) + 1;
    move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    }
}

pub fn names(k: usize) -> Vec<String> {
    (0..k).map(|class| format!("class {class}")).collect()
}

pub fn training(settings: Value) -> Training {
    Training::from_json(settings).unwrap()
}

/// `n` rows of `k` classes: a number and a category that tell, with gaps, a count, noise, and a column without any value; two
/// rows per student.
pub fn rows(n: usize, k: usize) -> (Table, Labels, Vec<String>) {
    let mut next = numbers(11);
    let (mut signal, mut count, mut noise) = (Vec::new(), Vec::new(), Vec::new());
    let (mut levels, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let class = (next() * k as f64) as usize;
        let x = class as f64 + 2.0 * next() - 1.0;
        signal.push(if next() < 0.1 { f64::NAN } else { x });
        count.push((next() * 20.0 * (1 + class) as f64).floor());
        noise.push(next());
        levels.push(match next() {
            u if u < 0.1 => None,
            u if u < 0.6 => Some(format!("level {class}")),
            u => Some(format!("level {}", (u * 9.0) as usize % k)),
        });
        targets.push(class as u32);
    }
    let table = Table::new(vec![
        Column::numeric("signal", signal),
        Column::numeric("count", count),
        Column::numeric("noise", noise),
        Column::category("level", levels.iter().map(|level| level.as_deref())),
        Column::numeric("empty", vec![f64::NAN; n]),
    ])
    .unwrap();
    let groups = (0..n as u64).map(|row| row / 2).collect();
    let labels = Labels::unweighted(targets, k).unwrap().with_groups(groups).unwrap();
    (table, labels, names(k))
}
