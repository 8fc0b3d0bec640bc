//! `empatia._classify_with()`: what a classifier says of every row of a client's part of the cube.
//!
//! [`CubeRows`] gives the rows unit by unit. Their distinct vectors are collected and judged, many at a time, on all threads, while the next
//! are read; then [`Predictions`] compares the verdicts with the stored ones and writes what differs. A unit whose rows are, by their
//! fingerprint, those that its stored predictions were made from can be skipped.

use std::collections::HashMap;
use std::time::Instant;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::data::Fingerprint;
use empatia_engine::error::EngineError;
use empatia_engine::feature::{CubeModel, FeatureVectors, UnitRows};
use empatia_engine::words::{Dictionary, Judge, Verdict};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::cube_model::{self, judge};
use super::cube_rows::CubeRows;
use super::cube_structure::{builds, push, Build, Structure};
use super::part::Part;
use super::prediction_marks::Marks;
use super::predictions::{Kind, Predicted, Predictions, Which};
use super::reason_texts::ReasonTexts;
use super::student_attributes::StudentAttributes;
use crate::error::{Error, Result};
use crate::pg::threads::{beside, start_context, Beside, Limits};

/// Distinct vectors that are judged at a time.
const JUDGED: usize = 1 << 15;
/// Rows that are compared and written at a time, at least; units are not torn apart.
const WRITTEN: usize = 1 << 17;

/// Brings the predictions of client `client_id` at a level and grain up to date with an encoded classifier; what is right already
/// is not touched. `trusting`: the stored predictions are this very classifier's, so that units whose rows are what they were are
/// skipped. Returns the rows written and removed, the number of predictions, and the names of the classes.
#[pg_extern(name = "_classify_with", volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the SQL function's
fn classify_with(
    client_id: i32,
    results: &str,
    level: &str,
    grain: &str,
    encoded: &[u8],
    trusting: bool,
) -> Result<
    TableIterator<
        'static,
        (
            name!(written_rows, i64),
            name!(removed_rows, i64),
            name!(predicted_rows, i64),
            name!(classes, Vec<String>),
        ),
    >,
    ErrorReport,
> {
    let began = Instant::now();
    let cube_model = CubeModel::decode(encoded).map_err(Error::from)?;
    let part = Part::new(results, level, grain, &[])?;
    let build = builds(&part, Some(client_id))?.into_iter().next();
    let build = build.ok_or_else(|| Error::not_ready(format!("the cube has no part {level} x {grain}")))?;
    let context = start_context(Limits::from_settings())?;
    let texts = ReasonTexts::read()?;
    let judge = judge(&cube_model, &texts);
    let work = |batch| judged(&context, &judge, batch);
    let (predicted, written) = beside(&context, work, |thread| {
        let mut pass = Pass::new(&context, &part, results, &build, &cube_model, thread, trusting)?;
        pass.run()?;
        Ok((pass.predicted, pass.finish()?))
    })?;
    debug1!(
        "predictions of {level} x {grain} of client {client_id}: {predicted} judged, {} written, {} removed, {:.3} s",
        written.0,
        written.1,
        began.elapsed().as_secs_f64()
    );
    Ok(TableIterator::once((
        written.0 as i64,
        written.1 as i64,
        predicted as i64,
        cube_model.model.classes().to_vec(),
    )))
}

/// Vectors that were judged, forgotten again, with their verdicts and the words that are new.
type Judged = (FeatureVectors, Vec<Verdict>, Dictionary);

/// On a thread of its own.
fn judged(context: &Context, judge: &Judge<'_>, mut vectors: FeatureVectors) -> Result<Judged, EngineError> {
    let n = vectors.len();
    let _table = context.reserve_for::<f64>(n * vectors.names().count())?;
    let table = vectors.table(0, n)?;
    vectors.clear();
    let mut dictionary = Dictionary::new();
    let verdicts = judge.judge(context, &table, &mut dictionary)?;
    Ok((vectors, verdicts, dictionary))
}

/// Some units' rows that are compared and written together.
#[derive(Default)]
struct Section {
    own: Vec<Predicted>,
    shared: Vec<Predicted>,
    /// Units that are not skipped.
    units: Vec<i64>,
    /// Units up to which stored rows are compared; those of the section before are done.
    from: i64,
    last: i64,
    /// Vectors that were given away to be judged, and what came back.
    given: usize,
    verdicts: Vec<Verdict>,
}

