//! merchant-connection's nodes: who leads which partition of presence, how to reach whom, and asking by that.
//!
//! Leaders are known as those of the feed are, in a [`LeaderMap`] of merchant-connection's own grid; every answer of a node
//! says who leads what was asked about. What only a leader answers goes there; profiles are read from any node. Used by the
//! beat keeper and the merchant endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use order_model::{MerchantId, PartitionCount, PartitionId, RoutingHash};
use proto::failover::first_reachable;
use proto::merchant_connection::PartitionLeader;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::transport::Transport;

use crate::feed::{LeaderHint, LeaderMap, NodeId};

/// The largest answer: a page of profiles with all their opening hours.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The client of one node, or of whichever answers.
pub(crate) type Client = MerchantConnectionClient<Transport>;

/// A node of merchant-connection.
#[derive(Clone)]
pub struct PresenceNode {
    /// Tells it from others: its address.
    pub name: String,
    /// How to reach it.
    pub transport: Transport,
}

/// One node, and who it is in the grid, as soon as it has said so.
pub(crate) struct Node {
    name: String,
    transport: Transport,
    id: AtomicU64,
}

impl Node {
    pub(crate) fn client(&self) -> Client {
        client(self.transport.clone())
    }

    fn id(&self) -> Option<NodeId> {
        NodeId::from_number(self.id.load(Ordering::Relaxed))
    }
}

/// All nodes. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct PresenceNodes {
    shared: Arc<Shared>,
}

struct Shared {
    partitions: PartitionCount,
    leaders: LeaderMap,
    nodes: ArcSwap<Vec<Arc<Node>>>,
    any: ArcSwap<Client>,
    turn: AtomicUsize,
}

impl PresenceNodes {
    /// These nodes, of a grid of `partitions` partitions: as many as merchant-connection has, or it refuses every beat.
    pub fn new(partitions: PartitionCount, nodes: Vec<PresenceNode>) -> Self {
        let shared = Shared {
            partitions,
            leaders: LeaderMap::new(partitions),
            nodes: ArcSwap::default(),
            any: ArcSwap::from_pointee(client(first_reachable(Vec::new()))),
            turn: AtomicUsize::new(0),
        };
        let all = Self { shared: Arc::new(shared) };
        all.set_nodes(nodes);
        all
    }

    /// A single node, of this process or another one.
    pub fn one(partitions: PartitionCount, transport: Transport) -> Self {
        Self::new(partitions, vec![PresenceNode { name: "merchant-connection".to_owned(), transport }])
    }

