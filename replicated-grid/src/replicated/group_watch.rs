//! Follows what openraft says of a group, and turns it into a role, a lease and a clock.
//!
//! One task per group. The lease is published from here, so that a read costs a few loads and no message.

use std::sync::Arc;
use std::time::Duration;

use openraft::Instant;
use openraft::async_runtime::watch::WatchReceiver;
use order_model::SharedClock;
use tokio::sync::{Notify, watch};

use super::lease::TermLease;
use super::machine::Replica;
use super::raft_types::{RaftMetrics, Types};
use super::role::Role;
use super::time::{GroupTime, reading};
use crate::log::GroupId;
use crate::node::NodeId;

/// The lease that counts is shorter than the promise of the followers by this part of it: their clocks may run that
/// much faster than ours.
const MARGIN_DIVISOR: u32 = 10;

type MetricsWatch = openraft::type_config::alias::WatchReceiverOf<Types, RaftMetrics>;

/// See the module.
pub(super) struct GroupWatch {
    pub(super) node: NodeId,
    pub(super) group: GroupId,
    pub(super) grid: &'static str,
    pub(super) metrics: MetricsWatch,
    pub(super) replica: Arc<Replica>,
    pub(super) lease: Arc<TermLease>,
    pub(super) time: Arc<GroupTime>,
    pub(super) clock: SharedClock,
    pub(super) role: watch::Sender<Role>,
    pub(super) roles_changed: Arc<Notify>,
    pub(super) lease_length: Duration,
}

impl GroupWatch {
    /// Works until openraft or the group ends.
    pub(super) async fn run(mut self) {
        loop {
            self.look();
            let is_alone = self.is_only_voter(&self.metrics.borrow_watched());
            let changed = match is_alone {
                // It gets no acknowledgments whose arrival would show, and renews its lease by itself.
                true => tokio::time::timeout(self.lease_length / 4, self.metrics.changed()).await.unwrap_or(Ok(())),
                false => self.metrics.changed().await,
            };
            if changed.is_err() {
                // openraft has ended, and has said so in its last metrics.
                self.look();
                return;
            }
        }
    }

    fn look(&self) {
        // In this order: time that passes in between makes the acknowledgment look older, never younger.
        let now = self.clock.monotonic();
        let (role, acked_ago) = {
            let metrics = self.metrics.borrow_watched();
            (self.role_of(&metrics), self.acknowledged_ago(&metrics))
        };
        self.follow(role);
        if let (Role::Leading { term }, Some(acked_ago)) = (role, acked_ago) {
            let length = self.lease_length - self.lease_length / MARGIN_DIVISOR;
            if let Some(until) = (now + length).checked_sub(acked_ago) {
                self.lease.extend(term, until);
            }
        }
    }

    fn role_of(&self, metrics: &RaftMetrics) -> Role {
        match Role::of(metrics, self.node) {
            // It hands its leadership over and serves no more, though it has not heard of a successor yet.
            Role::Preparing { term } | Role::Leading { term } if !self.lease.may_hold(term) => {
                Role::Following { leader: None, term }
            }
            role => role,
        }
    }

    /// How long ago messages were sent that a quorum has answered.
    fn acknowledged_ago(&self, metrics: &RaftMetrics) -> Option<Duration> {
        if self.is_only_voter(metrics) {
            return Some(Duration::ZERO);
        }
        metrics.last_quorum_acked.map(|acked| acked.into_inner().elapsed())
    }

    fn is_only_voter(&self, metrics: &RaftMetrics) -> bool {
        let mut voters = metrics.membership_config.voter_ids();
        voters.next() == Some(self.node.0) && voters.next().is_none()
    }

    fn follow(&self, role: Role) {
        let before = *self.role.borrow();
        if role == before {
            return;
        }
        let now = reading(&*self.clock);
        if !matches!((before, role), (Role::Following { .. } | Role::Preparing { .. }, Role::Leading { .. })) {
            self.time.follow(now);
        }
        if let Role::Leading { term } = role {
            self.time.lead(self.replica.time(), now);
            metrics::counter!("comanda_grid_elections_won_total", "grid" => self.grid).increment(1);
            tracing::info!(grid = self.grid, group = self.group, term, "this node leads");
        } else if let Role::Leading { term } = before {
            self.lease.end();
            tracing::info!(grid = self.grid, group = self.group, term, "this node leads no more");
        }
        self.role.send_replace(role);
        self.roles_changed.notify_one();
    }
}
