//! The nodes that can be asked: the one of this process and its peers, who they are, and the tasks that keep them connected.
//!
//! A peer is known by its address first; which node of the grid it is, it says itself. Who leads what is in
//! [`crate::feed::leaders`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::RoutedFeed;
use crate::feed::leaders::NodeId;
use crate::feed::news::News;
use crate::feed::primary::PrimaryFeed;

/// How often nodes that have not said who they are yet are asked: hints that name them cannot be followed until then.
const INTRODUCE_EVERY: Duration = Duration::from_millis(250);

/// A peer that can be asked.
#[derive(Clone)]
pub struct FeedNode {
    /// Tells it from others: its address.
    pub name: String,
    /// How to ask it.
    pub feed: Arc<dyn PrimaryFeed>,
}

/// One node, and who it is.
pub(super) struct Node {
    name: String,
    id: AtomicU64,
    pub feed: Arc<dyn PrimaryFeed>,
}

impl Node {
    fn new(FeedNode { name, feed }: FeedNode) -> Arc<Self> {
        Arc::new(Self { name, id: AtomicU64::new(0), feed })
    }

    /// Who it is, as soon as it has said so.
    pub fn id(&self) -> Option<NodeId> {
        NodeId::from_number(self.id.load(Ordering::Relaxed))
    }

    /// It says who it is; who it was, if that was somebody else.
    pub fn is_called(&self, id: Option<NodeId>) -> Option<NodeId> {
        let former = NodeId::from_number(self.id.swap(id.map_or(0, NodeId::number), Ordering::Relaxed));
        former.filter(|former| Some(*former) != id)
    }
}

/// All of them.
pub(super) struct Nodes {
    local: Option<Arc<Node>>,
    peers: ArcSwap<Vec<Arc<Node>>>,
    replaced: Notify,
    turn: AtomicUsize,
}

impl Nodes {
    pub fn new(local: Option<Arc<dyn PrimaryFeed>>, peers: Vec<FeedNode>) -> Self {
        let local = local.map(|feed| Node::new(FeedNode { name: "local".to_owned(), feed }));
        let peers = ArcSwap::from_pointee(peers.into_iter().map(Node::new).collect());
        Self { local, peers, replaced: Notify::new(), turn: AtomicUsize::new(0) }
    }

    /// The node of this process.
    pub fn local(&self) -> Option<&Arc<Node>> {
        self.local.as_ref()
    }

    /// Every node, the one of this process first.
    pub fn all(&self) -> Vec<Arc<Node>> {
        self.local.iter().chain(self.peers.load().iter()).cloned().collect()
    }

    /// Has every node there is now tell `news`; one that was told before does not mind.
    pub fn bring_news(&self, news: &News) {
        self.local.iter().chain(self.peers.load().iter()).for_each(|node| node.feed.bring_news(news));
    }

    /// Whether each of them tells everything new that it brings in.
    pub fn bring_all_news(&self) -> bool {
        self.local.iter().chain(self.peers.load().iter()).all(|node| node.feed.brings_all_news())
    }

    /// The node of this id, if it is one we can ask.
    pub fn by_id(&self, id: NodeId) -> Option<Arc<Node>> {
        let is_it = |node: &&Arc<Node>| node.id() == Some(id);
        self.local.as_ref().filter(is_it).cloned().or_else(|| self.peers.load().iter().find(is_it).cloned())
    }

    /// A node that will know who leads: the one of this process, else connected peers in turn.
    pub fn any(&self) -> Option<Arc<Node>> {
        if let Some(local) = &self.local {
            return Some(Arc::clone(local));
        }
        self.any_peer(|_| true)
    }

    /// A node other than `node`.
    pub fn any_but(&self, node: &Arc<Node>) -> Option<Arc<Node>> {
        match &self.local {
            Some(local) if !Arc::ptr_eq(local, node) => Some(Arc::clone(local)),
            Some(_) | None => self.any_peer(|peer| !Arc::ptr_eq(peer, node)),
        }
    }

    fn any_peer(&self, may_be: impl Fn(&Arc<Node>) -> bool) -> Option<Arc<Node>> {
        let peers = self.peers.load();
        let first = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(peers.len())?;
        let mut in_turn = peers[first..].iter().chain(&peers[..first]);
        in_turn.find(|peer| peer.feed.is_connected() && may_be(peer)).cloned()
    }

    /// Replaces the peers and answers who is none any more.
    pub fn replace(&self, peers: Vec<FeedNode>) -> Vec<NodeId> {
        let before = self.peers.load_full();
        let known = |peer: &FeedNode| before.iter().find(|node| node.name == peer.name).cloned();
        let now: Vec<Arc<Node>> =
            peers.into_iter().map(|peer| known(&peer).unwrap_or_else(|| Node::new(peer))).collect();
        let is_gone = |node: &&Arc<Node>| !now.iter().any(|kept| Arc::ptr_eq(kept, node));
        let gone = before.iter().filter(is_gone).filter_map(|node| node.id()).collect();
        self.peers.store(Arc::new(now));
        self.replaced.notify_one();
        gone
    }

    /// Keeps every node connected, those that come later too, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut running: HashMap<String, CancellationToken> = HashMap::new();
        let mut tasks = JoinSet::new();
        loop {
            let nodes = self.all();
            running.retain(|name, token| {
                let stays = nodes.iter().any(|node| node.name == *name);
                if !stays {
                    token.cancel();
                }
                stays
            });
            for node in nodes {
                running.entry(node.name.clone()).or_insert_with(|| {
                    let token = shutdown.child_token();
                    tasks.spawn({
                        let token = token.clone();
                        async move { node.feed.run(token).await }
                    });
                    token
                });
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.replaced.notified() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}

impl RoutedFeed {
    /// Asks nodes who they are until each has said so, and those that come later, until `shutdown`.
    pub(super) async fn introduce_all(&self, shutdown: CancellationToken) {
        loop {
            let strangers = self.nodes.all().into_iter().filter(|node| node.id().is_none() && node.feed.is_connected());
            let asking = futures::future::join_all(strangers.map(|node| async move { self.introduce(&node).await }));
            tokio::select! {
                // Who does not say it now is asked again.
                _ = asking => {}
                () = shutdown.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(INTRODUCE_EVERY) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}
