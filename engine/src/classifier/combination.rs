//! How the members of a classifier become one.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::data::labels;
use crate::ensemble::{Stack, Vote};
use crate::error::Result;

/// One member alone, a weighted mean of probabilities, or a regression over the members' log-odds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combination {
    Single,
    Vote(Vote),
    Stack(Stack),
}

impl Combination {
    /// How many members it takes.
    pub(super) fn n_members(&self) -> usize {
        match self {
            Self::Single => 1,
            Self::Vote(vote) => vote.weights().len(),
            Self::Stack(stack) => stack.n_members(),
        }
    }

    /// Checks that it takes so many members, of so many classes.
    ///
    /// # Errors
    /// [`EngineError::Dimension`](crate::error::EngineError::Dimension).
    pub(super) fn check(&self, members: usize, n_classes: usize) -> Result<()> {
        labels::same("members of the ensemble", self.n_members(), members)?;
        match self {
            Self::Stack(stack) => labels::same("classes", n_classes, stack.model().classes().len()),
            _ => Ok(()),
        }
    }

    /// Probabilities from those of the members (each row-major, n x classes).
    ///
    /// # Errors
    /// [`EngineError::Dimension`](crate::error::EngineError::Dimension),
    /// [`EngineError::Memory`](crate::error::EngineError::Memory),
    /// [`EngineError::Cancelled`](crate::error::EngineError::Cancelled).
    pub(super) fn combine(&self, ctx: &Context, mut members: Vec<Vec<f64>>) -> Result<Vec<f64>> {
        let slices = |members: &[Vec<f64>]| -> Result<Vec<f64>> {
            let members: Vec<&[f64]> = members.iter().map(Vec::as_slice).collect();
            match self {
                Self::Stack(stack) => stack.combine(ctx, &members),
                Self::Vote(vote) => vote.combine(&members),
                Self::Single => Ok(Vec::new()),
            }
        };
        match (self, members.len()) {
            (Self::Single, 1) => Ok(members.remove(0)),
            (Self::Single, found) => labels::same("members of the ensemble", 1, found).map(|()| Vec::new()),
            _ => slices(&members),
        }
    }
}
