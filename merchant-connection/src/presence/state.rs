//! The replicated part of presence: who is ONLINE, by which transition, last heard when, and what is to be published.
//!
//! A [`StateMachine`]: the grid applies commands to it. It decides nothing; the sweep on the leader decides, and a
//! command says what was decided, so that every replica and every restart knows the same. Commands of a leader that has
//! been succeeded are refused here. A merchant takes 8 bytes beside its id.

use std::collections::VecDeque;

use order_model::MerchantId;
use replicated_grid::{ReplicatedTime, RestoreError, StateMachine};

use super::beats::BeatBoard;
use super::codec::{Malformed, Reader, TRANSITION_BYTES, Writer};
use super::command::{Command, Decision, Head, Reply, RestoredMerchant};
use super::presence_clock::Tenths;
use super::roster::Roster;
use super::transition::Transition;

/// The version every snapshot starts with.
const FORMAT_VERSION: u8 = 1;
/// An id, a beat and a record in a snapshot.
const MERCHANT_BYTES: usize = 16 + 4 + 4;

/// Transitions of one partition that may wait to be published, some 3 MB. A sweep leaves undecided what finds no room, and
/// the next one sees the same.
pub const OUTBOX_MAX: usize = 1 << 16;

/// The last place in the outbox that a snapshot may begin with, so that there are numbers for those that follow: at a million
/// transitions a second it is reached after 292,000 years.
const PUBLISHED_MAX: u64 = u64::MAX / 2;

/// A merchant's last transition in four bytes: its sequence, and whether it was to ONLINE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record(u32);

impl Record {
    /// The largest sequence there is room for: at a transition every second, 68 years.
    const SEQUENCE_MAX: u64 = (u32::MAX >> 1) as u64;

    fn of(transition: &Transition) -> Option<Self> {
        let sequence = u32::try_from(transition.sequence.min(Self::SEQUENCE_MAX + 1)).ok()?;
        (u64::from(sequence) <= Self::SEQUENCE_MAX).then_some(Self(sequence << 1 | u32::from(transition.online)))
    }

    /// Whether it is recorded ONLINE.
    pub const fn is_online(self) -> bool {
        self.0 & 1 == 1
    }

    /// The sequence of its last transition; 0 when it never had one.
    pub const fn sequence(self) -> u64 {
        (self.0 >> 1) as u64
    }
}

/// What is known of one merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MerchantState {
    /// Its place.
    pub index: u32,
    /// Its last transition.
    pub record: Record,
    /// Hearing time of its latest replicated beat; 0 when never.
    pub beat: Tenths,
}

/// The state of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PresencePartition {
    /// The last head: the term of whoever leads, and the latest hearing time of any decision.
    head: Head,
    /// The replicated time at which that hearing time was.
    hearing_at_ms: i64,
    is_restored: bool,
    brake: Option<u32>,
    roster: Roster,
    beats: Vec<Tenths>,
    records: Vec<Record>,
    online: usize,
    outbox: VecDeque<Transition>,
    /// How many transitions have left the outbox: the place of its first one.
    published: u64,
}

impl PresencePartition {
    /// What is known of `merchant`; `None` while it was never heard.
    pub fn merchant(&self, merchant: MerchantId) -> Option<MerchantState> {
        let index = self.roster.index(merchant)?;
        Some(MerchantState { index, record: self.record(index), beat: self.beats[index as usize] })
    }

    /// Where `merchant` stands.
    pub fn index(&self, merchant: MerchantId) -> Option<u32> {
        self.roster.index(merchant)
    }

    /// Who stands at `index`.
    pub fn merchant_at(&self, index: u32) -> Option<MerchantId> {
        self.roster.merchant(index)
    }

    /// The last transition of whoever stands at `index`.
    pub fn record(&self, index: u32) -> Record {
        self.records.get(index as usize).copied().unwrap_or_default()
    }

    /// The latest hearing time of any decision.
    pub const fn hearing(&self) -> Tenths {
        self.head.hearing
    }

    /// The replicated time, in ms, at which [`PresencePartition::hearing`] was: hearing time stands still between leaders.
    pub const fn hearing_at_ms(&self) -> i64 {
        self.hearing_at_ms
    }

    /// The term of the last leader that took over.
    pub const fn term(&self) -> u64 {
        self.head.term
    }

    /// Whether it holds all that the store knew when the state began.
    pub const fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// The reference of the brake, if it was on.
    pub const fn brake(&self) -> Option<u32> {
        self.brake
    }

    /// How many are ONLINE.
    pub const fn online(&self) -> usize {
        self.online
    }

    /// How many were ever heard.
    pub fn known(&self) -> usize {
        self.roster.len()
    }

    /// How many transitions wait to be published.
    pub fn unpublished(&self) -> usize {
        self.outbox.len()
    }

    /// The oldest transitions that wait, at most `limit`, and the place after them: what [`Decision::Published`] takes.
    pub fn outbox(&self, limit: usize) -> (Vec<Transition>, u64) {
        let oldest: Vec<Transition> = self.outbox.iter().take(limit).copied().collect();
        let through = self.published + oldest.len() as u64;
        (oldest, through)
    }

    /// Gives `board` a place for everyone who has none there yet.
    pub fn extend_board(&self, board: &mut BeatBoard) {
        for index in board.len()..self.beats.len() {
            board.push(self.beats[index], self.records[index].is_online());
        }
    }

    /// The bytes of everything but ids and what waits to be published.
    pub fn bytes(&self) -> usize {
        self.beats.capacity() * size_of::<Tenths>() + self.records.capacity() * size_of::<Record>()
    }

    fn intern(&mut self, merchant: MerchantId) -> Option<usize> {
        let place = self.roster.intern(merchant)? as usize;
        if place == self.beats.len() {
            self.beats.push(0);
            self.records.push(Record::default());
        }
        Some(place)
    }

