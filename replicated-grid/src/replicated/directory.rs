//! What a node knows of the grid beyond its own groups: who is a member, who leads what, what time it is there.
//!
//! Learnt from the control group's state and from the reports of the others; published to whoever routes by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::control::ControlState;
use super::control::plan::SeenGroup;
use super::erased::typed;
use super::group::Group;
use super::messages::{Kind, request};
use super::node::{CONTROL, Shared};
use super::reports::{REPORT_INTERVAL, Report};
use super::role::Role;
use super::time::reading;
use crate::leadership::Leadership;
use crate::node::NodeId;
use crate::peers::Lane;
use crate::spawn::spawn;
use crate::transport::Membership;

/// How long a report may take; the next one says it all again.
const REPORT_DEADLINE: Duration = Duration::from_millis(500);
/// How long a node counts as up to date after it was: a change of members is here within a moment.
const UP_TO_DATE_FOR: Duration = Duration::from_secs(2);
/// Reports are sent at most this often, however much happens.
const REPORT_PAUSE: Duration = Duration::from_millis(10);

/// Keeps up with the control group's state.
pub(super) async fn follow_control(shared: Arc<Shared>) {
    loop {
        let Some(mut applied) = shared.control.load().as_ref().map(|control| control.replica.applied()) else {
            shared.control_opened.notified().await;
            continue;
        };
        loop {
            learn(&shared);
            tokio::select! {
                changed = applied.changed() => if changed.is_err() { break },
                () = shared.control_opened.notified() => break,
            }
        }
    }
}

fn learn(shared: &Shared) {
    let Some(state) = shared
        .control
        .load()
        .as_ref()
        .map(|control| control.replica.look(|state| typed::<ControlState>(state).clone()))
    else {
        return;
    };
    if **shared.view.borrow() == state || !state.is_formed() {
        return;
    }
    shared.around.addresses.learn(state.all_members());
    shared.reports.retain(|node| state.members.contains_key(&node));
    shared.view.send_replace(Arc::new(state));
    shared.publish_membership();
    shared.plan_again.notify_one();
    shared.publish_leadership();
}

/// Tells the other members, again and again, what this node leads.
pub(super) async fn report(shared: Arc<Shared>) {
    loop {
        shared.publish_leadership();
        shared.publish_membership();
        shared.plan_again.notify_one();
        shared.measure();
        let report = shared.report();
        let members: Vec<_> = shared.view.borrow().all_members().filter(|member| *member != shared.ours).collect();
        for member in members.into_iter().filter(|member| member.id != shared.ours.id) {
            let body = report.encode(request(CONTROL, Kind::Report));
            // An unanswered report is missed by nobody: the next one follows.
            spawn(shared.around.peers.call(&member, Lane::Raft, body, REPORT_DEADLINE));
        }
        shared.reports.keep(shared.ours.id, report);
        let changed = tokio::time::timeout(REPORT_INTERVAL, shared.around.roles_changed.notified());
        if changed.await.is_ok() {
            tokio::time::sleep(REPORT_PAUSE).await;
        }
    }
}

/// What openraft says of a group that this node leads, in the plan's words.
fn seen(group: &Group, ours: NodeId) -> Option<SeenGroup> {
    let Role::Leading { term } = *group.role.borrow() else { return None };
    let metrics = group.metrics();
    let membership = metrics.membership_config.membership();
    let matched = metrics.replication.iter().flatten();
    Some(SeenGroup {
        leader: ours,
        term,
        voters: membership.voter_ids().map(NodeId).collect(),
        learners: membership.learner_ids().map(NodeId).collect(),
        is_joint: membership.get_joint_config().len() > 1,
        last_index: metrics.last_log_index.unwrap_or(0),
        matched: matched.filter_map(|(node, matched)| matched.map(|matched| (NodeId(*node), matched.index))).collect(),
    })
}

impl Shared {
    fn report(&self) -> Report {
        let now = reading(&*self.around.clock);
        let led = self.partition_numbers().filter_map(|partition| {
            let group = self.partition(partition)?;
            let seen = seen(&group, self.ours.id)?;
            Some((partition, seen, group.time.peek(now)?))
        });
        Report {
            is_draining: !self.around.standing.borrow().may_lead(),
            led: led.collect(),
            control_applied: self.control_applied(),
        }
    }

