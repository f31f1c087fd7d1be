//! order-events in another process: polls and acknowledgments over one connection, and what is rare over gRPC.
//!
//! A gRPC call per poll costs six times the CPU of a local poll, a gRPC stream four times; so polls go over plain frames
//! ([`super::link`]). While there is no connection every call fails at once, so that polls fall back without waiting.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use order_model::{ApplicationId, EventId, OrderId, PartitionId};
use proto::conversions;
use proto::order_events::order_events_client::OrderEventsClient;
use proto::order_events::{AcknowledgeReply, GetCachedOrderRequest, StatusRequest, Watch, reply, request};
use proto::transport::{Connector, Transport};
use rand::Rng;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::leaders::{LeaderMap, NodeId};
use super::link::{Carrier, Link};
use super::news::News;
use super::primary::{CachedOrder, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, Standing};
use super::shadow::SharedRandom;
use super::wire;

/// The longest a call waits for its answer where it is not a poll: whoever polls has a shorter deadline of its own, and
/// a second timer for each poll is felt.
const CALL_DEADLINE: Duration = Duration::from_secs(2);

/// How long the peer may take to accept a connection and to answer for the first time.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// How often the peer is asked for a sign of life. One that owes answers and has sent none in all that time has lost the
/// connection, whatever TCP says: that shows after 5 s at the latest.
const SILENCE_MAX: Duration = Duration::from_millis(2_500);

/// The first and the longest wait before the next attempt to connect.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A peer of order-events. Nothing is connected until [`PrimaryFeed::run`] runs.
pub struct RemoteFeed {
    client: OrderEventsClient<Transport>,
    connector: Connector,
    link: ArcSwapOption<Link>,
    random: SharedRandom,
    /// Who it is, 0 while that is not known, and where it says who leads what.
    node: AtomicU64,
    leaders: Option<LeaderMap>,
    /// Where news go, and whether the peer has said that it tells them.
    news: OnceLock<News>,
    tells_news: AtomicBool,
}

/// Why a connection ended.
#[derive(Debug)]
enum Ended {
    /// The peer could not be reached, or ended the connection.
    Broken(String),
    /// The peer owed answers and was silent.
    Silent,
    /// We are stopping.
    Shutdown,
}

impl RemoteFeed {
    /// A peer reached over `transport`, and over connections made by `connector` for polls; `random` spreads reconnections.
    pub fn new(transport: Transport, connector: Connector, random: SharedRandom) -> Self {
        let client = OrderEventsClient::new(transport);
        Self {
            client,
            connector,
            link: ArcSwapOption::empty(),
            random,
            node: AtomicU64::new(0),
            leaders: None,
            news: OnceLock::new(),
            tells_news: AtomicBool::new(false),
        }
    }

    /// The same peer, one of several: what its answers to acknowledgments say of other leaders goes to `leaders`.
    #[must_use]
    pub fn telling(self, leaders: LeaderMap) -> Self {
        Self { leaders: Some(leaders), ..self }
    }

    /// Whether the connection stands.
    pub fn is_connected(&self) -> bool {
        self.link.load().is_some()
    }

    async fn call(&self, call: request::Call) -> Result<reply::Outcome, PrimaryError> {
        let link = self.link.load_full().ok_or(PrimaryError::Disconnected)?;
        link.call(call).await
    }

