//! Whether some groups of students are found, or bothered, more than others.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::evaluation::Evaluation;
use crate::error::Result;
use crate::metrics::{wilson, Interval};
use crate::validate::Refusal;

/// A share with its 95 % Wilson interval, in which every student counts once: rows of one student are not independent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    pub value: f64,
    pub interval: Interval,
}

/// How the positive class is found in a group; a share of nothing is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupScores {
    pub group: String,
    pub students: usize,
    /// Weight of its rows.
    pub weight: f64,
    /// Weight of its rows that are positive.
    pub positive: f64,
    /// Positive rows called positive, as a share of the positive ones.
    pub recall: Option<Share>,
    /// Positive rows called positive, as a share of those called positive.
    pub precision: Option<Share>,
    /// Rows called positive, as a share of all.
    pub selection_rate: Option<Share>,
}

/// Weight of hits and of rows asked about, and the students among whom these are.
#[derive(Default)]
struct Tally {
    hits: f64,
    weight: f64,
    of_student: HashMap<u64, f64>,
}

impl Tally {
    fn add(&mut self, student: u64, weight: f64, hit: bool) {
        self.weight += weight;
        if hit {
            self.hits += weight;
        }
        *self.of_student.entry(student).or_default() += weight;
    }

    /// Kish's effective number of students: equal ones count one each, one that has nearly all the weight counts alone.
    fn students(&self) -> f64 {
        let squares: f64 = self.of_student.values().map(|weight| weight * weight).sum();
        if squares > 0.0 {
            self.weight * self.weight / squares
        } else {
            0.0
        }
    }

    fn share(&self) -> Result<Option<Share>> {
        if self.weight <= 0.0 {
            return Ok(None);
        }
        let value = (self.hits / self.weight).clamp(0.0, 1.0);
        let students = self.students();
        Ok(Some(Share {
            value,
            interval: wilson((value * students).min(students), students, 0.95)?,
        }))
    }
}

impl Evaluation {
    /// Recall, precision and selection rate of the positive class per group of students; students without a group are left out.
    ///
    /// # Errors
    /// [`EngineError::Refusal`](crate::error::EngineError::Refusal) where the students behind the rows were not kept.
    pub fn by_group(&self, group_of: &HashMap<u64, String>) -> Result<Vec<GroupScores>> {
        let (rows, students, weights) = self.students().ok_or(Refusal::Unknown { what: "student" })?;
        let decided = self.decided();
        let mut groups: BTreeMap<&str, [Tally; 3]> = BTreeMap::new();
        for ((row, student), weight) in rows.into_iter().zip(students).zip(weights) {
            let Some(group) = group_of.get(&student).filter(|_| weight > 0.0) else {
                continue;
            };
            let actual = self.out_of_fold.targets()[row] == self.positive;
            let called = decided[row] == self.positive;
            let [recall, precision, selection] = groups.entry(group).or_default();
            if actual {
                recall.add(student, weight, called);
            }
            if called {
                precision.add(student, weight, actual);
            }
            selection.add(student, weight, called);
        }
        let scores = |(group, [recall, precision, selection]): (&str, [Tally; 3])| {
            Ok(GroupScores {
                group: group.to_owned(),
                students: selection.of_student.len(),
                weight: selection.weight,
                positive: recall.weight,
                recall: recall.share()?,
                precision: precision.share()?,
                selection_rate: selection.share()?,
            })
        };
        groups.into_iter().map(scores).collect()
    }
}
