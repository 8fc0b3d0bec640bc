//! Distinct feature vectors of the dense cube with their counts: what every model is fitted on.
//!
//! The query that `_vectors_sql()` composes is their definition; [`Vectors::count`] gives the same from one reading of
//! the stored rows.

use empatia_engine::context::Context;
use empatia_engine::data::{DenseCounts, WeightedRows};
use empatia_engine::error::EngineError;
use pgrx::datum::DatumWithOid;
use pgrx::spi::quote_literal;

use super::part::{Part, EVERYBODY};
use crate::error::{Error, Result};
use crate::guc;
use crate::pg::column::ColumnType::{self, Int4, Int8, Text};
use crate::pg::read;
use crate::pg::threads::{start_context, Limits};

/// Vectors that were read or counted.
pub enum Vectors {
    /// What a query returned: values row-major and one count per row.
    Read(Vec<f64>, usize, Vec<f64>),
    /// Counted here.
    Counted(DenseCounts),
}

impl Vectors {
    /// Those of `part` where it is given, else those of `query`.
    ///
    /// # Errors
    /// As [`Vectors::count`] and [`Vectors::read`].
    pub fn of(query: &str, part: Option<&Part>, client_id: Option<i32>, n_features: usize) -> Result<Self> {
        match part {
            Some(part) => Self::count(part, client_id),
            None => Self::read(query, client_id, n_features),
        }
    }

    /// Runs `sql` (p feature columns and the count, all double precision; `$1` = client id or null for all clients).
    ///
    /// # Errors
    /// 53200 when the vectors do not fit `empatia.memory_limit`; 55000 when there are none.
    pub fn read(sql: &str, client_id: Option<i32>, n_features: usize) -> Result<Self> {
        let (mut values, mut counts) = (Vec::new(), Vec::new());
        let most = most(n_features);
        let columns = vec![ColumnType::Float8; n_features + 1];
        read::query(sql, &[DatumWithOid::from(client_id)], &columns, |row| {
            if counts.len() >= most {
                return Err(too_many(counts.len() + 1, n_features));
            }
            values.extend((0..n_features).map(|column| row.f64(column).unwrap_or(0.0)));
            counts.push(row.f64(n_features).unwrap_or(0.0));
            Ok(())
        })?;
        if counts.is_empty() {
            return Err(none());
        }
        Ok(Self::Read(values, n_features, counts))
    }

    /// Counts the rows of `part`, of one client or of all.
    ///
    /// # Errors
    /// As [`Vectors::read`].
    pub fn count(part: &Part, client_id: Option<i32>) -> Result<Self> {
        let context = start_context(Limits {
            threads: 1,
            ..Limits::from_settings()
        })?;
        let mut counts = DenseCounts::new(&context, part.width(), part.assigned_feature())?;
        for build in builds(part, client_id)? {
            let mut assigned = match build.universe {
                true => Some(part.read_assigned(&context, build.client, &EVERYBODY)?),
                false => None,
            };
            for (number, members) in assigned.iter().flat_map(|assigned| assigned.members()) {
                let universe = counts.universe(number);
                counts.dense(universe, members * build.periods);
            }
            // rows of a member and unit follow each other, so the look-up is seldom needed
            let mut last = (0, counts.universe(0));
            part.read(build.client, &EVERYBODY, assigned.as_mut(), false, |row| {
                if row.universe != last.0 {
                    last = (row.universe, counts.universe(row.universe));
                }
                Ok(counts.stored(last.1, row.vector)?)
            })?;
            counts.end_client(build.dense_rows)?;
        }
        match counts.len() {
            0 => Err(none()),
            len if len > most(part.width()) => Err(too_many(len, part.width())),
            _ => Ok(Self::Counted(counts)),
        }
    }

    /// As the engine takes them, in lexicographic order.
    ///
    /// # Errors
    /// [`EngineError::Memory`], [`EngineError::Cancelled`].
    pub fn into_rows(self, ctx: &Context) -> Result<WeightedRows, EngineError> {
        match self {
            Self::Read(values, n_features, counts) => WeightedRows::new(values, n_features, counts),
            Self::Counted(counts) => counts.finish(ctx),
        }
    }
}

/// A stable fingerprint of sorted vectors and counts: equal data, equal text.
///
/// # Errors
/// [`EngineError::Cancelled`].
pub fn fingerprint(ctx: &Context, rows: &WeightedRows) -> Result<String, EngineError> {
    let hash = fnv(ctx, rows.values())?.rotate_left(32) ^ fnv(ctx, rows.weights())?;
    Ok(format!("{hash:016x}"))
}

/// One client's build of a part.
struct Build {
    client: i32,
    universe: bool,
    dense_rows: i64,
    periods: i64,
}

fn builds(part: &Part, client_id: Option<i32>) -> Result<Vec<Build>> {
    let sql = format!(
        "SELECT b.client_id, b.assignment_basis, b.dense_rows,
                (SELECT count(*) FROM {periods} p WHERE (p.client_id, p.level, p.grain) = (b.client_id, b.level, b.grain))
         FROM {builds} b WHERE b.level = {level} AND b.grain = {grain} AND ($1 IS NULL OR b.client_id = $1)",
        periods = part.table("cube_period"),
        builds = part.table("cube_build"),
        level = quote_literal(part.level()),
        grain = quote_literal(part.grain()),
    );
    let mut found = Vec::new();
    read::query(&sql, &[client_id.into()], &[Int4, Text, Int8, Int8], |row| {
        if let (Some(client), Some(basis), Some(dense_rows), Some(periods)) =
            (row.i32(0), row.text(1)?, row.i64(2), row.i64(3))
        {
            found.push(Build {
                client,
                universe: basis == "universe",
                dense_rows,
                periods,
            });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Fitting holds about four copies of the vectors at its peak.
fn bytes(vectors: usize, n_features: usize) -> usize {
    vectors.saturating_mul(4 * size_of::<f64>() * (n_features + 1))
}

fn most(n_features: usize) -> usize {
    guc::memory_limit() / bytes(1, n_features)
}

fn too_many(vectors: usize, n_features: usize) -> Error {
    EngineError::Memory {
        needed: bytes(vectors, n_features),
        in_use: 0,
        budget: guc::memory_limit(),
    }
    .into()
}

fn none() -> Error {
    Error::not_ready("this part of the cube has no rows: no unit has a member")
        .hint("Load enrolments, look at empatia.excluded_role, and run SELECT * FROM empatia.build_cube().")
}

/// FNV-1a over the bits of the numbers.
fn fnv(ctx: &Context, values: &[f64]) -> Result<u64, EngineError> {
    /// Values between two looks at the cancel flag: a millisecond.
    const CHUNK: usize = 1 << 16;
    values.chunks(CHUNK).try_fold(0xcbf2_9ce4_8422_2325, |hash, chunk| {
        ctx.check()?;
        let bytes = chunk.iter().flat_map(|value| value.to_bits().to_le_bytes());
        Ok(bytes.fold(hash, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    })
}
