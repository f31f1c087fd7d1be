//! Disputes (PARTNER_API 2.5, item 3): what the lifecycle has to know of an `HSD` and of an `HSS`.
//!
//! The texts, evidence and alternatives of a dispute travel in the event's metadata and are deliberately absent.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::timestamp::Timestamp;

/// The id of a dispute, as its producer wrote it: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisputeId(Arc<str>);

impl DisputeId {
    /// The longest accepted id, in bytes: a UUID needs 36, and the id is stored with every order that has one.
    pub const LENGTH_MAX: usize = 64;

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DisputeId {
    type Err = ParseDisputeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = !text.is_empty() && text.len() <= Self::LENGTH_MAX;
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(ParseDisputeIdError)
        }
    }
}

impl fmt::Display for DisputeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text was not a dispute id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a dispute id is 1 to 64 visible ASCII characters")]
pub struct ParseDisputeIdError;

/// What happens when nobody answers a dispute in time (`timeoutAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeoutAction {
    /// The order is cancelled.
    AcceptCancellation,
    /// The order goes on.
    RejectCancellation,
    /// The dispute just ends. Also what an unknown or absent action means: it cancels nobody's order.
    Void,
}

impl TimeoutAction {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::AcceptCancellation, Self::RejectCancellation, Self::Void];

    /// The name on the wire, e.g. `ACCEPT_CANCELLATION`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcceptCancellation => "ACCEPT_CANCELLATION",
            Self::RejectCancellation => "REJECT_CANCELLATION",
            Self::Void => "VOID",
        }
    }

    /// The action a dispute names; unknown text is [`TimeoutAction::Void`].
    pub fn of_dispute(text: &str) -> Self {
        let text = text.trim();
        Self::ALL.into_iter().find(|action| action.name().eq_ignore_ascii_case(text)).unwrap_or(Self::Void)
    }

    /// The number it is stored under.
    pub const fn number(self) -> u8 {
        match self {
            Self::AcceptCancellation => 1,
            Self::RejectCancellation => 2,
            Self::Void => 3,
        }
    }

    /// The action stored under `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.number() == number)
    }
}

/// A dispute that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dispute {
    /// Its id.
    pub id: DisputeId,
    /// When [`Dispute::timeout_action`] applies.
    pub expires_at: Timestamp,
    /// What applies then.
    pub timeout_action: TimeoutAction,
}

/// What an `HSD` says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisputeOpening {
    /// The dispute it opens.
    pub dispute: Dispute,
    /// The dispute it is a counter-offer to (`parentDisputeId`), and takes the place of.
    pub parent: Option<DisputeId>,
}

/// How a dispute ended (`status` of an `HSS` that the core makes itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettlementStatus {
    /// The request was granted.
    Accepted,
    /// The request was turned down.
    Rejected,
    /// Nobody answered and nothing follows.
    Expired,
}

impl SettlementStatus {
    /// The name on the wire, e.g. `ACCEPTED`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }
}
