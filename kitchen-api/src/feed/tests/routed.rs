//! Several nodes behind one feed: polls and acknowledgments find the leaders, and what one node does not answer costs
//! nobody else anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use event_feed::{FeedEvent, Filter};
use futures::future::BoxFuture;
use order_model::{ApplicationId, EventId, MerchantId, OrderId, PartitionCount, PartitionId, RoutingHash};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fakes::{FakeStore, application, authorised, clock, event, key, merchant_in, random};
use crate::feed::{
    AnsweredBy, CachedOrder, FeedConfig, FeedDependencies, FeedNode, FeedRouter, LeaderHint, LeaderMap, NodeId,
    PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal, Refused, RoutedFeed, Standing,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Answers,
    Hangs,
    IsGone,
}

/// A node of order-events: answers for what it leads, and of the rest says who does as far as it knows.
struct FakeNode {
    id: u64,
    is_local: bool,
    state: Mutex<NodeState>,
}

struct NodeState {
    mood: Mood,
    /// By partition: leader and term, as this node knows.
    knows: BTreeMap<u16, (u64, u64)>,
    events: Vec<FeedEvent>,
    hidden: Vec<EventId>,
    cached: Option<CachedOrder>,
    /// Partitions and limits of every poll.
    asked: Vec<(BTreeSet<u16>, usize)>,
    told: Vec<Vec<EventId>>,
    /// Partitions that take no acknowledgment, not even to pass it on.
    takes_none: BTreeSet<u16>,
}

fn partition_of(merchant: MerchantId) -> u16 {
    RoutingHash::of(merchant).partition(PartitionCount::DEFAULT).0
}

fn node_id(number: u64) -> NodeId {
    NodeId::from_number(number).unwrap()
}

impl FakeNode {
    fn new(id: u64, knows: &[(u16, u64, u64)], events: Vec<FeedEvent>) -> Arc<Self> {
        let state = NodeState {
            mood: Mood::Answers,
            knows: knows.iter().map(|(partition, leader, term)| (*partition, (*leader, *term))).collect(),
            events,
            hidden: Vec::new(),
            cached: None,
            asked: Vec::new(),
            told: Vec::new(),
            takes_none: BTreeSet::new(),
        };
        Arc::new(Self { id, is_local: id == 1, state: Mutex::new(state) })
    }

    fn learns(&self, partition: u16, leader: u64, term: u64) {
        self.state.lock().knows.insert(partition, (leader, term));
    }

    fn is(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    fn polls(&self) -> usize {
        self.state.lock().asked.len()
    }

    async fn enter(&self) -> Result<(), PrimaryError> {
        let mood = self.state.lock().mood;
        match mood {
            Mood::Answers => Ok(()),
            Mood::Hangs => std::future::pending().await,
            Mood::IsGone => Err(PrimaryError::Disconnected),
        }
    }

    fn answer(&self, query: &PollQuery<'_>) -> PollOutcome {
        let mut state = self.state.lock();
        let merchants: Vec<MerchantId> = query.authorised.merchants().iter().map(|granted| granted.merchant).collect();
        let partitions: BTreeSet<u16> = merchants.iter().map(|merchant| partition_of(*merchant)).collect();
        state.asked.push((partitions.clone(), query.limit));
        let mut outcome = PollOutcome { hidden: state.hidden.clone(), ..PollOutcome::default() };
        for partition in partitions {
            let (leader, term) = state.knows.get(&partition).copied().unwrap_or_default();
            if leader != self.id {
                let refusal = Refusal::NotLeader { leader: NodeId::from_number(leader), term };
                outcome.refused.push(Refused { partition: PartitionId(partition), refusal });
            }
        }
        let leads = |partition: u16| state.knows.get(&partition).is_some_and(|(leader, _)| *leader == self.id);
        let shown = state.events.iter().filter(|event| merchants.contains(&event.merchant));
        outcome.events = shown.filter(|event| leads(partition_of(event.merchant))).take(query.limit).cloned().collect();
        outcome
    }
}

impl PrimaryFeed for FakeNode {
    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        self.is_local.then(|| self.answer(query))
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        Box::pin(async move {
            self.enter().await?;
            Ok(self.answer(&query))
        })
    }

