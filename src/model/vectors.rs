//! Distinct feature vectors of the dense cube, read from the query that `_vectors_sql()` composes.

use empatia_engine::context::Context;
use empatia_engine::data::WeightedRows;
use empatia_engine::error::EngineError;
use pgrx::datum::DatumWithOid;

use crate::error::{Error, Result};
use crate::guc;
use crate::pg::column::ColumnType;
use crate::pg::read;

/// What the query returned: `values` row-major (n x p) and one count per row.
pub struct Vectors {
    values: Vec<f64>,
    counts: Vec<f64>,
    n_features: usize,
}

impl Vectors {
    /// Runs `sql` (p feature columns and the count, all double precision; `$1` = client id or null for all clients).
    ///
    /// # Errors
    /// 53200 when the vectors do not fit `empatia.memory_limit`; 55000 when there are none.
    pub fn read(sql: &str, client_id: Option<i32>, n_features: usize) -> Result<Self> {
        let mut found = Self {
            values: Vec::new(),
            counts: Vec::new(),
            n_features,
        };
        // fitting holds about four copies of the vectors at its peak
        let most = guc::memory_limit() / (4 * size_of::<f64>() * (n_features + 1));
        let columns = vec![ColumnType::Float8; n_features + 1];
        read::query(sql, &[DatumWithOid::from(client_id)], &columns, |row| {
            if found.counts.len() >= most {
                return Err(EngineError::Memory {
                    needed: (found.counts.len() + 1) * 4 * size_of::<f64>() * (n_features + 1),
                    in_use: 0,
                    budget: guc::memory_limit(),
                }
                .into());
            }
            found
                .values
                .extend((0..n_features).map(|column| row.f64(column).unwrap_or(0.0)));
            found.counts.push(row.f64(n_features).unwrap_or(0.0));
            Ok(())
        })?;
        if found.counts.is_empty() {
            return Err(
                Error::not_ready("this part of the cube has no rows: no unit has a member").hint(
                    "Load enrolments, look at empatia.excluded_role, and run SELECT * FROM empatia.build_cube().",
                ),
            );
        }
        Ok(found)
    }

    /// Number of distinct vectors.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// A stable fingerprint of the vectors and counts, which come sorted: equal data, equal text.
    pub fn fingerprint(&self) -> String {
        let mut hash = fnv(&self.values);
        hash = hash.rotate_left(32) ^ fnv(&self.counts);
        format!("{hash:016x}")
    }

    /// As the engine takes them.
    pub fn into_rows(self, _ctx: &Context) -> Result<WeightedRows, EngineError> {
        WeightedRows::new(self.values, self.n_features, self.counts)
    }
}

/// FNV-1a over the bits of the numbers.
fn fnv(values: &[f64]) -> u64 {
    values
        .iter()
        .flat_map(|value| value.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
