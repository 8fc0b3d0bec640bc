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
    /// A logistic regression.
    pub const LOGISTIC: Kind = Kind(*b"LOGI");
    /// A random forest.
    pub const FOREST: Kind = Kind(*b"FRST");
    /// Gradient boosted trees.
    pub const BOOSTING: Kind = Kind(*b"BOOS");
    /// A single classification tree.
    pub const TREE: Kind = Kind(*b"TREE");
    /// A classifier of the cube's rows, with the recipe of their features.
    pub const CUBE_MODEL: Kind = Kind(*b"CUBM");
    /// A classifier: recipe, one or more models, calibration, threshold.
    pub const CLASSIFIER: Kind = Kind(*b"CLSF");
    /// What a classifier predicts for rows that it has not seen.
    pub const EVALUATION: Kind = Kind(*b"EVAL");
    /// A model with its row of the registry.
    pub const PACKED: Kind = Kind(*b"PACK");
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
    ciborium::into_writer(value, &mut out).map_err(|e| CodecError::Payload { reason: e.to_string() })?;
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
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH)
        .map_err(|e| CodecError::Payload { reason: e.to_string() })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Old {
        a: f64,
        names: Vec<String>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New {
        a: f64,
        names: Vec<String>,
        #[serde(default)]
        added: Option<u32>,
    }

    const KIND: Kind = Kind(*b"TEST");

    fn sample() -> (Old, Vec<u8>) {
        let value = Old {
            a: 0.1,
            names: vec!["posts".into(), "ação".into()],
        };
        let bytes = encode(KIND, &value).unwrap();
        (value, bytes)
    }

    #[test]
    fn decode_gives_back_what_was_encoded_also_with_a_field_added_or_dropped_since() {
        let (value, bytes) = sample();
        assert_eq!(decode::<Old>(KIND, &bytes).unwrap(), value);
        let new: New = decode(KIND, &bytes).unwrap();
        assert_eq!((new.a, new.added), (0.1, None));
        let later = encode(
            KIND,
            &New {
                a: 2.0,
                names: vec![],
                added: Some(7),
            },
        )
        .unwrap();
        assert_eq!(decode::<Old>(KIND, &later).unwrap(), Old { a: 2.0, names: vec![] });
        assert_eq!(kind_of(&bytes).unwrap(), KIND);
    }

    #[test]
    fn envelope_is_the_documented_one() {
        let bytes = encode(KIND, &1u8).unwrap();
        // CRC-32 of 01 00 'T' 'E' 'S' 'T' 01 00*7 and the payload 01, computed with Python's zlib.crc32
        let crc = 0x3e04_fccau32.to_le_bytes();
        let expected = [&b"EMPA\x01\x00TEST\x01\0\0\0\0\0\0\0"[..], &crc, b"\x01"].concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn every_single_bit_flip_is_detected() {
        let (_, bytes) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Old>(KIND, &damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_and_a_tail_are_detected() {
        let (_, bytes) = sample();
        for length in 0..bytes.len() {
            let error = decode::<Old>(KIND, &bytes[..length]).unwrap_err();
            assert!(matches!(error, CodecError::Truncated { .. }), "{length}: {error}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(matches!(decode::<Old>(KIND, &longer), Err(CodecError::Trailing { .. })));
    }

    #[test]
    fn foreign_bytes_other_kinds_and_later_versions_are_told_apart() {
        let (_, bytes) = sample();
        assert!(matches!(
            decode::<Old>(KIND, b"PK\x03\x04 a spreadsheet"),
            Err(CodecError::Foreign { .. })
        ));
        let other = decode::<Old>(Kind(*b"TREE"), &bytes).unwrap_err();
        assert_eq!(other.to_string(), "expected a value of kind TREE, found TEST");
        let mut later = bytes.clone();
        later[4] = 2;
        assert!(matches!(
            decode::<Old>(KIND, &later),
            Err(CodecError::Version { supported: 1, found: 2 })
        ));
    }

    /// An envelope around any payload, with a right checksum.
    fn sealed(payload: &[u8]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &FORMAT_VERSION.to_le_bytes(), &KIND.0].concat();
        bytes.extend((payload.len() as u64).to_le_bytes());
        let sum = checksum(&bytes[4..18], payload);
        bytes.extend(sum.to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn hostile_payloads_neither_allocate_nor_overflow_the_stack() {
        // an array and a text announced with 2^60 elements, and nesting a million deep
        let huge_array = b"\x9b\x10\0\0\0\0\0\0\0\x01".to_vec();
        let huge_text = b"\x7b\x10\0\0\0\0\0\0\0a".to_vec();
        let deep = vec![0x81; 1_000_000];
        for payload in [huge_array, huge_text, deep, Vec::new()] {
            let error = decode::<Vec<f64>>(KIND, &sealed(&payload)).unwrap_err();
            assert!(matches!(error, CodecError::Payload { .. }), "{error}");
            assert!(decode::<String>(KIND, &sealed(&payload)).is_err());
        }
    }

    #[test]
    fn bytes_after_the_value_are_an_error() {
        assert!(matches!(
            decode::<u8>(KIND, &sealed(b"\x01\x01")),
            Err(CodecError::Payload { .. })
        ));
    }
}
