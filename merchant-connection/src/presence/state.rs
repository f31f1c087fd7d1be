//! The replicated part of presence: each merchant's last transition and, once per sweep, its latest beat.
//!
//! A [`StateMachine`]: the grid applies commands to it. It decides nothing; the sweep on the leader decides, and a
//! command says what was decided, so that every replica and every restart knows the same.

use std::collections::BTreeMap;

use order_model::{MerchantId, Timestamp};
use replicated_grid::{ReplicatedTime, RestoreError, StateMachine};
use serde::{Deserialize, Serialize};

use super::presence_clock::Tenths;

/// The version every command and snapshot starts with.
const FORMAT_VERSION: u8 = 1;
/// The kinds of command.
const BEATS_KIND: u8 = b'B';
const TRANSITIONS_KIND: u8 = b'T';
/// A merchant and the hearing time of its beat.
const BEAT_BYTES: usize = 20;

/// Why a merchant changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TransitionReason {
    /// It beat.
    Heartbeat,
    /// It was silent for a full offline period.
    Silence,
}

impl TransitionReason {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The merchant.
    pub merchant: [u8; 16],
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
    /// The merchant.
    pub fn merchant(&self) -> MerchantId {
        MerchantId::from_bytes(self.merchant)
    }

    /// When it was decided.
    pub fn changed_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.changed_at_ms)
    }

    /// The id it is published under, at every publication: a function of the transition itself.
    pub fn id(&self) -> uuid::Uuid {
        use std::hash::Hasher;
        let mut hasher = siphasher::sip128::SipHasher24::new_with_keys(0x7072_6573_656e_6365, 0x7472_616e_7369_7421);
        hasher.write(&self.merchant);
        hasher.write(&self.sequence.to_be_bytes());
        hasher.write(&self.changed_at_ms.to_be_bytes());
        let hash = siphasher::sip128::Hasher128::finish128(&hasher);
        uuid::Uuid::new_v8(hash.as_bytes())
    }
}

/// What is known of one merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MerchantState {
    /// Its last transition; `None` while it was never ONLINE.
    pub last: Option<Transition>,
    /// Hearing time of its latest replicated beat.
    pub beat: Tenths,
}

impl MerchantState {
    /// Whether it is recorded ONLINE.
    pub fn is_online(&self) -> bool {
        self.last.is_some_and(|transition| transition.online)
    }

    /// The sequence its next transition will have.
    pub fn next_sequence(&self) -> u64 {
        self.last.map_or(1, |transition| transition.sequence + 1)
    }
}

/// A command of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Who has beaten since the last sweep, and when.
    Beats(Vec<([u8; 16], Tenths)>),
    /// What a sweep decided, or what was restored.
    Transitions(Vec<Transition>),
}

impl Command {
    /// The bytes the grid orders: the version, a kind, and the rows. Beats are 20 bytes each, because every merchant that
    /// polls is in one at every sweep; transitions are few and are JSON.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Beats(beats) => {
                let mut bytes = Vec::with_capacity(2 + beats.len() * BEAT_BYTES);
                bytes.extend([FORMAT_VERSION, BEATS_KIND]);
                for (merchant, beat) in beats {
                    bytes.extend_from_slice(merchant);
                    bytes.extend_from_slice(&beat.to_be_bytes());
                }
                bytes
            }
            Self::Transitions(transitions) => {
                let mut bytes = vec![FORMAT_VERSION, TRANSITIONS_KIND];
                // Writing plain values into memory cannot fail.
                let _ = serde_json::to_writer(&mut bytes, transitions);
                bytes
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes {
            [FORMAT_VERSION, BEATS_KIND, rows @ ..] => Ok(Self::Beats(decode_beats(rows)?)),
            [FORMAT_VERSION, TRANSITIONS_KIND, rows @ ..] => {
                serde_json::from_slice(rows).map(Self::Transitions).map_err(|error| error.to_string())
            }
            [FORMAT_VERSION, kind, ..] => Err(format!("kind {kind} is not known")),
            [FORMAT_VERSION] | [] => Err("it ends early".to_owned()),
            [version, ..] => Err(format!("format version {version} is not known")),
        }
    }
}

fn decode_beats(rows: &[u8]) -> Result<Vec<([u8; 16], Tenths)>, String> {
    let (rows, rest) = rows.as_chunks::<BEAT_BYTES>();
    if !rest.is_empty() {
        return Err("a beat ends early".to_owned());
    }
    let row = |row: &[u8; BEAT_BYTES]| {
        let (merchant, beat) = row.split_first_chunk::<16>()?;
        Some((*merchant, Tenths::from_be_bytes(beat.try_into().ok()?)))
    };
    Ok(rows.iter().filter_map(row).collect())
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&FORMAT_VERSION, rest)) => serde_json::from_slice(rest).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("format version {version} is not known")),
        None => Err("no bytes".to_owned()),
    }
}