/// One call: what it works with and what it did so far. While vectors are judged on other threads, the next are read and those before written.
struct Pass<'a, 't> {
    context: &'a Context,
    part: &'a Part,
    build: &'a Build,
    cube_model: &'a CubeModel,
    thread: &'a mut Beside<'t, FeatureVectors, Judged>,
    attributes: StudentAttributes,
    trusting: bool,
    /// Fingerprints of the units as they are stored, and as they are.
    before: HashMap<i64, i64>,
    after: Vec<(i64, i64)>,
    /// Not given away yet.
    vectors: FeatureVectors,
    /// Those that came back.
    spare: Option<FeatureVectors>,
    now: Section,
    /// Complete but for its last verdicts.
    waiting: Option<Section>,
    /// Written; its memory is used again.
    free: Section,
    predictions: Predictions<'a>,
    defaults: Predictions<'a>,
    dictionary: Dictionary,
    predicted: u64,
    reserved: Reservation,
}

impl<'a, 't> Pass<'a, 't> {
    fn new(
        context: &'a Context,
        part: &'a Part,
        results: &'a str,
        build: &'a Build,
        cube_model: &'a CubeModel,
        thread: &'a mut Beside<'t, FeatureVectors, Judged>,
        trusting: bool,
    ) -> Result<Self> {
        let recipe = &cube_model.recipe;
        let attributes = cube_model::attributes(context, part.level(), Some(build.client), None, cube_model)?;
        let vectors = || FeatureVectors::new(context, recipe, build.basis, attributes.attributes().columns());
        // levels of attributes are numbered as they are found: their numbers are no fingerprint
        let trusting = trusting && recipe.attributes.is_empty();
        Ok(Self {
            context,
            part,
            build,
            cube_model,
            thread,
            trusting,
            before: Marks::new(part, build.client).units()?,
            after: Vec::new(),
            vectors: vectors()?,
            spare: Some(vectors()?),
            attributes,
            now: Section {
                from: i64::MIN,
                ..Section::default()
            },
            waiting: None,
            free: Section::default(),
            predictions: Predictions::new(part, results, build.client, Kind::Own)?,
            defaults: Predictions::new(part, results, build.client, Kind::Default)?,
            dictionary: Dictionary::new(),
            predicted: 0,
            reserved: context.reserve(0)?,
        })
    }

    fn run(&mut self) -> Result<()> {
        let structure = Structure::read(self.context, self.part, self.build, None)?;
        let attributes = std::mem::replace(
            &mut self.attributes,
            StudentAttributes::read(self.context, self.part.level(), None, None, &[], None)?,
        );
        let rows = CubeRows {
            ctx: self.context,
            part: self.part,
            recipe: &self.cube_model.recipe,
            attributes: &attributes,
            build: self.build,
            structure: &structure,
            only: None,
            writing: true,
        };
        rows.each_unit(|_| 0, |unit, rows| self.unit(unit, rows))?;
        self.end_section(i64::MAX)?;
        self.take_verdicts()?;
        self.write_waiting()?;
        if self.trusting {
            // units that are gone have no rows to be compared
            let now: std::collections::HashSet<i64> = self.after.iter().map(|(unit, _)| *unit).collect();
            let gone: Vec<i64> = self.before.keys().copied().filter(|unit| !now.contains(unit)).collect();
            if !gone.is_empty() {
                self.predictions.settle(Which::Units(&gone), &[], &[])?;
                self.defaults.settle(Which::Units(&gone), &[], &[])?;
            }
        }
        Ok(())
    }

    /// Takes the rows of a unit, which come in ascending order of units.
    fn unit(&mut self, unit: i64, rows: &UnitRows<'_>) -> Result<()> {
        if self.trusting {
            let fingerprint = fingerprint(&self.build.periods, rows)?;
            self.after.push((unit, fingerprint));
            if self.before.get(&unit) == Some(&fingerprint) {
                return Ok(());
            }
        }
        self.now.units.push(unit);
        let mut print = Fingerprint::default();
        let trusting = self.trusting;
        visit(&self.build.periods, rows, |kind, key, vector| {
            if !trusting {
                take(&mut print, kind, key, vector);
            }
            self.row(kind, (unit, key.0, key.1), vector)
        })?;
        if !trusting {
            self.after.push((unit, print.value()));
        }
        if self.now.own.len() + self.now.shared.len() >= WRITTEN {
            self.end_section(unit)?;
        }
        Ok(())
    }