    fn control_applied(&self) -> u64 {
        let control = self.control.load();
        let applied = control.as_ref().and_then(|control| *control.replica.applied().borrow());
        applied.map_or(0, |applied| applied.index + 1)
    }

    /// Publishes who may speak: the members as they are known here while this node is up to date, everyone while it is not.
    /// One that was away, or reads the control log from its beginning, knows members of the past, and whoever could tell
    /// it more may have come after them.
    fn publish_membership(&self) {
        let view = Arc::clone(&self.view.borrow());
        if !view.is_formed() {
            return;
        }
        let now = Instant::now();
        if self.has_all_of_control() {
            *self.up_to_date_at.lock() = Some(now);
        }
        let is_up_to_date = self.up_to_date_at.lock().is_some_and(|at| now < at + UP_TO_DATE_FOR);
        let membership = match is_up_to_date {
            true => Membership::Known(view.members.keys().copied().collect()),
            false => Membership::Unknown,
        };
        self.membership.send_if_modified(|published| {
            let changed = *published != membership;
            *published = membership;
            changed
        });
    }

    /// Whether nobody who has been heard lately knows more of the control group, and somebody has been heard.
    fn has_all_of_control(&self) -> bool {
        if self.led_control().is_some() {
            return true;
        }
        let (ours, mut is_heard, mut is_behind) = (self.control_applied(), false, false);
        self.reports.for_each(|node, report| {
            is_heard |= node != self.ours.id;
            is_behind |= report.control_applied > ours;
        });
        is_heard && !is_behind
    }

    /// The control group, if this node leads it.
    pub(super) fn led_control(&self) -> Option<SeenGroup> {
        seen(self.control.load().as_ref()?, self.ours.id)
    }

    /// Learns from the report of another node.
    pub(super) fn take_report(&self, from: NodeId, report: Report) {
        let now = self.around.clock.monotonic();
        for (partition, _, time) in &report.led {
            if let Some(group) = self.partition(*partition) {
                group.time.hear(*time, now);
            }
        }
        self.reports.keep(from, report);
        self.publish_membership();
        self.publish_leadership();
        self.plan_again.notify_one();
    }

    /// Publishes who leads what, as far as it is known here, if that has changed.
    pub(super) fn publish_leadership(&self) {
        let own = |partition| self.partition(partition).map(|group| group.leadership()).unwrap_or_default();
        let mut known: Vec<Leadership> = self.partition_numbers().map(own).collect();
        let mut heard = BTreeSet::from([self.ours.id]);
        self.reports.for_each(|node, report| {
            heard.insert(node);
            for (partition, group, _) in &report.led {
                let Some(best) = known.get_mut(usize::from(*partition)) else { continue };
                let is_newer = group.term > best.term || (group.term == best.term && best.leader.is_none());
                if node != self.ours.id && is_newer {
                    *best = Leadership { leader: Some(node), term: group.term, is_ours: false };
                }
            }
        });
        // A replica that nobody speaks to any more remembers a leader for ever, as that of a node that was taken out does.
        for of in &mut known {
            of.leader = of.leader.filter(|leader| heard.contains(leader));
        }
        self.leadership.send_if_modified(|published| {
            let changed = **published != *known;
            if changed {
                *published = known.into();
            }
            changed
        });
    }

    fn measure(&self) {
        let grid = self.around.config.name;
        for partition in self.partition_numbers() {
            let Some(group) = self.partition(partition) else { continue };
            let number = partition.to_string();
            let metrics = group.metrics();
            let applied = metrics.last_applied.map_or(0, |applied| applied.index);
            let last = metrics.last_log_index.unwrap_or(0);
            let gauge = |name: &'static str, value: u64| {
                metrics::gauge!(name, "grid" => grid, "partition" => number.clone()).set(value as f64);
            };
            gauge("comanda_grid_term", metrics.current_term);
            gauge("comanda_grid_leads", u64::from(group.leadership().is_ours));
            gauge("comanda_grid_applied_index", applied);
            gauge("comanda_grid_apply_lag_entries", last.saturating_sub(applied));
        }
        metrics::gauge!("comanda_grid_clock_steps_refused", "grid" => grid).set(self.clock_steps_refused() as f64);
    }

    pub(super) fn clock_steps_refused(&self) -> u64 {
        let groups = self.partition_numbers().filter_map(|partition| self.partition(partition));
        groups.map(|group| group.time.steps_refused()).sum()
    }
}
