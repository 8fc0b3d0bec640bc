//! What is stored of predictions besides themselves: the words of their reasons, and what their units looked like.

use std::collections::HashMap;

use empatia_engine::words::Dictionary;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;

use super::part::Part;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::Int8;
use crate::pg::read::query;

/// Those of a client's part of the cube.
pub(super) struct Marks<'a> {
    part: &'a Part,
    client: i32,
}

impl<'a> Marks<'a> {
    pub fn new(part: &'a Part, client: i32) -> Self {
        Self { part, client }
    }

    /// Condition on the columns client_id, level and grain of `alias`.
    fn of_part(&self, alias: &str) -> String {
        format!(
            "({alias}.client_id, {alias}.level, {alias}.grain) = ($1, {}, {})",
            quote_literal(self.part.level()),
            quote_literal(self.part.grain())
        )
    }

    /// Fingerprints of the units that have predictions.
    ///
    /// # Errors
    /// As [`query`].
    pub fn units(&self) -> Result<HashMap<i64, i64>> {
        let sql = format!(
            "SELECT u.unit_id, u.fingerprint FROM {} u WHERE {}",
            self.part.table("cube_prediction_unit"),
            self.of_part("u")
        );
        let mut found = HashMap::new();
        query(&sql, &[self.client.into()], &[Int8; 2], |row| {
            if let (Some(unit), Some(fingerprint)) = (row.i64(0), row.i64(1)) {
                found.insert(unit, fingerprint);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Makes `units` the stored ones; writes what differs.
    ///
    /// # Errors
    /// Raises what the statements raise.
    pub fn write_units(&self, units: &[(i64, i64)]) -> Result<()> {
        let (ids, fingerprints): (Vec<i64>, Vec<i64>) = units.iter().copied().unzip();
        let table = self.part.table("cube_prediction_unit");
        let args = [self.client.into(), ids.into(), fingerprints.into()];
        let wanted = "unnest($2::bigint[], $3::bigint[]) w (unit_id, fingerprint)";
        self.run(
            &format!(
                "DELETE FROM {table} u WHERE {} AND (u.unit_id, u.fingerprint) NOT IN (SELECT w.unit_id, w.fingerprint FROM {wanted})",
                self.of_part("u")
            ),
            &args,
        )?;
        self.insert(&table, "unit_id, fingerprint", wanted, &args)
    }

    /// Adds the words of reasons; `all`: these are all there are, others go.
    ///
    /// # Errors
    /// Raises what the statements raise.
    pub fn write_reasons(&self, reasons: &Dictionary, all: bool) -> Result<()> {
        let (ids, words): (Vec<i64>, Vec<String>) = reasons.iter().map(|(id, words)| (*id, words.clone())).unzip();
        let table = self.part.table("cube_reason");
        let args = [self.client.into(), ids.into(), words.into()];
        let wanted = "unnest($2::bigint[], $3::text[]) w (reason_id, reason)";
        if all {
            self.run(
                &format!(
                    "DELETE FROM {table} r WHERE {} AND r.reason_id NOT IN (SELECT w.reason_id FROM {wanted})",
                    self.of_part("r")
                ),
                &args,
            )?;
        }
        self.insert(&table, "reason_id, reason", wanted, &args)
    }

    fn insert(&self, table: &str, columns: &str, wanted: &str, args: &[DatumWithOid<'_>]) -> Result<()> {
        let (level, grain) = (quote_literal(self.part.level()), quote_literal(self.part.grain()));
        self.run(
            &format!(
                "INSERT INTO {table} (client_id, level, grain, {columns}) SELECT $1, {level}, {grain}, w.* FROM {wanted}
                 ON CONFLICT DO NOTHING"
            ),
            args,
        )
    }

    fn run(&self, sql: &str, args: &[DatumWithOid<'_>]) -> Result<()> {
        Spi::run_with_args(sql, args).map_err(|e| Error::internal(format!("cannot write what predictions mean: {e}")))
    }
}
