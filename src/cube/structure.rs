//! What the facts are held against: students of spaces, units of the cube, kinds of interaction.

use std::time::{Duration, Instant};

use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{InteractionKind, Level, Members, MembersBuilder};
use pgrx::spi::quote_identifier;

use super::packed_facts::Parallel;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{Int2, Int8, Text};
use crate::pg::read::query;

/// The client and the schemas of its warehouse; the schemas are quoted, but for `results_name`.
#[derive(Debug)]
pub(super) struct Source {
    pub client_id: i32,
    pub dw: String,
    pub results: String,
    /// As stored.
    pub results_name: String,
}

impl Source {
    pub fn new(client_id: i32, dw: &str, results: &str) -> Self {
        Self {
            client_id,
            dw: quote_identifier(dw),
            results: quote_identifier(results),
            results_name: results.to_owned(),
        }
    }
}

/// All of it, and how long reading it took.
pub(super) struct Structure {
    pub source: Source,
    pub members: Members,
    pub units: Units,
    pub kinds: Kinds,
    /// How the interactions are read by parallel workers.
    pub parallel: Option<Parallel>,
    pub reading: Duration,
}

impl Structure {
    pub fn read(context: &Context, source: Source) -> Result<Self> {
        let began = Instant::now();
        Ok(Self {
            members: read_members(context, &source)?,
            units: Units::read(context, &source)?,
            kinds: Kinds::read(&source)?,
            parallel: Parallel::new(context, &source)?,
            source,
            reading: began.elapsed(),
        })
    }
}

/// Members of the spaces; subjects and lectures have those of their space, courses and environments the union of theirs.
pub(super) fn read_members(context: &Context, source: &Source) -> Result<Members> {
    let mut members = MembersBuilder::new(context)?;
    let sql = format!(
        "SELECT m.unit_id, m.user_id FROM {}.cube_member m WHERE m.client_id = $1 AND m.level = 'SPA'",
        source.results
    );
    query(&sql, &[source.client_id.into()], &[Int8, Int8], |row| {
        if let (Some(space), Some(user)) = (row.i64(0), row.i64(1)) {
            members.push(space, user)?;
        }
        Ok(())
    })?;
    Ok(members.finish()?)
}

/// The units that the cube has at each level; a unit that was removed has no cells.
#[derive(Debug)]
pub(super) struct Units {
    /// Ascending, per level.
    ids: [Vec<i64>; 5],
    _reservation: Reservation,
}

impl Units {
    pub fn read(context: &Context, source: &Source) -> Result<Self> {
        let mut ids: [Vec<i64>; 5] = Default::default();
        let mut reservation = context.reserve(0)?;
        let sql = format!(
            "SELECT u.level, u.unit_id FROM {}.cube_unit u WHERE u.client_id = $1",
            source.results
        );
        query(&sql, &[source.client_id.into()], &[Text, Int8], |row| {
            if let (Some(level), Some(unit)) = (row.text(0)?, row.i64(1)) {
                let level: Level = level.parse()?;
                let of_level = &mut ids[level.index()];
                if of_level.len() == of_level.capacity() {
                    // what the vector is about to grow to
                    let extra = of_level.capacity().max(64);
                    reservation.grow(extra * size_of::<i64>())?;
                    of_level.reserve_exact(extra);
                }
                of_level.push(unit);
            }
            Ok(())
        })?;
        ids.iter_mut().for_each(|of_level| of_level.sort_unstable());
        Ok(Self {
            ids,
            _reservation: reservation,
        })
    }

    pub fn contains(&self, level: Level, unit: i64) -> bool {
        self.ids[level.index()].binary_search(&unit).is_ok()
    }
}

/// Which measure each `interaction_type_id` adds to.
#[derive(Debug)]
pub(super) struct Kinds(Vec<(i16, InteractionKind)>);

impl Kinds {
    fn read(source: &Source) -> Result<Self> {
        let mut kinds = Vec::new();
        let sql = format!(
            "SELECT k.interaction_type_id, k.measure FROM {}.interaction_type k",
            source.dw
        );
        query(&sql, &[], &[Int2, Text], |row| {
            if let (Some(id), Some(measure)) = (row.i16(0), row.text(1)?) {
                kinds.push((id, kind_of(measure)?));
            }
            Ok(())
        })?;
        // a handful, so a scan beats a table; the frequent ones sort themselves out in the branch predictor
        Ok(Self(kinds))
    }

    #[inline]
    pub fn get(&self, id: i16) -> Option<InteractionKind> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, kind)| *kind)
    }
}

fn kind_of(measure: &str) -> Result<InteractionKind> {
    const MEASURES: [&str; 5] = [
        "posts",
        "post_replies",
        "help_requests",
        "help_request_replies",
        "accesses",
    ];
    MEASURES
        .iter()
        .zip(InteractionKind::ALL)
        .find(|(name, _)| **name == measure)
        .map(|(_, kind)| kind)
        .ok_or_else(|| Error::unknown_name("measure", measure, &MEASURES))
}
