//! Model bytes: versioned, checksummed, self-describing.
//!
//! Layout, integers little-endian:
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 4 | magic `EMPA` |
//! | 4 | 2 | format version, [`FORMAT_VERSION`] |
//! | 6 | 4 | kind tag: what the payload is, e.g. `SEGM` |
//! | 10 | 8 | payload length in bytes |
//! | 18 | 4 | CRC-32 (IEEE) of bytes 4..18 and the payload |
//! | 22 | n | payload: CBOR (RFC 8949), structs as maps by field name, so that a later version can add fields |
//!
//! Decoding never panics and never allocates more than a small multiple of the input: foreign, truncated or
//! corrupted bytes are a [`CodecError`]. CRC-32 detects accidents, not tampering.

use serde::{de::DeserializeOwned, Serialize};

/// Version of the envelope and of the payloads inside it.
pub const FORMAT_VERSION: u16 = 1;

/// First bytes of everything this codec writes.
pub const MAGIC: [u8; 4] = *b"EMPA";

/// Largest payload accepted, in bytes: what a Postgres `bytea` can hold.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// Nesting of the payload beyond which decoding gives up; real models need less than ten levels.
const MAX_DEPTH: usize = 64;

const HEADER: usize = 22;

/// What the bytes hold: four ASCII letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub [u8; 4]);

impl Kind {
    /// A segment model.
    pub const SEGMENT: Kind = Kind(*b"SEGM");
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

/// Why bytes could not be decoded, or a value not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Not written by this codec.
    #[error("not a model of this extension: expected magic EMPA, found {found}")]
    Foreign { found: String },
    /// Fewer bytes than announced.
    #[error("model bytes are truncated: expected {expected} bytes, found {found}")]
    Truncated { expected: u64, found: u64 },
    /// More bytes than announced.
    #[error("model bytes have a tail: expected {expected} bytes, found {found}")]
    Trailing { expected: u64, found: u64 },
    /// Written by a version that this one does not know.
    #[error("model format version must be between 1 and {supported}, not {found}")]
    Version { supported: u16, found: u16 },
    /// Another kind of value.
    #[error("expected a value of kind {expected}, found {found}")]
    KindMismatch { expected: Kind, found: Kind },
    /// The checksum does not match: the bytes were damaged.
    #[error("model bytes are corrupted: checksum is {found:08x}, expected {expected:08x}")]
    Checksum { expected: u32, found: u32 },
    /// The payload exceeds [`MAX_PAYLOAD`].
    #[error("model payload must be at most {limit} bytes, not {found}")]
    TooLarge { limit: u64, found: u64 },
    /// The checksum matches, but the payload is not the expected structure.
    #[error("model payload is not valid: {reason}")]
    Payload { reason: String },
}

/// Encodes `value` as bytes of kind `kind`.
///
/// # Errors
/// [`CodecError::Payload`] when the value's `Serialize` fails, [`CodecError::TooLarge`] beyond [`MAX_PAYLOAD`].
pub fn encode<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![0u8; HEADER];
    ciborium::into_writer(value, &mut out).map_err(|e| CodecError::Payload {
        reason: e.to_string(),
    })?;
    let payload = out.len() - HEADER;
    if payload > MAX_PAYLOAD {
        return Err(CodecError::TooLarge {
            limit: MAX_PAYLOAD as u64,
            found: payload as u64,
        });
    }
    out[0..4].copy_from_slice(&MAGIC);
    out[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    out[6..10].copy_from_slice(&kind.0);
    out[10..18].copy_from_slice(&(payload as u64).to_le_bytes());
    let sum = checksum(&out[4..18], &out[HEADER..]);
    out[18..22].copy_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// Decodes bytes written by [`encode`] with the same `kind`.
///
/// # Errors
/// One of [`CodecError`]'s variants; never panics, whatever the bytes.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, CodecError> {
    let payload = open(kind, bytes)?;
    let mut rest = payload;
    let value =
        ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH).map_err(|e| {
            CodecError::Payload {
                reason: e.to_string(),
            }
        })?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(CodecError::Payload {
            reason: format!("{} bytes after the value", rest.len()),
        })
    }
}

/// The kind of encoded bytes, after checking everything but the payload's structure.
///
/// # Errors
/// As [`decode`].
pub fn kind_of(bytes: &[u8]) -> Result<Kind, CodecError> {
    let kind = Kind(header_field(bytes, 6)?);
    open(kind, bytes).map(|_| kind)
}

/// Checks the envelope and returns the payload.
fn open(kind: Kind, bytes: &[u8]) -> Result<&[u8], CodecError> {
    let magic: [u8; 4] = match bytes.get(..4).and_then(|b| b.try_into().ok()) {
        Some(magic) => magic,
        None if MAGIC.starts_with(bytes) => {
            return Err(CodecError::Truncated {
                expected: HEADER as u64,
                found: bytes.len() as u64,
            })
        }
        None => {
            return Err(CodecError::Foreign {
                found: bytes.escape_ascii().to_string(),
            })
        }
    };
    if magic != MAGIC {
        return Err(CodecError::Foreign {
            found: magic.escape_ascii().to_string(),
        });
    }
    // The version decides how the rest is read, so it is looked at first.
    let version = u16::from_le_bytes(header_field(bytes, 4)?);
    if version == 0 || version > FORMAT_VERSION {
        return Err(CodecError::Version {
            supported: FORMAT_VERSION,
            found: version,
        });
    }
    let found_kind = Kind(header_field(bytes, 6)?);
    let length = u64::from_le_bytes(header_field(bytes, 10)?);
    let expected = u32::from_le_bytes(header_field(bytes, 18)?);
    if length > MAX_PAYLOAD as u64 {
        return Err(CodecError::TooLarge {
            limit: MAX_PAYLOAD as u64,
            found: length,
        });
    }
    let (announced, present) = (HEADER as u64 + length, bytes.len() as u64);
    if present < announced {
        return Err(CodecError::Truncated {
            expected: announced,
            found: present,
        });
    }
    if present > announced {
        return Err(CodecError::Trailing {
            expected: announced,
            found: present,
        });
    }
    let (head, payload) = bytes.split_at(HEADER);
    let found = checksum(&head[4..18], payload);
    if found != expected {
        return Err(CodecError::Checksum { expected, found });
    }
    if found_kind != kind {
        return Err(CodecError::KindMismatch {
            expected: kind,
            found: found_kind,
        });
    }
    Ok(payload)
}

fn header_field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], CodecError> {
    bytes
        .get(at..at + N)
        .and_then(|b| b.try_into().ok())
        .ok_or(CodecError::Truncated {
            expected: HEADER as u64,
            found: bytes.len() as u64,
        })
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}
