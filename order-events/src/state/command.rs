//! The commands of a partition and their replies, and their bytes: a format version, a tag, the contents.
//!
//! The service encodes commands and decodes replies; [`super::FeedPartition`] does the reverse. A version or a tag that
//! is not known here is answered with [`Reply::Unreadable`], the same on every replica. Each is written in the oldest
//! version that has it, so that an older node still reads what it knows.

use event_feed::FeedEvent;
use order_model::{ApplicationId, EventId};

use super::codec::{Malformed, Reader, Writer};

/// The version written before commands and replies of the first format.
pub const FORMAT_VERSION: u8 = 1;

/// The version that brought [`Command::Rebuilt`].
pub const FORMAT_VERSION_REBUILT: u8 = 2;

/// The fewest bytes an event takes, for refusing impossible counts.
pub(super) const EVENT_BYTES_MIN: usize = 16 * 4 + 2 + 4 + 8 + 8 + 4;

const APPEND: u8 = 1;
const ACKNOWLEDGE: u8 = 2;
const EXPIRE: u8 = 3;
const REBUILT: u8 = 4;
const UNREADABLE: u8 = 0;

/// What a partition can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Events have arrived, known or new, in any order.
    Append(Vec<FeedEvent>),
    /// An application acknowledges events, known or not yet.
    Acknowledge {
        /// Who.
        application: ApplicationId,
        /// Genuine ids of this partition.
        ids: Vec<EventId>,
    },
    /// Time has passed: forget what is past its time.
    Expire,
    /// One whole export of this partition was applied: the state is complete, whoever leads it from now on.
    Rebuilt,
}

/// What became of one appended event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is new, and no lower sequence of its order is missing.
    Added,
    /// It is new, and a lower sequence of its order is missing.
    AddedAboveGap,
    /// It was here already.
    Repeated,
    /// It was past its expiry and was not kept.
    Expired,
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The command could not be read and changed nothing.
    Unreadable,
    /// One outcome for each event, in order.
    Appended(Vec<Appended>),
    /// How many ids were acknowledged for the first time, and how many were remembered for events not here.
    Acknowledged {
        /// Pending before, acknowledged now.
        applied: u32,
        /// The event is not here: a tombstone is.
        remembered: u32,
    },
    /// How much was forgotten.
    Expired {
        /// Events that are no longer shown.
        events: u32,
        /// There is more to forget than one command does.
        more: bool,
    },
    /// The partition counts as rebuilt.
    Rebuilt,
}

impl Command {
    /// The command as bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Append(events) => encode_append(events),
            Self::Acknowledge { application, ids } => encode_acknowledge(application, ids),
            Self::Expire => vec![FORMAT_VERSION, EXPIRE],
            Self::Rebuilt => vec![FORMAT_VERSION_REBUILT, REBUILT],
        }
    }

    /// The command in `bytes`.
    ///
    /// # Errors
    /// When they are not one of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let tag = read_header(&mut reader)?;
        let command = match tag {
            APPEND => {
                let count = reader.count(EVENT_BYTES_MIN, "number of events")?;
                Self::Append((0..count).map(|_| reader.event()).collect::<Result<_, _>>()?)
            }
            ACKNOWLEDGE => {
                let application = reader.application()?;
                let count = reader.count(16, "number of ids")?;
                Self::Acknowledge { application, ids: (0..count).map(|_| reader.event_id()).collect::<Result<_, _>>()? }
            }
            EXPIRE => Self::Expire,
            REBUILT => Self::Rebuilt,
            _ => return Err(Malformed { what: "command" }),
        };
        reader.finish()?;
        Ok(command)
    }
}

/// [`Command::Append`] as bytes, without owning the events.
pub fn encode_append<'a>(events: impl IntoIterator<Item = &'a FeedEvent, IntoIter: ExactSizeIterator>) -> Vec<u8> {
    let events = events.into_iter();
    let mut writer = Writer::with_header(&[FORMAT_VERSION, APPEND]);
    writer.length(events.len());
    events.for_each(|event| writer.event(event));
    writer.into_bytes()
}

/// [`Command::Acknowledge`] as bytes, without owning the ids.
pub fn encode_acknowledge(application: &ApplicationId, ids: &[EventId]) -> Vec<u8> {
    let mut writer = Writer::with_header(&[FORMAT_VERSION, ACKNOWLEDGE]);
    writer.application(application);
    writer.length(ids.len());
    ids.iter().for_each(|id| writer.id(id.as_bytes()));
    writer.into_bytes()
}

impl Reply {
    /// The reply as bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Unreadable => vec![FORMAT_VERSION, UNREADABLE],
            Self::Appended(outcomes) => {
                let mut writer = Writer::with_header(&[FORMAT_VERSION, APPEND]);
                writer.length(outcomes.len());
                outcomes.iter().for_each(|outcome| writer.byte(outcome.number()));
                writer.into_bytes()
            }
            Self::Acknowledged { applied, remembered } => {
                let mut writer = Writer::with_header(&[FORMAT_VERSION, ACKNOWLEDGE]);
                writer.number(*applied);
                writer.number(*remembered);
                writer.into_bytes()
            }
            Self::Expired { events, more } => {
                let mut writer = Writer::with_header(&[FORMAT_VERSION, EXPIRE]);
                writer.number(*events);
                writer.byte(u8::from(*more));
                writer.into_bytes()
            }
            Self::Rebuilt => vec![FORMAT_VERSION_REBUILT, REBUILT],
        }
    }

    /// The reply in `bytes`.
    ///
    /// # Errors
    /// When they are not one of a known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let tag = read_header(&mut reader)?;
        let reply = match tag {
            UNREADABLE => Self::Unreadable,
            APPEND => {
                let count = reader.count(1, "number of outcomes")?;
                let outcome = |_| Appended::from_number(reader.byte("outcome")?);
                Self::Appended((0..count).map(outcome).collect::<Result<_, _>>()?)
            }
            ACKNOWLEDGE => {
                Self::Acknowledged { applied: reader.number("applied")?, remembered: reader.number("remembered")? }
            }
            EXPIRE => Self::Expired { events: reader.number("expired")?, more: reader.byte("more")? != 0 },
            REBUILT => Self::Rebuilt,
            _ => return Err(Malformed { what: "reply" }),
        };
        reader.finish()?;
        Ok(reply)
    }
}

impl Appended {
    const fn number(self) -> u8 {
        match self {
            Self::Added => 1,
            Self::AddedAboveGap => 2,
            Self::Repeated => 3,
            Self::Expired => 4,
        }
    }

    fn from_number(number: u8) -> Result<Self, Malformed> {
        [Self::Added, Self::AddedAboveGap, Self::Repeated, Self::Expired]
            .into_iter()
            .find(|outcome| outcome.number() == number)
            .ok_or(Malformed { what: "outcome" })
    }
}

fn read_header(reader: &mut Reader<'_>) -> Result<u8, Malformed> {
    let version = reader.byte("format version")?;
    let tag = reader.byte("tag")?;
    match (version, tag) {
        (FORMAT_VERSION, REBUILT) => Err(Malformed { what: "tag" }),
        (FORMAT_VERSION | FORMAT_VERSION_REBUILT, tag) => Ok(tag),
        _ => Err(Malformed { what: "format version" }),
    }
}
