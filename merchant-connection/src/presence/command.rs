//! What a partition's leader has replicated: a head that says in which term it was decided, and what was decided.
//!
//! The head is what keeps an old leader that was paused from deciding anything: the state takes no command of a term
//! before the one it has last seen, wherever the grid forwarded it to.

use order_model::MerchantId;

use super::codec::{Malformed, Reader, TRANSITION_BYTES, Writer};
use super::presence_clock::Tenths;
use super::transition::Transition;

/// The version every command starts with.
const FORMAT_VERSION: u8 = 1;
/// The bytes of a head with its version.
const HEAD_BYTES: usize = 1 + 8 + 4 + 1;

/// The most beats of one command: at 2 to 4 bytes each, some 200 KB, where the grid forwards up to 4 MiB.
pub const BEATS_MAX: usize = 65_536;
/// The most merchants never seen before in one command: some 290 KB.
pub const NEWCOMERS_MAX: usize = 16_384;
/// The most transitions of one command: some 170 KB.
pub const TRANSITIONS_MAX: usize = 4_096;
/// The most restored merchants of one command: some 90 KB, more where transitions were not published.
pub const RESTORED_MAX: usize = 1_024;

/// Who decides, and when by the partition's hearing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The term in which the decider leads.
    pub term: u64,
    /// The hearing time at which it was decided.
    pub hearing: Tenths,
}

/// A merchant as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredMerchant {
    /// Its last transition.
    pub last: Transition,
    /// How long ago it beat, in hearing time, as far as that is known.
    pub age: Tenths,
    /// Its transitions that are not known to be published, in order.
    pub unpublished: Vec<Transition>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A node leads from here on: nothing of an earlier term is taken any more.
    TakeOver,
    /// Who has beaten since the last sweep, and how long before this command: merchants by their index, in its order, and
    /// those that get one now.
    Beats {
        /// Merchants with an index, in the order of it.
        known: Vec<(u32, Tenths)>,
        /// Merchants without one.
        newcomers: Vec<(MerchantId, Tenths)>,
    },
    /// What a sweep decided.
    Transitions(Vec<Transition>),
    /// Every transition before this place in the outbox was published.
    Published(u64),
    /// What the store knows of some merchants, for a state that was lost.
    Restored(Vec<RestoredMerchant>),
    /// The store has nothing more.
    RestoreEnded,
    /// The brake's reference while it is on, in thousandths of a beat per merchant and sweep.
    Brake(Option<u32>),
}

/// A decision with its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Who decided, and when.
    pub head: Head,
    /// What.
    pub decision: Decision,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It was applied.
    Applied,
    /// A leader of a later term has taken over: it was not.
    Superseded,
    /// It could not be read.
    Unreadable,
}

impl Reply {
    /// The reply as the grid hands it on.
    pub fn encode(self) -> Vec<u8> {
        vec![match self {
            Self::Applied => 1,
            Self::Superseded => 2,
            Self::Unreadable => 3,
        }]
    }

    /// Reads it; what is no reply says as much as [`Reply::Unreadable`].
    pub fn decode(bytes: &[u8]) -> Self {
        match bytes {
            [1] => Self::Applied,
            [2] => Self::Superseded,
            _ => Self::Unreadable,
        }
    }
}

impl Decision {
    const fn kind(&self) -> u8 {
        match self {
            Self::TakeOver => b'L',
            Self::Beats { .. } => b'B',
            Self::Transitions(_) => b'T',
            Self::Published(_) => b'P',
            Self::Restored(_) => b'R',
            Self::RestoreEnded => b'E',
            Self::Brake(_) => b'K',
        }
    }

    fn bytes_hint(&self) -> usize {
        HEAD_BYTES
            + match self {
                Self::Beats { known, newcomers } => 4 + known.len() * 3 + newcomers.len() * 18,
                Self::Transitions(rows) => rows.len() * TRANSITION_BYTES,
                Self::Restored(rows) => rows.len() * (TRANSITION_BYTES + 8),
                Self::TakeOver | Self::Published(_) | Self::RestoreEnded | Self::Brake(_) => 8,
            }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::TakeOver | Self::RestoreEnded => {}
            Self::Beats { known, newcomers } => {
                writer.count(known.len());
                // From one index to the next is less than a hundred mostly, so that a gap is one byte.
                let mut next = 0;
                for &(index, age) in known {
                    writer.varint(index.saturating_sub(next));
                    writer.varint(age);
                    next = index.saturating_add(1);
                }
                for &(merchant, age) in newcomers {
                    writer.merchant(merchant);
                    writer.varint(age);
                }
            }
            Self::Transitions(rows) => rows.iter().for_each(|row| writer.transition(row)),
            Self::Published(through) => writer.large(*through),
            Self::Restored(rows) => {
                for row in rows {
                    writer.transition(&row.last);
                    writer.varint(row.age);
                    writer.count(row.unpublished.len());
                    row.unpublished.iter().for_each(|transition| writer.transition(transition));
                }
            }
            Self::Brake(reference) => {
                writer.byte(u8::from(reference.is_some()));
                writer.number(reference.unwrap_or_default());
            }
        }
    }

    fn read(kind: u8, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let decision = match kind {
            b'L' => Self::TakeOver,
            b'B' => read_beats(reader)?,
            b'T' => Self::Transitions(rows(reader, |reader| reader.transition())?),
            b'P' => Self::Published(reader.large("place in the outbox")?),
            b'R' => Self::Restored(rows(reader, read_restored)?),
            b'E' => Self::RestoreEnded,
            b'K' => {
                let is_on = reader.byte("brake")? != 0;
                let reference = reader.number("reference of the brake")?;
                Self::Brake(is_on.then_some(reference))
            }
            _ => return Err(Malformed { what: "kind" }),
        };
        reader.finish()?;
        Ok(decision)
    }
}

