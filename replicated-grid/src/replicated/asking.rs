//! Questions on their way to a leader: answered here, or over the network by the node that is believed to lead.
//!
//! A hint is deliberately not followed: whoever asks does so again soon, and leadership is known better then.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::codec::{DecodeError, Reader};
use super::messages::{Kind, answer, open_answer, request};
use super::node::{ReplicatedNode, Shared};
use crate::log::GroupId;
use crate::peers::{Lane, PeerError};
use crate::questions::{AskError, Questions};
use crate::state_machine::StateMachine;

/// How long a leader may take to answer, which is work of a millisecond at most.
const DEADLINE: Duration = Duration::from_millis(600);

/// The most bytes of a question, well within what the transport carries.
const QUESTION_BYTES_MAX: usize = 4 * 1024 * 1024;

impl<M: StateMachine> ReplicatedNode<M> {
    /// From now on `by` answers what this node is asked as a leader. Only the first call counts.
    pub fn answer_questions(&self, by: Arc<dyn Questions>) {
        self.shared.answering.begin(by);
    }

    /// Asks the leader of `partition`, wherever it is.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn ask_leader(&self, partition: u16, question: Bytes) -> BoxFuture<'_, Result<Bytes, AskError>> {
        self.shared.ask_leader(partition, question)
    }
}

/// Boxed where they are written, so that they are compiled there and not in each crate that calls them.
impl Shared {
    fn ask_leader(&self, partition: u16, question: Bytes) -> BoxFuture<'_, Result<Bytes, AskError>> {
        Box::pin(async move {
            let known = self.leadership.borrow().get(usize::from(partition)).copied().unwrap_or_default();
            let leader = known.leader.ok_or(AskError::NoLeader { partition })?;
            if leader == self.ours.id {
                return self.answering.answer(partition, question);
            }
            let member = self.around.addresses.get(leader).ok_or(AskError::NoLeader { partition })?;
            if question.len() > QUESTION_BYTES_MAX {
                return Err(AskError::Refused { partition, reason: "the question is too long".to_owned() });
            }
            let mut body = request(partition, Kind::Ask);
            body.bytes(&question);
            let answered = self.around.peers.call(&member, Lane::Proposal, body.finish(), DEADLINE).await;
            let unreadable = |error: DecodeError| AskError::Refused { partition, reason: error.to_string() };
            match answered {
                Ok(bytes) => read_answer(bytes).map_err(unreadable),
                Err(PeerError::Refused { reason, .. }) => Err(AskError::Refused { partition, reason }),
                Err(source @ (PeerError::Unreachable { .. } | PeerError::NoAnswer { .. })) => {
                    Err(AskError::Unanswered { partition, source })
                }
            }
        })
    }
}

impl Shared {
    /// Answers a question that another node has passed on.
    pub(super) fn answer_question(&self, partition: GroupId, mut body: Reader) -> Result<Bytes, String> {
        let question = body.bytes().map_err(|error| error.to_string())?;
        body.finish().map_err(|error| error.to_string())?;
        let answered = self.answering.answer(partition, question).map_err(|error| error.to_string())?;
        let mut writer = answer();
        writer.bytes(&answered);
        Ok(writer.finish())
    }
}

fn read_answer(bytes: Bytes) -> Result<Bytes, DecodeError> {
    let mut reader = open_answer(bytes)?;
    let answered = reader.bytes()?;
    reader.finish()?;
    Ok(answered)
}
