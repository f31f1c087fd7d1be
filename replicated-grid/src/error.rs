//! What a runner can answer instead of a result. Used by every runner and everyone who calls one.

use crate::node::NodeId;
use crate::state_machine::RestoreError;

/// A proposal has no reply. Unless it is [`ProposeError::OutcomeUnknown`], none of it was applied, and never will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// There is no such partition.
    #[error("there is no partition {partition}")]
    UnknownPartition {
        /// The partition asked for.
        partition: u16,
    },
    /// Too many commands wait. Trying again later makes sense.
    #[error("partition {partition} is overloaded")]
    Overloaded {
        /// The partition.
        partition: u16,
    },
    /// No leader took it, or the one named by the caller is none. Trying again, there, makes sense.
    #[error("partition {partition} is not led here")]
    NotLeader {
        /// The partition.
        partition: u16,
        /// Who leads it, if that is known.
        leader: Option<NodeId>,
    },
    /// It was handed to the log, and whether it was or will be applied is not known. Commands that may be repeated can
    /// be proposed again.
    #[error("partition {partition}: whether the command was applied is not known")]
    OutcomeUnknown {
        /// The partition.
        partition: u16,
    },
    /// The node gave the command up before it was applied. Trying again makes sense.
    #[error("partition {partition} stopped before the command was applied")]
    Stopped {
        /// The partition.
        partition: u16,
    },
}

impl ProposeError {
    /// Whether the same proposal may succeed later.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::UnknownPartition { .. } => false,
            Self::Overloaded { .. } | Self::NotLeader { .. } | Self::OutcomeUnknown { .. } | Self::Stopped { .. } => {
                true
            }
        }
    }
}

/// A read was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such partition.
    #[error("there is no partition {partition}")]
    UnknownPartition {
        /// The partition asked for.
        partition: u16,
    },
    /// Another node leads the partition, or nobody.
    #[error("partition {partition} is not led here")]
    NotLeader {
        /// The partition.
        partition: u16,
        /// Who leads it, if that is known.
        leader: Option<NodeId>,
    },
    /// The partition's serving lease had ended before the read or ended during it; what was read must not be used.
    #[error("partition {partition} is not serving")]
    LeaseExpired {
        /// The partition.
        partition: u16,
    },
}

/// A snapshot of a partition could not be taken or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// There is no such partition.
    #[error("there is no partition {partition}")]
    UnknownPartition {
        /// The partition asked for.
        partition: u16,
    },
    /// The bytes are not a snapshot that this code reads.
    #[error("partition {partition} cannot be restored")]
    Restore {
        /// The partition.
        partition: u16,
        /// What was wrong.
        #[source]
        source: RestoreError,
    },
}
