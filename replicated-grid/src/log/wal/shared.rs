//! What callers and the writer share: every group's view, the steps that wait for the disk, and what is durable.
//!
//! Locks: `state` before `durable` where both are needed; callbacks run under neither. The steps that wait are bounded by
//! the runner, which lets a group have only so much in flight; each one is kept in memory anyway, as a recent payload.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Notify, watch};

use super::super::disk::DiskFile;
use super::super::{Durable, GroupId, GroupLog, LogEntry, LogError};
use super::Health;
use super::index::Index;
use super::record::{Kind, Record};
use super::view::{Reading, View};

pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes a writer that is a thread.
    wake: Condvar,
    /// Wakes a writer that is a task.
    wake_task: Notify,
    pub(super) durable: RwLock<Stored>,
    health: watch::Sender<Health>,
    limits: Limits,
}

/// What is on the disk.
pub(super) struct Stored {
    pub(super) index: Index,
    pub(super) files: BTreeMap<u32, Arc<dyn DiskFile>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) payload_bytes_max: usize,
    pub(super) cache_bytes: usize,
}

struct State {
    views: BTreeMap<GroupId, View>,
    waiting: VecDeque<Waiting>,
    next_step: u64,
    health: Health,
    is_stopping: bool,
}

/// One record that waits for the disk, or the end of a step that needs none.
pub(super) struct Waiting {
    pub(super) step: u64,
    pub(super) record: Option<Record>,
    pub(super) durable: Option<Durable>,
}

/// What a caller asks for.
pub(super) enum Step {
    Append(Vec<LogEntry>),
    Truncate(u64),
    Purge(u64, Bytes),
    Vote(Bytes),
}

impl Shared {
    pub(super) fn new(durable: Stored, limits: Limits) -> Self {
        let state = State {
            views: views_of(&durable.index),
            waiting: VecDeque::new(),
            next_step: 1,
            health: Health::Writable,
            is_stopping: false,
        };
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            wake_task: Notify::new(),
            durable: RwLock::new(durable),
            health: watch::Sender::new(Health::Writable),
            limits,
        }
    }

    /// Takes a step in, or answers at once why not.
    pub(super) fn submit(&self, group: GroupId, step: Step, durable: Durable) {
        let refused = self.state.lock().submit(group, step, durable, self.limits);
        match refused {
            None => self.wake(),
            Some((error, durable)) => durable(Err(error)),
        }
    }

    pub(super) fn group(&self, group: GroupId) -> GroupLog {
        self.state.lock().views.get(&group).map(View::group_log).unwrap_or_default()
    }

    pub(super) fn locate(&self, group: GroupId, range: Range<u64>, bytes_max: usize) -> Option<Reading> {
        self.state.lock().views.get(&group).map(|view| view.locate(range, bytes_max))
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Lets the writer end when nothing waits any more.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.wake();
    }

    fn wake(&self) {
        self.wake.notify_one();
        self.wake_task.notify_one();
    }

    /// The oldest records that wait, at most `bytes_max` bytes of them but at least one.
    pub(super) fn take_batch(&self, bytes_max: usize) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let mut bytes = 0;
        let fitting = state.waiting.iter().take_while(|waiting| {
            let is_first = bytes == 0;
            bytes += waiting.record.as_ref().map_or(0, Record::length);
            is_first || bytes <= bytes_max
        });
        let count = fitting.count();
        state.waiting.drain(..count).collect()
    }

    /// Waits until something is to be written, at most `timeout`. Answers false once the log is to end.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        if state.waiting.is_empty() && !state.is_stopping {
            self.wake.wait_for(&mut state, timeout);
        }
        !(state.is_stopping && state.waiting.is_empty())
    }

    /// As [`Shared::wait`], for a writer that is a task; without a timeout of its own.
    pub(super) async fn wait_in_task(&self) -> bool {
        self.wake_task.notified().await;
        let state = self.state.lock();
        !(state.is_stopping && state.waiting.is_empty())
    }

    /// Everything through `step` is durable: payloads may be read from the disk from now on.
    pub(super) fn settled(&self, step: u64) {
        let mut state = self.state.lock();
        let share = self.limits.cache_bytes / state.views.len().max(1);
        state.views.values_mut().for_each(|view| view.shrink(step, share));
    }

    /// Undoes everything that is not durable, and answers its callbacks: those of `batch` and those that wait.
    pub(super) fn fail(&self, batch: Vec<Waiting>, health: Health, error: &LogError) {
        let mut state = self.state.lock();
        let waiting: Vec<Waiting> = state.waiting.drain(..).collect();
        state.views = views_of(&self.durable.read().index);
        state.health = health;
        drop(state);
        self.publish(health);
        let callbacks = batch.into_iter().chain(waiting).filter_map(|waiting| waiting.durable);
        callbacks.for_each(|durable| durable(Err(error.clone())));
    }

    /// Takes entries again.
    pub(super) fn reopen(&self) {
        self.state.lock().health = Health::Writable;
        self.publish(Health::Writable);
    }

    fn publish(&self, health: Health) {
        self.health.send_if_modified(|before| std::mem::replace(before, health) != health);
    }
}

