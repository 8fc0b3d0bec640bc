//! The attributes of an operator, by name and kind.

use prost::bytes::Bytes;

use crate::onnx::error::OnnxError;
use crate::onnx::message::{Attribute, Node};

/// Reads a node's attributes; one that is absent is empty, or its default.
pub(super) struct Attributes<'a> {
    node: &'a Node,
}

impl<'a> Attributes<'a> {
    /// Takes the attributes of `node`.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] for a name that occurs twice.
    pub(super) fn of(node: &'a Node) -> Result<Self, OnnxError> {
        let mut names: Vec<&str> = node.attribute.iter().map(|attribute| attribute.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(OnnxError::damaged(format!(
                "attribute {} of {} occurs twice",
                twice[0], node.op_type
            ))),
            None => Ok(Self { node }),
        }
    }

    fn find(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn ints(&self, name: &str) -> &'a [i64] {
        self.find(name).map_or(&[], |attribute| &attribute.ints)
    }

    pub(super) fn floats(&self, name: &str) -> &'a [f32] {
        self.find(name).map_or(&[], |attribute| &attribute.floats)
    }

    pub(super) fn strings(&self, name: &str) -> &'a [Bytes] {
        self.find(name).map_or(&[], |attribute| &attribute.strings)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).and_then(|attribute| attribute.f).unwrap_or(default)
    }

    /// Text, `default` where there is none.
    pub(super) fn string(&self, name: &str, default: &'static str) -> String {
        let found = self.find(name).and_then(|attribute| attribute.s.as_ref());
        found.map_or_else(|| default.to_owned(), |text| String::from_utf8_lossy(text).into_owned())
    }

    /// Names of the classes: text, or numbers as text.
    pub(super) fn labels(&self, of_texts: &str, of_numbers: &str) -> Result<Vec<String>, OnnxError> {
        let text = |text: &Bytes| {
            let text =
                std::str::from_utf8(text).map_err(|_| OnnxError::damaged("a class name that is no UTF-8 text"))?;
            Ok(text.to_owned())
        };
        match self.strings(of_texts) {
            [] => Ok(self.ints(of_numbers).iter().map(i64::to_string).collect()),
            texts => texts.iter().map(text).collect(),
        }
    }

    /// Fails for an attribute of this name: what it asks for is not known here.
    pub(super) fn refuse(&self, names: &[&str]) -> Result<(), OnnxError> {
        match names.iter().find(|name| self.has(name)) {
            Some(name) => {
                let reason = format!("operator {} with the attribute {name}", self.node.op_type);
                Err(OnnxError::unsupported(reason))
            }
            None => Ok(()),
        }
    }
}