fn rows<T>(
    reader: &mut Reader<'_>,
    mut row: impl FnMut(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut read = Vec::new();
    while !reader.is_empty() {
        read.push(row(reader)?);
    }
    Ok(read)
}

fn read_beats(reader: &mut Reader<'_>) -> Result<Decision, Malformed> {
    let count = reader.count(2, "number of beats")?;
    let (mut known, mut next) = (Vec::with_capacity(count), 0u32);
    for _ in 0..count {
        let index = next.checked_add(reader.varint("index")?).ok_or(Malformed { what: "index" })?;
        known.push((index, reader.varint("age")?));
        next = index.saturating_add(1);
    }
    let newcomers = rows(reader, |reader| Ok((reader.merchant()?, reader.varint("age")?)))?;
    Ok(Decision::Beats { known, newcomers })
}

fn read_restored(reader: &mut Reader<'_>) -> Result<RestoredMerchant, Malformed> {
    let last = reader.transition()?;
    let age = reader.varint("age")?;
    let count = reader.count(TRANSITION_BYTES, "number of transitions")?;
    let unpublished: Result<Vec<_>, _> = (0..count).map(|_| reader.transition()).collect();
    Ok(RestoredMerchant { last, age, unpublished: unpublished? })
}

impl Command {
    /// The bytes the grid orders.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.decision.bytes_hint());
        writer.byte(FORMAT_VERSION);
        writer.large(self.head.term);
        writer.number(self.head.hearing);
        writer.byte(self.decision.kind());
        self.decision.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads what [`Command::encode`] wrote.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte("format version")? != FORMAT_VERSION {
            return Err(Malformed { what: "format version" });
        }
        let head = Head { term: reader.large("term")?, hearing: reader.number("hearing time")? };
        let kind = reader.byte("kind")?;
        Ok(Self { head, decision: Decision::read(kind, &mut reader)? })
    }
}

/// The beats of a sweep as decisions that are each bounded; none when nobody has beaten.
pub fn delta(known: &[(u32, Tenths)], newcomers: &[(MerchantId, Tenths)]) -> Vec<Decision> {
    let known = known.chunks(BEATS_MAX).map(|known| Decision::Beats { known: known.to_vec(), newcomers: Vec::new() });
    let newcomers = newcomers.chunks(NEWCOMERS_MAX);
    let newcomers = newcomers.map(|new| Decision::Beats { known: Vec::new(), newcomers: new.to_vec() });
    known.chain(newcomers).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::presence::TransitionReason;

    fn merchant(number: u32) -> MerchantId {
        MerchantId::from_bytes(u128::from(number).to_be_bytes())
    }

    fn a_transition() -> impl Strategy<Value = Transition> {
        (any::<u32>(), any::<bool>(), any::<i64>(), any::<i64>(), any::<u64>()).prop_map(
            |(number, online, changed_at_ms, last_heartbeat_at_ms, sequence)| Transition {
                merchant: merchant(number),
                online,
                reason: TransitionReason::of(online),
                changed_at_ms,
                last_heartbeat_at_ms,
                sequence,
            },
        )
    }

    fn decision() -> impl Strategy<Value = Decision> {
        let transitions = || prop::collection::vec(a_transition(), 0..5);
        let restored = (a_transition(), any::<u32>(), transitions());
        let restored = restored.prop_map(|(last, age, unpublished)| RestoredMerchant { last, age, unpublished });
        let newcomers = prop::collection::vec((any::<u32>().prop_map(merchant), any::<u32>()), 0..5);
        prop_oneof![
            Just(Decision::TakeOver),
            Just(Decision::RestoreEnded),
            any::<u64>().prop_map(Decision::Published),
            any::<Option<u32>>().prop_map(Decision::Brake),
            transitions().prop_map(Decision::Transitions),
            prop::collection::vec(restored, 0..4).prop_map(Decision::Restored),
            (prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..20), newcomers)
                .prop_map(|(known, newcomers)| Decision::Beats { known: known.into_iter().collect(), newcomers }),
        ]
    }

    proptest! {
        #[test]
        fn a_command_survives_and_no_part_of_it_is_taken_for_one(term: u64, hearing: u32, decision in decision(), cut in 0usize..400) {
            let command = Command { head: Head { term, hearing }, decision };
            let bytes = command.encode();
            prop_assert_eq!(Command::decode(&bytes), Ok(command.clone()));
            let shorter = Command::decode(&bytes[..cut.min(bytes.len())]);
            prop_assert!(cut >= bytes.len() || shorter != Ok(command));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Command::decode(&[&[FORMAT_VERSION][..], &bytes].concat());
        }
    }

    #[test]
    fn a_delta_is_about_two_bytes_a_merchant_and_bounded() {
        assert_eq!(delta(&[], &[]), []);
        // Every sixth of a million has beaten within the last five seconds.
        let known: Vec<(u32, Tenths)> = (0..1_000_000 / 6).map(|number| (number * 6, number % 50)).collect();
        let newcomers: Vec<_> = (0..20_000).map(|number| (merchant(number), 0)).collect();
        let delta = delta(&known, &newcomers);
        let sizes =
            delta.iter().map(|decision| Command { head: Head::default(), decision: decision.clone() }.encode().len());
        let sizes: Vec<usize> = sizes.collect();
        assert!(sizes.iter().all(|bytes| *bytes <= 300_000), "{sizes:?}");
        assert!(sizes[..3].iter().sum::<usize>() <= known.len() * 2 + 100, "{sizes:?}");
    }
}
