//! The stream to a peer: against a real tonic server over loopback TCP, and its limits under paused time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::Filter;
use futures::StreamExt;
use futures::stream::BoxStream;
use order_model::{OrderId, PartitionCount, PartitionId};
use parking_lot::Mutex;
use proto::order_events::order_events_server::{OrderEvents, OrderEventsServer};
use proto::order_events::{
    AcknowledgeReply, ExchangeReply, ExchangeRequest, GetCachedOrderReply, GetCachedOrderRequest, PartitionLeader,
    PartitionStatus, Reply, Request as Call, StatusReply, StatusRequest, reply, request,
};
use proto::{conversions, feed};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::fakes::{application, authorised, event, merchant_in, random};
use crate::feed::link::{Link, OUTSTANDING_MAX};
use crate::feed::{LeaderHint, LeaderMap, NodeId, PollQuery, PrimaryError, PrimaryFeed, Refusal, Refused, RemoteFeed};

/// order-events as a peer: answers each call with one event of its first merchant, or holds its answers back.
#[derive(Clone, Default)]
struct Peer {
    holds_back: Arc<AtomicBool>,
    breaks: Arc<tokio::sync::Notify>,
    streams: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    acknowledged: Arc<Mutex<Vec<bytes::Bytes>>>,
}

impl Peer {
    fn answer(&self, call: Call) -> Option<Reply> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.holds_back.load(Ordering::SeqCst) {
            return None;
        }
        let outcome = match call.call? {
            request::Call::Poll(poll) if poll.limit == 13 => reply::Outcome::Error("cannot be read".to_owned()),
            request::Call::Poll(poll) => {
                let merchant = conversions::merchant_id(&poll.merchants[0].merchant_id).unwrap();
                let unreadable = feed::Event::default();
                reply::Outcome::Poll(feed::PollReply {
                    events: vec![conversions::event_to_wire(&event(merchant, 1, 5_000)), unreadable],
                    hidden_ids: vec![conversions::to_bytes(event(merchant, 2, 5_000).id.as_bytes())],
                    refused: vec![
                        feed::RefusedPartition { partition: 9, reason: 2, ..Default::default() },
                        feed::RefusedPartition { partition: 10, reason: 4, leader: 3, term: 8 },
                    ],
                })
            }
            request::Call::Acknowledge(acknowledge) => {
                self.acknowledged.lock().extend(acknowledge.event_ids);
                reply::Outcome::Acknowledge(AcknowledgeReply {
                    refused_partitions: vec![4],
                    leaders: vec![PartitionLeader { partition: 4, leader: 2, term: 9 }],
                })
            }
        };
        Some(Reply { correlation: call.correlation, outcome: Some(outcome) })
    }
}

