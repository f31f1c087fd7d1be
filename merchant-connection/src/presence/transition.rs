//! One change of one merchant between ONLINE and OFFLINE, as it is decided, replicated, written and published.

use order_model::{MerchantId, Timestamp};

/// Why a merchant changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransitionReason {
    /// It beat.
    Heartbeat,
    /// It was silent for a full offline period.
    Silence,
}

impl TransitionReason {
    /// Why a merchant becomes ONLINE or OFFLINE: there is one reason for each.
    pub const fn of(online: bool) -> Self {
        if online { Self::Heartbeat } else { Self::Silence }
    }

    /// The stable code on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Heartbeat => "HEARTBEAT_RECEIVED",
            Self::Silence => "HEARTBEAT_TIMEOUT",
        }
    }

    /// The reason a store has under `code`.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Heartbeat, Self::Silence].into_iter().find(|reason| reason.code() == code)
    }
}

/// One change of one merchant, decided once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The merchant.
    pub merchant: MerchantId,
    /// ONLINE or OFFLINE.
    pub online: bool,
    /// Why.
    pub reason: TransitionReason,
    /// When it was decided, ms since 1970.
    pub changed_at_ms: i64,
    /// When the merchant was last heard, ms since 1970.
    pub last_heartbeat_at_ms: i64,
    /// Per merchant, from 1, without gaps.
    pub sequence: u64,
}

impl Transition {
    /// When it was decided.
    pub fn changed_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.changed_at_ms)
    }

    /// The id it is published under, at every publication: a function of the transition itself.
    pub fn id(&self) -> uuid::Uuid {
        use std::hash::Hasher;
        let mut hasher = siphasher::sip128::SipHasher24::new_with_keys(0x7072_6573_656e_6365, 0x7472_616e_7369_7421);
        hasher.write(self.merchant.as_bytes());
        hasher.write(&self.sequence.to_be_bytes());
        hasher.write(&self.changed_at_ms.to_be_bytes());
        let hash = siphasher::sip128::Hasher128::finish128(&hasher);
        uuid::Uuid::new_v8(hash.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_a_function_of_the_transition() {
        let transition = |sequence| Transition {
            merchant: MerchantId::from_bytes([7; 16]),
            online: true,
            reason: TransitionReason::Heartbeat,
            changed_at_ms: 1000,
            last_heartbeat_at_ms: 900,
            sequence,
        };
        assert_eq!(transition(1).id(), transition(1).id());
        assert_ne!(transition(1).id(), transition(2).id());
        assert_eq!(transition(1).id().get_version_num(), 8);
    }
}
