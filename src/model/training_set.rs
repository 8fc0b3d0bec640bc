//! The rows that a classifier of the cube is trained on, with their folds.

use empatia_engine::classifier::Training;
use empatia_engine::feature::{Target, TrainingRows, TrainingSet};
use empatia_engine::validate::{Folds, Refusal, Split};
use serde_json::{json, Value};

use super::cube_target::{Classes, Label};
use super::training_pass::{Collected, Ground, Parts};
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::Float8;
use crate::pg::read::query;

/// Up to so many rows each is kept by itself, with its student and period.
const SINGLE_ROWS: f64 = 100_000.0;
/// Up to so many rows the students behind merged rows are kept, for questions of fairness.
const STUDENT_ROWS: f64 = 500_000.0;

/// What is wanted of which rows.
pub(super) struct Wanted<'a> {
    pub ground: &'a Ground<'a>,
    pub training: &'a Training,
    /// Their names.
    pub classes: &'a [String],
    /// Most distinct rows.
    pub most: usize,
    pub client_id: Option<i32>,
}

/// Rows as they are trained on, and where they come from.
pub(super) struct Prepared {
    pub set: TrainingSet,
    pub features: Vec<String>,
    /// Where they were made before rows were merged.
    pub folds: Option<Folds>,
    /// Rows of the dense cube.
    pub rows: f64,
    pub students: usize,
    /// Places of the first and the last period.
    pub span: (usize, usize),
    /// What is said of it in the report.
    pub about: Value,
}

