//! The connection to a peer: over loopback TCP, with a real tonic server beside it, and its limits under paused time.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::Filter;
use order_model::{OrderId, PartitionCount, PartitionId};
use parking_lot::Mutex;
use proto::frames::{Incoming, Outgoing};
use proto::order_events::order_events_server::{OrderEvents, OrderEventsServer};
use proto::order_events::{
    AcknowledgeReply, GetCachedOrderReply, GetCachedOrderRequest, News as Told, PartitionLeader, PartitionStatus,
    Reply, Request as Call, StatusReply, StatusRequest, Watching, reply, request,
};
use proto::transport::{BoxedConnection, Connection, Connector, Transport};
use proto::{conversions, feed};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::fakes::{application, authorised, event, merchant_in, random};
use crate::feed::link::{Link, OUTSTANDING_MAX};
use crate::feed::{
    Heard, LeaderHint, LeaderMap, News, NodeId, PollQuery, PrimaryError, PrimaryFeed, Refusal, Refused, RemoteFeed,
};

/// order-events as a peer: answers each call with one event of its first merchant, or holds its answers back.
#[derive(Clone, Default)]
struct Peer {
    holds_back: Arc<AtomicBool>,
    is_dead: Arc<AtomicBool>,
    breaks: Arc<tokio::sync::Notify>,
    streams: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    acknowledged: Arc<Mutex<Vec<bytes::Bytes>>>,
    /// Of an older version: it does not know what watching is.
    is_old: Arc<AtomicBool>,
}

impl Peer {
    fn answer(&self, call: Call) -> Option<Reply> {
        if self.is_dead.load(Ordering::SeqCst) {
            return None;
        }
        let Some(asked) = call.call else {
            let outcome = Some(reply::Outcome::Error("call is absent".to_owned()));
            return Some(Reply { correlation: call.correlation, outcome });
        };
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.holds_back.load(Ordering::SeqCst) {
            return None;
        }
        let outcome = match asked {
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
                    struck_ids: vec![conversions::to_bytes(event(merchant, 1, 5_000).id.as_bytes())],
                    strikes: Some(7),
                })
            }
            request::Call::Watch(_) if self.is_old.load(Ordering::SeqCst) => {
                reply::Outcome::Error("call is absent".to_owned())
            }
            request::Call::Watch(_) => reply::Outcome::Watching(Watching {}),
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

/// What a peer that is watched tells at once.
fn news_of_the_first() -> Reply {
    let merchant_ids = vec![conversions::to_bytes(merchant_in(3, 0).as_bytes())];
    Reply { correlation: 0, outcome: Some(reply::Outcome::News(Told { merchant_ids, is_cut: false })) }
}

impl Peer {
    /// Answers what has come before it reads more: a peer that is busy writing does not read.
    async fn converse(self, mut io: impl Connection) {
        self.streams.fetch_add(1, Ordering::SeqCst);
        let (mut incoming, mut outgoing) = (Incoming::default(), Outgoing::default());
        let broken = self.breaks.notified();
        tokio::pin!(broken);
        loop {
            let mut replies = Vec::new();
            while let Some(call) = incoming.take::<Call>().unwrap() {
                let is_watch = matches!(call.call, Some(request::Call::Watch(_)));
                let answer = self.answer(call);
                // Written the other way round.
                replies.extend(is_watch.then(news_of_the_first));
                replies.extend(answer);
            }
            assert!(replies.iter().rev().all(|reply| outgoing.add(reply)));
            if poll_fn(|context| outgoing.poll_write(Pin::new(&mut io), context)).await.is_err() {
                return;
            }
            tokio::select! {
                read = poll_fn(|context| incoming.poll_read(Pin::new(&mut io), context)) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                () = &mut broken => return,
            }
        }
    }

    /// Connections that never leave this process, with pipes of `pipe_bytes`.
    fn in_process(&self, pipe_bytes: usize) -> Connector {
        let peer = self.clone();
        Arc::new(move || {
            let (near, far) = tokio::io::duplex(pipe_bytes);
            tokio::spawn(peer.clone().converse(far));
            Box::pin(async move { Ok(Box::new(near) as BoxedConnection) })
        })
    }

