//! Why a message can never be accepted: a stable code, and where in it what was expected.
//!
//! Made by the parsers, shown in the dead-letter queue. The offending value is deliberately absent, everywhere: it may
//! be personal data. Paths consist of field names that are ours and of positions.

use std::fmt;

use super::Format;

/// The longest detail of a dead letter, bytes, as CONTRACT has it.
pub const DETAIL_BYTES_MAX: usize = 1024;

/// The stable code of a message that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Not JSON, a required field is missing or has another shape, too deep.
    Malformed,
    /// Longer than [`super::MESSAGE_BYTES_MAX`].
    TooLarge,
    /// `type` names nothing we know.
    UnknownType,
}

impl Reason {
    /// The code on the wire, e.g. `MALFORMED`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::TooLarge => "TOO_LARGE",
            Self::UnknownType => "UNKNOWN_TYPE",
        }
    }
}

/// A message that no later state can make valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.code())]
pub struct Invalid {
    /// The stable code.
    pub reason: Reason,
    /// The path of the field and what was expected, at most [`DETAIL_BYTES_MAX`] bytes. Never a value of the message.
    pub detail: String,
    /// The format it was taken for; `None` when it could not be told.
    pub format: Option<Format>,
}

impl Invalid {
    /// A message with `detail` about it as a whole.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: shortened(detail.into()), format: None }
    }

    /// The field at `path` is not as expected.
    pub(crate) fn at(path: Path<'_>, problem: impl fmt::Display) -> Self {
        Self::new(Reason::Malformed, format!("{path}: {problem}"))
    }

    /// Remembers the format the message was taken for.
    pub(crate) fn in_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }
}

/// `detail` cut to [`DETAIL_BYTES_MAX`] bytes at a character's boundary.
pub(crate) fn shortened(mut detail: String) -> String {
    detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
    detail
}

/// Where a value stands in a message. Borrowed from step to step; rendered only when something is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Root,
    Field(&'static str),
    Position(usize),
}

impl Path<'static> {
    /// The message itself.
    pub(crate) const ROOT: Self = Self { parent: None, step: Step::Root };
}

impl<'p> Path<'p> {
    /// A field of the object here. Static: a name that a producer chose never enters a path.
    pub(crate) const fn field(&'p self, name: &'static str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of the array here, from 0.
    pub(crate) const fn position(&'p self, index: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Position(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below_root = self.parent.is_some_and(|parent| parent.parent.is_none());
        if let Some(parent) = self.parent.filter(|_| !below_root) {
            fmt::Display::fmt(parent, f)?;
        }
        match self.step {
            Step::Root => f.write_str("the message"),
            Step::Field(name) if below_root => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Position(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_a_path() {
        let order = Path::ROOT.field("order");
        let items = order.field("items");
        let item = items.position(3);
        assert_eq!(item.field("unitPrice").to_string(), "order.items[3].unitPrice");
        assert_eq!((Path::ROOT.to_string(), order.to_string()), ("the message".to_owned(), "order".to_owned()));
    }

    #[test]
    fn a_detail_is_cut_between_characters() {
        assert_eq!(shortened("ã".repeat(1000)).len(), DETAIL_BYTES_MAX);
        assert_eq!(shortened(format!("x{}", "ã".repeat(1000))).len(), DETAIL_BYTES_MAX - 1);
    }
}
