//! `empatia._train_cube()`: a classifier of the rows of a part of the cube.
//!
//! Three steps: the target says which rows take part and what they are, a pass over the part makes features of them and
//! merges those that are alike ([`super::training_set`]), the engine trains.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use empatia_engine::classifier::{Trained, Training};
use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use empatia_engine::feature::{Basis, CubeModel, FeatureRecipe, COUNTS};
use empatia_engine::validate::Split;
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::JsonB;
use serde_json::{json, Value};

use super::cube_structure::{builds, Build};
use super::cube_target::CubeTarget;
use super::part::Part;
use super::student_attributes::StudentAttributes;
use super::training_pass::{student_key, Ground};
use super::training_set::{Prepared, Wanted};
use crate::error::{Error, Result};
use crate::pg::json::Document;
use crate::pg::threads::{run_feeding, start_context, Limits};

/// Most distinct rows unless the target says otherwise; with more of them students are drawn by chance.
const MOST_ROWS: usize = 200_000;
/// Smallest share of the students that is tried.
const LEAST_SHARE: f64 = 1.0 / 4_096.0;

/// A trained classifier as SQL takes it.
type Found = (
    Vec<u8>,
    Vec<u8>,
    JsonB,
    Vec<String>,
    Vec<String>,
    i64,
    i64,
    i64,
    String,
    Date,
    Date,
);

/// Trains a classifier on the rows of a part of the cube, of client `client_id` or of all.
///
/// `recipe` null: the default for the target. `time_budget` in seconds; null: none.
#[pg_extern(name = "_train_cube", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // the SQL function's
fn train_cube(
    results: &str,
    level: &str,
    grain: &str,
    client_id: Option<i32>,
    recipe: Option<Document>,
    training: Option<Document>,
    target: Document,
    time_budget: default!(Option<f64>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(encoded, Vec<u8>),
            name!(evaluation, Vec<u8>),
            name!(report, JsonB),
            name!(classes, Vec<String>),
            name!(features, Vec<String>),
            name!(rows, i64),
            name!(distinct_rows, i64),
            name!(students, i64),
            name!(fingerprint, String),
            name!(first_period, Date),
            name!(last_period, Date),
        ),
    >,
    ErrorReport,
> {
    let (most, target) = take_most(target.0)?;
    let target = CubeTarget::decode(target)?;
    let part = Part::new(results, level, grain, &COUNTS.map(String::from))?;
    let builds = with_one_basis(&part, client_id)?;
    let request = Request {
        recipe: recipe_of(recipe, &target, builds[0].basis)?,
        builds,
        part,
        training: training_of(training, &target)?,
        client_id,
        target,
        most,
        time_budget: seconds(time_budget)?,
    };
    Ok(TableIterator::once(request.run()?))
}

/// The key by which the evaluation of a classifier knows a student.
#[pg_extern(name = "_student_key", immutable, parallel_safe)]
fn student_key_of(client_id: i32, user_id: i64) -> i64 {
    student_key(client_id, user_id) as i64
}

/// What is asked for, decoded and checked.
struct Request {
    part: Part,
    recipe: FeatureRecipe,
    training: Training,
    builds: Vec<Build>,
    client_id: Option<i32>,
    target: CubeTarget,
    most: usize,
    time_budget: Option<Duration>,
}

impl Request {
    /// Trains on all students, or on as many of them as memory and the most rows allow.
    fn run(&self) -> Result<Found> {
        let mut share = 1.0;
        loop {
            let last = share / 2.0 < LEAST_SHARE;
            match self.attempt(share) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) if last => {
                    let expected = format!("large enough for 1 in {} students", 1.0 / LEAST_SHARE);
                    return Err(Error::invalid_parameter("max_rows", expected, self.most));
                }
                Err(error) if last || !error.is_out_of_memory() => return Err(error),
                Ok(None) | Err(_) => share /= 2.0,
            }
        }
    }

    /// None where there are too many rows.
    fn attempt(&self, share: f64) -> Result<Option<Found>> {
        let context = start_context(Limits::from_settings())?;
        let names = &self.recipe.attributes;
        let attributes = StudentAttributes::read(&context, self.part.level(), self.client_id, None, names, None)?;
        let mut periods: Vec<i32> = self
            .builds
            .iter()
            .flat_map(|build| build.periods.iter().copied())
            .collect();
        periods.sort_unstable();
        periods.dedup();
        let ground = Ground {
            ctx: &context,
            part: &self.part,
            recipe: &self.recipe,
            builds: &self.builds,
            attributes: &attributes,
            periods: &periods,
            seed: self.training.seed,
            share,
            last: RefCell::default(),
        };
        let (classes, names) = self.target.classes(&context)?;
        let wanted = Wanted {
            ground: &ground,
            training: &self.training,
            classes: &names,
            most: self.most,
            client_id: self.client_id,
        };
        let Some(prepared) = wanted.prepare(classes)? else {
            return Ok(None);
        };
        // training needs the room
        drop(ground.last.take());
        let trained = self.train(&context, &prepared, &names)?;
        self.finish(prepared, trained, &periods).map(Some)
    }

    fn train(&self, context: &Context, prepared: &Prepared, classes: &[String]) -> Result<Trained> {
        let flag = self.time_budget.map(|_| Arc::new(AtomicBool::new(false)));
        let (set, folds, training) = (&prepared.set, &prepared.folds, &self.training);
        let (budget, time_up) = (self.time_budget.zip(flag.clone()), flag);
        let mut trained = run_feeding(
            context,
            1,
            move |_: &mut dyn FnMut(()) -> Result<(), EngineError>| {
                let trained = with_alarm(budget, || {
                    context.run(|| match folds {
                        Some(folds) => training.train_with(context, &set.table, &set.labels, folds, classes, time_up),
                        None => training.train(context, &set.table, &set.labels, classes, time_up),
                    })
                });
                Ok(trained)
            },
            |()| Ok(()),
        )?
        .map_err(|error| Error::from_engine(error, classes))?;
        if let Some(pairs) = &set.pairs {
            trained.evaluation = trained.evaluation.with_pairs(pairs.clone())?;
        }
        Ok(trained)
    }

    fn finish(&self, prepared: Prepared, trained: Trained, periods: &[i32]) -> Result<Found> {
        let classes = trained.model.classes().to_vec();
        let mut report = serde_json::to_value(&trained.report).map_err(|e| Error::internal(e.to_string()))?;
        if let Value::Object(report) = &mut report {
            report.insert("cube".into(), prepared.about);
            report.insert("recipe".into(), json!(self.recipe));
            report.insert("training".into(), json!(self.training));
        }
        let model = CubeModel {
            recipe: self.recipe.clone(),
            model: trained.model,
        };
        Ok((
            model.encode()?,
            trained.evaluation.encode()?,
            JsonB(report),
            classes,
            prepared.features,
            prepared.rows as i64,
            prepared.set.labels.n_rows() as i64,
            prepared.students as i64,
            format!("{:016x}", prepared.set.fingerprint),
            Date::saturating_from_raw(periods[prepared.span.0]),
            Date::saturating_from_raw(periods[prepared.span.1]),
        ))
    }
}

