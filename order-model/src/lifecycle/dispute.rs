//! Disputes (PARTNER_API 2.5, item 3): what the lifecycle has to know of an `HSD` and of an `HSS`.
//!
//! The texts and alternatives of a dispute travel in the event's metadata, its evidence is gateway-core's to keep: all of them are
//! deliberately absent.

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

/// What a dispute asks for (`action`), as far as its acceptance decides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DisputeAsk {
    /// That the whole order is cancelled.
    Cancellation,
    /// A part, money, time, or what we do not know: the order goes on whatever the answer is.
    Other,
}

impl DisputeAsk {
    /// What a dispute asks for by its `action`. One that names none asks for a cancellation when its expiry would cancel.
    pub fn of_dispute(action: Option<&str>, timeout_action: TimeoutAction) -> Self {
        let cancels = match action {
            Some(action) => action.trim().eq_ignore_ascii_case("CANCELLATION"),
            None => timeout_action == TimeoutAction::AcceptCancellation,
        };
        if cancels { Self::Cancellation } else { Self::Other }
    }

    /// The number it is stored under; never 0.
    pub const fn number(self) -> u8 {
        match self {
            Self::Cancellation => 1,
            Self::Other => 2,
        }
    }

    /// What is stored under `number`.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Cancellation),
            2 => Some(Self::Other),
            _ => None,
        }
    }
}

/// A dispute that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dispute {
    /// Its id.
    pub id: DisputeId,
    /// What it asks for.
    pub asks: DisputeAsk,
    /// When [`Dispute::timeout_action`] applies, and from when on nobody can answer.
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

/// A merchant's answer to a dispute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisputeAnswer {
    /// Which one.
    pub dispute: DisputeId,
    /// The answer.
    pub verdict: Verdict,
}

/// What a merchant says to a dispute. Reasons, and which alternative it is, are gateway-core's to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Yes.
    Accept,
    /// No.
    Reject,
    /// One of the alternatives that the dispute offers.
    Alternative,
}

impl Verdict {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Accept, Self::Reject, Self::Alternative];

    /// The name among what is legal, e.g. `acceptDispute`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "acceptDispute",
            Self::Reject => "rejectDispute",
            Self::Alternative => "proposeAlternative",
        }
    }
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
    /// The merchant chose one of the alternatives; whatever follows from it is a message of its own.
    AlternativeReplied,
}

impl SettlementStatus {
    /// The name on the wire, e.g. `ACCEPTED`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::AlternativeReplied => "ALTERNATIVE_REPLIED",
        }
    }
}
