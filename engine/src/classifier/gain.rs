//! Whether a classifier is worth putting in the place of another, where their rows are not the same one by one.
//!
//! Two recipes make different distinct rows of the same students' rows, so that evaluations cannot be compared row by row; student
//! by student they can, as long as both have the same weight of each class for each of them.

use std::collections::BTreeMap;

use super::evaluation::Evaluation;
use crate::context::Context;
use crate::error::Result;
use crate::metrics::{mean_difference, Estimate};

/// Weights are stored as f32; sums of them are compared to this share.
const EQUAL: f64 = 1e-4;

/// A student's rows, or a single row where it is not known whose rows are which.
struct Student {
    /// Weight of each class.
    classes: Vec<f64>,
    /// Sum of weight times log-loss.
    loss: f64,
}

impl Student {
    fn weight(&self) -> f64 {
        self.classes.iter().sum()
    }

    fn has_rows_of(&self, other: &Student) -> bool {
        let pairs = self.classes.iter().zip(&other.classes);
        pairs
            .into_iter()
            .all(|(own, theirs)| (own - theirs).abs() <= EQUAL * own.max(*theirs))
    }
}

impl Evaluation {
    /// How much lower the mean log-loss is than that of `other`; with none, than that of always saying the classes' shares. The
    /// standard error takes the rows of a student together, since they are not independent.
    ///
    /// Where it is not known whose rows are which (too many to keep), rows are compared one by one.
    ///
    /// `None` where the two cannot be compared: other classes, other students, other rows of a student, or fewer than two students.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory),
    /// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
    pub fn gain_over(&self, ctx: &Context, other: Option<&Evaluation>) -> Result<Option<Estimate>> {
        let own = self.by_student(ctx, &self.log_losses()?)?;
        let theirs = match other {
            Some(other) if other.classes() != self.classes() => return Ok(None),
            Some(other) => other.by_student(ctx, &other.log_losses()?)?,
            None => self.by_student(ctx, &self.losses_of_shares())?,
        };
        if theirs.len() != own.len() {
            return Ok(None);
        }
        let same = |(id, student): (&u64, &Student)| theirs.get(id).is_some_and(|other| student.has_rows_of(other));
        if !own.iter().all(same) {
            return Ok(None);
        }
        let with_weight = || {
            own.iter()
                .zip(theirs.values())
                .filter(|((_, own), _)| own.weight() > 0.0)
        };
        let weights: Vec<f64> = with_weight().map(|((_, own), _)| own.weight()).collect();
        let means = |loss: &dyn Fn(&Student, &Student) -> f64| -> Vec<f64> {
            with_weight().map(|((_, own), theirs)| loss(own, theirs)).collect()
        };
        let before = means(&|_, theirs| theirs.loss / theirs.weight());
        let now = means(&|own, _| own.loss / own.weight());
        mean_difference(&before, &now, &weights, None, 0.95)
    }

    fn log_losses(&self) -> Result<Vec<f64>> {
        Ok(self.out_of_fold().predictions()?.log_losses())
    }

    /// Log-loss of each row where the shares of the classes are always said.
    fn losses_of_shares(&self) -> Vec<f64> {
        let found = self.out_of_fold();
        let mut shares = vec![0.0; self.classes().len()];
        let rows = || found.targets().iter().zip(found.weights());
        rows().for_each(|(class, weight)| shares[*class as usize] += weight);
        let total: f64 = shares.iter().sum();
        rows()
            .map(|(class, _)| -(shares[*class as usize] / total).max(f64::MIN_POSITIVE).ln())
            .collect()
    }

    /// The rows student by student, or row by row. `losses`: one per row.
    fn by_student(&self, ctx: &Context, losses: &[f64]) -> Result<BTreeMap<u64, Student>> {
        let (rows, students, weights) = self.students().unwrap_or_else(|| {
            let found = self.out_of_fold();
            let numbers = found.rows().iter().map(|row| u64::from(*row)).collect();
            ((0..found.n_rows()).collect(), numbers, found.weights().to_vec())
        });
        let k = self.classes().len();
        let _memory = ctx.reserve_for::<f64>(students.len().saturating_mul(k + 6))?;
        let mut found: BTreeMap<u64, Student> = BTreeMap::new();
        for ((row, student), weight) in rows.into_iter().zip(students).zip(weights) {
            let student = found.entry(student).or_insert_with(|| Student {
                classes: vec![0.0; k],
                loss: 0.0,
            });
            student.classes[self.out_of_fold().targets()[row] as usize] += weight;
            student.loss += weight * losses[row];
        }
        ctx.check()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluation::Pair;
    use super::*;
    use crate::validate::OutOfFold;

    fn ctx() -> Context {
        Context::builder().build().unwrap()
    }

    /// Rows of two classes with the probability of the second.
    fn evaluation(p: &[f64], targets: &[u32], students: &[u64]) -> Evaluation {
        let probabilities = p.iter().flat_map(|p| [1.0 - p, *p]).collect();
        let found = OutOfFold::new(2, probabilities, targets.to_vec(), vec![1.0; p.len()], vec![0; p.len()]).unwrap();
        let pairs = students.iter().zip(0..).map(|(student, row)| Pair {
            student: *student,
            row,
            weight: 1.0,
        });
        let classes = vec!["a".to_owned(), "b".to_owned()];
        Evaluation::new(classes, 1, None, found)
            .unwrap()
            .with_pairs(pairs.collect())
            .unwrap()
    }

    #[test]
    fn gain_over_the_shares_is_their_entropy_less_the_log_loss() {
        let own = evaluation(&[0.8, 0.4, 0.1, 0.3], &[1, 1, 0, 0], &[1, 2, 3, 4]);
        let gain = own.gain_over(&ctx(), None).unwrap().unwrap();
        let loss = -(0.8f64.ln() + 0.4f64.ln() + 0.9f64.ln() + 0.7f64.ln()) / 4.0;
        assert!((gain.value - (2f64.ln() - loss)).abs() < 1e-12, "{gain:?}");
    }

    #[test]
    fn rows_in_another_order_are_the_same_rows_and_each_model_against_itself_gains_nothing() {
        let own = evaluation(&[0.8, 0.4, 0.1, 0.3], &[1, 1, 0, 0], &[1, 2, 3, 3]);
        let turned = evaluation(&[0.3, 0.1, 0.4, 0.8], &[0, 0, 1, 1], &[3, 3, 2, 1]);
        let gain = own.gain_over(&ctx(), Some(&turned)).unwrap().unwrap();
        assert!(gain.value.abs() < 1e-15 && gain.standard_error < 1e-15, "{gain:?}");
    }

    #[test]
    fn other_students_or_other_classes_of_a_student_are_not_compared() {
        let own = evaluation(&[0.8, 0.4, 0.1], &[1, 1, 0], &[1, 2, 3]);
        let others = evaluation(&[0.8, 0.4, 0.1], &[1, 1, 0], &[1, 2, 4]);
        let changed = evaluation(&[0.8, 0.4, 0.1], &[1, 0, 0], &[1, 2, 3]);
        let more = evaluation(&[0.8, 0.4, 0.1, 0.1], &[1, 1, 0, 0], &[1, 2, 3, 3]);
        for other in [others, changed, more] {
            assert!(own.gain_over(&ctx(), Some(&other)).unwrap().is_none());
        }
    }
}