    fn acknowledge<'a>(
        &'a self,
        _: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            self.enter().await?;
            let mut state = self.state.lock();
            state.told.push(ids.to_vec());
            Ok(state.takes_none.iter().map(|partition| PartitionId(*partition)).collect())
        })
    }

    fn cached_order(&self, _: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        Box::pin(async move {
            self.enter().await?;
            Ok(self.state.lock().cached.clone())
        })
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move { Ok(self.standing().await?.unserved) })
    }

    fn standing(&self) -> BoxFuture<'_, Result<Standing, PrimaryError>> {
        Box::pin(async move {
            self.enter().await?;
            let knows = self.state.lock().knows.clone();
            let leads = |partition: &PartitionId| knows.get(&partition.0).is_some_and(|(leader, _)| *leader == self.id);
            let hint = |(partition, (leader, term)): (&u16, &(u64, u64))| LeaderHint {
                partition: PartitionId(*partition),
                leader: NodeId::from_number(*leader),
                term: *term,
            };
            Ok(Standing {
                node: NodeId::from_number(self.id),
                leaders: knows.iter().map(hint).collect(),
                unserved: PartitionCount::DEFAULT.iter().filter(|partition| !leads(partition)).collect(),
            })
        })
    }

    fn is_connected(&self) -> bool {
        self.state.lock().mood != Mood::IsGone
    }
}

struct Cluster {
    nodes: Vec<Arc<FakeNode>>,
    leaders: LeaderMap,
    feed: Arc<RoutedFeed>,
}

fn peer(node: &Arc<FakeNode>) -> FeedNode {
    FeedNode { name: format!("10.0.0.{}:4000", node.id), feed: node.clone() }
}

impl Cluster {
    /// Nodes of which node 1 is this process's own, if it is among them. Everybody has introduced himself.
    async fn new(nodes: Vec<Arc<FakeNode>>) -> Self {
        let leaders = LeaderMap::new(PartitionCount::DEFAULT);
        let local = nodes.iter().find(|node| node.is_local).map(|node| node.clone() as Arc<dyn PrimaryFeed>);
        let peers = nodes.iter().filter(|node| !node.is_local).map(peer).collect();
        let feed = Arc::new(RoutedFeed::new(PartitionCount::DEFAULT, leaders.clone(), local, peers));
        feed.standing().await.unwrap();
        Self { nodes, leaders, feed }
    }

    async fn poll(&self, merchants: &[MerchantId]) -> PollOutcome {
        let (authorised, filter) = (authorised(merchants), Filter::default());
        let query = PollQuery {
            authorised: &authorised,
            filter: &filter,
            limit: 1_000,
            fallback_unreachable: false,
            shadow: false,
            within: Duration::from_millis(300),
        };
        match self.feed.poll_now(&query) {
            Some(outcome) => outcome,
            None => self.feed.poll(query).await.unwrap(),
        }
    }

    fn asked(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.polls()).collect()
    }

    fn router(&self, store: &FakeStore) -> FeedRouter {
        let dependencies = FeedDependencies {
            primary: self.feed.clone(),
            fallback: store.transport(),
            event_id_key: key(),
            clock: clock(),
            random: random(),
        };
        FeedRouter::new(&FeedConfig { shadow_ratio: 0.0, ..FeedConfig::default() }, dependencies)
    }
}

/// Partition 1 is led by node 1 and so on, in term 7, and everybody knows.
const SPREAD: [(u16, u64, u64); 3] = [(1, 1, 7), (2, 2, 7), (3, 3, 7)];

fn merchants() -> [MerchantId; 3] {
    [1, 2, 3].map(|partition| merchant_in(partition, 0))
}

async fn spread() -> Cluster {
    let node = |number: u8| {
        let merchant = merchant_in(u16::from(number), 0);
        FakeNode::new(u64::from(number), &SPREAD, vec![event(merchant, number, 10_000 - u64::from(number))])
    };
    Cluster::new([1, 2, 3].map(node).into()).await
}

