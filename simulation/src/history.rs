//! What happened in a run: every operation with its times and outcome, and what was observed besides.
//!
//! Written by workloads, models and the driver through a [`crate::recorder::Recorder`]; read by the invariants, after the
//! run. An operation that was not answered, for whatever reason, is unknown: it may have had its effect, and may have it later.

use serde::{Deserialize, Serialize};

/// An operation by its number, from 0.
pub type OperationId = usize;

/// An event as a poll showed it, or as the core committed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The order, as text.
    pub order: String,
    /// Its place in the order, from 1.
    pub sequence: u32,
    /// The merchant that the header names.
    pub merchant: u32,
    /// The merchant that the body names: the canary.
    pub body_merchant: u32,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Add an element, made up for this operation alone, to a set.
    Add {
        /// Where the set lives.
        partition: u16,
        /// Which set.
        key: u32,
        /// What is added.
        element: u32,
    },
    /// Read a set where its leader is.
    Read {
        /// Where the set lives.
        partition: u16,
        /// Which set.
        key: u32,
    },
    /// Ask for the events of some merchants.
    Poll {
        /// Who asks.
        application: String,
        /// For whom.
        merchants: Vec<u32>,
    },
    /// Ask who is online.
    Presence {
        /// Of whom.
        merchants: Vec<u32>,
    },
    /// Acknowledge events.
    Acknowledge {
        /// Who does.
        application: String,
        /// Which.
        events: Vec<String>,
    },
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The element was added.
    Added {
        /// How many commands its partition had applied then.
        position: u64,
        /// How often the element had been applied.
        times: u32,
    },
    /// The elements of a set, sorted.
    Set(Vec<u32>),
    /// A page of events.
    Page {
        /// The events.
        events: Vec<Event>,
        /// Which side answered, as kitchen-api calls it.
        by: String,
    },
    /// Who is online: merchant, whether it is, and the number of its last transition. Those that the node does not lead are
    /// missing.
    Presence(Vec<(u32, bool, u64)>),
    /// The acknowledgment was taken (202).
    Acknowledged,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was carried out.
    Ok(Answer),
    /// It was certainly not carried out, and never will be.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who, e.g. `n2/writer1`.
    pub client: String,
    /// When it was begun, µs of virtual time.
    pub invoked_us: u64,
    /// When it ended; for an operation that never did, the end of the run.
    pub returned_us: u64,
    /// What was asked.
    pub call: Call,
    /// How it ended.
    pub outcome: Outcome,
}

