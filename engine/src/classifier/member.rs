//! A model of a classifier with the recipe that its columns come from.

use serde::{Deserialize, Serialize};

use super::fitted::Fitted;
use crate::data::{labels, FittedPreparation};
use crate::error::{EngineError, Result};
use crate::validate::Prepared;

/// Recipe and model; the recipe makes as many columns as the model takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Member {
    preparation: FittedPreparation,
    model: Fitted,
}

/// What was stored, before it is trusted.
#[derive(Deserialize)]
struct Stored {
    preparation: FittedPreparation,
    model: Fitted,
}

impl TryFrom<Stored> for Member {
    type Error = EngineError;

    fn try_from(s: Stored) -> Result<Self> {
        Self::new(s.preparation, s.model)
    }
}

impl From<Prepared<Fitted>> for Member {
    fn from(prepared: Prepared<Fitted>) -> Self {
        Self {
            preparation: prepared.preparation,
            model: prepared.model,
        }
    }
}

impl Member {
    /// Takes recipe and model.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] when the recipe makes another number of columns than the model takes.
    pub fn new(preparation: FittedPreparation, model: Fitted) -> Result<Self> {
        labels::same("features", model.n_features(), preparation.width())?;
        Ok(Self { preparation, model })
    }

    /// The recipe.
    pub fn preparation(&self) -> &FittedPreparation {
        &self.preparation
    }

    /// The model.
    pub fn model(&self) -> &Fitted {
        &self.model
    }
}
