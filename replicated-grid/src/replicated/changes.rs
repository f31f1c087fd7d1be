//! What a group's leader does to its own group: begin it, move it, hand it over. Each can be asked for again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{BasicNode, ChangeMembers};

use super::group::Group;
use super::node::Shared;
use super::role::Role;
use super::standing::GivenUp;
use crate::log::GroupId;
use crate::node::{Member, NodeId};

/// How long new replicas may take to catch up; a snapshot of a large partition is in it. Asked for again after that.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one change of a membership may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// A new replica this many entries behind becomes a voter: it has the rest in a moment.
const CAUGHT_UP: u64 = 256;

impl Shared {
    /// Begins `group` with `members` as its first voters, unless it has begun.
    pub(super) async fn begin(&self, group: GroupId, members: Vec<Member>) -> Result<(), String> {
        if !members.iter().any(|member| member.id == self.ours.id) {
            return Err("this node is not among the first replicas".to_owned());
        }
        self.around.addresses.learn(members.clone());
        self.ensure_open(group).await?;
        if group == super::node::CONTROL {
            let control = self.control.load_full().ok_or("the group has just been closed")?;
            control.begin(members).await
        } else {
            let partition = self.partition(group).ok_or("the group has just been closed")?;
            partition.begin(members).await
        }
    }
}

impl Group {
    async fn begin(&self, members: Vec<Member>) -> Result<(), String> {
        let begun = self.raft.is_initialized().await.map_err(|error| error.to_string())?;
        if begun {
            return Ok(());
        }
        self.raft.initialize(nodes(&members)).await.map_err(|error| error.to_string())
    }

    /// Makes `replicas` the only voters, and drops all else: new ones learn first.
    pub(super) async fn move_to(&self, replicas: &[Member]) -> Result<(), String> {
        self.reshape(replicas, replicas).await
    }

    /// Makes `voters` the voters and `members` all there are; whoever is not a voter learns.
    ///
    /// A leader that is to go makes the others voters beside itself and hands over: its successor takes it out. openraft
    /// does not bear a leader that has no vote and goes on changing its membership.
    pub(super) async fn reshape(&self, voters: &[Member], members: &[Member]) -> Result<(), String> {
        let _one_at_a_time = self.changing.try_lock().map_err(|_| "a change is under way")?;
        let Role::Leading { .. } = *self.role.borrow() else { return Err("it is not led here".to_owned()) };
        let ours = *self.raft.node_id();
        let mut wanted: BTreeSet<u64> = voters.iter().map(|member| member.id.0).collect();
        let goes = wanted.insert(ours);
        let known = self.known_nodes();
        let new: Vec<Member> = members.iter().filter(|member| !known.contains(&member.id.0)).cloned().collect();
        if !new.is_empty() {
            self.change(ChangeMembers::AddNodes(nodes(&new))).await?;
        }
        let current = self.metrics().membership_config;
        let is_voting = current.get_joint_config().len() == 1 && current.voter_ids().eq(wanted.iter().copied());
        if !is_voting {
            self.caught_up(&wanted).await?;
            self.change(ChangeMembers::ReplaceAllVoters(wanted.clone())).await?;
        }
        if goes {
            let to = self.successor(|node| node != ours && wanted.contains(&node)).ok_or("nobody could lead it")?;
            return self.hand_over(to).await;
        }
        let kept: BTreeSet<u64> = members.iter().map(|member| member.id.0).chain(wanted).collect();
        let left: BTreeSet<u64> = self.known_nodes().difference(&kept).copied().collect();
        if left.is_empty() { Ok(()) } else { self.change(ChangeMembers::RemoveNodes(left)).await }
    }

    fn known_nodes(&self) -> BTreeSet<u64> {
        self.metrics().membership_config.nodes().map(|(node, _)| *node).collect()
    }

    async fn change(&self, change: ChangeMembers<u64, BasicNode>) -> Result<(), String> {
        let changed = tokio::time::timeout(CHANGE_TIMEOUT, self.raft.change_membership(change, true)).await;
        match changed {
            Ok(changed) => changed.map(|_| ()).map_err(|error| error.to_string()),
            Err(_) => Err("the change of the membership took too long".to_owned()),
        }
    }

    /// Waits until every one of `wanted` has nearly all entries.
    async fn caught_up(&self, wanted: &BTreeSet<u64>) -> Result<(), String> {
        let ours = self.raft.node_id();
        let waiting = async {
            let mut metrics = self.raft.metrics();
            loop {
                {
                    let now = metrics.borrow_watched();
                    let Some(replication) = &now.replication else { return Err("it is led here no more") };
                    let needed = now.last_log_index.unwrap_or(0).saturating_sub(CAUGHT_UP);
                    let has_enough = |node: &u64| {
                        node == ours
                            || replication.get(node).and_then(|at| *at).is_some_and(|matched| matched.index >= needed)
                    };
                    if wanted.iter().all(has_enough) {
                        return Ok(());
                    }
                }
                metrics.changed().await.map_err(|_| "the group has stopped")?;
            }
        };
        match tokio::time::timeout(CATCH_UP_TIMEOUT, waiting).await {
            Ok(caught_up) => caught_up.map_err(str::to_owned),
            Err(_) => Err("a new replica does not catch up".to_owned()),
        }
    }

    /// Lets `to` lead, if this node leads and `to` has a vote.
    pub(super) async fn hand_over(&self, to: NodeId) -> Result<(), String> {
        let Role::Leading { term } = *self.role.borrow() else { return Err("it is not led here".to_owned()) };
        if !self.metrics().membership_config.voter_ids().any(|voter| voter == to.0) {
            return Err(format!("node {to} is no voter of it"));
        }
        tracing::info!(group = self.id, term, to = %to, "handing the leadership over");
        self.raft.trigger().transfer_leader(to.0).await.map_err(|error| error.to_string())
    }

    /// The voter that has come furthest, of those that `may` lead.
    fn successor(&self, may: impl Fn(u64) -> bool) -> Option<NodeId> {
        let metrics = self.metrics();
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let others = metrics.replication.iter().flatten().filter(|(node, _)| voters.contains(node) && may(**node));
        others.filter_map(|(node, matched)| matched.map(|matched| (matched, *node))).max().map(|(_, node)| NodeId(node))
    }

    /// Hands the leadership, if there is one, to one of `willing`.
    pub(super) async fn give_up(&self, willing: &BTreeSet<NodeId>) -> GivenUp {
        let role = *self.role.borrow();
        match role {
            Role::Following { .. } => GivenUp::NotLed,
            Role::Preparing { .. } => {
                let may = |voter| willing.contains(&NodeId(voter));
                let has_willing = self.metrics().membership_config.voter_ids().any(may);
                if has_willing { GivenUp::HandingOver } else { GivenUp::Nobody }
            }
            Role::Leading { .. } => match self.successor(|node| willing.contains(&NodeId(node))) {
                Some(to) => {
                    // Asked again by the caller until it shows.
                    let _ = self.hand_over(to).await;
                    GivenUp::HandingOver
                }
                None => GivenUp::Nobody,
            },
        }
    }
}

fn nodes(members: &[Member]) -> BTreeMap<u64, BasicNode> {
    members.iter().map(|member| (member.id.0, BasicNode::new(&member.address))).collect()
}
