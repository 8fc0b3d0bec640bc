//! The rows that a classifier is trained on, alike ones merged.

use std::collections::HashMap;

use super::{Attribute, Basis, FeatureRecipe, FeatureVectors};
use crate::classifier::Pair;
use crate::context::{Context, Reservation};
use crate::data::{Labels, Table};
use crate::error::{EngineError, Result};

/// About what a row takes besides its vector.
const ROW: usize = 72;
/// The table that is made, and what learning copies of it, besides the vectors themselves.
const COPIES: usize = 2;

/// Rows by vector, class and what else tells them apart: the fold that tests them, their period, or their student.
#[derive(Debug)]
pub struct TrainingRows {
    vectors: FeatureVectors,
    known: HashMap<(u32, u32, u64), u32>,
    rows: Vec<(u32, u32, u64)>,
    weights: Vec<f64>,
    pairs: Option<Vec<Pair>>,
    /// Most rows; beyond it there are too many.
    most: usize,
    reserved: Reservation,
}

/// What [`TrainingRows`] become.
#[derive(Debug)]
pub struct TrainingSet {
    pub table: Table,
    /// Without groups and periods.
    pub labels: Labels,
    /// What tells each row apart besides vector and class.
    pub parts: Vec<u64>,
    /// Students behind each row, where they were kept.
    pub pairs: Option<Vec<Pair>>,
    /// Of vectors, classes and weights.
    pub fingerprint: u64,
    _reserved: Reservation,
}

impl TrainingRows {
    /// At most `most` rows; `students`: whether to keep which student each is of.
    ///
    /// # Errors
    /// [`EngineError::Memory`].
    pub fn new(
        ctx: &Context,
        recipe: &FeatureRecipe,
        basis: Basis,
        attributes: &[Attribute],
        most: usize,
        students: bool,
    ) -> Result<Self> {
        Ok(Self {
            vectors: FeatureVectors::new(ctx, recipe, basis, attributes)?,
            known: HashMap::new(),
            rows: Vec::new(),
            weights: Vec::new(),
            pairs: students.then(Vec::new),
            most,
            reserved: ctx.reserve(0)?,
        })
    }

    /// Names of the features.
    pub fn names(&self) -> Vec<String> {
        self.vectors.names().map(String::from).collect()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether one more might be too many.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.most
    }

    /// Adds `weight` rows; `part`: what else tells them apart; `student`: by the key that evaluations know, kept if asked for.
    ///
    /// # Errors
    /// [`EngineError::Memory`]; [`EngineError::Limit`] beyond the most rows.
    pub fn add(&mut self, vector: &[f64], class: u32, part: u64, weight: f64, student: Option<u64>) -> Result<()> {
        let number = self.vectors.insert(vector)? as u32;
        let key = (number, class, part);
        let next = self.rows.len() as u32;
        let row = match self.known.get(&key) {
            Some(row) => *row,
            None => {
                if self.is_full() {
                    return Err(EngineError::Limit {
                        algorithm: "training",
                        what: "distinct rows",
                        limit: self.most,
                        found: self.most + 1,
                    });
                }
                self.reserved.grow(ROW + COPIES * size_of::<f64>() * vector.len())?;
                self.known.insert(key, next);
                self.rows.push(key);
                self.weights.push(0.0);
                next
            }
        };
        self.weights[row as usize] += weight;
        if let (Some(pairs), Some(student)) = (&mut self.pairs, student) {
            if pairs.len() == pairs.capacity() {
                self.reserved.grow(pairs.capacity().max(1_024) * size_of::<Pair>())?;
            }
            pairs.push(Pair {
                student,
                row,
                weight: weight as f32,
            });
        }
        Ok(())
    }

    /// The rows as training takes them, classes among `n_classes`.
    ///
    /// # Errors
    /// [`EngineError::EmptyInput`] without rows, those of [`Table::new`] and [`Labels::new`].
    pub fn finish(self, ctx: &Context, n_classes: usize) -> Result<TrainingSet> {
        if self.rows.is_empty() {
            return Err(EngineError::EmptyInput { what: "training set" });
        }
        let table = self.vectors.table(0, self.vectors.len())?;
        ctx.check()?;
        let numbers: Vec<u32> = self.rows.iter().map(|(vector, _, _)| *vector).collect();
        // where each vector is of one row only the table is what is wanted
        let table = match numbers.iter().zip(0..).all(|(number, row)| *number == row) && numbers.len() == table.n_rows()
        {
            true => table,
            false => table.select(ctx, &numbers)?,
        };
        let fingerprint = self.fingerprint();
        let classes = self.rows.iter().map(|(_, class, _)| *class).collect();
        Ok(TrainingSet {
            table,
            labels: Labels::new(classes, n_classes, self.weights)?,
            parts: self.rows.iter().map(|(_, _, part)| *part).collect(),
            pairs: self.pairs,
            fingerprint,
            _reserved: self.reserved,
        })
    }

    /// Equal rows, equal number: in whatever order they came, and however they were merged.
    fn fingerprint(&self) -> u64 {
        let of_row = |((vector, class, _), weight): (&(u32, u32, u64), &f64)| {
            let hash = self.vectors.stable_hash(*vector as usize) as u64;
            let class = u64::from(*class).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (hash ^ class.rotate_left(29)).wrapping_mul(*weight as u64)
        };
        self.rows
            .iter()
            .zip(&self.weights)
            .map(of_row)
            .fold(0, u64::wrapping_add)
    }
}