/// Runs `work`; meanwhile a thread raises the flag when the time is up.
pub(crate) fn with_alarm<R>(alarm: Option<(Duration, Arc<AtomicBool>)>, work: impl FnOnce() -> R) -> R {
    let Some((budget, flag)) = alarm else { return work() };
    thread::scope(|scope| {
        let (ended, waiting) = channel::<()>();
        // without this thread the training is only not cut short
        let _alarm = thread::Builder::new()
            .name("empatia-alarm".into())
            .spawn_scoped(scope, move || {
                if waiting.recv_timeout(budget) == Err(RecvTimeoutError::Timeout) {
                    flag.store(true, Ordering::Relaxed);
                }
            });
        let _ended = ended;
        work()
    })
}

/// Takes the most rows out of a target.
fn take_most(mut target: Value) -> Result<(usize, Value)> {
    let most = target.as_object_mut().and_then(|target| target.remove("max_rows"));
    match most {
        None | Some(Value::Null) => Ok((MOST_ROWS, target)),
        Some(found) => match found.as_u64().filter(|most| (100..=100_000_000).contains(most)) {
            Some(most) => Ok((most as usize, target)),
            None => Err(Error::invalid_parameter(
                "max_rows",
                "an integer between 100 and 100000000",
                found,
            )),
        },
    }
}

/// The features asked for. What counts later periods too takes part only where it is named.
fn recipe_of(recipe: Option<Document>, target: &CubeTarget, basis: Basis) -> Result<FeatureRecipe> {
    let named = recipe.as_ref().is_some_and(|recipe| recipe.0.get("measures").is_some());
    let mut recipe: FeatureRecipe = match recipe {
        None => target.default_recipe(),
        Some(recipe) => serde_json::from_value(recipe.0)
            .map_err(|e| Error::invalid_parameter("recipe", "an object of the parts of a recipe of features", e))?,
    };
    if target.foresees() && !named {
        recipe.leave_out_looking_ahead(basis);
    }
    recipe.check()?;
    Ok(recipe)
}

/// The settings of the training. What lies in the future of the rows trained on must lie before those tested.
fn training_of(training: Option<Document>, target: &CubeTarget) -> Result<Training> {
    let given = training.map_or_else(|| json!({}), |training| training.0);
    let mut training = Training::from_json(given)?;
    if let Split::Time { gap, .. } = &mut training.split {
        *gap = (*gap).max(target.horizon());
    }
    training.check()?;
    Ok(training)
}

fn seconds(budget: Option<f64>) -> Result<Option<Duration>> {
    match budget {
        None => Ok(None),
        Some(seconds) if (0.0..=1e9).contains(&seconds) => Ok(Some(Duration::from_secs_f64(seconds))),
        Some(seconds) => Err(Error::invalid_parameter("time_budget", "a number of seconds", seconds)),
    }
}

/// The builds to train on.
fn with_one_basis(part: &Part, client_id: Option<i32>) -> Result<Vec<Build>> {
    let builds = builds(part, client_id)?;
    let Some(first) = builds.first() else {
        let (level, grain) = (part.level(), part.grain());
        return Err(Error::not_ready(format!("the cube has no part {level} x {grain}"))
            .hint(format!("Run SELECT * FROM empatia.build_cube('{level}', '{grain}').")));
    };
    match builds.iter().find(|build| build.basis != first.basis) {
        Some(other) => Err(Error::not_ready(format!(
            "clients {} and {} count assignments on different bases",
            first.client, other.client
        ))
        .hint("Run SELECT * FROM empatia.build_cube() for all clients, or train for one client.")),
        None => Ok(builds),
    }
}
