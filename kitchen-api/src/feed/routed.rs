//! order-events as several nodes, each of which leads some partitions.
//!
//! A poll goes to the leaders of its merchants' partitions, side by side, and comes back as one page; what a node does not
//! lead it says, with a hint that is followed once. Whatever stays unanswered is named as refused, so that the router
//! falls back for those partitions and others do not notice. Where one node of this process leads everything a poll asks
//! for, nothing is split, boxed or waited for. Breakers and the fallback are deliberately absent: the router owns them.

mod acknowledging;
mod nodes;
mod split;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use event_feed::AuthorisedMerchants;
use futures::future::{BoxFuture, join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use order_model::{ApplicationId, EventId, OrderId, PartitionCount, PartitionId, RoutingHash};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::leaders::{LeaderHint, LeaderMap, NodeId};
use super::news::News;
use super::page;
use super::primary::{CachedOrder, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Refusal, Refused, Standing};
pub use nodes::FeedNode;
use nodes::{Node, Nodes};
use split::{Gathering, Route, share};

/// How much earlier than whoever waits gives up the nodes' answers must be here, so that those that came are used.
const MARGIN: Duration = Duration::from_millis(10);

/// How long a node may take to say how partitions stand: the router asks every second.
const STANDING_DEADLINE: Duration = Duration::from_millis(500);

/// How long, after one node has shown a cached order, the others may take to show a newer one.
const NEWER_ORDER_WAIT: Duration = Duration::from_millis(100);

/// The primary feed of a cluster. [`PrimaryFeed::run`] must be running: it connects, and learns who is who.
pub struct RoutedFeed {
    partitions: PartitionCount,
    leaders: LeaderMap,
    nodes: Nodes,
    news: OnceLock<News>,
}

impl RoutedFeed {
    /// A feed over the node of this process, if there is one, and `peers`. `leaders` is told by whoever knows, and by this
    /// feed.
    pub fn new(
        partitions: PartitionCount,
        leaders: LeaderMap,
        local: Option<Arc<dyn PrimaryFeed>>,
        peers: Vec<FeedNode>,
    ) -> Self {
        Self { partitions, leaders, nodes: Nodes::new(local, peers), news: OnceLock::new() }
    }

    /// Replaces the peers: one of the same name stays connected, one that is not among them any more is left.
    pub fn set_peers(&self, peers: Vec<FeedNode>) {
        for gone in self.nodes.replace(peers) {
            self.leaders.forget(gone);
        }
        if let Some(news) = self.news.get() {
            self.nodes.bring_news(news);
        }
    }

    fn partition_of(&self, merchant: order_model::MerchantId) -> PartitionId {
        RoutingHash::of(merchant).partition(self.partitions)
    }

    fn partitions_of(&self, authorised: &AuthorisedMerchants) -> Vec<PartitionId> {
        let partitions = authorised.merchants().iter().map(|granted| self.partition_of(granted.merchant));
        super::breakers::sorted(partitions.collect())
    }

    fn restrict(&self, authorised: &AuthorisedMerchants, partitions: &[PartitionId]) -> AuthorisedMerchants {
        authorised.restricted_to(|merchant| partitions.binary_search(&self.partition_of(merchant)).is_ok())
    }

    /// Whom to ask about `partitions` (sorted): their leaders, and where none is known anybody, who will know.
    fn route(&self, partitions: &[PartitionId]) -> Route<Arc<Node>> {
        let mut route = Route::default();
        for (leader, partitions) in self.leaders.route(partitions) {
            let node = match leader {
                Some(leader) => self.nodes.by_id(leader),
                None => self.nodes.any(),
            };
            match node {
                Some(node) => route.add(node, partitions, Arc::ptr_eq),
                None => route.unreachable.extend(partitions),
            }
        }
        route
    }

    /// The node that leads all of `partitions`, if there is one and it is known.
    fn leader_of_all(&self, partitions: &[PartitionId]) -> Option<Arc<Node>> {
        let (first, rest) = partitions.split_first()?;
        let leader = self.leaders.leader_of(*first)?;
        let leads = |partition: &PartitionId| self.leaders.leader_of(*partition) == Some(leader);
        if rest.iter().all(leads) { self.nodes.by_id(leader) } else { None }
    }

    async fn answer(&self, query: PollQuery<'_>) -> Result<PollOutcome, PrimaryError> {
        let deadline = Instant::now() + query.within.saturating_sub(MARGIN);
        let partitions = self.partitions_of(query.authorised);
        if let Some(node) = self.leader_of_all(&partitions) {
            // Nothing to split, and nobody to wait for side by side.
            return self.ask_and_follow(&node, &partitions, None, query, deadline).await.finish();
        }
        Box::pin(self.ask_several(&partitions, query, deadline)).await
    }

    /// Asks the leaders of `partitions`, side by side.
    async fn ask_several(
        &self,
        partitions: &[PartitionId],
        query: PollQuery<'_>,
        deadline: Instant,
    ) -> Result<PollOutcome, PrimaryError> {
        let route = self.route(partitions);
        let mut gathering = Gathering::default();
        gathering.refuse(&route.unreachable, Refusal::Unreachable);
        let is_whole = route.unreachable.is_empty() && route.stops.len() == 1;
        let mut asking = FuturesUnordered::new();
        for (node, partitions) in &route.stops {
            let part = (!is_whole).then(|| self.restrict(query.authorised, partitions));
            asking.push(self.ask_and_follow(node, partitions, part, query, deadline));
        }
        while let Some(part) = asking.next().await {
            gathering.add(part);
        }
        gathering.finish()
    }

    /// Asks a node, and where it names other leaders those, once.
    async fn ask_and_follow(
        &self,
        node: &Arc<Node>,
        partitions: &[PartitionId],
        part: Option<AuthorisedMerchants>,
        query: PollQuery<'_>,
        deadline: Instant,
    ) -> Gathering {
        let authorised = part.as_ref().unwrap_or(query.authorised);
        let limit = share(query.limit, authorised, query.authorised);
        let asked = PollQuery { authorised, limit, ..query };
        let (gathering, mut elsewhere) = self.ask(node, partitions, asked, deadline).await;
        // Nobody is asked twice, and a leader that nobody knows yet is not looked for.
        elsewhere
            .retain(|partition| self.leaders.leader_of(*partition).is_some_and(|leader| node.id() != Some(leader)));
        if elsewhere.is_empty() {
            return gathering;
        }
        // Boxed: it is rare, and would be a part of every poll.
        Box::pin(self.follow(gathering, elsewhere, query, deadline)).await
    }

    /// Asks the leaders of `elsewhere` as far as they are known now.
    async fn follow(
        &self,
        mut gathering: Gathering,
        elsewhere: Vec<PartitionId>,
        query: PollQuery<'_>,
        deadline: Instant,
    ) -> Gathering {
        let route = self.route(&elsewhere);
        metrics::counter!("comanda_kitchen_api_feed_hints_followed_total").increment(route.stops.len() as u64);
        let following = route.stops.iter().map(|(next, partitions)| async move {
            let authorised = self.restrict(query.authorised, partitions);
            let limit = share(query.limit, &authorised, query.authorised);
            let asked = PollQuery { authorised: &authorised, limit, ..query };
            (partitions, self.ask(next, partitions, asked, deadline).await.0)
        });
        for (partitions, followed) in join_all(following).await {
            gathering.ask_again(partitions);
            gathering.add(followed);
        }
        gathering
    }

    /// Asks one node until `deadline`; what it answered, and the partitions of which it said that others lead them.
    async fn ask(
        &self,
        node: &Node,
        partitions: &[PartitionId],
        query: PollQuery<'_>,
        deadline: Instant,
    ) -> (Gathering, Vec<PartitionId>) {
        let answer = match node.feed.poll_now(&query) {
            Some(outcome) => Ok(outcome),
            None => {
                let within = deadline.saturating_duration_since(Instant::now());
                let answer = tokio::time::timeout_at(deadline, node.feed.poll(PollQuery { within, ..query })).await;
                let deadline_ms = u64::try_from(query.within.as_millis()).unwrap_or(u64::MAX);
                answer.unwrap_or(Err(PrimaryError::Deadline { deadline_ms }))
            }
        };
        let mut gathering = Gathering::default();
        match answer {
            Ok(mut outcome) => {
                page::drop_foreign(&mut outcome.events, query.authorised);
                outcome.refused.retain(|refused| partitions.binary_search(&refused.partition).is_ok());
                let elsewhere = self.learn_from(node, &outcome.refused);
                gathering.answered(outcome, query.limit);
                (gathering, elsewhere)
            }
            Err(error) => {
                self.note_failure(node, &error);
                gathering.failed(partitions, error);
                (gathering, Vec::new())
            }
        }
    }

    fn learn_from(&self, node: &Node, refused: &[Refused]) -> Vec<PartitionId> {
        let hint = |refused: &Refused| match refused.refusal {
            Refusal::NotLeader { leader, term } => Some(LeaderHint { partition: refused.partition, leader, term }),
            Refusal::NotServing | Refusal::Unreachable | Refusal::FenceUnreadable | Refusal::Overloaded => None,
        };
        let hints: Vec<LeaderHint> = refused.iter().filter_map(hint).collect();
        if let (Some(id), false) = (node.id(), hints.is_empty()) {
            self.leaders.learn(id, hints.iter().copied());
        }
        super::breakers::sorted(hints.into_iter().map(|hint| hint.partition).collect())
    }

    /// A node without a connection leads nothing that we can reach: whoever is asked next says who does.
    fn note_failure(&self, node: &Node, error: &PrimaryError) {
        let reason = match error {
            PrimaryError::Disconnected => "disconnected",
            PrimaryError::Deadline { .. } => "deadline",
            PrimaryError::Overloaded => "overloaded",
            PrimaryError::Misunderstood | PrimaryError::Malformed(_) | PrimaryError::Rpc(_) => "error",
        };
        metrics::counter!("comanda_kitchen_api_feed_node_failures_total", "reason" => reason).increment(1);
        if let (PrimaryError::Disconnected, Some(id)) = (error, node.id()) {
            self.leaders.forget(id);
        }
    }

    /// Asks one node how partitions stand, and learns who it is and who leads what.
    async fn introduce(&self, node: &Node) -> Result<Standing, PrimaryError> {
        let deadline_ms = u64::try_from(STANDING_DEADLINE.as_millis()).unwrap_or(u64::MAX);
        let standing = tokio::time::timeout(STANDING_DEADLINE, node.feed.standing()).await;
        let standing = standing.unwrap_or(Err(PrimaryError::Deadline { deadline_ms }))?;
        if let Some(former) = node.is_called(standing.node) {
            self.leaders.forget(former);
        }
        if let Some(id) = standing.node {
            self.leaders.learn(id, standing.leaders.iter().copied());
        }
        Ok(standing)
    }

    /// What every node that answers says, as one: a partition is served where any serves it.
    async fn all_standings(&self) -> Result<Standing, PrimaryError> {
        let nodes = self.nodes.all();
        let answers = join_all(nodes.iter().map(|node| self.introduce(node))).await;
        let mut unserved: Option<Vec<PartitionId>> = None;
        let mut failure = PrimaryError::Disconnected;
        for answer in answers {
            match answer {
                Ok(standing) => match &mut unserved {
                    None => unserved = Some(standing.unserved),
                    Some(unserved) => unserved.retain(|partition| standing.unserved.contains(partition)),
                },
                Err(error) => failure = error,
            }
        }
        let unserved = unserved.ok_or(failure)?;
        Ok(Standing { unserved, ..Standing::default() })
    }

    async fn ask_cached_order(&self, order: OrderId) -> Result<Option<CachedOrder>, PrimaryError> {
        // Each node caches what it has consumed, wherever that is led: one may have the order and another its patch, so
        // that the newest of all answers counts. Who does not answer soon after the first is not waited for.
        let nodes = self.nodes.all();
        let mut asking: FuturesUnordered<_> = nodes.iter().map(|node| node.feed.cached_order(order)).collect();
        let mut answer: Result<Option<CachedOrder>, PrimaryError> = Err(PrimaryError::Disconnected);
        loop {
            let (failed, best) = match &answer {
                Ok(found) => (false, found.as_ref().map(known)),
                Err(_) => (true, None),
            };
            let answered = match best {
                Some(_) => tokio::time::timeout(NEWER_ORDER_WAIT, asking.next()).await.unwrap_or_default(),
                None => asking.next().await,
            };
            match answered {
                None => return answer,
                Some(Ok(Some(found))) if best.is_none_or(|best| known(&found) > best) => answer = Ok(Some(found)),
                Some(answered) if failed => answer = answered,
                Some(_) => {}
            }
        }
    }
}

/// How much a cached order knows: at one sequence, whoever has read the patched order again knows more than who only heard
/// that it was patched.
fn known(cached: &CachedOrder) -> (u32, bool) {
    (cached.sequence, !cached.body.is_empty())
}

impl PrimaryFeed for RoutedFeed {
    fn poll_now(&self, query: &PollQuery<'_>) -> Option<PollOutcome> {
        let local = self.nodes.local()?;
        let id: NodeId = local.id()?;
        let is_ours = |merchant| self.leaders.leader_of(self.partition_of(merchant)) == Some(id);
        if !query.authorised.merchants().iter().all(|granted| is_ours(granted.merchant)) {
            return None;
        }
        let outcome = local.feed.poll_now(query)?;
        // It leads something no longer: the whole poll is split then.
        self.learn_from(local, &outcome.refused).is_empty().then_some(outcome)
    }

    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        Box::pin(self.answer(query))
    }

    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move { Ok(self.apply(application, ids).await) })
    }

    fn cached_order(&self, order: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        Box::pin(self.ask_cached_order(order))
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move { Ok(self.all_standings().await?.unserved) })
    }

    fn standing(&self) -> BoxFuture<'_, Result<Standing, PrimaryError>> {
        Box::pin(self.all_standings())
    }

    fn bring_news(&self, news: &News) {
        let news = self.news.get_or_init(|| news.clone());
        self.nodes.bring_news(news);
    }

    /// An event is told by the node that brought it in, whoever leads: every node has to tell.
    fn brings_all_news(&self) -> bool {
        self.nodes.bring_all_news()
    }

    fn is_connected(&self) -> bool {
        self.nodes.all().iter().any(|node| node.feed.is_connected())
    }

    fn run(&self, shutdown: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::join!(self.nodes.run(shutdown.clone()), self.introduce_all(shutdown));
        })
    }
}