    async fn keep_connected(&self, shutdown: CancellationToken) {
        let mut backoff = BACKOFF_MIN;
        let mut is_down = false;
        loop {
            let has_served = match self.serve_one_link(&shutdown, &mut is_down).await {
                (Ended::Shutdown, _) => return,
                (Ended::Silent, has_served) => {
                    self.tell_down(&mut is_down, "it owed answers and was silent");
                    has_served
                }
                (Ended::Broken(reason), has_served) => {
                    self.tell_down(&mut is_down, &reason);
                    has_served
                }
            };
            if has_served {
                backoff = BACKOFF_MIN;
            }
            let jitter: f64 = self.random.lock().random_range(0.5..1.0);
            tokio::select! {
                () = tokio::time::sleep(backoff.mul_f64(jitter)) => {}
                () = shutdown.cancelled() => return,
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// One warning per episode, however many attempts it takes.
    fn tell_down(&self, is_down: &mut bool, reason: &str) {
        metrics::counter!("comanda_kitchen_api_primary_disconnects_total").increment(1);
        if !*is_down {
            *is_down = true;
            tracing::warn!(reason, "the connection to order-events is down");
        }
    }

    /// Connects, serves calls until the connection ends and answers why it ended and whether it ever carried an answer: a
    /// peer that accepts connections only to break them is not to be hurried.
    async fn serve_one_link(&self, shutdown: &CancellationToken, is_down: &mut bool) -> (Ended, bool) {
        let connected = tokio::select! {
            connected = tokio::time::timeout(CONNECT_DEADLINE, self.connect()) => connected,
            () = shutdown.cancelled() => return (Ended::Shutdown, false),
        };
        let (link, mut carrier) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(reason)) => return (Ended::Broken(reason), false),
            Err(_) => return (Ended::Broken("connecting took too long".to_owned()), false),
        };
        // Whatever ends this function or drops its future, callers must not wait on a connection that nobody reads.
        let _closing = Published::new(self, link.clone());
        if std::mem::take(is_down) {
            tracing::info!("the connection to order-events stands again");
        }
        let ended = tokio::select! {
            biased;
            broken = carrier.carry() => Ended::Broken(with_sources(&broken)),
            () = silence(&link) => Ended::Silent,
            never = self.watch(&link) => match never {},
            () = shutdown.cancelled() => Ended::Shutdown,
        };
        (ended, true)
    }

    /// Has the peer tell its news from when they are wanted until the link ends. What came before it began is found by
    /// looking, so whoever waits is told to; an older peer does not understand, and then everybody looks for itself.
    async fn watch(&self, link: &Arc<Link>) -> Infallible {
        if let Some(news) = self.news.get() {
            news.wanted().await;
            link.pass_news_to(news.clone());
            let answer = Arc::clone(link).call(request::Call::Watch(Watch {})).await;
            if matches!(answer, Ok(reply::Outcome::Watching(_))) {
                self.tells_news.store(true, Ordering::Relaxed);
                news.doubt();
            }
        }
        std::future::pending().await
    }

    /// A connection counts as made when the peer has answered over it: what was merely accepted may be refused yet.
    async fn connect(&self) -> Result<(Arc<Link>, Carrier), String> {
        let io = (self.connector)().await.map_err(|error| format!("connecting failed: {}", with_sources(&error)))?;
        let (link, mut carrier) = Link::new(io);
        tokio::select! {
            greeted = Arc::clone(&link).greet() => greeted.map_err(|error| error.to_string())?,
            broken = carrier.carry() => return Err(with_sources(&broken)),
        }
        Ok((link, carrier))
    }

    async fn ask_cached_order(&self, order: OrderId) -> Result<Option<CachedOrder>, PrimaryError> {
        let request = GetCachedOrderRequest { order_id: conversions::to_bytes(order.as_bytes()) };
        let reply = match within_deadline(self.client.clone().get_cached_order(request)).await? {
            Ok(response) => response.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(PrimaryError::Rpc(status)),
        };
        let merchant = conversions::merchant_id(&reply.merchant_id).map_err(PrimaryError::Malformed)?;
        Ok(Some(CachedOrder { merchant, body: reply.body, sequence: reply.sequence }))
    }

    async fn ask_standing(&self) -> Result<Standing, PrimaryError> {
        let status = within_deadline(self.client.clone().status(StatusRequest {})).await?.map_err(PrimaryError::Rpc)?;
        let standing = wire::standing(&status.into_inner()).map_err(PrimaryError::Malformed)?;
        self.node.store(standing.node.map_or(0, NodeId::number), Ordering::Relaxed);
        Ok(standing)
    }

    fn acknowledged(&self, reply: &AcknowledgeReply) -> Result<Vec<PartitionId>, Status> {
        if let (Some(leaders), Some(node)) = (&self.leaders, NodeId::from_number(self.node.load(Ordering::Relaxed))) {
            leaders.learn(node, wire::leaders(reply)?);
        }
        reply.refused_partitions.iter().map(|number| wire::partition(*number)).collect()
    }
}

/// A link that callers find, for as long as this value lives.
struct Published<'a> {
    feed: &'a RemoteFeed,
    link: Arc<Link>,
}

