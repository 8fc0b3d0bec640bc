//! A model on its way from one registry to another.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Kind};
use crate::error::Result;

/// What leaves a registry: its row, the model's bytes and those of its evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedModel {
    /// The row but for the bytes, as JSON text.
    pub registry: String,
    #[serde(with = "serde_bytes")]
    pub encoded: Vec<u8>,
    #[serde(default, with = "serde_bytes")]
    pub evaluation: Option<Vec<u8>>,
}

impl PackedModel {
    /// Versioned, checksummed bytes.
    ///
    /// # Errors
    /// [`EngineError::Codec`](crate::error::EngineError::Codec).
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(codec::encode(Kind::PACKED, self)?)
    }

    /// What [`PackedModel::encode`] wrote; the bytes inside are not looked at.
    ///
    /// # Errors
    /// [`EngineError::Codec`](crate::error::EngineError::Codec).
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(codec::decode(Kind::PACKED, bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_comes_back_as_it_was_at_about_its_size() {
        let packed = PackedModel {
            registry: "{\"level\":\"SPA\"}".into(),
            encoded: vec![255; 1000],
            evaluation: None,
        };
        let bytes = packed.encode().unwrap();
        assert_eq!(PackedModel::decode(&bytes).unwrap(), packed);
        assert!(bytes.len() < 1200, "{}", bytes.len());
        assert!(PackedModel::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
