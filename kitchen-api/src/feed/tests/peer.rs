//! order-events as a peer that tests can make silent, old or dead: over loopback TCP with a real tonic server, or within the process; and
//! a feed that is connected to it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::Filter;
use order_model::PartitionCount;
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

use super::fakes::{authorised, event, merchant_in, random};
use crate::feed::{LeaderMap, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, RemoteFeed};

/// order-events as a peer: answers each call with one event of its first merchant, or holds its answers back.
#[derive(Clone, Default)]
pub(super) struct Peer {
    pub(super) holds_back: Arc<AtomicBool>,
    pub(super) is_dead: Arc<AtomicBool>,
    pub(super) breaks: Arc<tokio::sync::Notify>,
    pub(super) streams: Arc<AtomicUsize>,
    pub(super) calls: Arc<AtomicUsize>,
    pub(super) acknowledged: Arc<Mutex<Vec<bytes::Bytes>>>,
    /// Of an older version: it does not know what watching is.
    pub(super) is_old: Arc<AtomicBool>,
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
    pub(super) fn in_process(&self, pipe_bytes: usize) -> Connector {
        let peer = self.clone();
        Arc::new(move || {
            let (near, far) = tokio::io::duplex(pipe_bytes);
            tokio::spawn(peer.clone().converse(far));
            Box::pin(async move { Ok(Box::new(near) as BoxedConnection) })
        })
    }

    pub(super) fn transport(&self) -> Transport {
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
pub(super) struct Serving {
    pub(super) rpc: SocketAddr,
    pub(super) polls: SocketAddr,
    runtime: Runtime,
}

pub(super) async fn serve(peer: &Peer, rpc: SocketAddr, polls: SocketAddr) -> Serving {
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
    pub(super) fn connect(&self) -> Connected {
        let polls = self.polls;
        let connector: Connector = Arc::new(move || {
            Box::pin(async move { Ok(Box::new(TcpStream::connect(polls).await?) as BoxedConnection) })
        });
        connect(proto::transport::remote(&format!("http://{}", self.rpc)).unwrap(), connector)
    }

    pub(super) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

pub(super) struct Connected {
    pub(super) feed: Arc<RemoteFeed>,
    pub(super) leaders: LeaderMap,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

pub(super) fn connect(transport: Transport, connector: Connector) -> Connected {
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
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
        assert!(!self.feed.is_connected());
    }
}

pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn poll(feed: &RemoteFeed, nth: usize, limit: usize) -> Result<PollOutcome, PrimaryError> {
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

pub(super) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
