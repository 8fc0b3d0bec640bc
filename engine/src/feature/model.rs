//! A classifier of the cube's rows: which features, and what it makes of them.

use serde::{Deserialize, Serialize};

use super::FeatureRecipe;
use crate::classifier::ClassifierModel;
use crate::codec::{self, Kind};
use crate::error::Result;

/// A classifier with the recipe of its features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CubeModel {
    pub recipe: FeatureRecipe,
    pub model: ClassifierModel,
}

impl CubeModel {
    /// Versioned, checksummed bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`](crate::error::EngineError::Codec).
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::CUBE_MODEL, self)?)
    }

    /// Decodes what [`CubeModel::encode`] wrote; everything in it is checked.
    ///
    /// # Errors
    /// [`EngineError::Codec`](crate::error::EngineError::Codec), those of [`FeatureRecipe::check`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let found: Self = codec::decode(Kind::CUBE_MODEL, bytes)?;
        found.recipe.check()?;
        Ok(found)
    }
}
