//! Brings the grid to what the control group wants, on the node that leads it: plan, do, look again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::control::command::{Command, decode_outcome, put_member};
use super::control::plan::{Seen, Step, next_steps};
use super::control::put_nodes;
use super::messages::{Kind, request};
use super::node::{CONTROL, Shared};
use crate::log::GroupId;
use crate::node::{Member, NodeId};
use crate::peers::Lane;

/// A pause between two looks, so that what was just done shows in the reports.
const PAUSE: Duration = Duration::from_millis(50);
/// Beginning a group, or handing one over.
const STEP_DEADLINE: Duration = Duration::from_secs(2);
/// Moving a partition: learning, then two changes of its membership.
const MOVE_DEADLINE: Duration = Duration::from_secs(90);
/// After a transfer the others report who leads now before the next one is decided.
const TRANSFER_PAUSE: Duration = Duration::from_millis(400);

/// Works for as long as the node does; does something only where the control group is led.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        shared.plan_again.notified().await;
        let Some(control) = shared.led_control() else { continue };
        let view = Arc::clone(&shared.view.borrow());
        let mut seen = Seen { control, ..Seen::default() };
        shared.reports.for_each(|node, report| {
            seen.reached.insert(node);
            if !report.is_draining {
                seen.willing.insert(node);
            }
            for (partition, group, _) in &report.led {
                let known = seen.partitions.get(partition).map_or(0, |known| known.term);
                if group.term > known {
                    seen.partitions.insert(*partition, group.clone());
                }
            }
        });
        for step in next_steps(&view, &seen) {
            if let Err(reason) = shared.take_step(&step).await {
                tracing::debug!(grid = shared.around.config.name, ?step, reason, "a step did not succeed yet");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Shared {
    async fn take_step(&self, step: &Step) -> Result<(), String> {
        match step {
            Step::Control { voters, members } => {
                let control = self.control.load_full().ok_or("the control group has just been closed")?;
                control.reshape(&self.known(voters)?, &self.known(members)?).await
            }
            Step::HandOverControl { to } => {
                let control = self.control.load_full().ok_or("the control group has just been closed")?;
                control.hand_over(*to).await?;
                tokio::time::sleep(TRANSFER_PAUSE).await;
                Ok(())
            }
            Step::Start { partition, on } => {
                let initial = self.view.borrow().partitions.get(usize::from(*partition)).map(|at| at.initial.clone());
                let members = self.known(&initial.unwrap_or_default().into_iter().collect())?;
                self.tell(*on, *partition, Kind::Initialize, &members, STEP_DEADLINE).await
            }
            Step::Started { partition } => self.decide(Command::Started(*partition)).await,
            Step::Move { partition, leader, replicas } => {
                let members = self.known(&replicas.iter().copied().collect())?;
                self.tell(*leader, *partition, Kind::Move, &members, MOVE_DEADLINE).await
            }
            Step::Assign { partition, replicas } => {
                self.decide(Command::Assign { partition: *partition, replicas: replicas.clone() }).await
            }
            Step::Lead { partition, leader, to } => {
                self.let_lead(*partition, *leader, *to).await?;
                tokio::time::sleep(TRANSFER_PAUSE).await;
                Ok(())
            }
            Step::Forget { node } => self.decide(Command::Forget(*node)).await,
        }
    }

    async fn decide(&self, command: Command) -> Result<(), String> {
        let replies = self.propose_control(vec![command.encode()]).await.map_err(|error| error.to_string())?;
        decode_outcome(replies.first().map_or(&[], Vec::as_slice))
    }

    fn known(&self, nodes: &BTreeSet<NodeId>) -> Result<Vec<Member>, String> {
        let known = |node: &NodeId| self.view.borrow().member(*node).or_else(|| self.around.addresses.get(*node));
        let members = nodes.iter().map(|node| known(node).ok_or_else(|| format!("where node {node} is, is not known")));
        members.collect()
    }

    /// Asks the leader of `partition` to let `to` lead.
    pub(super) async fn let_lead(&self, partition: u16, leader: NodeId, to: NodeId) -> Result<(), String> {
        if leader == self.ours.id {
            return match self.partition(partition) {
                Some(group) => group.hand_over(to).await,
                None => Err("it is not here".to_owned()),
            };
        }
        let mut body = request(partition, Kind::Lead);
        put_nodes(&mut body, &[to]);
        self.say(leader, body.finish(), STEP_DEADLINE).await
    }

    async fn tell(
        &self,
        node: NodeId,
        group: GroupId,
        kind: Kind,
        members: &[Member],
        deadline: Duration,
    ) -> Result<(), String> {
        if node == self.ours.id {
            return match (kind, self.partition(group)) {
                (Kind::Move, Some(here)) => {
                    let moved = here.move_to(members).await;
                    self.around.roles_changed.notify_one();
                    moved
                }
                (Kind::Initialize, _) => self.begin(group, members.to_vec()).await,
                _ => Err("it is not here".to_owned()),
            };
        }
        let mut body = request(group, kind);
        body.list(members.iter(), put_member);
        self.say(node, body.finish(), deadline).await
    }

    async fn say(&self, node: NodeId, body: bytes::Bytes, deadline: Duration) -> Result<(), String> {
        let member = self.around.addresses.get(node).ok_or_else(|| format!("where node {node} is, is not known"))?;
        let answered = self.around.peers.call(&member, Lane::Proposal, body, deadline).await;
        answered.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Forms the control group of `voters`, here.
    pub(super) async fn begin_control(&self, voters: Vec<Member>) -> Result<(), String> {
        self.begin(CONTROL, voters).await
    }
}
