//! Two columns that give the target away together.

use rayon::prelude::*;

use super::bins::Codes;
use super::cells;
use super::report::LeakKind;
use super::rows::Rows;
use crate::context::Context;
use crate::data::Values;
use crate::error::Result;

/// A pair must tell this much more than the better one of the two.
const GAIN: f64 = 0.01;
/// From here on it is tried whether a difference or a sum is behind it.
const WORTH_A_LOOK: f64 = 0.85;
/// Bins of a difference or sum.
const BINS: usize = 64;

/// A column as pairs see it.
pub(super) struct Sight<'a> {
    /// Position in the table.
    pub place: usize,
    pub values: &'a Values,
    pub codes: Codes,
    pub auc: f64,
}

/// A pair that gives the target away.
pub(super) struct Found {
    pub kind: LeakKind,
    /// Positions in the table; of a difference, what is subtracted comes second.
    pub places: (usize, usize),
    pub auc: f64,
}

/// What was found among at most `most` pairs, the best first, and how many pairs were looked at and not.
pub(super) fn search(
    ctx: &Context,
    rows: &Rows,
    columns: &[Sight],
    limit: f64,
    most: usize,
) -> Result<(Vec<Found>, usize, usize)> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|a, b| columns[*b].auc.total_cmp(&columns[*a].auc).then(a.cmp(b)));
    let all = order.len() * order.len().saturating_sub(1) / 2;
    // the strongest columns among themselves
    while order.len() * order.len().saturating_sub(1) / 2 > most {
        order.pop();
    }
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (at, a) in order.iter().enumerate() {
        pairs.extend(order[at + 1..].iter().map(|b| (*a.min(b), *a.max(b))));
    }
    let judge = |pair: &(usize, usize)| -> Result<Option<Found>> {
        ctx.check()?;
        Ok(judged(rows, &columns[pair.0], &columns[pair.1], limit))
    };
    let found: Vec<Option<Found>> = ctx.run(|| pairs.par_iter().map(judge).collect::<Result<_>>())?;
    let mut found: Vec<Found> = found.into_iter().flatten().collect();
    found.sort_by(|a, b| b.auc.total_cmp(&a.auc).then(a.places.cmp(&b.places)));
    Ok((found, pairs.len(), all - pairs.len()))
}

fn judged(rows: &Rows, a: &Sight, b: &Sight, limit: f64) -> Option<Found> {
    let together = cells::auc(&a.codes.joined(&b.codes), rows);
    let mut best = Found {
        kind: LeakKind::Pair,
        places: (a.place, b.place),
        auc: together,
    };
    if let (Values::Numeric(x), Values::Numeric(y)) = (a.values, b.values) {
        if together >= WORTH_A_LOOK {
            for (kind, sign) in [(LeakKind::Sum, 1.0), (LeakKind::Difference, -1.0)] {
                let both: Vec<f64> = rows
                    .numbers
                    .iter()
                    .map(|row| x[*row as usize] + sign * y[*row as usize])
                    .collect();
                let auc = cells::auc(&Codes::of_numbers(&both, BINS, BINS), rows);
                // said to be a difference only where that says all that the two say
                if auc >= best.auc - 1e-9 && auc > limit - 1e-9 {
                    best = Found { kind, auc, ..best };
                }
            }
        }
    }
    (best.auc >= limit && best.auc >= a.auc.max(b.auc) + GAIN).then_some(best)
}