    /// Replaces the nodes; one of the same name stays as it is.
    pub fn set_nodes(&self, nodes: Vec<PresenceNode>) {
        let before = self.shared.nodes.load_full();
        let known = |new: &PresenceNode| before.iter().find(|node| node.name == new.name).cloned();
        let made = |PresenceNode { name, transport }| Arc::new(Node { name, transport, id: AtomicU64::new(0) });
        let now: Vec<Arc<Node>> = nodes.into_iter().map(|new| known(&new).unwrap_or_else(|| made(new))).collect();
        let gone = before.iter().filter(|node| !now.iter().any(|kept| Arc::ptr_eq(kept, node)));
        gone.filter_map(|node| node.id()).for_each(|id| self.shared.leaders.forget(id));
        let mut transports: Vec<Transport> = now.iter().map(|node| node.transport.clone()).collect();
        // A single one needs nobody to keep its requests for another.
        let any = if transports.len() == 1 { transports.remove(0) } else { first_reachable(transports) };
        self.shared.any.store(Arc::new(client(any)));
        self.shared.nodes.store(Arc::new(now));
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> PartitionCount {
        self.shared.partitions
    }

    /// Where `merchant` belongs.
    pub(crate) fn partition_of(&self, merchant: MerchantId) -> PartitionId {
        RoutingHash::of(merchant).partition(self.shared.partitions)
    }

    /// A client of whichever node answers: for what any of them does.
    pub(crate) fn any_client(&self) -> Client {
        Client::clone(&self.shared.any.load())
    }

    /// Whom to ask about `partitions`: their leaders, and where none is known anybody, who will know.
    pub(crate) fn route(&self, partitions: &[PartitionId]) -> Vec<(Arc<Node>, Vec<PartitionId>)> {
        let nodes = self.shared.nodes.load();
        let mut stops: Vec<(Arc<Node>, Vec<PartitionId>)> = Vec::new();
        for (leader, partitions) in self.shared.leaders.route(partitions) {
            let led_by = leader.and_then(|leader| nodes.iter().find(|node| node.id() == Some(leader)));
            let Some(node) = led_by.or_else(|| self.in_turn(&nodes)) else { continue };
            match stops.iter_mut().find(|(known, _)| Arc::ptr_eq(known, node)) {
                Some((_, known)) => known.extend(partitions),
                None => stops.push((Arc::clone(node), partitions)),
            }
        }
        stops
    }

    /// Whom to ask instead about what `node` refused: the leaders it named, if it named others that can be reached.
    pub(crate) fn route_on(&self, node: &Arc<Node>, refused: &[PartitionId]) -> Vec<(Arc<Node>, Vec<PartitionId>)> {
        let named: Vec<PartitionId> =
            refused.iter().copied().filter(|one| self.shared.leaders.leader_of(*one).is_some()).collect();
        self.route(&named).into_iter().filter(|(next, _)| !Arc::ptr_eq(next, node)).collect()
    }

    /// Whether somebody is said to lead `partition` who has never said so: it cannot be reached from here.
    pub(crate) fn is_led_by_a_stranger(&self, partition: PartitionId) -> bool {
        let nodes = self.shared.nodes.load();
        let leader = self.shared.leaders.leader_of(partition);
        leader.is_some_and(|leader| nodes.iter().all(|node| node.id() != Some(leader)))
    }

    /// A node that has not said yet who it is.
    pub(crate) fn strangers(&self) -> Vec<Arc<Node>> {
        self.shared.nodes.load().iter().filter(|node| node.id().is_none()).cloned().collect()
    }

    /// Any node.
    pub(crate) fn any(&self) -> Option<Arc<Node>> {
        self.in_turn(&self.shared.nodes.load()).cloned()
    }

    /// Any node but `failed`.
    pub(crate) fn another_than(&self, failed: &Arc<Node>) -> Option<Arc<Node>> {
        let nodes = self.shared.nodes.load();
        let others: Vec<Arc<Node>> = nodes.iter().filter(|node| !Arc::ptr_eq(node, failed)).cloned().collect();
        self.in_turn(&others).cloned()
    }

    fn in_turn<'a>(&self, nodes: &'a [Arc<Node>]) -> Option<&'a Arc<Node>> {
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed).checked_rem(nodes.len())?;
        nodes.get(turn)
    }

    /// `node` answered: it is called `id`, and says who leads.
    pub(crate) fn learn(&self, node: &Node, id: u64, leaders: &[PartitionLeader]) {
        let former = NodeId::from_number(node.id.swap(id, Ordering::Relaxed));
        if let Some(former) = former.filter(|former| former.number() != id) {
            self.shared.leaders.forget(former);
        }
        let hint = |wire: &PartitionLeader| {
            let partition = PartitionId(u16::try_from(wire.partition).ok()?);
            Some(LeaderHint { partition, leader: NodeId::from_number(wire.leader), term: wire.term })
        };
        if let Some(id) = NodeId::from_number(id) {
            self.shared.leaders.learn(id, leaders.iter().filter_map(hint));
        }
    }

    /// `node` did not answer: whoever is asked next says who leads what it led.
    pub(crate) fn is_unreachable(&self, node: &Node) {
        if let Some(id) = node.id() {
            self.shared.leaders.forget(id);
        }
    }
}

fn client(transport: Transport) -> Client {
    MerchantConnectionClient::new(transport).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Partitions off the wire; what is none of ours is left out.
pub(crate) fn partitions(numbers: &[u32]) -> Vec<PartitionId> {
    numbers.iter().filter_map(|number| u16::try_from(*number).ok()).map(PartitionId).collect()
}
