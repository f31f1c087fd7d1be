//! What an operator asks of a node: form a grid, change it, move leaderships.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::control::ControlState;
use super::control::command::{Command, decode_outcome};
use super::messages::{Kind, open_answer, request};
use super::node::{CONTROL, ReplicatedNode, Shared};
use crate::error::ProposeError;
use crate::node::{Member, NodeId};
use crate::peers::Lane;
use crate::state_machine::StateMachine;

/// How long another node may take to say who it is, or to pass a change on.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// How long a drain goes on when nobody could take over what is still led here: a node that is being restarted is back,
/// or another one elected, within a few of these; who stops everything at once wants to be gone.
const NOBODY_FOR: Duration = Duration::from_secs(1);
/// A pause before asking again.
const PAUSE: Duration = Duration::from_millis(20);

/// What an operator asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The grid has been formed, here or where a member named is.
    #[error("node {node} is part of a grid already")]
    AlreadyFormed {
        /// The node that is.
        node: NodeId,
    },
    /// A member cannot be reached.
    #[error("node {node} does not answer: {reason}")]
    Unreachable {
        /// Which.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The node asked is not among the members named.
    #[error("the node that forms a grid must be one of its members")]
    NotAMember,
    /// There is no such partition.
    #[error("there is no partition {partition}")]
    UnknownPartition {
        /// The partition asked for.
        partition: u16,
    },
    /// What was asked makes no sense in the state things are in.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The control group did not take the change. It may have.
    #[error("the change was not decided")]
    NotDecided(#[source] ProposeError),
    /// It was begun, goes on, and did not end in time.
    #[error("it is not done yet: {what}")]
    NotYet {
        /// What is missing.
        what: String,
    },
}

impl<M: StateMachine> ReplicatedNode<M> {
    /// Forms a grid of `members`, this node among them. Each must have been started with an empty log.
    ///
    /// # Errors
    /// When a member cannot be reached or belongs to a grid, and when the members do not elect a leader in time.
    pub fn init(&self, members: Vec<Member>, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        self.shared.init(members, timeout)
    }

    /// Takes a node in, or notes that it is reached elsewhere now. Partitions move to it in the background.
    ///
    /// # Errors
    /// When the control group does not decide it, or the node is being removed.
    pub fn add_node(&self, member: Member) -> BoxFuture<'_, Result<(), AdminError>> {
        self.shared.add_node(member)
    }

    /// Has this node taken in by one of `seeds`: for a node with a new id.
    ///
    /// # Errors
    /// With the last seed's reason when none could do it.
    pub fn join<'a>(&'a self, seeds: &'a [Member]) -> BoxFuture<'a, Result<(), AdminError>> {
        self.shared.join(seeds)
    }

    /// Moves everything off a node and takes it out. Goes on in the background when it is not done in time.
    ///
    /// # Errors
    /// When the control group does not decide it, or it takes longer than `timeout`.
    pub fn remove_node(&self, node: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        self.shared.remove_node(node, timeout)
    }

    /// Makes `to` lead `partition`.
    ///
    /// # Errors
    /// When `to` is no replica of it, nobody leads it, or the change does not show within `timeout`.
    pub fn transfer(&self, partition: u16, to: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        self.shared.transfer(partition, to, timeout)
    }

    /// Hands every leadership of this node over; it takes no new one until it is started again. Does not wait for what
    /// cannot be: once no other voter that is reached and may lead has been known for a second (a node that has fallen
    /// silent is no longer counted on after 1.5 s), it ends.
    ///
    /// # Errors
    /// When something is still led here after `timeout`, or after that second, as a partition without another replica
    /// always is.
    pub fn drain(&self, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        self.shared.drain(timeout)
    }
}