impl Wanted<'_> {
    /// None where there are too many rows.
    ///
    /// # Errors
    /// Those of reading; 55000 where no row takes part, or all are of one class.
    pub fn prepare(&self, classes: Classes) -> Result<Option<Prepared>> {
        match classes {
            Classes::Labels(labels, _reserved) => self.labelled(&labels),
            Classes::OfCube(target) => self.of_cube(target),
        }
    }

    fn empty(&self, students: bool) -> Result<Collected> {
        let ground = self.ground;
        let basis = ground.basis();
        let attributes = ground.attributes.attributes().columns();
        let rows = TrainingRows::new(ground.ctx, ground.recipe, basis, attributes, self.most, students)?;
        Collected::new(ground.ctx, rows)
    }

    fn two_classes(&self) -> Result<()> {
        match self.classes.len() {
            1 => Err(Error::from_engine(Refusal::OneClass { class: 0 }.into(), self.classes)),
            _ => Ok(()),
        }
    }

    fn labelled(&self, labels: &[Label]) -> Result<Option<Prepared>> {
        let mut found = self.empty(true)?;
        match self.ground.collect_labelled(labels, &mut found) {
            Err(_) if found.rows.is_full() => return Ok(None),
            outcome => outcome?,
        }
        let used = found.labels;
        if found.rows.is_empty() {
            let message = format!(
                "expected labels of rows of the cube, found {}: {} of nobody who is a member of the unit, {} of no period",
                labels.len(),
                used.without_member,
                used.without_period
            );
            return Err(Error::not_ready(message)
                .hint("A label names client, member, unit and the first day of a period of this level and grain."));
        }
        self.two_classes()?;
        let about = json!({
            "used": used.used, "without_member": used.without_member, "without_period": used.without_period, "repeated": used.repeated,
        });
        self.finish(found, None, json!({ "labels": about })).map(Some)
    }

    fn of_cube(&self, mut target: Target) -> Result<Option<Prepared>> {
        self.two_classes()?;
        let (mut parts, students, keep) = if self.are_few(&target)? {
            (Parts::Rows, None, true)
        } else {
            self.parts(&mut target)?
        };
        let mut found = self.empty(keep)?;
        found.students = students.unwrap_or_default();
        match self.ground.collect(&mut target, &mut parts, &mut found) {
            Err(_) if found.rows.is_full() => return Ok(None),
            outcome => outcome?,
        }
        self.finish(found, Some(&parts), json!({})).map(Some)
    }

    /// What tells merged rows apart, the students that were counted for it, and whether to keep who is behind the rows.
    fn parts(&self, target: &mut Target) -> Result<(Parts, Option<super::training_pass::Students>, bool)> {
        let folds = match self.training.split {
            Split::Stratified { folds } => {
                let next = Vec::new();
                return Ok((Parts::Dealt { folds, next }, None, false));
            }
            Split::Time { .. } => return Ok((Parts::Periods, None, false)),
            Split::Group { folds } => folds,
            // as many as make one of them the share that is held out
            Split::HoldOut { share } => (1.0 / share.min(1.0 - share)).round().clamp(2.0, 100.0) as usize,
        };
        let (census, students) = self.ground.census(target)?;
        let keep = !target.is_dense() && census.rows() <= STUDENT_ROWS;
        let folds = census
            .folds(
                folds,
                self.classes.len().max(2),
                self.training.min_rows,
                self.training.seed,
            )
            .map_err(|error| Error::from_engine(error, self.classes))?;
        Ok((Parts::Folds(folds), Some(students), keep))
    }

    /// Whether rows need not be merged.
    fn are_few(&self, target: &Target) -> Result<bool> {
        if target.is_dense() {
            return Ok(false);
        }
        let part = self.ground.part;
        let sql = format!(
            "SELECT coalesce(sum(b.stored_rows), 0)::float8 FROM {} b
             WHERE b.level = $1 AND b.grain = $2 AND ($3 IS NULL OR b.client_id = $3)",
            part.table("cube_build")
        );
        let mut stored = 0.0;
        query(
            &sql,
            &[part.level().into(), part.grain().into(), self.client_id.into()],
            &[Float8],
            |row| {
                stored = row.f64(0).unwrap_or(0.0);
                Ok(())
            },
        )?;
        Ok(stored * (1.0 + self.ground.recipe.history as f64) <= SINGLE_ROWS)
    }

    /// `parts` none: rows were not merged.
    fn finish(&self, found: Collected, parts: Option<&Parts>, mut about: Value) -> Result<Prepared> {
        let ground = self.ground;
        let Some(span) = found.span else {
            let (level, grain) = (ground.part.level(), ground.part.grain());
            return Err(Error::not_ready(format!("no row of {level} x {grain} takes part in the training")).hint(
                "A row takes part where its member was active in the window and all periods that the target looks at are within the \
                 range of the cube.",
            ));
        };
        let features = found.rows.names();
        let mut set = found.rows.finish(ground.ctx, self.classes.len().max(2))?;
        let mut folds = None;
        let numbers: Vec<u32> = set.parts.iter().map(|part| *part as u32).collect();
        match (parts, self.training.split) {
            (None | Some(Parts::Rows), _) => {
                set.labels = set.labels.with_groups(found.groups)?.with_periods(found.periods)?;
            }
            (Some(Parts::Periods), _) => {
                set.labels = set
                    .labels
                    .with_periods(numbers.iter().map(|period| *period as i32).collect())?;
            }
            (Some(_), Split::HoldOut { .. }) => {
                let groups = numbers.iter().map(|fold| u64::from(*fold)).collect();
                let labels = set.labels.clone().with_groups(groups)?;
                folds = Some(
                    self.training
                        .split
                        .folds(&labels, self.training.min_rows, self.training.seed)?,
                );
            }
            (Some(_), Split::Group { folds: k } | Split::Stratified { folds: k }) => {
                folds = Some(Folds::from_assignment(&numbers, k)?);
            }
            (Some(_), Split::Time { .. }) => return Err(Error::internal("rows split by time were merged by fold")),
        }
        if let Value::Object(about) = &mut about {
            about.insert("student_share".into(), json!(ground.share));
            about.insert(
                "looking_ahead".into(),
                json!(ground.recipe.looking_ahead(ground.basis())),
            );
            about.insert("merged".into(), json!(!matches!(parts, None | Some(Parts::Rows))));
        }
        Ok(Prepared {
            set,
            features,
            folds,
            rows: found.weight,
            students: found.students.len(),
            span,
            about,
        })
    }
}
