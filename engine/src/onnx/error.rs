//! Why a file cannot be read, or a classifier not be written.

/// What can go wrong between a classifier and an ONNX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// Not ONNX, or cut off, or contradicting itself.
    #[error("not a readable ONNX file: {reason}")]
    Damaged { reason: String },
    /// ONNX, but of something that this extension does not compute.
    #[error("the ONNX file cannot become a classifier: {reason}")]
    Unsupported { reason: String },
    /// Our own, of a classifier that is calibrated.
    #[error(
        "the ONNX file cannot become a classifier: it was exported here from a calibrated one, and of its operators the calibration cannot be told"
    )]
    Calibrated,
    /// A classifier for whose parts ONNX has no equal.
    #[error("the classifier cannot be written as ONNX: {reason}")]
    Inexpressible { reason: String },
}

impl OnnxError {
    pub(super) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into() }
    }

    pub(super) fn truncated() -> Self {
        Self::damaged("it ends before its end")
    }

    pub(super) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported { reason: reason.into() }
    }

    pub(super) fn inexpressible(reason: impl Into<String>) -> Self {
        Self::Inexpressible { reason: reason.into() }
    }
}