#[tonic::async_trait]
impl OrderEvents for Peer {
    type ExchangeStream = BoxStream<'static, Result<ExchangeReply, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        self.streams.fetch_add(1, Ordering::SeqCst);
        let peer = self.clone();
        let broken = {
            let breaks = self.breaks.clone();
            async move { breaks.notified().await }
        };
        let answers = request.into_inner().map(move |message| {
            let mut replies: Vec<Reply> = message?.requests.into_iter().filter_map(|call| peer.answer(call)).collect();
            replies.reverse();
            Ok(ExchangeReply { replies })
        });
        Ok(Response::new(answers.take_until(Box::pin(broken)).boxed()))
    }

    async fn get_cached_order(
        &self,
        request: Request<GetCachedOrderRequest>,
    ) -> Result<Response<GetCachedOrderReply>, Status> {
        if request.into_inner().order_id[0] == 0 {
            return Err(Status::not_found("order"));
        }
        let merchant_id = conversions::to_bytes(merchant_in(3, 0).as_bytes());
        Ok(Response::new(GetCachedOrderReply { merchant_id, body: bytes::Bytes::from_static(b"{}") }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let partition = |partition| PartitionStatus {
            partition,
            serving: partition != 5,
            leader: 6,
            term: 3,
            ..Default::default()
        };
        Ok(Response::new(StatusReply { partitions: (0..16).map(partition).collect(), node: 6, ..Default::default() }))
    }
}

/// A peer on a runtime of its own: shutting that down closes its sockets, as the end of a process does.
struct Serving {
    address: SocketAddr,
    runtime: Runtime,
}

async fn serve(peer: &Peer, address: SocketAddr) -> Serving {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = tonic::transport::Server::builder().add_service(OrderEventsServer::new(peer.clone()));
    let (bound, address_bound) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        let listener = TcpListener::bind(address).await.unwrap();
        bound.send(listener.local_addr().unwrap()).unwrap();
        server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    Serving { address: address_bound.await.unwrap(), runtime }
}

impl Serving {
    fn transport(&self) -> proto::transport::Transport {
        proto::transport::remote(&format!("http://{}", self.address)).unwrap()
    }

    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

struct Connected {
    feed: Arc<RemoteFeed>,
    leaders: LeaderMap,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

fn connect(transport: proto::transport::Transport) -> Connected {
    let leaders = LeaderMap::new(PartitionCount::DEFAULT);
    let feed = Arc::new(RemoteFeed::new(transport, random()).telling(leaders.clone()));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (feed, shutdown) = (feed.clone(), shutdown.clone());
        async move { feed.run(shutdown).await }
    });
    Connected { feed, leaders, shutdown, running }
}

impl Connected {
    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
        assert!(!self.feed.is_connected());
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn poll(feed: &RemoteFeed, nth: usize, limit: usize) -> Result<crate::feed::PollOutcome, PrimaryError> {
    let authorised = authorised(&[merchant_in(3, nth)]);
    let filter = Filter::default();
    let within = Duration::from_secs(1);
    let query = PollQuery {
        authorised: &authorised,
        filter: &filter,
        limit,
        fallback_unreachable: false,
        shadow: false,
        within,
    };
    feed.poll(query).await
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test]
async fn calls_share_one_stream_and_answers_find_their_callers() {
    let peer = Peer::default();
    let serving = serve(&peer, loopback()).await;
    let connected = connect(serving.transport());
    let feed = &connected.feed;
    assert!(matches!(poll(feed, 0, 1_000).await, Err(PrimaryError::Disconnected)), "nothing is connected yet");
    eventually("connected", || feed.is_connected()).await;
    let merchants = [0, 1, 2, 3];
    let answers = futures::future::join_all((0..400).map(|call| poll(feed, merchants[call % 4], 1_000))).await;
    for (call, answer) in answers.into_iter().enumerate() {
        let outcome = answer.unwrap();
        let merchant = merchant_in(3, merchants[call % 4]);
        assert_eq!(outcome.events, [event(merchant, 1, 5_000)], "an event that cannot be read costs no other");
        assert_eq!(outcome.hidden, [event(merchant, 2, 5_000).id]);
        let elsewhere = Refusal::NotLeader { leader: NodeId::from_number(3), term: 8 };
        let refusals = [(9, Refusal::FenceUnreadable), (10, elsewhere)];
        let refused = refusals.map(|(number, refusal)| Refused { partition: PartitionId(number), refusal });
        assert_eq!(outcome.refused, refused);
    }
    assert_eq!(peer.streams.load(Ordering::SeqCst), 1);
    let id = event(merchant_in(3, 0), 1, 5_000).id;
    assert_eq!(feed.acknowledge(&application(), &[id]).await.unwrap(), [PartitionId(4)]);
    assert_eq!(peer.acknowledged.lock().as_slice(), [conversions::to_bytes(id.as_bytes())]);
    assert!(matches!(poll(feed, 0, 13).await, Err(PrimaryError::Misunderstood)));
    assert_eq!(feed.cached_order(OrderId::from_bytes([0; 16])).await.unwrap(), None);
    assert_eq!(feed.cached_order(OrderId::from_bytes([1; 16])).await.unwrap().unwrap().merchant, merchant_in(3, 0));
    let standing = feed.standing().await.unwrap();
    assert_eq!((standing.node, standing.unserved), (NodeId::from_number(6), vec![PartitionId(5)]));
    let sixth = LeaderHint { partition: PartitionId(15), leader: NodeId::from_number(6), term: 3 };
    assert_eq!(standing.leaders.last(), Some(&sixth));
    assert_eq!(connected.leaders.leader_of(PartitionId(4)), None, "who said so was not known yet");
    feed.acknowledge(&application(), &[id]).await.unwrap();
    assert_eq!(connected.leaders.leader_of(PartitionId(4)), NodeId::from_number(2));
    connected.stop().await;
    serving.kill();
}

/// The stream breaks in the middle of calls: all of them fail at once, and a new stream serves the next.
#[tokio::test]
async fn a_stream_that_breaks_fails_its_callers_at_once_and_comes_back() {
    let peer = Peer::default();
    let serving = serve(&peer, loopback()).await;
    let connected = connect(serving.transport());
    let feed = connected.feed.clone();
    eventually("connected", || feed.is_connected()).await;
    peer.holds_back.store(true, Ordering::SeqCst);
    let started = Instant::now();
    let calls = tokio::spawn({
        let feed = feed.clone();
        async move { futures::future::join_all((0..50).map(|_| poll(&feed, 0, 1_000))).await }
    });
    eventually("the peer has the calls", || peer.calls.load(Ordering::SeqCst) == 50).await;
    peer.breaks.notify_waiters();
    let answers = calls.await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Err(PrimaryError::Disconnected))), "{answers:?}");
    assert!(started.elapsed() < Duration::from_millis(1_900), "before any call's deadline");
    peer.holds_back.store(false, Ordering::SeqCst);
    eventually("connected again", || feed.is_connected() && peer.streams.load(Ordering::SeqCst) == 2).await;
    poll(&feed, 0, 1_000).await.unwrap();

    // The whole peer goes away, with its sockets, and comes back at the same address.
    let address = serving.address;
    serving.kill();
    eventually("noticed", || !feed.is_connected()).await;
    let started = Instant::now();
    assert!(matches!(poll(&feed, 0, 1_000).await, Err(PrimaryError::Disconnected)));
    assert!(started.elapsed() < Duration::from_millis(100), "without a stream a call fails at once");
    let serving = serve(&Peer::default(), address).await;
    eventually("connected to the next one", || feed.is_connected()).await;
    poll(&feed, 0, 1_000).await.unwrap();
    connected.stop().await;
    serving.kill();
}