fn ids(outcome: &PollOutcome) -> Vec<EventId> {
    outcome.events.iter().map(|event| event.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_split_by_leader_and_comes_back_as_one_page() {
    let cluster = spread().await;
    let hidden = event(merchants()[1], 9, 1).id;
    cluster.nodes[1].state.lock().hidden = vec![hidden];
    let outcome = cluster.poll(&merchants()).await;
    let expected: Vec<EventId> = (1..=3u8)
        .map(|number| event(merchants()[usize::from(number) - 1], number, 10_000 - u64::from(number)).id)
        .collect();
    assert_eq!(
        (ids(&outcome), outcome.hidden, outcome.refused, outcome.is_cut),
        (expected, vec![hidden], vec![], false)
    );
    for (node, partition) in cluster.nodes.iter().zip(1..) {
        assert_eq!(node.state.lock().asked, [(BTreeSet::from([partition]), 333)], "its own merchants, its share");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_local_node_leads_is_answered_without_waiting() {
    let cluster = spread().await;
    let (authorised, filter) = (authorised(&[merchants()[0]]), Filter::default());
    let query = PollQuery {
        authorised: &authorised,
        filter: &filter,
        limit: 1_000,
        fallback_unreachable: false,
        shadow: false,
        within: Duration::from_millis(300),
    };
    assert_eq!(cluster.feed.poll_now(&query).unwrap().events.len(), 1);
    assert_eq!(cluster.asked(), [1, 0, 0]);
    // It has just lost the partition: nothing is answered out of hand, and the hint leads to the next one.
    let taken_over = event(merchants()[0], 5, 3);
    cluster.nodes[0].learns(1, 2, 8);
    cluster.nodes[1].learns(1, 2, 8);
    cluster.nodes[1].state.lock().events.push(taken_over.clone());
    assert_eq!(cluster.feed.poll_now(&query), None);
    assert_eq!(ids(&cluster.feed.poll(query).await.unwrap()), [taken_over.id]);
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_full_say_so() {
    let cluster = spread().await;
    let many: Vec<FeedEvent> = (0..250).map(|age| event(merchants()[1], 2, 10_000 - age)).collect();
    cluster.nodes[1].state.lock().events = many;
    let four = [merchants()[0], merchant_in(1, 1), merchants()[1], merchants()[2]];
    let outcome = cluster.poll(&four).await;
    assert_eq!((outcome.events.len(), outcome.is_cut), (252, true));
    let limits: Vec<usize> = cluster.nodes.iter().map(|node| node.state.lock().asked[0].1).collect();
    assert_eq!(limits, [500, 250, 250], "by merchants");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_followed_once_and_remembered() {
    let cluster = spread().await;
    // Partition 2 has moved from node 2 to node 3, and we have not heard.
    let moved = event(merchants()[1], 7, 20);
    for node in &cluster.nodes[1..] {
        node.learns(2, 3, 8);
    }
    cluster.nodes[2].state.lock().events.push(moved.clone());
    let outcome = cluster.poll(&merchants()).await;
    assert_eq!(outcome.refused, []);
    assert!(ids(&outcome).contains(&moved.id));
    assert_eq!(cluster.asked(), [1, 1, 2]);
    cluster.poll(&[merchants()[1]]).await;
    assert_eq!(cluster.asked(), [1, 1, 3], "the next poll goes straight to it");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_point_at_each_other_are_asked_once_each_at_most() {
    // Each thinks the other leads partition 2; nobody does.
    let cluster =
        Cluster::new(vec![FakeNode::new(2, &[(2, 3, 5)], vec![]), FakeNode::new(3, &[(2, 2, 4)], vec![])]).await;
    for poll in 1..=5 {
        let outcome = cluster.poll(&[merchants()[1]]).await;
        assert!(matches!(
            outcome.refused[..],
            [Refused { partition: PartitionId(2), refusal: Refusal::NotLeader { .. } }]
        ));
        assert!(cluster.asked().iter().sum::<usize>() <= 2 * poll);
    }
    // Who was right says so with a higher term.
    cluster.nodes[1].learns(2, 2, 6);
    cluster.nodes[0].learns(2, 2, 6);
    cluster.poll(&[merchants()[1]]).await;
    assert_eq!(cluster.leaders.leader_of(PartitionId(2)), Some(node_id(2)));
    assert_eq!(cluster.poll(&[merchants()[1]]).await.refused, []);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_nobody_has_named_is_asked_for() {
    let cluster = spread().await;
    cluster.leaders.forget(node_id(1));
    cluster.leaders.forget(node_id(2));
    cluster.leaders.forget(node_id(3));
    let outcome = cluster.poll(&merchants()).await;
    assert_eq!((outcome.events.len(), outcome.refused), (3, vec![]));
    assert_eq!(cluster.asked(), [1, 1, 1], "the node of this process knows");
}

/// One node hangs, as a stopped process does: the others' events are there in time, and only its merchants fall back.
#[tokio::test(start_paused = true)]
async fn of_a_node_that_hangs_only_its_own_partitions_fall_back() {
    let cluster = spread().await;
    let pending = event(merchants()[1], 2, 5_000);
    let store = FakeStore::new(vec![pending.clone()]);
    let router = cluster.router(&store);
    cluster.nodes[1].is(Mood::Hangs);
    let started = Instant::now();
    let page = router.poll(&authorised(&merchants()), &Filter::default()).await.unwrap();
    assert!(started.elapsed() <= Duration::from_millis(310), "{:?}", started.elapsed());
    assert_eq!((page.events.len(), page.answered_by), (3, AnsweredBy::Fallback));
    assert!(page.events.contains(&pending));
    assert_eq!(store.state.lock().asked, [(vec![merchants()[1]], false)]);
    for _ in 0..5 {
        router.poll(&authorised(&merchants()), &Filter::default()).await.unwrap();
    }
    let asked = cluster.asked();
    let started = Instant::now();
    router.poll(&authorised(&merchants()), &Filter::default()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(100), "its breaker is open");
    assert_eq!(cluster.asked(), [asked[0] + 1, asked[1], asked[2] + 1], "and no other is");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_is_forgotten_and_its_successor_found() {
    let cluster = spread().await;
    cluster.nodes[1].is(Mood::IsGone);
    let outcome = cluster.poll(&merchants()).await;
    let unreachable = Refused { partition: PartitionId(2), refusal: Refusal::Unreachable };
    assert_eq!((outcome.events.len(), outcome.refused), (2, vec![unreachable]));
    // The others elect a new one; whoever is asked says so.
    let taken_over = event(merchants()[1], 7, 20);
    for node in [&cluster.nodes[0], &cluster.nodes[2]] {
        node.learns(2, 3, 8);
    }
    cluster.nodes[2].state.lock().events.push(taken_over.clone());
    let outcome = cluster.poll(&merchants()).await;
    assert_eq!(outcome.refused, []);
    assert!(ids(&outcome).contains(&taken_over.id));
}

#[tokio::test(start_paused = true)]
async fn events_of_merchants_that_a_node_was_not_asked_for_are_left_out() {
    let cluster = spread().await;
    // Node 3 answers for node 2's merchant as well, with an event that is acknowledged there.
    cluster.nodes[2].learns(2, 3, 7);
    cluster.nodes[2].state.lock().events.push(event(merchants()[1], 8, 20));
    let outcome = cluster.poll(&merchants()).await;
    assert_eq!(outcome.events.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn acknowledgments_go_to_each_leader_directly() {
    let cluster = spread().await;
    let of = |number: u8| event(merchants()[usize::from(number) - 1], number, 1).id;
    let all = [of(1), of(2), of(3)];
    assert_eq!(cluster.feed.acknowledge(&application(), &all).await.unwrap(), []);
    for (node, id) in cluster.nodes.iter().zip(all) {
        assert_eq!(node.state.lock().told, [vec![id]]);
    }
    // Refused where the leader was, by a node that knows the new one: told there once.
    cluster.nodes[1].state.lock().takes_none.insert(2);
    cluster.leaders.learn(node_id(2), [LeaderHint { partition: PartitionId(2), leader: Some(node_id(2)), term: 7 }]);
    assert_eq!(cluster.feed.acknowledge(&application(), &all).await.unwrap(), [PartitionId(2)], "nobody else is known");
    cluster.leaders.learn(node_id(1), [LeaderHint { partition: PartitionId(2), leader: Some(node_id(3)), term: 8 }]);
    assert_eq!(cluster.feed.acknowledge(&application(), &all).await.unwrap(), []);
    assert_eq!(cluster.nodes[1].state.lock().told.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgment_that_its_leader_cannot_take_costs_no_other_partition_anything() {
    let cluster = spread().await;
    let of = |number: u8| event(merchants()[usize::from(number) - 1], number, 1).id;
    let all = [of(1), of(2), of(3)];
    cluster.nodes[1].is(Mood::Hangs);
    let started = Instant::now();
    assert_eq!(cluster.feed.acknowledge(&application(), &all).await.unwrap(), [PartitionId(2)]);
    assert!(started.elapsed() < Duration::from_secs(1), "before the caller gives all of them up");
    assert_eq!((cluster.nodes[0].state.lock().told.len(), cluster.nodes[2].state.lock().told.len()), (1, 1));
    // Without a connection another node is asked to pass it on.
    cluster.nodes[1].is(Mood::IsGone);
    assert_eq!(cluster.feed.acknowledge(&application(), &[of(2)]).await.unwrap(), []);
    assert_eq!(cluster.nodes[0].state.lock().told.last().unwrap(), &[of(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_cached_order_is_looked_for_everywhere_and_a_partition_is_served_where_any_node_serves_it() {
    let cluster = spread().await;
    let order = CachedOrder { merchant: merchants()[0], body: bytes::Bytes::from_static(b"{}"), sequence: 1 };
    assert_eq!(cluster.feed.cached_order(OrderId::from_bytes([1; 16])).await.unwrap(), None);
    cluster.nodes[2].state.lock().cached = Some(order.clone());
    cluster.nodes[1].is(Mood::IsGone);
    assert_eq!(cluster.feed.cached_order(OrderId::from_bytes([1; 16])).await.unwrap(), Some(order.clone()));
    let patched = CachedOrder { body: bytes::Bytes::new(), sequence: 2, ..order };
    cluster.nodes[0].state.lock().cached = Some(patched.clone());
    let newest = cluster.feed.cached_order(OrderId::from_bytes([1; 16])).await.unwrap();
    assert_eq!(newest, Some(patched), "whoever consumed the patch knows better");
    let unserved = cluster.feed.unserved().await.unwrap();
    assert!(!unserved.contains(&PartitionId(1)) && !unserved.contains(&PartitionId(3)));
    assert!(unserved.contains(&PartitionId(2)) && unserved.contains(&PartitionId(0)));
    for node in &cluster.nodes {
        node.is(Mood::IsGone);
    }
    assert!(cluster.feed.unserved().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn peers_come_and_go_while_it_runs() {
    let nodes = [2, 3].map(|number| FakeNode::new(number, &[(2, 2, 7), (3, 3, 7)], vec![]));
    let leaders = LeaderMap::new(PartitionCount::DEFAULT);
    let feed = Arc::new(RoutedFeed::new(PartitionCount::DEFAULT, leaders.clone(), None, vec![peer(&nodes[0])]));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (feed, shutdown) = (feed.clone(), shutdown.clone());
        async move { feed.run(shutdown).await }
    });
    let eventually = async |partition: u16, leader: Option<u64>| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while leaders.leader_of(PartitionId(partition)) != leader.and_then(NodeId::from_number) {
            assert!(Instant::now() < deadline, "partition {partition} is led by {leader:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    eventually(2, Some(2)).await;
    eventually(3, Some(3)).await;
    let cluster = Cluster { nodes: nodes.to_vec(), leaders: leaders.clone(), feed: feed.clone() };
    let refused = cluster.poll(&[merchants()[2]]).await.refused;
    assert_eq!(refused, [Refused { partition: PartitionId(3), refusal: Refusal::Unreachable }], "known, but not where");
    feed.set_peers(vec![peer(&nodes[0]), peer(&nodes[1])]);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !cluster.poll(&[merchants()[2]]).await.refused.is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    feed.set_peers(vec![peer(&nodes[1])]);
    eventually(2, None).await;
    shutdown.cancel();
    running.await.unwrap();
}
