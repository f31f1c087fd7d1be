//! Links that break and peers that talk nonsense: no call hangs, none is sent twice or late, and links come back.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures::future::join_all;
use proptest::prelude::*;
use proto::grid_transport::grid_transport_client::GridTransportClient;
use proto::grid_transport::grid_transport_server::{GridTransport, GridTransportServer};
use proto::grid_transport::{Frame, Frames, frame::Content};
use replicated_grid::peers::{Lane, PeerError, Peers};
use replicated_grid::transport::limits::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX};
use replicated_grid::{Member, NodeId};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use super::transport_nodes::{LONG, Node, eventually, expected, plain_links, soon};
use super::transport_proxy::{Network, Proxy};

/// A second, which is what the limits add up to, and patience for a machine that compiles meanwhile.
const HEALS_WITHIN: Duration = Duration::from_secs(3);
/// The same for a silent cut: far below the deadline of the calls.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// The failures of a link's outstanding calls, and when the last of them came.
async fn break_link(network: Network) -> Duration {
    let node = Node::plain(1).await;
    let proxy = Proxy::start(&node.member.address).await;
    let (peers, to) = (plain_links(3).peers("orders"), node.at(&proxy.address));
    assert!(soon(peers.call(&to, Lane::Raft, Bytes::from_static(b"before"), LONG)).await.is_ok());
    node.orders.close(Lane::Raft);
    let calls: Vec<_> =
        (0..20).map(|_| tokio::spawn(peers.call(&to, Lane::Raft, Bytes::from_static(b"x"), LONG))).collect();
    eventually("all are under way", async || node.orders.was_asked() == 21).await;
    let broken = Instant::now();
    proxy.set(network);
    for call in soon(join_all(calls)).await {
        let failure = call.unwrap().unwrap_err();
        assert!(matches!(failure, PeerError::NoAnswer { .. }), "it was sent: {failure}");
    }
    let noticed = broken.elapsed();
    let during = || peers.call(&to, Lane::Raft, Bytes::from_static(b"during"), KEEPALIVE_INTERVAL);
    eventually("it is unreachable", async || matches!(during().await, Err(PeerError::Unreachable { .. }))).await;
    proxy.heal();
    let healed = Instant::now();
    node.orders.open(Lane::Raft);
    let call = || peers.call(&to, Lane::Raft, Bytes::from_static(b"after"), Duration::from_millis(200));
    eventually("the link heals", async || call().await.is_ok()).await;
    assert!(healed.elapsed() < HEALS_WITHIN, "it took {:?}", healed.elapsed());
    assert_eq!(soon(call()).await.unwrap(), expected("orders", NodeId(3), Lane::Raft, b"after"));
    let asked = node.orders.asked.lock();
    assert_eq!(asked.iter().filter(|request| &request[..] == b"x").count(), 20, "nothing was sent twice");
    assert!(!asked.iter().any(|request| &request[..] == b"during"), "nothing came late");
    noticed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_connection_fails_its_calls_at_once() {
    let noticed = break_link(Network { closed: true, ..Network::default() }).await;
    assert!(noticed < KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT, "{noticed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cut_in_either_direction_is_noticed_by_keepalive() {
    let lost = |loses_requests, loses_answers| Network { loses_requests, loses_answers, closed: false };
    let cuts = [lost(true, false), lost(false, true), lost(true, true)];
    for noticed in join_all(cuts.map(break_link)).await {
        assert!(noticed < NOTICED_WITHIN, "{noticed:?}");
    }
}

#[tokio::test]
async fn a_node_that_moved_is_called_at_its_new_address() {
    let (old, new) = (Node::plain(1).await, Node::plain(1).await);
    let peers = plain_links(3).peers("orders");
    for (node, other, asked) in [(&old, &new, 1), (&new, &old, 1), (&old, &new, 2)] {
        assert!(soon(peers.call(&node.member, Lane::Raft, Bytes::new(), LONG)).await.is_ok());
        assert_eq!(node.orders.was_asked(), asked);
        assert!(other.orders.was_asked() <= 1);
    }
}

#[tokio::test]
async fn disconnecting_and_dropping_links_ends_their_calls() {
    let node = Node::plain(1).await;
    let links = plain_links(3);
    node.orders.close(Lane::Raft);
    let call = || tokio::spawn(links.peers("orders").call(&node.member, Lane::Raft, Bytes::new(), LONG));
    let waiting = call();
    eventually("it is under way", async || node.orders.was_asked() == 1).await;
    links.disconnect();
    assert!(matches!(soon(waiting).await.unwrap(), Err(PeerError::NoAnswer { .. })));
    node.orders.open(Lane::Raft);
    assert!(soon(call()).await.unwrap().is_ok(), "a later call connects again");
}

/// Sends a message as it is, whatever it is.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

fn opened<T>(messages: T) -> Request<T> {
    let mut request = Request::new(messages);
    for (key, value) in [("transport", "1"), ("cluster", "west"), ("node", "3"), ("to", "1"), ("lane", "raft")] {
        let key: tonic::metadata::AsciiMetadataKey = format!("comanda-{key}").parse().unwrap();
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    request
}

/// How the node ends a stream of one such message.
async fn send_raw(channel: Channel, message: Bytes) -> Status {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/comanda.grid_transport.v1.GridTransport/Exchange");
    let messages = futures::stream::iter([message]);
    match client.streaming(opened(messages), path, Raw).await {
        Err(status) => status,
        Ok(response) => {
            let mut answers = response.into_inner();
            loop {
                match answers.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Status::ok("ended"),
                    Err(status) => return status,
                }
            }
        }
    }
}

async fn channel(node: &Node) -> Channel {
    Channel::from_shared(format!("http://{}", node.member.address)).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn nonsense_on_a_stream_ends_the_stream_and_nothing_else() {
    let node = Node::plain(1).await;
    let channel = channel(&node).await;
    let ended = async |message: Vec<u8>| soon(send_raw(channel.clone(), message.into())).await.code();
    assert_eq!(
        ended(vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]).await,
        Code::Internal,
        "a frame longer than its message"
    );
    assert_eq!(ended(vec![0xff; 100]).await, Code::Internal, "no message");
    assert_eq!(ended(vec![0; MESSAGE_BYTES_MAX + 1]).await, Code::OutOfRange, "a message that is too large");
    let empty = Frame { correlation: 1, grid: Bytes::from_static(b"orders"), content: None };
    let message = prost::Message::encode_to_vec(&Frames { frames: vec![empty] });
    assert_eq!(ended(message).await, Code::InvalidArgument, "a request without a payload");
    assert_eq!(ended(Vec::new()).await, Code::Ok, "nothing asked, nothing answered");
    assert_eq!(node.orders.was_asked(), 0);
    let peers = plain_links(3).peers("orders");
    assert!(soon(peers.call(&node.member, Lane::Raft, Bytes::new(), LONG)).await.is_ok());
}

#[test]
fn random_messages_never_hang_or_kill_a_node() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (node, channel) = runtime.block_on(async {
        let node = Node::plain(1).await;
        let channel = channel(&node).await;
        (node, channel)
    });
    proptest!(ProptestConfig::with_cases(64), |(message in prop::collection::vec(any::<u8>(), 0..300))| {
        runtime.block_on(async { soon(send_raw(channel.clone(), message.into())).await });
    });
    let peers = plain_links(3).peers("orders");
    assert!(runtime.block_on(soon(peers.call(&node.member, Lane::Raft, Bytes::new(), LONG))).is_ok());
}

#[tokio::test]
async fn bytes_that_are_not_http2_are_dropped_by_either_side() {
    let node = Node::plain(1).await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5], &[0; 9_000]] {
        let mut stream = TcpStream::connect(&node.member.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let peers = plain_links(3).peers("orders");
    let nonsense = Member { id: NodeId(2), address };
    let failure = soon(peers.call(&nonsense, Lane::Raft, Bytes::new(), LONG)).await.unwrap_err();
    assert!(matches!(failure, PeerError::Unreachable { .. }), "{failure}");
    assert!(soon(peers.call(&node.member, Lane::Raft, Bytes::new(), LONG)).await.is_ok());
}

/// Answers what nobody asked before it answers.
struct Confused;

#[tonic::async_trait]
impl GridTransport for Confused {
    type ExchangeStream = futures::stream::BoxStream<'static, Result<Frames, Status>>;

    async fn exchange(&self, request: Request<Streaming<Frames>>) -> Result<Response<Self::ExchangeStream>, Status> {
        let mut requests = request.into_inner();
        let frame = |correlation, content| Frame { correlation, grid: Bytes::new(), content };
        let unasked = [0, 999, u64::MAX].map(|number| frame(number, Some(Content::Payload(Bytes::new())))).to_vec();
        let answers = async move {
            let mut frames = unasked;
            for Frame { correlation, content, .. } in
                requests.message().await?.map(|asked| asked.frames).unwrap_or_default()
            {
                frames.push(frame(correlation, content.clone()));
                frames.push(frame(correlation, Some(Content::Refusal("twice".to_owned()))));
            }
            Ok(Frames { frames })
        };
        Ok(Response::new(Box::pin(futures::stream::once(answers))))
    }
}

#[tokio::test]
async fn answers_that_nobody_asked_for_are_ignored() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Member { id: NodeId(2), address: listener.local_addr().unwrap().to_string() };
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(Server::builder().add_service(GridTransportServer::new(Confused)).serve_with_incoming(incoming));
    let answer = soon(plain_links(3).peers("orders").call(&to, Lane::Raft, Bytes::from_static(b"x"), LONG)).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"x")));
}

#[tokio::test]
async fn a_stream_that_does_not_say_who_opens_it_is_refused() {
    let node = Node::plain(1).await;
    let mut client = GridTransportClient::new(channel(&node).await);
    let refused = soon(client.exchange(futures::stream::pending())).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "the metadata comanda-transport is missing")
    );
}
