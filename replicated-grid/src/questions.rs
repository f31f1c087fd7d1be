//! What a service asks the leader of a partition past the log, wherever that leader is.
//!
//! For what only a leader can take and what needs no quorum: the nodes of a grid reach each other where somebody outside
//! reaches only some of them. The service that runs on every node answers ([`Questions`]); what the bytes mean is its own.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::peers::PeerError;

/// Answers what was asked of this node as the leader of a partition. Must neither block nor panic on any bytes.
pub trait Questions: Send + Sync + 'static {
    /// The answer, or why there is none, e.g. because this node leads no more.
    ///
    /// # Errors
    /// With the reason, for the log of whoever asked.
    fn answer(&self, partition: u16, question: Bytes) -> Result<Bytes, String>;
}

/// A question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody is known to lead it, or there is no such partition.
    #[error("no leader of partition {partition} is known")]
    NoLeader {
        /// The partition.
        partition: u16,
    },
    /// Whether the leader has taken it is not known, unless the source says so.
    #[error("the leader of partition {partition} did not answer")]
    Unanswered {
        /// The partition.
        partition: u16,
        /// What the network said.
        #[source]
        source: PeerError,
    },
    /// The leader did not take it.
    #[error("partition {partition}: {reason}")]
    Refused {
        /// The partition.
        partition: u16,
        /// Its reason.
        reason: String,
    },
}

/// Who answers, as soon as the service has said so.
#[derive(Default)]
pub(crate) struct Answering {
    by: OnceLock<Arc<dyn Questions>>,
}

impl Answering {
    /// The first to come answers from now on; a node has one service.
    pub(crate) fn begin(&self, by: Arc<dyn Questions>) {
        let _ = self.by.set(by);
    }

    pub(crate) fn answer(&self, partition: u16, question: Bytes) -> Result<Bytes, AskError> {
        let nobody = || AskError::Refused { partition, reason: "nobody answers questions here yet".to_owned() };
        let answer = self.by.get().ok_or_else(nobody)?.answer(partition, question);
        answer.map_err(|reason| AskError::Refused { partition, reason })
    }
}
