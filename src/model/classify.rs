//! `empatia._classify_cells()`: a class for every stored row of a part of the cube.
//!
//! Three steps, one after the other for each row: [`Part`] reads it, [`Predictor`] gives it a class, [`Classes`] writes
//! the class where it is not stored already. Classes that are stored, and numbers of assignments, are held in memory;
//! where they do not fit into `empatia.memory_limit` the part is taken by ranges of users.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Instant;

use empatia_engine::context::Context;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::classes::{Classes, Written};
use super::part::{by_users, Part, EVERYBODY};
use super::predictor::Predictor;
use super::segments::decoded;
use crate::error::{Error, Result};
use crate::pg::append::Indexes;
use crate::pg::column::ColumnType::Int8;
use crate::pg::read::query;
use crate::pg::threads::{start_context, Limits};

/// Part of the budget kept free for what the predictor learns.
const LEARNING_SHARE: usize = 8;

/// Brings the classes of client `client_id` at a level and grain up to date with a model; what is right already is not
/// touched. `universe`: the basis of the part's assignments. Returns the number of rows that were written, and the class
/// of a row without activity per number of assignments.
#[pg_extern(name = "_classify_cells", volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the SQL function's
fn classify_cells(
    client_id: i32,
    results: &str,
    level: &str,
    grain: &str,
    universe: bool,
    features: Vec<String>,
    encoded: &[u8],
) -> Result<
    TableIterator<
        'static,
        (
            name!(written_rows, i64),
            name!(zero_assigned, Vec<i64>),
            name!(zero_classes, Vec<i16>),
        ),
    >,
    ErrorReport,
> {
    let part = Part::new(results, level, grain, &features)?;
    let expected = decoded(encoded)?.recipe().n_features();
    if part.width() != expected {
        return Err(Error::invalid_parameter(
            "number of features",
            format!("that of the model, {expected}"),
            part.width(),
        )
        .into());
    }
    let context = start_context(Limits {
        threads: 1,
        ..Limits::from_settings()
    })?;
    let mut pass = Pass {
        context: &context,
        part: &part,
        results,
        client: client_id,
        universe,
        encoded,
        numbers: BTreeSet::from([0]),
        written: Written::default(),
        parts: 0,
    };
    let began = Instant::now();
    pass.run()?;
    debug1!(
        "classes of {level} x {grain} of client {client_id}: {} written, {} removed, {} part(s), {:.3} s",
        pass.written.rows,
        pass.written.removed,
        pass.parts,
        began.elapsed().as_secs_f64()
    );
    let zero_classes = pass.zero_classes()?;
    Ok(TableIterator::once((
        pass.written.rows as i64,
        pass.numbers.into_iter().collect(),
        zero_classes,
    )))
}

/// One call: what it works with and what it did so far.
struct Pass<'a> {
    context: &'a Context,
    part: &'a Part,
    /// Schema of the results, not quoted.
    results: &'a str,
    client: i32,
    universe: bool,
    encoded: &'a [u8],
    /// Numbers of assignments that a member has.
    numbers: BTreeSet<i64>,
    written: Written,
    parts: usize,
}

impl<'a> Pass<'a> {
    /// Classifies all users in as few parts as the budget allows.
    fn run(&mut self) -> Result<()> {
        let mut appended = Classes::appended(self.part, self.results)?;
        let mut pending = vec![EVERYBODY];
        while let Some(users) = pending.pop() {
            match self.classify(&users, appended.as_mut()) {
                Ok(()) => self.parts += 1,
                Err(error) if error.is_out_of_memory() => {
                    let (first, second) = self.halve(&users)?.ok_or(error)?;
                    pending.push(second);
                    pending.push(first);
                }
                Err(error) => return Err(error),
            }
        }
        Classes::index(appended, self.part, self.results)
    }

    /// Fails for want of memory only before it writes.
    fn classify(&mut self, users: &RangeInclusive<i64>, appended: Option<&mut Indexes>) -> Result<()> {
        let learning = self.context.reserve(self.context.budget() / LEARNING_SHARE)?;
        let mut predictor = Predictor::new(self.context, decoded(self.encoded)?)?;
        let mut classes = Classes::read(self.context, self.part, self.results, self.client, users, appended)?;
        let mut assigned = match self.universe {
            true => Some(self.part.read_assigned(self.context, self.client, users)?),
            false => None,
        };
        drop(learning);
        if let Some(assigned) = &assigned {
            self.numbers.extend(assigned.members().map(|(number, _)| number));
        }
        self.part.read(self.client, users, assigned.as_mut(), true, |row| {
            let class = predictor.class(row.vector)?;
            classes.set(row.key, class)
        })?;
        let written = classes.finish()?;
        self.written.rows += written.rows;
        self.written.removed += written.removed;
        Ok(())
    }

    /// Classes of the rows without activity, per number of assignments.
    fn zero_classes(&self) -> Result<Vec<i16>> {
        let mut predictor = Predictor::new(self.context, decoded(self.encoded)?)?;
        let mut vector = vec![0; self.part.width()];
        let of_number = |number: &i64| {
            if let Some(feature) = self.part.assigned_feature() {
                vector[feature] = *number;
            }
            predictor.class(&vector)
        };
        self.numbers.iter().map(of_number).collect()
    }

    /// Two ranges with half each of what has to be held in memory; none where it is all one user's.
    fn halve(&self, users: &RangeInclusive<i64>) -> Result<Option<(RangeInclusive<i64>, RangeInclusive<i64>)>> {
        let select = format!(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY u.user_id)
             FROM (SELECT k.client_id, k.user_id FROM {} k
                   UNION ALL SELECT a.client_id, a.user_id FROM {} a WHERE a.level = {}) u WHERE u.client_id = $1",
            self.part.table(&self.part.partition("cube_class")),
            self.part.table("cube_assigned"),
            pgrx::spi::quote_literal(self.part.level()),
        );
        let mut median = None;
        by_users(&select, "u", self.client, users, |sql, args| {
            query(sql, args, &[Int8], |row| {
                median = row.i64(0);
                Ok(())
            })
        })?;
        let (start, end) = (*users.start(), *users.end());
        Ok(match median {
            Some(median) if median > start => Some((start..=median - 1, median..=end)),
            Some(median) if median < end => Some((start..=median, median + 1..=end)),
            _ => None,
        })
    }
}
