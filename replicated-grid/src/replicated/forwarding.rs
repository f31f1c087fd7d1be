//! Proposals on their way to a leader: here, or over the network, following one hint.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::codec::{DecodeError, Reader};
use super::messages::{Kind, answer, open_answer, request};
use super::node::{CONTROL, Shared};
use super::proposals::Outcome;
use super::role::Role;
use crate::error::ProposeError;
use crate::log::GroupId;
use crate::node::NodeId;
use crate::peers::{Lane, PeerError};

/// What the network may take on top of the proposal's own timeout at the leader.
const ROUND_TRIP: Duration = Duration::from_millis(500);
/// The most bytes that are forwarded in one proposal, well within what the transport carries.
const FORWARDED_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Shared {
    /// Proposes wherever the leader of `partition` is.
    pub(super) fn propose(&self, partition: u16, commands: Vec<Bytes>) -> BoxFuture<'_, Outcome> {
        Box::pin(self.propose_anywhere(partition, commands))
    }

    async fn propose_anywhere(&self, partition: u16, commands: Vec<Bytes>) -> Outcome {
        let Some(slot) = self.partitions.get(usize::from(partition)) else {
            return Err(ProposeError::UnknownPartition { partition });
        };
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(group) = slot.load_full()
            && !matches!(*group.role.borrow(), Role::Following { .. })
        {
            return group.propose(commands, self.around.config.proposal_timeout).await;
        }
        let leader = self.leadership.borrow().get(usize::from(partition)).and_then(|known| known.leader);
        self.forward(partition, leader, commands).await
    }

    /// Proposes to the control group, wherever its leader is.
    pub(super) async fn propose_control(&self, commands: Vec<Bytes>) -> Outcome {
        let Some(control) = self.control.load_full() else {
            return Err(ProposeError::NotLeader { partition: CONTROL, leader: None });
        };
        let role = *control.role.borrow();
        match role {
            Role::Following { leader, .. } => self.forward(CONTROL, leader, commands).await,
            Role::Preparing { .. } | Role::Leading { .. } => {
                control.propose(commands, self.around.config.proposal_timeout).await
            }
        }
    }

    async fn forward(&self, group: GroupId, leader: Option<NodeId>, commands: Vec<Bytes>) -> Outcome {
        let nobody = ProposeError::NotLeader { partition: group, leader };
        let bytes: usize = commands.iter().map(Bytes::len).sum();
        if bytes > FORWARDED_BYTES_MAX {
            return Err(ProposeError::Overloaded { partition: group });
        }
        let leader = leader.filter(|leader| *leader != self.ours.id).ok_or(nobody)?;
        let mut body = request(group, Kind::Propose);
        body.list(commands.iter(), |writer, command| writer.bytes(command));
        let body = body.finish();
        match self.ask(group, leader, body.clone()).await {
            Err(ProposeError::NotLeader { leader: Some(hint), .. }) if hint != leader && hint != self.ours.id => {
                self.ask(group, hint, body).await
            }
            outcome => outcome,
        }
    }

    async fn ask(&self, partition: GroupId, node: NodeId, body: Bytes) -> Outcome {
        let not_taken = ProposeError::NotLeader { partition, leader: None };
        let Some(member) = self.around.addresses.get(node) else { return Err(not_taken) };
        let deadline = self.around.config.proposal_timeout + ROUND_TRIP;
        match self.around.peers.call(&member, Lane::Proposal, body, deadline).await {
            Ok(answer) => read_outcome(partition, answer).unwrap_or(Err(ProposeError::OutcomeUnknown { partition })),
            Err(PeerError::Unreachable { .. } | PeerError::Refused { .. }) => Err(not_taken),
            Err(PeerError::NoAnswer { .. }) => Err(ProposeError::OutcomeUnknown { partition }),
        }
    }

    /// Answers a proposal that another node has forwarded. It is not forwarded again.
    pub(super) async fn answer_proposal(&self, group: GroupId, mut body: Reader) -> Result<Bytes, String> {
        let unreadable = |error: DecodeError| error.to_string();
        let commands = body.list(Reader::bytes).map_err(unreadable)?;
        body.finish().map_err(unreadable)?;
        let timeout = self.around.config.proposal_timeout;
        let outcome = if group == CONTROL {
            match self.control.load_full() {
                Some(control) => control.propose(commands, timeout).await,
                None => Err(ProposeError::NotLeader { partition: group, leader: None }),
            }
        } else {
            match self.partition(group) {
                Some(partition) => partition.propose(commands, timeout).await,
                None => {
                    let known = self.leadership.borrow().get(usize::from(group)).copied().unwrap_or_default();
                    Err(ProposeError::NotLeader { partition: group, leader: known.leader })
                }
            }
        };
        Ok(outcome_answer(&outcome))
    }
}

fn outcome_answer(outcome: &Outcome) -> Bytes {
    let mut writer = answer();
    match outcome {
        Ok(replies) => {
            writer.u8(0);
            writer.list(replies.iter(), |writer, reply| writer.bytes(reply));
        }
        Err(ProposeError::NotLeader { leader, .. }) => {
            writer.u8(1);
            writer.u64(leader.unwrap_or_default().0);
        }
        Err(ProposeError::Overloaded { .. }) => writer.u8(2),
        Err(ProposeError::OutcomeUnknown { .. }) => writer.u8(3),
        Err(ProposeError::Stopped { .. }) => writer.u8(4),
        Err(ProposeError::UnknownPartition { .. }) => writer.u8(5),
    }
    writer.finish()
}

fn read_outcome(partition: GroupId, bytes: Bytes) -> Result<Outcome, DecodeError> {
    let mut reader = open_answer(bytes)?;
    let outcome = match reader.u8()? {
        0 => Ok(reader.list(|reader| Ok(reader.bytes()?.to_vec()))?),
        1 => {
            let leader = Some(NodeId(reader.u64()?)).filter(|leader| *leader != NodeId::default());
            Err(ProposeError::NotLeader { partition, leader })
        }
        2 => Err(ProposeError::Overloaded { partition }),
        3 => Err(ProposeError::OutcomeUnknown { partition }),
        4 => Err(ProposeError::Stopped { partition }),
        5 => Err(ProposeError::UnknownPartition { partition }),
        _ => return Err(DecodeError("its outcome is not known")),
    };
    reader.finish()?;
    Ok(outcome)
}
