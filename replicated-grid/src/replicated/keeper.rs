//! Opens and closes the groups of a node, one at a time, on the node's own runtime.
//!
//! A group is opened when the log knows it at the start, or when another node first speaks to it. It is closed when the
//! control group wants it elsewhere and nobody has spoken to it for a while; its log and its snapshot stay, and closing
//! too early is harmless: it is opened again. A group that openraft has given up, as over a full disk, is opened again
//! as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::config::StartError;
use super::control::ControlState;
use super::erased::StateKind;
use super::group::Group;
use super::node::{CONTROL, Shared};
use crate::log::{GroupId, Health};

/// How often groups are looked after.
const ROUND: Duration = Duration::from_secs(1);
/// How long a group must be unwanted and not led by anyone, or led without it, before it is closed.
const UNWANTED_FOR: Duration = Duration::from_secs(5);

/// Asks for a group to be open; answered when it is.
pub(super) struct Request {
    pub(super) group: GroupId,
    pub(super) opened: oneshot::Sender<Result<(), String>>,
}

/// See the module.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    unwanted_since: BTreeMap<GroupId, Instant>,
    /// Groups that failed, and whose failure has been logged.
    failed: BTreeMap<GroupId, String>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, unwanted_since: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Opens what the log knows.
    pub(super) async fn open_known(&self) -> Result<(), StartError> {
        for group in self.shared.partition_numbers().chain([CONTROL]) {
            if self.shared.is_known(group) {
                self.open(group).await?;
            }
        }
        Ok(())
    }

    /// Works until nobody can ask any more.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut rounds = tokio::time::interval(ROUND);
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => {
                        let opened = self.open(request.group).await.map_err(|error| error.to_string());
                        // Whoever asked may have gone away; the group is open all the same.
                        let _ = request.opened.send(opened);
                    }
                    None => return,
                },
                _ = rounds.tick() => self.round().await,
            }
        }
    }

    async fn open(&self, group: GroupId) -> Result<(), StartError> {
        let shared = &self.shared;
        if group == CONTROL {
            if shared.control.load().is_none() {
                let control =
                    Group::open(CONTROL, &shared.around, Arc::new(StateKind::of(ControlState::default))).await?;
                shared.control.store(Some(control));
                shared.control_opened.notify_one();
            }
            return Ok(());
        }
        let Some(slot) = shared.partitions.get(usize::from(group)) else {
            return Err(StartError::Group { group, reason: "there is no such partition".to_owned() });
        };
        if slot.load().is_none() {
            let opened = Group::open(group, &shared.around, Arc::clone(&shared.kind)).await?;
            slot.store(Some(opened));
        }
        Ok(())
    }

    async fn round(&mut self) {
        self.revive(CONTROL).await;
        for partition in self.shared.partition_numbers() {
            self.revive(partition).await;
            self.close_unwanted(partition).await;
        }
    }

    /// Opens a group again that openraft has given up.
    async fn revive(&mut self, group: GroupId) {
        let failure = match group {
            CONTROL => self.shared.control.load().as_ref().and_then(|control| control.failure()),
            partition => self.shared.partition(partition).and_then(|group| group.failure()),
        };
        let Some(failure) = failure.map(|failure| failure.to_string()).or_else(|| self.failed.get(&group).cloned())
        else {
            return;
        };
        let grid = self.shared.around.config.name;
        if self.failed.insert(group, failure.clone()).is_none() {
            tracing::error!(grid, group, error = %failure, "a group has stopped; it is started again until it goes on");
        }
        if self.shared.around.standing.borrow().log == Health::Closed {
            // It could not even vote.
            return;
        }
        self.close(group).await;
        if self.open(group).await.is_ok() {
            self.failed.remove(&group);
            tracing::info!(grid, group, "the group was started again");
        }
    }

    async fn close(&self, group: GroupId) {
        if group == CONTROL {
            if let Some(control) = self.shared.control.swap(None) {
                control.close().await;
            }
        } else if let Some(slot) = self.shared.partitions.get(usize::from(group))
            && let Some(open) = slot.swap(None)
        {
            open.close().await;
        }
    }

    async fn close_unwanted(&mut self, partition: u16) {
        if !self.is_unwanted(partition) {
            self.unwanted_since.remove(&partition);
            return;
        }
        let since = *self.unwanted_since.entry(partition).or_insert_with(Instant::now);
        if since.elapsed() >= UNWANTED_FOR {
            self.unwanted_since.remove(&partition);
            self.close(partition).await;
            tracing::info!(
                grid = self.shared.around.config.name,
                partition,
                "the partition has moved away from this node"
            );
        }
    }

    /// Whether the partition is here, wanted elsewhere, and its leader does not count on this replica.
    fn is_unwanted(&self, partition: u16) -> bool {
        let ours = self.shared.ours.id;
        let view = self.shared.view.borrow();
        let Some(placement) = view.partitions.get(usize::from(partition)) else { return false };
        if placement.replicas.contains(&ours) || self.shared.partition(partition).is_none() {
            return false;
        }
        let mut leader_goes_without = false;
        self.shared.reports.for_each(|_, report| {
            let led = report.led.iter().find(|(group, ..)| *group == partition);
            leader_goes_without |=
                led.is_some_and(|(_, seen, _)| !seen.voters.contains(&ours) && !seen.learners.contains(&ours));
        });
        leader_goes_without
    }
}

impl Shared {
    /// Has `group` opened, unless it is.
    pub(super) async fn ensure_open(&self, group: GroupId) -> Result<(), String> {
        let is_open = match group {
            CONTROL => self.control.load().is_some(),
            partition => match self.partitions.get(usize::from(partition)) {
                Some(slot) => slot.load().is_some(),
                None => return Err(format!("there is no partition {partition}")),
            },
        };
        if is_open {
            return Ok(());
        }
        let (opened, answer) = oneshot::channel();
        let stopped = || "the node is stopping".to_owned();
        self.keeper.send(Request { group, opened }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}
