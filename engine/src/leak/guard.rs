//! The search for leaks: alone, in pairs, through another, as a code of another.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bins::Codes;
use super::carrier::Joint;
use super::design::Design;
use super::pairs::{self, Sight};
use super::report::{Leak, LeakKind, LeakReport};
use super::rows::Rows;
use super::{cells, codes};
use crate::context::Context;
use crate::data::{labels, Labels, Table};
use crate::error::{EngineError, Result};

/// Bins of a number looked at alone, and in a pair.
const BINS_ALONE: usize = 64;
const BINS_IN_A_PAIR: usize = 16;
const VALUES_IN_A_PAIR: usize = 40;

/// How closely is looked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeakGuard {
    /// AUC out of fold from which the target counts as given away.
    pub limit: f64,
    /// Most rows looked at.
    pub max_rows: usize,
    /// Most pairs looked at, those of the strongest columns.
    pub max_pairs: usize,
    /// Most terms of the linear model of all columns.
    pub max_terms: usize,
}

impl Default for LeakGuard {
    fn default() -> Self {
        Self {
            limit: 0.97,
            max_rows: 10_000,
            max_pairs: 100_000,
            max_terms: 400,
        }
    }
}

/// A search under way.
struct Search<'a> {
    ctx: &'a Context,
    guard: &'a LeakGuard,
    table: &'a Table,
    rows: Rows,
    allowed: &'a [String],
    leaks: Vec<Leak>,
    /// Per column, whether it is known to leak.
    aside: Vec<bool>,
}

impl LeakGuard {
    /// Looks for leaks among the columns of `table`. `of_target`: columns that the target is computed from in the same row;
    /// `allowed`: columns that are reported, but not excluded.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`], [`EngineError::Dimension`], [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn look(
        &self,
        ctx: &Context,
        table: &Table,
        labels: &Labels,
        of_target: &[String],
        allowed: &[String],
    ) -> Result<LeakReport> {
        if !(self.limit > 0.5 && self.limit <= 1.0) {
            return Err(EngineError::invalid(
                "limit of the leak guard",
                "above 0.5 and at most 1",
                self.limit,
            ));
        }
        labels::same("labels", table.n_rows(), labels.n_rows())?;
        let rows = Rows::new(labels, self.max_rows);
        let _codes = ctx.reserve_for::<u64>(rows.len().saturating_mul(table.columns().len()))?;
        let mut search = Search {
            ctx,
            guard: self,
            table,
            rows,
            allowed,
            leaks: Vec::new(),
            aside: vec![false; table.columns().len()],
        };
        search.target(of_target);
        let strength = search.alone()?;
        let (pairs_tested, pairs_left_out) = search.in_pairs(&strength)?;
        let (mut joint_auc, mut joint_left_out) = search.through_others(&strength)?;
        // a code that is set aside may have hidden a carrier, and what is left says less without it
        if search.derived()? {
            (joint_auc, joint_left_out) = search.through_others(&strength)?;
            search.derived()?;
        }
        let excluded = |column: &String| {
            !allowed.contains(column) && search.leaks.iter().any(|leak| leak.columns.contains(column))
        };
        let names = table.columns().iter().map(|column| column.name.clone());
        Ok(LeakReport {
            excluded: names.filter(excluded).collect(),
            limit: self.limit,
            rows: search.rows.len(),
            pairs_tested,
            pairs_left_out,
            joint_auc,
            joint_left_out,
            leaks: search.leaks,
        })
    }
}

