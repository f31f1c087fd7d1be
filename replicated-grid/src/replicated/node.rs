//! A node of a grid: its groups, and what keeps them going.
//!
//! Everything runs on the runtime on which the node is started, so that polls elsewhere cannot starve elections.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::{Config, Dependencies, StartError};
use super::control::ControlState;
use super::erased::StateKind;
use super::group::{Group, Surroundings};
use super::keeper::{self, Keeper};
use super::reports::Reports;
use super::standing::{self, Standing};
use super::time::reading;
use super::{directory, reconcile};
use crate::leadership::Leadership;
use crate::log::{GroupId, GroupLog};
use crate::node::Member;
use crate::questions::Answering;
use crate::spawn::spawn;
use crate::state_machine::StateMachine;
use crate::transport::Membership;

/// The control group's number; partitions count from zero.
pub(super) const CONTROL: GroupId = u16::MAX;

/// Openings and closings that may wait for the keeper.
const KEEPER_QUEUE: usize = 256;

/// One grid on this node. Cheap to clone; clones share everything.
///
/// It alone knows the type of the states. Everything behind it is the same code for every grid, see [`super::erased`].
pub struct ReplicatedNode<M: StateMachine> {
    pub(super) shared: Arc<Shared>,
    states: PhantomData<fn() -> M>,
}

impl<M: StateMachine> Clone for ReplicatedNode<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), states: PhantomData }
    }
}

pub(super) struct Shared {
    pub(super) around: Surroundings,
    pub(super) ours: Member,
    /// Of the partitions' states.
    pub(super) kind: Arc<StateKind>,
    pub(super) control: ArcSwapOption<Group>,
    pub(super) partitions: Box<[ArcSwapOption<Group>]>,
    pub(super) keeper: mpsc::Sender<keeper::Request>,
    /// What the control group has decided, as far as this node knows.
    pub(super) view: watch::Sender<Arc<ControlState>>,
    pub(super) leadership: watch::Sender<Arc<[Leadership]>>,
    pub(super) membership: watch::Sender<Membership>,
    pub(super) reports: Reports,
    pub(super) answering: Answering,
    /// When this node last had all that others have of the control group.
    pub(super) up_to_date_at: Mutex<Option<Instant>>,
    /// The id of the node whose place this one takes; 0: nobody's.
    pub(super) replaces: AtomicU64,
    /// Told when the control group is opened anew.
    pub(super) control_opened: Notify,
    /// Told when there may be something to do for whoever leads the control group.
    pub(super) plan_again: Notify,
    pub(super) ending: CancellationToken,
}

impl<M: StateMachine> ReplicatedNode<M> {
    /// Starts a node from its log and snapshots. A node whose log is empty waits to be made part of a grid, by
    /// [`ReplicatedNode::init`] or by being added.
    ///
    /// `initial` makes the state with which a new partition begins.
    ///
    /// # Errors
    /// When the settings are wrong, the log does not go with the id, or a group cannot be read.
    pub async fn start(
        config: Config,
        dependencies: Dependencies,
        initial: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let shared = Shared::start(config, dependencies, StateKind::of(initial)).await?;
        Ok(Self { shared, states: PhantomData })
    }

    /// Ends every group; what they have written stays. Nothing is handed over: see [`ReplicatedNode::drain`].
    pub fn stop(&self) -> BoxFuture<'_, ()> {
        self.shared.stop()
    }
}

impl Shared {
    /// Boxed, as what [`ReplicatedNode`] calls is: compiled here, and not in each crate that calls it.
    fn start(
        config: Config,
        dependencies: Dependencies,
        kind: StateKind,
    ) -> BoxFuture<'static, Result<Arc<Self>, StartError>> {
        Box::pin(async move {
            let node = dependencies.identity.claim(config.name, dependencies.log.is_durable())?;
            let (keeper, requests) = mpsc::channel(KEEPER_QUEUE);
            let count = usize::from(config.partitions.get());
            let standing = Standing { is_draining: false, log: *dependencies.log.health().borrow() };
            let around = Surroundings {
                node,
                raft_config: Arc::new(config.raft()?),
                config: Arc::new(config),
                log: dependencies.log,
                snapshots: dependencies.snapshots,
                peers: dependencies.peers,
                addresses: Arc::default(),
                started: reading(&*dependencies.clock),
                clock: dependencies.clock,
                roles_changed: Arc::default(),
                standing: watch::Sender::new(standing),
            };
            let shared = Arc::new(Shared {
                around,
                ours: Member { id: node, address: dependencies.address },
                kind: Arc::new(kind),
                control: ArcSwapOption::empty(),
                partitions: (0..count).map(|_| ArcSwapOption::empty()).collect(),
                keeper,
                view: watch::Sender::default(),
                leadership: watch::Sender::new(vec![Leadership::default(); count].into()),
                membership: watch::Sender::default(),
                reports: Reports::default(),
                answering: Answering::default(),
                up_to_date_at: Mutex::default(),
                replaces: AtomicU64::new(0),
                control_opened: Notify::new(),
                plan_again: Notify::new(),
                ending: CancellationToken::new(),
            });
            let keeper = Keeper::new(Arc::clone(&shared));
            keeper.open_known().await?;
            shared.start_tasks(keeper, requests);
            Ok(shared)
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.ending.cancel();
            if let Some(control) = self.control.swap(None) {
                control.close().await;
            }
            for slot in &self.partitions {
                if let Some(group) = slot.swap(None) {
                    group.close().await;
                }
            }
        })
    }

    fn start_tasks(self: &Arc<Self>, keeper: Keeper, requests: mpsc::Receiver<keeper::Request>) {
        let ending = || self.ending.clone();
        spawn(ending().run_until_cancelled_owned(keeper.run(requests)));
        spawn(ending().run_until_cancelled_owned(directory::follow_control(Arc::clone(self))));
        spawn(ending().run_until_cancelled_owned(directory::report(Arc::clone(self))));
        spawn(ending().run_until_cancelled_owned(reconcile::run(Arc::clone(self))));
        spawn(ending().run_until_cancelled_owned(standing::follow_log(Arc::clone(self))));
    }

    /// The group of `partition`, if it is here.
    pub(super) fn partition(&self, partition: u16) -> Option<Arc<Group>> {
        self.partitions.get(usize::from(partition))?.load_full()
    }

    /// Every partition.
    pub(super) fn partition_numbers(&self) -> impl Iterator<Item = u16> + use<> {
        0..self.around.config.partitions.get()
    }

    /// Whether anything of `group` is in the log.
    pub(super) fn is_known(&self, group: GroupId) -> bool {
        self.around.log.group(group) != GroupLog::default()
    }
}