/// Boxed where they are written, so that they are compiled there and not in each crate that calls them.
impl Shared {
    fn init(&self, members: Vec<Member>, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move {
            if !members.iter().any(|member| member.id == self.ours.id) {
                return Err(AdminError::NotAMember);
            }
            if self.view.borrow().is_formed() {
                return Err(AdminError::AlreadyFormed { node: self.ours.id });
            }
            let deadline = Instant::now() + timeout;
            // A former attempt may have got as far as a control group of the same members.
            if !self.is_known(CONTROL) {
                self.greet(&members).await?;
                self.around.addresses.learn(members.clone());
                let voters = usize::from(self.around.config.replication_factor.get());
                let mut voters: Vec<Member> = members.iter().take(voters).cloned().collect();
                if !voters.contains(&self.ours) {
                    voters.pop();
                    voters.push(self.ours.clone());
                }
                self.begin_control(voters).await.map_err(|reason| AdminError::Refused { reason })?;
            }
            let form = Command::Form {
                replication_factor: self.around.config.replication_factor.get(),
                members,
                partitions: self.around.config.partitions.get(),
            };
            loop {
                match self.change(form.clone()).await {
                    Err(AdminError::NotDecided(_)) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                    outcome => return outcome,
                }
            }
        })
    }

    fn add_node(&self, member: Member) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move { self.change(Command::AddMember(member)).await })
    }

    fn join<'a>(&'a self, seeds: &'a [Member]) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            let mut last = AdminError::Refused { reason: "no seed is known".to_owned() };
            for seed in seeds.iter().filter(|seed| seed.id != self.ours.id) {
                let mut body = request(CONTROL, Kind::Change);
                body.raw(&Command::AddMember(self.ours.clone()).encode());
                match self.around.peers.call(seed, Lane::Proposal, body.finish(), CALL_DEADLINE).await {
                    Ok(_) => return Ok(()),
                    Err(error) => last = AdminError::Unreachable { node: seed.id, reason: error.to_string() },
                }
            }
            Err(last)
        })
    }

    fn remove_node(&self, node: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            if self.view.borrow().members.contains_key(&node) {
                self.change(Command::Leave(node)).await?;
            }
            let mut view = self.view.subscribe();
            let gone = view.wait_for(|state| !state.members.contains_key(&node));
            match tokio::time::timeout_at(deadline, gone).await {
                Ok(_) => Ok(()),
                Err(_) => Err(AdminError::NotYet { what: format!("node {node} still holds something") }),
            }
        })
    }

    fn transfer(&self, partition: u16, to: NodeId, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move {
            let mut leadership = self.leadership.subscribe();
            let known = leadership.borrow().get(usize::from(partition)).copied();
            let known = known.ok_or(AdminError::UnknownPartition { partition })?;
            if known.leader == Some(to) {
                return Ok(());
            }
            let refused = |reason: String| AdminError::Refused { reason };
            let leader = known.leader.ok_or_else(|| refused("nobody leads it".to_owned()))?;
            self.let_lead(partition, leader, to).await.map_err(refused)?;
            let leads =
                leadership.wait_for(|all| all.get(usize::from(partition)).is_some_and(|now| now.leader == Some(to)));
            match tokio::time::timeout(timeout, leads).await {
                Ok(_) => Ok(()),
                Err(_) => Err(AdminError::NotYet { what: format!("node {to} does not lead partition {partition}") }),
            }
        })
    }

    fn drain(&self, timeout: Duration) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move {
            self.around.standing.send_modify(|standing| standing.is_draining = true);
            self.around.roles_changed.notify_one();
            let deadline = Instant::now() + timeout;
            let mut nobody_since = None;
            loop {
                let still_led = self.give_up().await;
                let (now, led) = (Instant::now(), still_led.groups.join(", "));
                if still_led.groups.is_empty() {
                    return Ok(());
                }
                if still_led.has_successor {
                    nobody_since = None;
                } else if now >= *nobody_since.get_or_insert(now) + NOBODY_FOR {
                    return Err(AdminError::NotYet { what: format!("still led here, nobody else could: {led}") });
                }
                if now >= deadline {
                    return Err(AdminError::NotYet { what: format!("still led here: {led}") });
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }
}

impl Shared {
    /// Has the control group carry out `command`, wherever its leader is.
    pub(super) async fn change(&self, command: Command) -> Result<(), AdminError> {
        let replies = self.propose_control(vec![command.encode()]).await.map_err(AdminError::NotDecided)?;
        decode_outcome(replies.first().map_or(&[], Vec::as_slice)).map_err(|reason| AdminError::Refused { reason })
    }

    /// Asks every other member whether it is free to be part of a new grid.
    async fn greet(&self, members: &[Member]) -> Result<(), AdminError> {
        for member in members.iter().filter(|member| member.id != self.ours.id) {
            let unreachable = |reason: String| AdminError::Unreachable { node: member.id, reason };
            let hello = request(CONTROL, Kind::Hello).finish();
            let answered = self.around.peers.call(member, Lane::Proposal, hello, CALL_DEADLINE).await;
            let answered = answered.map_err(|error| unreachable(error.to_string()))?;
            let is_taken = open_answer(answered).and_then(|mut answer| answer.flag());
            if is_taken.map_err(|error| unreachable(error.to_string()))? {
                return Err(AdminError::AlreadyFormed { node: member.id });
            }
        }
        Ok(())
    }

    /// The members that stay, for status.
    pub(super) fn control_state(&self) -> Arc<ControlState> {
        Arc::clone(&self.view.borrow())
    }

    /// The voters of the control group, as this node knows them.
    pub(super) fn control_voters(&self) -> BTreeSet<NodeId> {
        let control = self.control.load();
        let voters =
            control.as_ref().map(|control| control.metrics().membership_config.voter_ids().collect::<Vec<_>>());
        voters.into_iter().flatten().map(NodeId).collect()
    }
}