impl<'a> Published<'a> {
    fn new(feed: &'a RemoteFeed, link: Arc<Link>) -> Self {
        feed.link.store(Some(link.clone()));
        // One gauge for all peers: how many are connected.
        metrics::gauge!("comanda_kitchen_api_primary_connected").increment(1.0);
        Self { feed, link }
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        self.feed.link.store(None);
        self.link.close();
        if let (true, Some(news)) = (self.feed.tells_news.swap(false, Ordering::Relaxed), self.feed.news.get()) {
            news.doubt();
        }
        metrics::gauge!("comanda_kitchen_api_primary_connected").decrement(1.0);
    }
}

/// Ends when the peer owes answers and has been silent for [`SILENCE_MAX`].
async fn silence(link: &Link) {
    loop {
        let (answered, was_owed) = (link.answered(), link.is_owed());
        if !was_owed {
            link.ask_for_a_sign_of_life();
        }
        tokio::time::sleep(SILENCE_MAX).await;
        if link.answered() == answered && link.is_owed() {
            return;
        }
    }
}

/// An error with what it stems from, for a log.
fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn within_deadline<T>(call: impl Future<Output = T>) -> Result<T, PrimaryError> {
    let deadline_ms = u64::try_from(CALL_DEADLINE.as_millis()).unwrap_or(u64::MAX);
    tokio::time::timeout(CALL_DEADLINE, call).await.map_err(|_| PrimaryError::Deadline { deadline_ms })
}

impl PrimaryFeed for RemoteFeed {
    fn poll<'a>(&'a self, query: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        Box::pin(async move {
            match self.call(request::Call::Poll(wire::poll_request(&query))).await? {
                reply::Outcome::Poll(reply) => wire::outcome_taken(reply).map_err(PrimaryError::Malformed),
                reply::Outcome::Acknowledge(_)
                | reply::Outcome::Watching(_)
                | reply::Outcome::News(_)
                | reply::Outcome::Error(_) => Err(PrimaryError::Misunderstood),
            }
        })
    }

    fn acknowledge<'a>(
        &'a self,
        application: &'a ApplicationId,
        ids: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move {
            let call = request::Call::Acknowledge(wire::acknowledge_request(application, ids));
            match within_deadline(self.call(call)).await?? {
                reply::Outcome::Acknowledge(reply) => self.acknowledged(&reply).map_err(PrimaryError::Malformed),
                reply::Outcome::Poll(_)
                | reply::Outcome::Watching(_)
                | reply::Outcome::News(_)
                | reply::Outcome::Error(_) => Err(PrimaryError::Misunderstood),
            }
        })
    }

    fn cached_order(&self, order: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        Box::pin(self.ask_cached_order(order))
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        Box::pin(async move { Ok(self.ask_standing().await?.unserved) })
    }

    fn standing(&self) -> BoxFuture<'_, Result<Standing, PrimaryError>> {
        Box::pin(self.ask_standing())
    }

    fn bring_news(&self, news: &News) {
        // One router has a feed; a second would find its listeners looking for themselves.
        let _ = self.news.set(news.clone());
    }

    fn brings_all_news(&self) -> bool {
        self.tells_news.load(Ordering::Relaxed)
    }

    fn is_connected(&self) -> bool {
        Self::is_connected(self)
    }

    fn run(&self, shutdown: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(self.keep_connected(shutdown))
    }
}
