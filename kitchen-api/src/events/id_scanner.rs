//! Finds event ids in an acknowledgment while it arrives, without holding it: a push parser over JSON.
//!
//! Used by `acknowledgment`. Clients send ids in many shapes (PARTNER_API, sections 1.3 and 8); all of these are read, unknown
//! keys are skipped, and whatever is not a UUID is nobody's id:
//!
//! ```text
//! ["id", …]   [{"id": …, …}, …]   {"events": [{"id": …}, …]}   {"acknowledgedEventIds": ["id", …]}   {"id": …}
//! ```
//!
//! An object's id stands under `id`, `eventId` or `event_id` in any case. Nothing is allocated for what is skipped.

use order_model::EventId;

use crate::json_depth::JSON_DEPTH_MAX;

/// A UUID has 36 characters and the longest key we know 20: longer texts are of no interest.
const TEXT_MAX: usize = 40;

/// What is wrong with an acknowledgment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanError {
    /// Not JSON.
    Malformed,
    /// Deeper than [`JSON_DEPTH_MAX`].
    TooDeep,
    /// More elements than allowed.
    TooMany,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of an empty array.
    ValueOrEnd,
    Key,
    /// A key, or the end of an empty object.
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// The whole text was read.
    Nothing,
}

/// What a container is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The array of acknowledged events: texts are ids, objects are events.
    List,
    /// One event: its id counts.
    Event,
    /// The object around everything: may hold the list, or be an event itself.
    Envelope,
    /// Of no interest.
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Container {
    role: Role,
    is_object: bool,
    /// The key last read is one whose value is an id.
    at_id: bool,
    /// The key last read is one whose value is the list.
    at_list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexeme {
    None,
    Text {
        escaped: bool,
    },
    /// A number or `true`, `false`, `null`.
    Word,
}

/// The parser. Feed it with [`IdScanner::push`], then take the ids with [`IdScanner::finish`].
#[derive(Debug)]
pub(super) struct IdScanner {
    elements_max: usize,
    elements: usize,
    ids: Vec<EventId>,
    stack: Vec<Container>,
    expect: Expect,
    lexeme: Lexeme,
    text: [u8; TEXT_MAX],
    text_len: usize,
}

impl IdScanner {
    /// Accepts at most `elements_max` acknowledged events, whether their ids are known or not.
    pub(super) fn new(elements_max: usize) -> Self {
        Self {
            elements_max,
            elements: 0,
            ids: Vec::new(),
            stack: Vec::new(),
            expect: Expect::Value,
            lexeme: Lexeme::None,
            text: [0; TEXT_MAX],
            text_len: 0,
        }
    }

    /// Reads on. Ten thousand ids are half a megabyte, so texts are read a run at a time and not byte by byte.
    pub(super) fn push(&mut self, mut chunk: &[u8]) -> Result<(), ScanError> {
        while let Some((&byte, rest)) = chunk.split_first() {
            chunk = match self.lexeme {
                Lexeme::Text { escaped: true } => {
                    // An escaped character is in no UUID and in no key of ours: such a text becomes too long to matter.
                    self.text_len = TEXT_MAX + 1;
                    self.lexeme = Lexeme::Text { escaped: false };
                    rest
                }
                Lexeme::Text { escaped: false } => self.read_in_text(chunk)?,
                Lexeme::Word if is_word(byte) => {
                    self.keep(&[byte]);
                    rest
                }
                Lexeme::Word => {
                    self.end_word()?;
                    chunk
                }
                Lexeme::None => {
                    self.read_between(byte)?;
                    rest
                }
            };
        }
        Ok(())
    }

    /// The ids, in order; one named twice is there twice.
    pub(super) fn finish(mut self) -> Result<Vec<EventId>, ScanError> {
        if self.lexeme == Lexeme::Word {
            self.end_word()?;
        }
        if self.expect == Expect::Nothing && self.lexeme == Lexeme::None {
            Ok(self.ids)
        } else {
            Err(ScanError::Malformed)
        }
    }

    /// Reads up to the end of the text, or of its run of ordinary characters; the rest is still to be read.
    fn read_in_text<'a>(&mut self, chunk: &'a [u8]) -> Result<&'a [u8], ScanError> {
        let run_bytes = memchr::memchr2(b'"', b'\\', chunk).unwrap_or(chunk.len());
        let (run, rest) = chunk.split_at(run_bytes);
        // Without an early end, so that many bytes are compared at once.
        if run.iter().fold(false, |is_found, byte| is_found | (*byte < 0x20)) {
            return Err(ScanError::Malformed);
        }
        self.keep(run);
        let Some((&byte, rest)) = rest.split_first() else { return Ok(rest) };
        if byte == b'"' {
            self.lexeme = Lexeme::None;
            self.end_text()?;
        } else {
            self.lexeme = Lexeme::Text { escaped: true };
        }
        Ok(rest)
    }

    fn read_between(&mut self, byte: u8) -> Result<(), ScanError> {
        let takes_value = matches!(self.expect, Expect::Value | Expect::ValueOrEnd);
        let takes_key = matches!(self.expect, Expect::Key | Expect::KeyOrEnd);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Ok(()),
            b'"' if takes_value || takes_key => {
                self.text_len = 0;
                self.lexeme = Lexeme::Text { escaped: false };
                Ok(())
            }
            b'[' if takes_value => self.open(false),
            b'{' if takes_value => self.open(true),
            b']' if matches!(self.expect, Expect::ValueOrEnd | Expect::CommaOrEnd) => self.close(false),
            b'}' if matches!(self.expect, Expect::KeyOrEnd | Expect::CommaOrEnd) => self.close(true),
            b',' if self.expect == Expect::CommaOrEnd => {
                let in_object = self.stack.last().is_some_and(|container| container.is_object);
                self.expect = if in_object { Expect::Key } else { Expect::Value };
                Ok(())
            }
            b':' if self.expect == Expect::Colon => {
                self.expect = Expect::Value;
                Ok(())
            }
            _ if takes_value && is_word(byte) => {
                self.text_len = 0;
                self.keep(&[byte]);
                self.lexeme = Lexeme::Word;
                Ok(())
            }
            _ => Err(ScanError::Malformed),
        }
    }

    fn keep(&mut self, run: &[u8]) {
        let end = self.text_len.saturating_add(run.len());
        if let Some(place) = self.text.get_mut(self.text_len..end) {
            place.copy_from_slice(run);
        }
        self.text_len = end;
    }

    /// The text just read; `None` when it is too long to be of interest.
    fn text(&self) -> Option<&[u8]> {
        self.text.get(..self.text_len)
    }

    fn end_word(&mut self) -> Result<(), ScanError> {
        self.lexeme = Lexeme::None;
        let text = self.text();
        let is_literal = matches!(text, Some(b"true" | b"false" | b"null"));
        // A number that is too long to be kept is a number all the same.
        let is_number = text.is_none_or(|text| serde_json::from_slice::<serde_json::Number>(text).is_ok());
        if !is_literal && !is_number {
            return Err(ScanError::Malformed);
        }
        if self.stack.last().is_some_and(|container| container.role == Role::List) {
            self.count_element()?;
        }
        self.end_value();
        Ok(())
    }

    fn end_text(&mut self) -> Result<(), ScanError> {
        if matches!(self.expect, Expect::Key | Expect::KeyOrEnd) {
            let is = |names: &[&str]| {
                self.text().is_some_and(|text| names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(text)))
            };
            let at_id = is(&["id", "eventId", "event_id"]);
            let at_list = is(&["events", "acknowledgedEventIds", "ids", "eventIds"]);
            if let Some(container) = self.stack.last_mut() {
                (container.at_id, container.at_list) = (at_id, at_list);
            }
            self.expect = Expect::Colon;
            return Ok(());
        }
        let (in_list, is_id) = match self.stack.last() {
            Some(container) => (
                container.role == Role::List,
                container.at_id && matches!(container.role, Role::Event | Role::Envelope),
            ),
            None => (false, false),
        };
        if in_list {
            self.count_element()?;
        }
        if (in_list || is_id)
            && let Some(id) = self.text().and_then(|text| EventId::try_from_ascii(text.trim_ascii()).ok())
        {
            if self.ids.len() >= self.elements_max {
                return Err(ScanError::TooMany);
            }
            self.ids.push(id);
        }
        self.end_value();
        Ok(())
    }

    fn count_element(&mut self) -> Result<(), ScanError> {
        self.elements += 1;
        if self.elements > self.elements_max { Err(ScanError::TooMany) } else { Ok(()) }
    }

    fn open(&mut self, is_object: bool) -> Result<(), ScanError> {
        if self.stack.len() == JSON_DEPTH_MAX {
            return Err(ScanError::TooDeep);
        }
        let role = match (self.stack.last().copied(), is_object) {
            (None, true) => Role::Envelope,
            (None, false) => Role::List,
            (Some(Container { role: Role::List, .. }), true) => {
                self.count_element()?;
                Role::Event
            }
            (Some(Container { role: Role::Envelope, at_list: true, .. }), false) => Role::List,
            (Some(_), _) => Role::Other,
        };
        self.stack.push(Container { role, is_object, at_id: false, at_list: false });
        self.expect = if is_object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        Ok(())
    }

    fn close(&mut self, is_object: bool) -> Result<(), ScanError> {
        match self.stack.pop() {
            Some(container) if container.is_object == is_object => {
                self.end_value();
                Ok(())
            }
            Some(_) | None => Err(ScanError::Malformed),
        }
    }

    fn end_value(&mut self) {
        self.expect = if self.stack.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

#[cfg(test)]
#[path = "id_scanner_tests.rs"]
mod tests;
