//! What decoding a file will take in memory, counted before anything is decoded.
//!
//! In Protocol Buffers a byte of input can become hundreds in memory (an empty message is two bytes, its struct is not),
//! so the size of the file is no bound. This pass reads the structure, keeps nothing, and adds up what will be kept.

use std::mem::size_of;

use prost::bytes::Bytes;

use super::error::OnnxError;
use super::message::{
    Attribute, Dimension, Entry, Graph, Node, OperatorSet, Shape, Tensor, TensorType, Type, ValueInfo,
};

/// The messages that are read.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Entry,
    OperatorSet,
}

/// What a field holds.
enum Field {
    Message(Kind, usize),
    /// Text or bytes.
    Text,
    /// Integers, each of this size in memory.
    Integers(usize),
    /// Numbers that are as long in memory as in the file.
    Fixed,
    /// Skipped.
    Unknown,
}

fn field(kind: Kind, number: u64) -> Field {
    use Field::{Fixed, Integers, Message, Text, Unknown};
    match (kind, number) {
        (Kind::Model, 7) => Message(Kind::Graph, size_of::<Graph>()),
        (Kind::Model, 8) => Message(Kind::OperatorSet, size_of::<OperatorSet>()),
        (Kind::Model, 14) => Message(Kind::Entry, size_of::<Entry>()),
        (Kind::Graph, 1) => Message(Kind::Node, size_of::<Node>()),
        (Kind::Graph, 5) | (Kind::Attribute, 5) => Message(Kind::Tensor, size_of::<Tensor>()),
        (Kind::Graph, 11 | 12) => Message(Kind::ValueInfo, size_of::<ValueInfo>()),
        (Kind::Node, 5) => Message(Kind::Attribute, size_of::<Attribute>()),
        (Kind::ValueInfo, 2) => Message(Kind::Type, size_of::<Type>()),
        (Kind::Type, 1) => Message(Kind::TensorType, size_of::<TensorType>()),
        (Kind::TensorType, 2) => Message(Kind::Shape, size_of::<Shape>()),
        (Kind::Shape, 1) => Message(Kind::Dimension, size_of::<Dimension>()),
        (Kind::Attribute, 7) | (Kind::Tensor, 4) | (Kind::Tensor, 10) => Fixed,
        (Kind::Attribute, 3 | 8 | 20) | (Kind::Tensor, 1 | 2 | 7) => Integers(8),
        (Kind::Model, 2 | 3 | 6) | (Kind::Graph, 2) | (Kind::Node, 1 | 2 | 3 | 4 | 7) => Text,
        (Kind::Attribute, 1 | 4 | 9) | (Kind::Tensor, 8 | 9) | (Kind::ValueInfo, 1) => Text,
        (Kind::Entry, 1 | 2) | (Kind::OperatorSet, 1) | (Kind::Dimension, 2) => Text,
        _ => Unknown,
    }
}

/// Bytes of memory that the decoded file takes, at most.
///
/// # Errors
/// [`OnnxError::Damaged`] for what is no Protocol Buffers message.
pub(super) fn memory(bytes: &[u8]) -> Result<usize, OnnxError> {
    // A list doubles while it grows, and for a moment there are two of it.
    Ok(message(Kind::Model, bytes)?.saturating_mul(3))
}

/// Recursion ends because the messages that are read do not contain themselves.
fn message(kind: Kind, mut rest: &[u8]) -> Result<usize, OnnxError> {
    let mut total = 0usize;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let mut add = |bytes: usize| total = total.saturating_add(bytes);
        let of = field(kind, key >> 3);
        match key & 7 {
            0 => {
                varint(&mut rest)?;
                add(size_of::<u64>());
            }
            1 => add(take(&mut rest, 8)?.len()),
            5 => add(take(&mut rest, 4)?.len()),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| OnnxError::truncated())?;
                let content = take(&mut rest, length)?;
                match of {
                    Field::Message(kind, size) => add(size.saturating_add(message(kind, content)?)),
                    Field::Text => add(size_of::<Bytes>() + content.len()),
                    Field::Integers(size) => {
                        add(content.iter().filter(|byte| **byte < 0x80).count().saturating_mul(size))
                    }
                    Field::Fixed => add(content.len()),
                    Field::Unknown => {}
                }
            }
            other => return Err(OnnxError::damaged(format!("wire type {other} is none of this format"))),
        }
    }
    Ok(total)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], OnnxError> {
    let (taken, after) = rest.split_at_checked(count).ok_or_else(OnnxError::truncated)?;
    *rest = after;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, OnnxError> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(OnnxError::damaged("a number of more than ten bytes"))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::message::Model;
    use super::*;

    #[test]
    fn empty_messages_are_counted_at_their_size_in_memory_not_in_the_file() {
        let graph = Graph {
            node: vec![Node::default(); 1000],
            ..Graph::default()
        };
        let model = Model {
            graph: Some(graph),
            ..Model::default()
        };
        let bytes = model.encode_to_vec();
        assert!(bytes.len() < 2100, "{}", bytes.len());
        assert!(memory(&bytes).unwrap() >= 1000 * size_of::<Node>());
    }

    #[test]
    fn small_integers_are_counted_one_by_one() {
        let attribute = Attribute {
            ints: vec![1; 5000],
            ..Attribute::default()
        };
        let node = Node {
            attribute: vec![attribute],
            ..Node::default()
        };
        let graph = Graph {
            node: vec![node],
            ..Graph::default()
        };
        let model = Model {
            graph: Some(graph),
            ..Model::default()
        };
        assert!(memory(&model.encode_to_vec()).unwrap() >= 5000 * 8);
    }

    #[test]
    fn what_ends_too_early_or_never_is_an_error() {
        for bytes in [&[0x3a, 0x05, 0x00][..], &[0xff; 11], &[0x3b], &[0x09, 1, 2]] {
            assert!(matches!(memory(bytes), Err(OnnxError::Damaged { .. })), "{bytes:?}");
        }
        assert_eq!(memory(&[]).unwrap(), 0);
    }
}
