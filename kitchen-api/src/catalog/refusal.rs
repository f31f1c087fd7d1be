//! Why an edit of a catalog is not made. A value, so that a batch can keep it beside its entry.
//!
//! Made by the readers of bodies and by the menu; `endpoints` answers with it. Values of the request are deliberately absent.

use std::borrow::Cow;

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The body says what nobody can mean.
    Invalid,
    /// What the path or the entry names is not there.
    NotFound,
    /// Not as things stand.
    Conflict,
    /// It is not the version that the client has seen.
    Changed,
    /// Too much of something.
    Limit,
}

/// A refusal, with the field that is wrong when there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// Such as `products[2].optionGroups[0].min`.
    pub(crate) field: Option<String>,
    pub(crate) message: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, field: None, message: message.into() }
    }

    /// A field that is not what was expected.
    pub(crate) fn field(field: impl Into<String>, expected: &str) -> Self {
        let field = field.into();
        let message = format!("{field} must be {expected}.");
        Self { kind: Kind::Invalid, field: Some(field), message: message.into() }
    }

    #[must_use]
    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}
