//! XML of a container, an event at a time.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::archive::Entry;
use super::SheetError;
use crate::context::Context;
use crate::error::Result;

const LONGEST_NAME: usize = 1024;

/// Deeper than any spreadsheet is; what is open is kept by the parser.
const DEEPEST: usize = 256;

pub(super) struct Xml<'a> {
    reader: Reader<Entry<'a>>,
    buffer: Vec<u8>,
    ctx: Context,
    format: &'static str,
    depth: usize,
}

impl<'a> Xml<'a> {
    pub fn new(ctx: &Context, format: &'static str, entry: Entry<'a>) -> Self {
        let mut reader = Reader::from_reader(entry);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            ctx: ctx.clone(),
            format,
            depth: 0,
        }
    }

    /// The next event; `Eof` at the end.
    pub fn next(&mut self) -> Result<Event<'_>> {
        self.buffer.clear();
        self.reader.get_mut().get_mut().mark();
        match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => {
                match event {
                    Event::Start(_) => self.depth += 1,
                    Event::End(_) => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                if self.depth > DEEPEST {
                    return Err(SheetError::damaged(self.format, "elements nested too deeply").into());
                }
                Ok(event)
            }
            Err(error) => {
                self.ctx.check()?;
                Err(SheetError::damaged(self.format, error.to_string()).into())
            }
        }
    }
}

/// Appends what a text-like event says to `into`; other events say nothing.
pub(super) fn append_text(event: &Event<'_>, into: &mut String) {
    match event {
        Event::Text(text) => into.push_str(&text.xml10_content()),
        Event::CData(text) => into.push_str(&text.xml10_content()),
        Event::GeneralRef(reference) => append_reference(reference, into),
        _ => {}
    }
}

fn append_reference(reference: &BytesRef<'_>, into: &mut String) {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        into.push(character);
    } else if let Some(text) = resolve_predefined_entity(reference) {
        into.push_str(text);
    }
}

/// The attribute with this local name, unescaped; `None` if absent or not to be read.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.local_name().as_ref() == name)
        .and_then(|attribute| {
            attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .ok()
                .map(|value| value.into_owned())
        })
}

/// [`attribute`] for names, of which many are kept: none where it is longer than any name is.
pub(super) fn name_attribute(element: &BytesStart<'_>, name: &str) -> String {
    attribute(element, name)
        .filter(|value| value.len() <= LONGEST_NAME)
        .unwrap_or_default()
}
