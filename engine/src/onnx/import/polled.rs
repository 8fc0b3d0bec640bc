//! The bytes of a file on their way into the decoder, which knows no cancel flag: once it is raised, the file ends.

use prost::bytes::{Buf, Bytes};

use crate::context::Context;

/// Bytes between two looks at the cancel flag: some tenths of a millisecond's decoding.
const CHECK_BYTES: usize = 1 << 16;

/// A file that ends early when its reading is cancelled; the decoder then fails.
pub(super) struct Polled<'a> {
    bytes: Bytes,
    ctx: &'a Context,
    since: usize,
    ended: bool,
}

impl<'a> Polled<'a> {
    pub(super) fn new(bytes: Bytes, ctx: &'a Context) -> Self {
        Self {
            bytes,
            ctx,
            since: 0,
            ended: false,
        }
    }

    fn count(&mut self, bytes: usize) {
        self.since += bytes;
        if self.since >= CHECK_BYTES {
            self.since = 0;
            self.ended |= self.ctx.check().is_err();
        }
    }
}

impl Buf for Polled<'_> {
    fn remaining(&self) -> usize {
        if self.ended {
            0
        } else {
            self.bytes.remaining()
        }
    }

    fn chunk(&self) -> &[u8] {
        if self.ended {
            &[]
        } else {
            self.bytes.chunk()
        }
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.count(count);
    }

    /// Shares them, as without this.
    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        let copied = self.bytes.copy_to_bytes(count);
        self.count(count);
        copied
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use prost::Message;

    use super::*;
    use crate::onnx::message::{Attribute, Graph, Model, Node};

    fn file() -> Model {
        let attribute = Attribute {
            ints: (0..100_000).collect(),
            strings: vec![Bytes::from_static(b"LEAF"); 50_000],
            ..Attribute::default()
        };
        let node = Node {
            attribute: vec![attribute],
            ..Node::default()
        };
        let graph = Graph {
            node: vec![node; 3],
            ..Graph::default()
        };
        Model {
            graph: Some(graph),
            ..Model::default()
        }
    }

    #[test]
    fn a_file_is_decoded_as_it_is_and_ends_with_an_error_once_cancelled() {
        let ctx = Context::builder().build().unwrap();
        let bytes = Bytes::from(file().encode_to_vec());
        assert!(bytes.len() > 10 * CHECK_BYTES);
        assert_eq!(Model::decode(Polled::new(bytes.clone(), &ctx)).unwrap(), file());
        ctx.cancel_flag().store(true, Ordering::Relaxed);
        let mut polled = Polled::new(bytes, &ctx);
        assert!(Model::decode(&mut polled).is_err());
        assert!(
            polled.ended && polled.bytes.remaining() > 9 * CHECK_BYTES,
            "decoded further"
        );
    }
}
