//! What gives a row of the cube its class.

use std::rc::Rc;

use empatia_engine::context::Context;
use empatia_engine::data::VectorSet;
use empatia_engine::segment::SegmentModel;

use crate::error::{Error, Result};

/// Segments as classes: the rank of the segment that a vector is in. Each distinct vector is computed once.
pub(super) struct Predictor {
    model: Rc<SegmentModel>,
    known: VectorSet,
    /// Per known vector.
    classes: Vec<i16>,
    /// The vector at hand, as the model takes it.
    values: Vec<f64>,
}

impl Predictor {
    /// # Errors
    /// As [`VectorSet::new`].
    pub fn new(context: &Context, model: Rc<SegmentModel>) -> Result<Self> {
        let width = model.recipe().n_features();
        Ok(Self {
            known: VectorSet::new(context, width)?,
            classes: Vec::new(),
            values: Vec::with_capacity(width),
            model,
        })
    }

    /// Class of a row with these features.
    ///
    /// # Errors
    /// 22003 for a number that the model cannot take.
    #[inline]
    pub fn class(&mut self, vector: &[i64]) -> Result<i16> {
        match self.known.insert(vector) {
            Ok(number) if number < self.classes.len() => Ok(self.classes[number]),
            Ok(_) => {
                let class = self.compute(vector)?;
                self.classes.push(class);
                Ok(class)
            }
            Err(_) => {
                // no room for more: it begins to learn anew
                self.known.clear();
                self.classes.clear();
                self.compute(vector)
            }
        }
    }

    #[cold]
    fn compute(&mut self, vector: &[i64]) -> Result<i16> {
        self.values.clear();
        self.values.extend(vector.iter().map(|value| *value as f64));
        let rank = self.model.assign(&self.values)?;
        rank_class(rank)
    }
}

/// A rank as the tables hold it.
pub(super) fn rank_class(rank: u32) -> Result<i16> {
    i16::try_from(rank).map_err(|_| Error::internal(format!("rank {rank} is too large")))
}
