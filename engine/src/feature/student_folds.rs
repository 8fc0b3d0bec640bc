//! Which fold tests a student, decided before rows of several students are merged.

use std::collections::HashMap;

use crate::context::{Context, Reservation};
use crate::data::Labels;
use crate::error::Result;
use crate::validate::Split;

/// About what an entry of a table takes.
const ENTRY: usize = 48;

/// Rows (weight) of each student by class.
#[derive(Debug)]
pub struct Census {
    weights: HashMap<(u32, u32), f64>,
    students: u32,
    rows: f64,
    reserved: Reservation,
}

impl Census {
    /// # Errors
    /// None today; the signature leaves room for a first reservation.
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            weights: HashMap::new(),
            students: 0,
            rows: 0.0,
            reserved: ctx.reserve(0)?,
        })
    }

    /// Counts rows of a student; students are numbered from 0.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    pub fn add(&mut self, student: u32, class: u32, rows: f64) -> Result<()> {
        if rows <= 0.0 {
            return Ok(());
        }
        if self.weights.len() == self.weights.capacity() {
            self.reserved.grow(self.weights.capacity().max(1_024) * ENTRY)?;
        }
        *self.weights.entry((student, class)).or_default() += rows;
        self.students = self.students.max(student + 1);
        self.rows += rows;
        Ok(())
    }

    /// Rows of all students.
    pub fn rows(&self) -> f64 {
        self.rows
    }

    /// Number of students that have rows.
    pub fn students(&self) -> usize {
        let mut students: Vec<u32> = self.weights.keys().map(|(student, _)| *student).collect();
        students.sort_unstable();
        students.dedup();
        students.len()
    }

    /// Fold of each student, by number, balanced by rows and classes as [`Split::Group`] is; one without rows has fold 0.
    ///
    /// # Errors
    /// [`EngineError::Refusal`](crate::error::EngineError::Refusal) when the data do not suffice.
    pub fn folds(&self, folds: usize, n_classes: usize, min_rows: usize, seed: u64) -> Result<Vec<u32>> {
        let mut entries: Vec<((u32, u32), f64)> = self.weights.iter().map(|(key, rows)| (*key, *rows)).collect();
        // the order of a table in memory differs from run to run
        entries.sort_unstable_by_key(|(key, _)| *key);
        let classes = entries.iter().map(|((_, class), _)| *class).collect();
        let labels = Labels::new(classes, n_classes, entries.iter().map(|(_, rows)| *rows).collect())?;
        let labels = labels.with_groups(entries.iter().map(|((student, _), _)| u64::from(*student)).collect())?;
        let found = Split::Group { folds }.folds(&labels, min_rows, seed)?;
        let mut fold_of = vec![0; self.students as usize];
        for (fold, rows) in (0u32..).zip(found.iter()) {
            for row in &rows.test {
                fold_of[entries[*row as usize].0 .0 as usize] = fold;
            }
        }
        Ok(fold_of)
    }
}