    fn set_record(&mut self, place: usize, record: Record) {
        self.online -= usize::from(self.records[place].is_online());
        self.online += usize::from(record.is_online());
        self.records[place] = record;
    }

    fn heard(&mut self, place: usize, age: Tenths) {
        // 0 means never.
        let beat = self.head.hearing.saturating_sub(age).max(1);
        if let Some(known) = self.beats.get_mut(place) {
            *known = beat.max(*known);
        }
    }

    fn apply_command(&mut self, at: ReplicatedTime, command: Command) -> Reply {
        let Command { head, decision } = command;
        if head.term < self.head.term {
            return Reply::Superseded;
        }
        if head.hearing >= self.head.hearing {
            self.hearing_at_ms = at.unix_ms;
        }
        self.head = Head { term: head.term, hearing: head.hearing.max(self.head.hearing) };
        match decision {
            Decision::TakeOver => {}
            Decision::Beats { known, newcomers } => {
                known.into_iter().for_each(|(index, age)| self.heard(index as usize, age));
                for (merchant, age) in newcomers {
                    if let Some(place) = self.intern(merchant) {
                        self.heard(place, age);
                    }
                }
            }
            Decision::Transitions(transitions) => transitions.iter().for_each(|transition| self.take(transition)),
            Decision::Published(through) => {
                let count = through.saturating_sub(self.published).min(self.outbox.len() as u64);
                self.outbox.drain(..usize::try_from(count).unwrap_or(usize::MAX));
                self.published += count;
            }
            Decision::Restored(merchants) if !self.is_restored => merchants.iter().for_each(|one| self.restored(one)),
            // Somebody has done it already.
            Decision::Restored(_) => {}
            Decision::RestoreEnded => self.is_restored = true,
            Decision::Brake(reference) => self.brake = reference,
        }
        Reply::Applied
    }

    /// Records a transition and what is to be published of it. Only the one that comes next and changes something: a
    /// repeated command does nothing.
    fn take(&mut self, transition: &Transition) {
        let (Some(place), Some(record)) = (self.intern(transition.merchant), Record::of(transition)) else { return };
        let last = self.records[place];
        let is_next = record.sequence() == last.sequence() + 1 && record.is_online() != last.is_online();
        if is_next && self.outbox.len() < OUTBOX_MAX {
            self.set_record(place, record);
            self.outbox.push_back(*transition);
        }
    }

    fn restored(&mut self, merchant: &RestoredMerchant) {
        let (Some(place), Some(record)) = (self.intern(merchant.last.merchant), Record::of(&merchant.last)) else {
            return;
        };
        if record.sequence() > self.records[place].sequence() {
            self.set_record(place, record);
            self.heard(place, merchant.age);
            self.outbox.extend(&merchant.unpublished);
        }
    }

    fn read_snapshot(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte("format version")? != FORMAT_VERSION {
            return Err(Malformed { what: "format version" });
        }
        let head = Head { term: reader.large("term")?, hearing: reader.number("hearing time")? };
        let hearing_at_ms = reader.instant("time of the hearing time")?;
        let is_restored = reader.byte("restored")? != 0;
        let brake_is_on = reader.byte("brake")? != 0;
        let brake = Some(reader.number("reference of the brake")?).filter(|_| brake_is_on);
        let published = reader.large("place in the outbox")?;
        if published > PUBLISHED_MAX {
            return Err(Malformed { what: "place in the outbox" });
        }
        let count = reader.count(MERCHANT_BYTES, "number of merchants")?;
        let mut state = Self {
            head,
            hearing_at_ms,
            is_restored,
            brake,
            published,
            roster: Roster::with_capacity(count),
            beats: Vec::with_capacity(count),
            records: Vec::with_capacity(count),
            ..Self::default()
        };
        for _ in 0..count {
            let merchant = reader.merchant()?;
            let place = state.intern(merchant).ok_or(Malformed { what: "number of merchants" })?;
            state.beats[place] = reader.number("beat")?;
            state.set_record(place, Record(reader.number("record")?));
        }
        for _ in 0..reader.count(TRANSITION_BYTES, "number of transitions")? {
            state.outbox.push_back(reader.transition()?);
        }
        reader.finish()?;
        Ok(state)
    }
}

impl StateMachine for PresencePartition {
    /// Replies a [`Reply`].
    fn apply(&mut self, at: ReplicatedTime, command: &[u8]) -> Vec<u8> {
        Command::decode(command).map_or(Reply::Unreadable, |command| self.apply_command(at, command)).encode()
    }

    fn snapshot(&self) -> Vec<u8> {
        let rows = self.roster.len() * MERCHANT_BYTES + self.outbox.len() * TRANSITION_BYTES;
        let mut writer = Writer::with_capacity(rows + 64);
        writer.byte(FORMAT_VERSION);
        writer.large(self.head.term);
        writer.number(self.head.hearing);
        writer.instant(self.hearing_at_ms);
        writer.byte(u8::from(self.is_restored));
        writer.byte(u8::from(self.brake.is_some()));
        writer.number(self.brake.unwrap_or_default());
        writer.large(self.published);
        writer.count(self.roster.len());
        for (merchant, (beat, record)) in self.roster.iter().zip(self.beats.iter().zip(&self.records)) {
            writer.merchant(merchant);
            writer.number(*beat);
            writer.number(record.0);
        }
        writer.count(self.outbox.len());
        self.outbox.iter().for_each(|transition| writer.transition(transition));
        writer.into_bytes()
    }

    fn restore(snapshot: &[u8]) -> Result<Self, RestoreError> {
        Self::read_snapshot(snapshot).map_err(|malformed| RestoreError { reason: malformed.to_string() })
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