fn views_of(index: &Index) -> BTreeMap<GroupId, View> {
    index.groups().map(|(group, durable)| (group, View::of(durable))).collect()
}

impl State {
    fn submit(&mut self, group: GroupId, step: Step, durable: Durable, limits: Limits) -> Option<(LogError, Durable)> {
        if let Err(error) = self.check(group, &step, limits) {
            return Some((error, durable));
        }
        let first = self.next_step;
        let records = self.views.entry(group).or_default().take(group, first, step);
        // A step may be split over two writes, so each of its records has a number.
        let waiting =
            (first..).zip(records).map(|(step, record)| Waiting { step, record: Some(record), durable: None });
        let before = self.waiting.len();
        self.waiting.extend(waiting);
        self.next_step += (self.waiting.len() - before).max(1) as u64;
        match self.waiting.back_mut().filter(|last| last.step >= first) {
            Some(last) => last.durable = Some(durable),
            None => self.waiting.push_back(Waiting { step: first, record: None, durable: Some(durable) }),
        }
        None
    }

    fn check(&self, group: GroupId, step: &Step, limits: Limits) -> Result<(), LogError> {
        let longest = match step {
            Step::Append(entries) => entries.iter().map(|entry| entry.payload.len()).max().unwrap_or(0),
            Step::Truncate(_) => 0,
            Step::Purge(_, bytes) | Step::Vote(bytes) => bytes.len(),
        };
        match (self.health, step) {
            (Health::Closed, _) => Err(LogError::Closed),
            _ if self.is_stopping => Err(LogError::Closed),
            (Health::Full, Step::Append(_)) => Err(LogError::Full),
            _ if longest > limits.payload_bytes_max => {
                Err(LogError::TooLarge { bytes: longest, bytes_max: limits.payload_bytes_max })
            }
            (_, Step::Append(entries)) => match self.views.get(&group) {
                Some(view) => view.check_order(group, entries),
                None => View::default().check_order(group, entries),
            },
            _ => Ok(()),
        }
    }
}

impl View {
    /// Takes a step, and answers the records that make it durable.
    fn take(&mut self, group: GroupId, first: u64, step: Step) -> Vec<Record> {
        let record = |kind, index, payload| Record { group, kind, index, payload };
        match step {
            Step::Append(entries) => {
                (first..).zip(&entries).for_each(|(step, entry)| self.push(step, entry.payload.clone()));
                entries.into_iter().map(|entry| record(Kind::Append, entry.index, entry.payload)).collect()
            }
            Step::Truncate(from) => {
                self.truncate(from);
                vec![record(Kind::Truncate, from, Bytes::new())]
            }
            Step::Purge(through, marker) => {
                self.purge(through, marker.clone());
                vec![record(Kind::Purge, through, marker)]
            }
            Step::Vote(vote) => {
                self.save_vote(vote.clone());
                vec![record(Kind::Vote, 0, vote)]
            }
        }
    }
}