    fn transport(&self) -> Transport {
        proto::transport::local(OrderEventsServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl OrderEvents for Peer {
    async fn get_cached_order(
        &self,
        request: Request<GetCachedOrderRequest>,
    ) -> Result<Response<GetCachedOrderReply>, Status> {
        if request.into_inner().order_id[0] == 0 {
            return Err(Status::not_found("order"));
        }
        let merchant_id = conversions::to_bytes(merchant_in(3, 0).as_bytes());
        Ok(Response::new(GetCachedOrderReply { merchant_id, body: bytes::Bytes::from_static(b"{}"), sequence: 1 }))
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
    rpc: SocketAddr,
    polls: SocketAddr,
    runtime: Runtime,
}

async fn serve(peer: &Peer, rpc: SocketAddr, polls: SocketAddr) -> Serving {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = tonic::transport::Server::builder().add_service(OrderEventsServer::new(peer.clone()));
    let (bound, addresses_bound) = tokio::sync::oneshot::channel();
    let peer = peer.clone();
    runtime.spawn(async move {
        let (rpc, polls) = (TcpListener::bind(rpc).await.unwrap(), TcpListener::bind(polls).await.unwrap());
        bound.send((rpc.local_addr().unwrap(), polls.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            while let Ok((connection, _)) = polls.accept().await {
                tokio::spawn(peer.clone().converse(connection));
            }
        });
        server.serve_with_incoming(TcpListenerStream::new(rpc)).await.unwrap();
    });
    let (rpc, polls) = addresses_bound.await.unwrap();
    Serving { rpc, polls, runtime }
}

impl Serving {
    fn connect(&self) -> Connected {
        let polls = self.polls;
        let connector: Connector = Arc::new(move || {
            Box::pin(async move { Ok(Box::new(TcpStream::connect(polls).await?) as BoxedConnection) })
        });
        connect(proto::transport::remote(&format!("http://{}", self.rpc)).unwrap(), connector)
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

fn connect(transport: Transport, connector: Connector) -> Connected {
    let leaders = LeaderMap::new(PartitionCount::DEFAULT);
    let feed = Arc::new(RemoteFeed::new(transport, connector, random()).telling(leaders.clone()));
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
async fn calls_share_one_connection_and_answers_find_their_callers() {
    let peer = Peer::default();
    let serving = serve(&peer, loopback(), loopback()).await;
    let connected = serving.connect();
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
        assert_eq!((outcome.struck.as_slice(), outcome.strikes), (&[event(merchant, 1, 5_000).id][..], Some(7)));
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
    let serving = serve(&peer, loopback(), loopback()).await;
    let connected = serving.connect();
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
    let (rpc, polls) = (serving.rpc, serving.polls);
    serving.kill();
    eventually("noticed", || !feed.is_connected()).await;
    let started = Instant::now();
    assert!(matches!(poll(&feed, 0, 1_000).await, Err(PrimaryError::Disconnected)));
    assert!(started.elapsed() < Duration::from_millis(100), "without a stream a call fails at once");
    let serving = serve(&Peer::default(), rpc, polls).await;
    eventually("connected to the next one", || feed.is_connected()).await;
    poll(&feed, 0, 1_000).await.unwrap();
    connected.stop().await;
    serving.kill();
}

/// A peer that takes a call and never answers: the call ends by its deadline, the connection by the silence.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_left() {
    let peer = Peer::default();
    peer.holds_back.store(true, Ordering::SeqCst);
    let connected = connect(peer.transport(), peer.in_process(64 * 1024));
    let feed = connected.feed.clone();
    eventually("connected", || feed.is_connected()).await;
    tokio::time::sleep(Duration::from_secs(17)).await;
    assert_eq!(peer.streams.load(Ordering::SeqCst), 1, "signs of life were answered");
    let started = Instant::now();
    let acknowledging = feed.acknowledge(&application(), &[]).await;
    assert!(matches!(acknowledging, Err(PrimaryError::Deadline { deadline_ms: 2_000 })));
    assert_eq!(started.elapsed().as_millis(), 2_000);
    let silent_by = started + Duration::from_secs(6);
    eventually("a new connection", || peer.streams.load(Ordering::SeqCst) == 2).await;
    assert!(Instant::now() < silent_by);

    peer.is_dead.store(true, Ordering::SeqCst);
    let silent_by = Instant::now() + Duration::from_secs(6);
    eventually("left although nobody asked anything", || !feed.is_connected()).await;
    assert!(Instant::now() < silent_by);
    eventually("tried again", || peer.streams.load(Ordering::SeqCst) > 3).await;
    assert!(!feed.is_connected(), "a peer that answers nothing is none");
    connected.stop().await;
}

/// Both sides have more to say than the pipe holds, and the peer does not read while it writes.
#[tokio::test(start_paused = true)]
async fn it_reads_while_it_writes() {
    let peer = Peer::default();
    let connected = connect(peer.transport(), peer.in_process(256));
    let feed = connected.feed.clone();
    eventually("connected", || feed.is_connected()).await;
    let answers = futures::future::join_all((0..1_000).map(|_| poll(&feed, 0, 1_000))).await;
    assert!(answers.iter().all(Result::is_ok), "{:?}", answers.iter().find(|answer| answer.is_err()));
    connected.stop().await;
}

/// A connection that says nothing and notes what is written at once.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<usize>>>);

impl Writes {
    fn writes(&self) -> Vec<usize> {
        self.0.lock().clone()
    }
}

impl tokio::io::AsyncRead for Writes {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Pending
    }
}

impl tokio::io::AsyncWrite for Writes {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.0.lock().push(bytes.len());
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_watched_from_the_first_who_waits_and_everybody_doubts_when_its_connection_ends() {
    let peer = Peer::default();
    let news = News::default();
    let leaders = LeaderMap::new(PartitionCount::DEFAULT);
    let feed = Arc::new(RemoteFeed::new(peer.transport(), peer.in_process(4_096), random()).telling(leaders));
    feed.bring_news(&news);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (feed, shutdown) = (feed.clone(), shutdown.clone());
        async move { feed.run(shutdown).await }
    });
    eventually("connected", || feed.is_connected()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!feed.brings_all_news(), "nobody waits");
    let mut first = news.listen(&authorised(&[merchant_in(3, 0)])).unwrap();
    let mut second = news.listen(&authorised(&[merchant_in(3, 1)])).unwrap();
    assert_eq!(second.heard().await, Heard::Doubt, "what came before it was watched is found by looking");
    assert!(feed.brings_all_news());
    assert_eq!(first.heard().await, Heard::News);
    peer.breaks.notify_waiters();
    assert_eq!(second.heard().await, Heard::Doubt, "its connection has ended");
    eventually("it is watched again", || feed.brings_all_news()).await;
    assert_eq!(poll(&feed, 0, 1_000).await.unwrap().events.len(), 1, "and answers as ever");
    shutdown.cancel();
    running.await.unwrap();
    assert!(!feed.brings_all_news());
}

#[tokio::test(start_paused = true)]
async fn an_older_peer_that_cannot_be_watched_answers_polls_as_ever() {
    let peer = Peer::default();
    peer.is_old.store(true, Ordering::SeqCst);
    let news = News::default();
    let feed = Arc::new(RemoteFeed::new(peer.transport(), peer.in_process(4_096), random()));
    feed.bring_news(&news);
    let _waiting = news.listen(&authorised(&[merchant_in(3, 0)])).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (feed, shutdown) = (feed.clone(), shutdown.clone());
        async move { feed.run(shutdown).await }
    });
    eventually("it was asked", || peer.calls.load(Ordering::SeqCst) > 0).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!feed.brings_all_news() && feed.is_connected());
    assert_eq!(poll(&feed, 0, 1_000).await.unwrap().events.len(), 1);
    shutdown.cancel();
    running.await.unwrap();
}

fn acknowledgment(ids: usize) -> request::Call {
    request::Call::Acknowledge(feed::AcknowledgeRequest {
        application_id: "dev-pos".to_owned(),
        event_ids: vec![bytes::Bytes::from_static(&[7; 16]); ids],
    })
}

#[tokio::test(start_paused = true)]
async fn what_has_gathered_goes_out_in_one_write() {
    let near = Writes::default();
    let (link, mut carrier) = Link::new(Box::new(near.clone()));
    let carrying = tokio::spawn(async move { carrier.carry().await });
    tokio::task::yield_now().await;
    let calls = (0..100).map(|_| tokio::time::timeout(Duration::from_secs(1), link.clone().call(acknowledgment(1))));
    futures::future::join_all(calls).await;
    let writes = near.writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(link.outstanding(), 0, "calls that are over are forgotten");
    assert!(link.is_owed());
    carrying.abort();
}

#[tokio::test(start_paused = true)]
async fn outstanding_calls_are_bounded_and_a_closed_link_takes_none() {
    let (near, _far) = tokio::io::duplex(64);
    let (link, carrier) = Link::new(Box::new(near));
    let call = || link.clone().call(request::Call::Poll(feed::PollRequest::default()));
    let mut calls: Vec<_> = (0..OUTSTANDING_MAX).map(|_| Box::pin(call())).collect();
    for call in &mut calls {
        assert!(futures::poll!(call.as_mut()).is_pending());
    }
    assert!(matches!(call().await, Err(PrimaryError::Overloaded)));
    drop(calls.pop());
    let mut one_more = Box::pin(call());
    assert!(futures::poll!(one_more.as_mut()).is_pending(), "its place is free");
    link.close();
    assert!(matches!(one_more.await, Err(PrimaryError::Disconnected)));
    for answer in futures::future::join_all(calls).await {
        assert!(matches!(answer, Err(PrimaryError::Disconnected)));
    }
    assert!(matches!(call().await, Err(PrimaryError::Disconnected)));
    drop(carrier);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_does_not_read_is_bounded_also_where_callers_give_up() {
    let (near, _far) = tokio::io::duplex(64);
    let (link, _carrier) = Link::new(Box::new(near));
    let mut taken = 0;
    let refusal = loop {
        match tokio::time::timeout(Duration::from_millis(1), link.clone().call(acknowledgment(10_000))).await {
            Err(_) => taken += 1,
            Ok(answer) => break answer,
        }
        assert!(taken < 100, "18 MB");
    };
    assert!(matches!(refusal, Err(PrimaryError::Overloaded)));
    assert!(taken > 40, "8 MiB: {taken}");
}