/// A peer that accepts and never answers: calls end by their deadline, the stream by the silence.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_left() {
    let peer = Peer::default();
    peer.holds_back.store(true, Ordering::SeqCst);
    let connected = connect(proto::transport::local(OrderEventsServer::new(peer.clone())));
    let feed = connected.feed.clone();
    eventually("connected", || feed.is_connected()).await;
    tokio::time::sleep(Duration::from_secs(17)).await;
    assert_eq!(peer.streams.load(Ordering::SeqCst), 1, "a stream on which nothing is owed may be silent");
    let started = Instant::now();
    assert!(matches!(poll(&feed, 0, 1_000).await, Err(PrimaryError::Deadline { deadline_ms: 2_000 })));
    assert_eq!(started.elapsed().as_millis(), 2_000);
    let silent_by = started + Duration::from_secs(11);
    eventually("a new stream", || peer.streams.load(Ordering::SeqCst) == 2).await;
    assert!(Instant::now() < silent_by);
    connected.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_gathered_goes_out_as_one_message_of_bounded_size() {
    let (link, outgoing) = Link::new();
    let mut outgoing = Box::pin(outgoing);
    let acknowledge = |ids: usize| {
        request::Call::Acknowledge(feed::AcknowledgeRequest {
            application_id: "dev-pos".to_owned(),
            event_ids: vec![bytes::Bytes::from_static(&[7; 16]); ids],
        })
    };
    let calling = |count: usize, ids: usize| {
        let calls = (0..count).map(|_| link.clone().call(acknowledge(ids), Duration::from_secs(1))).collect::<Vec<_>>();
        tokio::spawn(futures::future::join_all(calls))
    };
    let small = calling(10, 1);
    tokio::task::yield_now().await;
    assert_eq!(outgoing.next().await.unwrap().requests.len(), 10);
    let large = calling(30, 10_000);
    tokio::task::yield_now().await;
    let sizes: Vec<usize> = [outgoing.next().await, outgoing.next().await, outgoing.next().await]
        .map(|message| message.unwrap().requests.len())
        .into();
    assert_eq!(sizes.iter().sum::<usize>(), 30);
    assert!(sizes.iter().all(|&requests| requests <= 11), "at most 2 MiB: {sizes:?}");
    small.await.unwrap();
    large.await.unwrap();
    assert_eq!(link.outstanding(), 0, "calls that are over are forgotten");
    assert!(link.is_owed());
}

#[tokio::test(start_paused = true)]
async fn outstanding_calls_are_bounded_and_a_closed_link_takes_none() {
    let (link, outgoing) = Link::new();
    let mut outgoing = Box::pin(outgoing);
    let call = || {
        let poll = request::Call::Poll(feed::PollRequest::default());
        link.clone().call(poll, Duration::from_secs(1))
    };
    let mut calls: Vec<_> = (0..OUTSTANDING_MAX).map(|_| Box::pin(call())).collect();
    for call in &mut calls {
        assert!(futures::poll!(call.as_mut()).is_pending());
    }
    assert!(matches!(call().await, Err(PrimaryError::Overloaded)));
    drop(calls.pop());
    // Its place is free, but not in the queue before a message has gone out.
    outgoing.next().await.unwrap();
    let mut one_more = Box::pin(call());
    assert!(futures::poll!(one_more.as_mut()).is_pending());
    link.close();
    assert!(matches!(one_more.await, Err(PrimaryError::Disconnected)));
    for answer in futures::future::join_all(calls).await {
        assert!(matches!(answer, Err(PrimaryError::Disconnected)));
    }
    assert!(matches!(call().await, Err(PrimaryError::Disconnected)));
    let left: Vec<ExchangeRequest> = outgoing.collect().await;
    assert!(left.iter().map(|message| message.requests.len()).sum::<usize>() <= OUTSTANDING_MAX, "and then it ends");
}