/// Something seen beside the operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observation {
    /// The run's phases: `formed`, `faults begin`, `healed`, `end`.
    Phase(String),
    /// A fault was injected or ended.
    Fault(String),
    /// Who leads a partition, as a node sees it.
    Leadership {
        /// The node.
        node: u64,
        /// How often it had been started.
        incarnation: u32,
        /// The partition.
        partition: u16,
        /// Who leads.
        leader: Option<u64>,
        /// In which term.
        term: u64,
        /// Whether the node says that it leads and has applied all.
        is_ours: bool,
        /// How many commands it had applied.
        applied: u64,
        /// Whether it answers reads.
        serves: bool,
    },
    /// A node's state at one place of the log.
    Applied {
        /// The node.
        node: u64,
        /// How often it had been started.
        incarnation: u32,
        /// The partition.
        partition: u16,
        /// How many commands were applied.
        count: u64,
        /// What they amount to.
        digest: u64,
        /// Replicated time at that place, ms since the run began by clocks that are right.
        time_ms: i64,
    },
    /// A node's state when the run ended.
    Final {
        /// The node.
        node: u64,
        /// The partition.
        partition: u16,
        /// How many commands it has applied.
        count: u64,
        /// What they amount to.
        digest: u64,
        /// Every element, sorted.
        elements: Vec<u32>,
        /// Those applied more than once.
        repeated: Vec<u32>,
        /// Replicated time minus the time of the run, ms.
        time_error_ms: i64,
    },
    /// What a node could do after everything was healed.
    Probe {
        /// The node.
        node: u64,
        /// What was tried, e.g. `write to partition 3`.
        what: String,
        /// How long it took, ms; `None` when it was given up.
        took_ms: Option<u64>,
    },
    /// A node could not be started.
    NotStarted {
        /// The node.
        node: u64,
        /// Why.
        reason: String,
    },
    /// The run ended early.
    Broken {
        /// Why: a panic, a host that ended, or that it took too long.
        reason: String,
    },
    /// The core committed an event.
    Committed {
        /// The event.
        event: Event,
        /// Its code, in full.
        code: String,
        /// When, by the core's clock, ms since 1970.
        created_at_ms: i64,
    },
    /// The event's message left the feed queue of the grid for good.
    Deleted {
        /// The event's id.
        event: String,
    },
    /// A message was dead-lettered.
    DeadLettered {
        /// The event's id, if it could be read.
        event: String,
    },
    /// An application may see a merchant.
    Granted {
        /// The application.
        application: String,
        /// The merchant.
        merchant: u32,
    },
    /// A POS polled, which is a beat of its merchants.
    Beat {
        /// The merchants.
        merchants: Vec<u32>,
        /// The machine whose kitchen-api took it in; `None` when none could be reached.
        at: Option<u64>,
    },
    /// A merchant's presence changed, as published.
    Transition {
        /// The merchant.
        merchant: u32,
        /// To what.
        online: bool,
        /// The transition's id.
        id: String,
        /// Its number for the merchant.
        sequence: u64,
        /// When it was decided, as it says, ms since 1970.
        changed_at_ms: i64,
    },
}

/// An observation and when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// µs of virtual time.
    pub at_us: u64,
    /// What.
    pub what: Observation,
}

/// What a run was; the invariants that depend on its size read it here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// `grid`, `feed` or `presence`.
    pub scenario: String,
    /// From which everything followed.
    pub seed: u64,
    /// Nodes of the grid at the start.
    pub nodes: u64,
    /// Its partitions.
    pub partitions: u16,
    /// How long things went wrong, ms.
    pub faults_ms: u64,
    /// The bug that was planted, if one was.
    pub planted: Option<String>,
    /// The kinds of fault that were planned.
    pub planned: Vec<String>,
}

/// Everything that happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// What the run was.
    pub about: About,
    /// The operations, in the order in which they were begun.
    pub operations: Vec<Operation>,
    /// The observations, in order.
    pub seen: Vec<Seen>,
}

impl History {
    /// When the phase `name` began, µs.
    pub fn phase_us(&self, name: &str) -> Option<u64> {
        let is_it = |seen: &&Seen| matches!(&seen.what, Observation::Phase(phase) if phase == name);
        self.seen.iter().find(is_it).map(|seen| seen.at_us)
    }

    /// One JSON object a line: what the run was, operations, then observations.
    ///
    /// # Errors
    /// Never, in fact: what serialises it cannot fail for these types.
    pub fn to_jsonl(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(&self.about)?;
        text.push('\n');
        for operation in &self.operations {
            text.push_str(&serde_json::to_string(operation)?);
            text.push('\n');
        }
        for seen in &self.seen {
            text.push_str(&serde_json::to_string(seen)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// Reads what [`History::to_jsonl`] wrote.
    ///
    /// # Errors
    /// When a line is none of a history.
    pub fn from_jsonl(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Line {
            Operation(Operation),
            Seen(Seen),
            About(About),
        }
        let mut history = Self::default();
        for line in text.lines() {
            match serde_json::from_str(line)? {
                Line::Operation(operation) => history.operations.push(operation),
                Line::Seen(seen) => history.seen.push(seen),
                Line::About(about) => history.about = about,
            }
        }
        Ok(history)
    }
}