/// The replicated state of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PresencePartition {
    merchants: BTreeMap<[u8; 16], MerchantState>,
}

impl PresencePartition {
    /// What is known of `merchant`.
    pub fn merchant(&self, merchant: MerchantId) -> MerchantState {
        self.merchants.get(merchant.as_bytes()).copied().unwrap_or_default()
    }

    /// Everyone, by id.
    pub fn iter(&self) -> impl Iterator<Item = (MerchantId, &MerchantState)> {
        self.merchants.iter().map(|(bytes, state)| (MerchantId::from_bytes(*bytes), state))
    }

    fn apply_command(&mut self, command: Command) {
        match command {
            Command::Beats(beats) => {
                for (merchant, beat) in beats {
                    let state = self.merchants.entry(merchant).or_default();
                    state.beat = state.beat.max(beat);
                }
            }
            Command::Transitions(transitions) => {
                for transition in transitions {
                    let state = self.merchants.entry(transition.merchant).or_default();
                    // A repeated command changes nothing: the sequence says what is newer.
                    if transition.sequence >= state.next_sequence() {
                        state.last = Some(transition);
                    }
                }
            }
        }
    }
}

impl StateMachine for PresencePartition {
    /// Replies nothing when it was applied, and a text when the command cannot be read.
    fn apply(&mut self, _at: ReplicatedTime, command: &[u8]) -> Vec<u8> {
        match Command::decode(command) {
            Ok(command) => {
                self.apply_command(command);
                Vec::new()
            }
            Err(reason) => reason.into_bytes(),
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT_VERSION];
        let rows: Vec<(&[u8; 16], &MerchantState)> = self.merchants.iter().collect();
        let _ = serde_json::to_writer(&mut bytes, &rows);
        bytes
    }

    fn restore(snapshot: &[u8]) -> Result<Self, RestoreError> {
        let rows: Vec<([u8; 16], MerchantState)> = decode(snapshot).map_err(|reason| RestoreError { reason })?;
        Ok(Self { merchants: rows.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(online: bool, sequence: u64) -> Transition {
        let reason = if online { TransitionReason::Heartbeat } else { TransitionReason::Silence };
        Transition { merchant: [7; 16], online, reason, changed_at_ms: 1000, last_heartbeat_at_ms: 900, sequence }
    }

    #[test]
    fn a_repeated_or_older_transition_changes_nothing() {
        let mut partition = PresencePartition::default();
        let at = ReplicatedTime::default();
        let apply = |partition: &mut PresencePartition, transition| {
            partition.apply(at, &Command::Transitions(vec![transition]).encode())
        };
        assert_eq!(apply(&mut partition, transition(true, 1)), b"");
        apply(&mut partition, transition(false, 2));
        apply(&mut partition, transition(true, 1));
        let state = partition.merchant(MerchantId::from_bytes([7; 16]));
        assert_eq!((state.is_online(), state.next_sequence()), (false, 3));
    }

    #[test]
    fn a_snapshot_restores_and_unknown_versions_are_refused() {
        let mut partition = PresencePartition::default();
        partition.apply(ReplicatedTime::default(), &Command::Beats(vec![([1; 16], 5)]).encode());
        partition.apply(ReplicatedTime::default(), &Command::Transitions(vec![transition(true, 1)]).encode());
        assert_eq!(partition.merchant(MerchantId::from_bytes([1; 16])).beat, 5);
        assert_eq!(partition.iter().count(), 2);
        assert_eq!(PresencePartition::restore(&partition.snapshot()).unwrap(), partition);
        let before = partition.clone();
        for unreadable in [&[][..], &[1], b"\x01X", b"\x01Bxyz", b"\x01T[{"] {
            assert_ne!(partition.apply(ReplicatedTime::default(), unreadable), b"");
        }
        assert_eq!(partition, before);
        assert_eq!(PresencePartition::restore(&[9]).unwrap_err().reason, "format version 9 is not known");
        assert_eq!(partition.apply(ReplicatedTime::default(), &[9]), b"format version 9 is not known");
    }

    #[test]
    fn the_id_is_a_function_of_the_transition() {
        assert_eq!(transition(true, 1).id(), transition(true, 1).id());
        assert_ne!(transition(true, 1).id(), transition(true, 2).id());
        assert_eq!(transition(true, 1).id().get_version_num(), 8);
    }
}