impl Search<'_> {
    fn name(&self, place: usize) -> String {
        self.table.columns()[place].name.clone()
    }

    fn found(
        &mut self,
        kind: LeakKind,
        places: &[usize],
        auc: Option<f64>,
        auc_without: Option<f64>,
        through: Option<usize>,
    ) {
        let columns: Vec<String> = places.iter().map(|place| self.name(*place)).collect();
        let allowed = columns.iter().any(|column| self.allowed.contains(column));
        let leak = Leak {
            kind,
            columns,
            auc,
            auc_without,
            through: through.map(|place| self.name(place)),
            allowed,
            pt: String::new(),
            en: String::new(),
        };
        self.leaks.push(leak.in_words());
        places.iter().for_each(|place| self.aside[*place] = true);
    }

    fn target(&mut self, of_target: &[String]) {
        for place in 0..self.table.columns().len() {
            if of_target.contains(&self.table.columns()[place].name) {
                self.found(LeakKind::Target, &[place], None, None, None);
            }
        }
    }

    /// Looks at each column; gives how well each tells the classes apart.
    fn alone(&mut self) -> Result<Vec<f64>> {
        let limit = self.guard.limit;
        let judge = |place: usize| -> Result<(f64, Option<LeakKind>)> {
            self.ctx.check()?;
            let column = Codes::new(
                &self.table.columns()[place].values,
                &self.rows.numbers,
                BINS_ALONE,
                BINS_ALONE,
            );
            if column.is_constant() {
                return Ok((0.5, None));
            }
            let auc = cells::auc(&column, &self.rows);
            let kind = (auc >= limit).then(|| match cells::auc(&column.presence(), &self.rows) >= auc - 1e-9 {
                true => LeakKind::Presence,
                false if cells::is_pure(&column, &self.rows) => LeakKind::Code,
                false => LeakKind::Single,
            });
            Ok((auc, kind))
        };
        let places: Vec<usize> = (0..self.table.columns().len()).collect();
        let found: Vec<(f64, Option<LeakKind>)> = self
            .ctx
            .run(|| places.par_iter().map(|place| judge(*place)).collect::<Result<_>>())?;
        for (place, (auc, kind)) in found.iter().enumerate() {
            if let Some(kind) = kind.filter(|_| !self.aside[place]) {
                self.found(kind, &[place], Some(*auc), None, None);
            }
        }
        Ok(found.into_iter().map(|(auc, _)| auc).collect())
    }

    fn in_pairs(&mut self, strength: &[f64]) -> Result<(usize, usize)> {
        let left = (0..strength.len()).filter(|place| !self.aside[*place]);
        let sights: Vec<Sight> = left
            .map(|place| {
                self.ctx.check()?;
                let values = &self.table.columns()[place].values;
                let codes = Codes::new(values, &self.rows.numbers, VALUES_IN_A_PAIR, BINS_IN_A_PAIR);
                let auc = strength[place];
                Ok(Sight {
                    place,
                    values,
                    codes,
                    auc,
                })
            })
            .collect::<Result<_>>()?;
        let sights: Vec<Sight> = sights.into_iter().filter(|sight| !sight.codes.is_constant()).collect();
        let (found, tested, left_out) =
            pairs::search(self.ctx, &self.rows, &sights, self.guard.limit, self.guard.max_pairs)?;
        for pair in found {
            self.found(pair.kind, &[pair.places.0, pair.places.1], Some(pair.auc), None, None);
        }
        Ok((tested, left_out))
    }

    /// Looks for columns that carry a leaking one.
    fn through_others(&mut self, strength: &[f64]) -> Result<(Option<f64>, usize)> {
        let leaks: Vec<usize> = (0..self.aside.len()).filter(|place| self.aside[*place]).collect();
        if leaks.is_empty() {
            return Ok((None, 0));
        }
        let mut left: Vec<usize> = (0..self.aside.len()).filter(|place| !self.aside[*place]).collect();
        left.sort_by(|a, b| strength[*b].total_cmp(&strength[*a]).then(a.cmp(b)));
        let order: Vec<usize> = leaks.iter().chain(&left).copied().collect();
        let most = self.guard.max_terms;
        let _memory = self
            .ctx
            .reserve_for::<f64>(self.rows.len().saturating_add(8 * most).saturating_mul(2 * most))?;
        let (design, left_out) = Design::new(self.ctx, self.table, &order, &self.rows.numbers, most)?;
        let mut best = 0.5f64;
        for positive in self.rows.tested.clone() {
            let response: Vec<f64> = positive.iter().map(|is| f64::from(u8::from(*is))).collect();
            let joint = Joint {
                rows: &self.rows,
                design: &design,
                products: design.products(self.ctx, &self.rows, &response)?,
                positive: &positive,
            };
            let columns = left.iter().copied().filter(|place| !self.aside[*place]).collect();
            let (carriers, auc) = joint.carriers(self.ctx, columns, &leaks, self.guard.limit)?;
            best = best.max(auc);
            for carrier in carriers {
                let (auc, without) = (Some(carrier.auc), Some(carrier.auc_without));
                self.found(LeakKind::Carrier, &[carrier.place], auc, without, Some(carrier.through));
            }
        }
        Ok((Some(best), left_out))
    }

    /// Looks for codes of columns that leak alone or carry one that does; says whether there are any.
    fn derived(&mut self) -> Result<bool> {
        let alone = |leak: &&Leak| leak.columns.len() == 1;
        let leaks: Vec<String> = self
            .leaks
            .iter()
            .filter(alone)
            .map(|leak| leak.columns[0].clone())
            .collect();
        let before = self.leaks.len();
        for place in 0..self.aside.len() {
            for leak in &leaks {
                self.ctx.check()?;
                let through = self.table.columns().iter().position(|column| column.name == *leak);
                let Some(through) = through.filter(|_| !self.aside[place]) else {
                    continue;
                };
                let columns = self.table.columns();
                if codes::follows(&columns[place].values, &columns[through].values, &self.rows) {
                    self.found(LeakKind::Derived, &[place], None, None, Some(through));
                }
            }
        }
        Ok(self.leaks.len() > before)
    }
}