    fn row(&mut self, kind: Kind, key: (i64, i64, i64), vector: &[f64]) -> Result<()> {
        let number = match self.vectors.insert(vector) {
            Ok(number) => number,
            Err(error) if self.vectors.is_empty() => return Err(error.into()),
            // no room for more: those that are there are judged first
            Err(_) => {
                self.give_away()?;
                self.take_verdicts()?;
                self.vectors.insert(vector)?
            }
        };
        let predicted = Predicted {
            key,
            verdict: (self.now.given + number) as u32,
        };
        match kind {
            Kind::Own => push(&mut self.now.own, predicted, &mut self.reserved)?,
            Kind::Default => push(&mut self.now.shared, predicted, &mut self.reserved)?,
        }
        if self.vectors.len() == JUDGED {
            self.give_away()?;
        }
        Ok(())
    }

    /// Has the vectors that were collected judged, and writes meanwhile.
    fn give_away(&mut self) -> Result<()> {
        self.take_verdicts()?;
        if !self.vectors.is_empty() {
            let spare = self
                .spare
                .take()
                .ok_or_else(|| Error::internal("vectors were not given back"))?;
            let vectors = std::mem::replace(&mut self.vectors, spare);
            self.now.given += vectors.len();
            self.thread.start(vectors)?;
        }
        self.write_waiting()
    }

    /// Waits for what is being judged.
    fn take_verdicts(&mut self) -> Result<()> {
        let Some((vectors, verdicts, dictionary)) = self.thread.finish()? else {
            return Ok(());
        };
        self.spare = Some(vectors);
        self.dictionary.extend(dictionary);
        let section = self.waiting.as_mut().unwrap_or(&mut self.now);
        for verdict in verdicts {
            push(&mut section.verdicts, verdict, &mut self.reserved)?;
        }
        Ok(())
    }

    /// No more rows for this section, which is of units up to `last`.
    fn end_section(&mut self, last: i64) -> Result<()> {
        self.give_away()?;
        self.now.last = last;
        let next = Section {
            from: last.saturating_add(1),
            ..std::mem::take(&mut self.free)
        };
        self.waiting = Some(std::mem::replace(&mut self.now, next));
        Ok(())
    }

    /// Compares and writes a section that has all of its verdicts.
    fn write_waiting(&mut self) -> Result<()> {
        let Some(mut section) = self.waiting.take() else {
            return Ok(());
        };
        self.predicted += (section.own.len() + section.shared.len()) as u64;
        section.shared.sort_unstable_by_key(|row| row.key);
        let which = match self.trusting {
            true => Which::Units(&section.units),
            false => Which::Between(section.from, section.last),
        };
        self.predictions.settle(which, &section.own, &section.verdicts)?;
        self.defaults.settle(which, &section.shared, &section.verdicts)?;
        section.units.clear();
        section.own.clear();
        section.shared.clear();
        section.verdicts.clear();
        section.given = 0;
        self.free = section;
        Ok(())
    }

    /// Rows written and removed.
    fn finish(mut self) -> Result<(u64, u64)> {
        let (own, shared) = (self.predictions.finish()?, self.defaults.finish()?);
        let marks = Marks::new(self.part, self.build.client);
        marks.write_reasons(&self.dictionary, !self.trusting)?;
        marks.write_units(&self.after)?;
        Ok((own.rows + shared.rows, own.removed + shared.removed))
    }
}

/// Calls `on_row` for each prediction that a unit needs: kind, the key within the unit, the vector.
fn visit(
    periods: &[i32],
    rows: &UnitRows<'_>,
    mut on_row: impl FnMut(Kind, (i64, i64), &[f64]) -> Result<()>,
) -> Result<()> {
    let day = |period: u32| i64::from(periods[period as usize]);
    if rows.are_all_own() {
        // what is known of students besides the cube makes every row its own
        let mut vector = Vec::new();
        for (member, of) in rows.members().iter().enumerate() {
            for (period, day) in periods.iter().enumerate() {
                rows.vector(member, period, &mut vector);
                on_row(Kind::Own, (of.user, i64::from(*day)), &vector)?;
            }
        }
        return Ok(());
    }
    rows.own::<Error>(|row| {
        let user = rows.members()[row.member as usize].user;
        on_row(Kind::Own, (user, day(row.period)), row.vector)
    })?;
    rows.shared::<Error>(|row| on_row(Kind::Default, (day(row.period), row.assigned), row.vector))
}

fn fingerprint(periods: &[i32], rows: &UnitRows<'_>) -> Result<i64> {
    let mut print = Fingerprint::default();
    visit(periods, rows, |kind, key, vector| {
        take(&mut print, kind, key, vector);
        Ok(())
    })?;
    Ok(print.value())
}

fn take(print: &mut Fingerprint, kind: Kind, key: (i64, i64), vector: &[f64]) {
    print.add(i64::from(kind == Kind::Own));
    print.add(key.0);
    print.add(key.1);
    vector.iter().for_each(|value| print.add_number(*value));
}
