//! TLS between nodes: who is let in, who is not and why, removal, and files that change.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use proto::grid_transport::grid_transport_client::GridTransportClient;
use proto::grid_transport::grid_transport_server::{GridTransport, GridTransportServer};
use proto::grid_transport::{Frame, Frames, frame::Content};
use replicated_grid::NodeId;
use replicated_grid::peers::{Lane, PeerError, Peers};
use replicated_grid::transport::tls::Reloaded;
use replicated_grid::transport::{
    ConnectionSecurity, Expect, Gate, Identity, LinkSecurity, Membership, NodeTls, Peer, TcpDialer, internal,
    role_dns_name, tcp_incoming,
};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::transport_certificates::{Authority, EXPIRED, Files, VALID, node_tls};
use super::transport_nodes::{LONG, Node, eventually, expected, links, plain_links, soon, west};

fn anyone() -> watch::Sender<Membership> {
    watch::Sender::default()
}

fn node_name(id: u64) -> String {
    Identity::Node(NodeId(id)).dns_name(&west())
}

/// TLS of a process with this certificate, as it would be if its own check let it pass: it believes itself to be in time
/// and of `identity`.
async fn unchecked(
    authority: &Authority,
    trusted: &Authority,
    identity: Identity,
    days: super::transport_certificates::Days,
) -> NodeTls {
    let pair = authority.issue(&[&identity.dns_name(&west())], days);
    let files = Files::new(&[authority, trusted], &pair);
    files.clock.jump(-60 * 24 * 60 * 60 * 1_000);
    files.load(identity, &anyone()).await.unwrap()
}

/// A handshake with `server` over a pipe: what each side says of the other.
async fn handshake(
    server: &NodeTls,
    client: &NodeTls,
    expect: Expect,
) -> (Result<Identity, String>, Result<(), String>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let accepting = async {
        let (mut io, identity) = server.server().accept(ours).await.map_err(|error| error.to_string())?;
        io.write_all(b"!").await.map_err(|error| error.to_string())?;
        Ok(identity)
    };
    let connecting = async {
        let mut io = client.client().connect(theirs, expect).await.map_err(|error| error.to_string())?;
        // With TLS 1.3 the client learns only now whether it was accepted.
        io.read_u8().await.map_err(|error| error.to_string()).map(drop)
    };
    soon(futures::future::join(accepting, connecting)).await
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let authority = Authority::new();
    let (one, three) = (node_tls(&authority, 1, &anyone()).await, node_tls(&authority, 3, &anyone()).await);
    let node = Node::mutual(1, &one, anyone()).await;
    let peers = links(3, LinkSecurity::Mutual(three.client()), Arc::new(TcpDialer)).peers("orders");
    for lane in [Lane::Raft, Lane::Snapshot, Lane::Proposal] {
        let answer = soon(peers.call(&node.member, lane, Bytes::from_static(b"x"), LONG)).await;
        assert_eq!(answer, Ok(expected("orders", NodeId(3), lane, b"x")));
    }
    let (met, called) = handshake(&one, &three, Expect::Node(NodeId(1))).await;
    assert_eq!((met, called), (Ok(Identity::Node(NodeId(3))), Ok(())));
}

#[tokio::test]
async fn a_caller_is_refused_for_its_certificate_with_the_right_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let members = watch::Sender::new(Membership::Known([NodeId(1), NodeId(3)].into()));
    let server = node_tls(&authority, 1, &members).await;
    let node = |id| Identity::Node(NodeId(id));
    let cases = [
        (unchecked(&other, &authority, node(3), VALID).await, "not issued by the CA of this cluster"),
        (unchecked(&authority, &authority, node(3), EXPIRED).await, "its certificate has expired"),
        (unchecked(&authority, &authority, node(4), VALID).await, "node 4 is not a member of the cluster"),
    ];
    for (client, reason) in cases {
        let (met, called) = handshake(&server, &client, Expect::Node(NodeId(1))).await;
        let met = met.unwrap_err();
        assert!(met.contains(reason), "{met}");
        assert!(called.is_err());
    }
    let nameless = authority.issue(&["west.comanda"], VALID);
    let met = raw_handshake(&server, &authority, Some(&nameless)).await.unwrap_err();
    assert!(met.contains("names nobody of cluster west"), "{met}");
    let both = authority.issue(&[&node_name(1), &node_name(3)], VALID);
    let met = raw_handshake(&server, &authority, Some(&both)).await.unwrap_err();
    assert!(met.contains("names several"), "{met}");
    assert_eq!(raw_handshake(&server, &authority, None).await, Err("it showed no certificate".to_owned()));
}

/// What a server says of a client that rustls itself would make, with this certificate or none.
async fn raw_handshake(
    server: &NodeTls,
    authority: &Authority,
    pair: Option<&(String, String)>,
) -> Result<Identity, String> {
    let mut roots = rustls::RootCertStore::empty();
    let der = |pem: &str| rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    roots.add(der(&authority.pem())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match pair {
        Some((certificate, key)) => {
            let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![der(certificate)], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let connecting = connector.connect(ServerName::try_from(node_name(1)).unwrap(), theirs);
    let tls = server.server();
    let (met, _) = soon(futures::future::join(tls.accept(ours), connecting)).await;
    met.map(|(_, identity)| identity).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_called_node_must_be_the_one_that_was_meant() {
    let (authority, other) = (Authority::new(), Authority::new());
    let five = node_tls(&authority, 5, &anyone()).await;
    let members = watch::Sender::new(Membership::Known([NodeId(3), NodeId(5)].into()));
    let three = node_tls(&authority, 3, &members).await;
    let called = async |server: &NodeTls, expect| handshake(server, &three, expect).await.1;
    assert_eq!(called(&five, Expect::AnyMember).await, Ok(()));
    let wrong = called(&five, Expect::Node(NodeId(1))).await.unwrap_err();
    assert_eq!(wrong, "the certificate is of node-5, expected was node-1.west.comanda");
    let foreign = unchecked(&other, &authority, Identity::Node(NodeId(5)), VALID).await;
    assert!(called(&foreign, Expect::AnyMember).await.unwrap_err().contains("not issued by the CA"));
    let expired = unchecked(&authority, &authority, Identity::Node(NodeId(5)), EXPIRED).await;
    assert!(called(&expired, Expect::Node(NodeId(5))).await.unwrap_err().contains("has expired"));
    let client = unchecked(&authority, &authority, Identity::Client("kitchen-api".into()), VALID).await;
    assert!(called(&client, Expect::AnyMember).await.unwrap_err().contains("is of client-kitchen-api"));
    members.send_replace(Membership::Known([NodeId(3)].into()));
    assert!(called(&five, Expect::AnyMember).await.unwrap_err().contains("node 5 is not a member"));
}

/// TLS of a process that answers as the roles `wanted`, with a certificate for the roles `certified`.
async fn answering_as(
    authority: &Authority,
    who: Identity,
    certified: &[&str],
    wanted: &[&'static str],
) -> Result<NodeTls, String> {
    let mut names = vec![who.dns_name(&west())];
    names.extend(certified.iter().map(|role| role_dns_name(role, &west())));
    let pair = authority.issue(&names.iter().map(String::as_str).collect::<Vec<_>>(), VALID);
    let mut files = Files::new(&[authority], &pair);
    files.roles = wanted.to_vec();
    files.load(who, &anyone()).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn who_answers_as_a_role_has_a_certificate_for_it() {
    let authority = Authority::new();
    let members = watch::Sender::new(Membership::Known([NodeId(3), NodeId(5)].into()));
    let three = node_tls(&authority, 3, &members).await;
    let (client, node) = (|| Identity::Client("some".into()), Identity::Node(NodeId(5)));
    let (core, polling) = ("gateway-core", "connection-polling");
    let both = answering_as(&authority, client(), &[core, polling], &[core, polling]).await.unwrap();
    let one = answering_as(&authority, client(), &[polling], &[]).await.unwrap();
    let on_node = answering_as(&authority, node, &[core], &[core]).await.unwrap();
    let called = async |server: &NodeTls, role| handshake(server, &three, Expect::Role(role)).await.1;
    for (server, role) in [(&both, core), (&both, polling), (&one, polling), (&on_node, core)] {
        assert_eq!(called(server, role).await, Ok(()), "{role}");
    }
    let wrong = called(&one, core).await.unwrap_err();
    assert_eq!(wrong, "the certificate is of client-some, expected was role-gateway-core.west.comanda");
    assert!(called(&node_tls(&authority, 5, &anyone()).await, core).await.is_err(), "a node is no role by itself");
    assert_eq!(handshake(&on_node, &three, Expect::AnyMember).await.1, Ok(()), "it is a node as well");
    assert_eq!(handshake(&three, &both, Expect::Node(NodeId(3))).await.0, Ok(client()), "it is one client");
    members.send_replace(Membership::Known([NodeId(3)].into()));
    assert!(called(&on_node, core).await.unwrap_err().contains("node 5 is not a member"));
    let foreign = answering_as(&Authority::new(), client(), &[core], &[core]).await.unwrap();
    assert!(called(&foreign, core).await.unwrap_err().contains("not issued by the CA"));
    let missing = answering_as(&authority, client(), &[polling], &[polling, core]).await.map(|_| ()).unwrap_err();
    assert!(missing.ends_with("expected a certificate with the DNS name role-gateway-core.west.comanda"), "{missing}");
}

#[tokio::test]
async fn plaintext_is_refused_in_both_directions_and_so_is_a_false_claim() {
    let authority = Authority::new();
    let node = Node::mutual(1, &node_tls(&authority, 1, &anyone()).await, anyone()).await;
    let unreachable = async |links: replicated_grid::transport::Links, node: &Node| {
        let failure = soon(links.peers("orders").call(&node.member, Lane::Raft, Bytes::new(), LONG)).await.unwrap_err();
        assert!(matches!(failure, PeerError::Unreachable { .. } | PeerError::Refused { .. }), "{failure}");
        failure.to_string()
    };
    unreachable(plain_links(3), &node).await;
    let (mut ours, theirs) = tokio::io::duplex(1024);
    ours.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let tls = node_tls(&authority, 1, &anyone()).await;
    let met = tls.server().accept(theirs).await.map(|_| ()).unwrap_err().to_string();
    assert_eq!(met, "it does not speak TLS (plaintext is refused between nodes)");
    let three = node_tls(&authority, 3, &anyone()).await;
    let secure = |id| links(id, LinkSecurity::Mutual(three.client()), Arc::new(TcpDialer));
    let plain = unreachable(secure(3), &Node::plain(1).await).await;
    assert!(plain.contains("does not speak TLS"), "{plain}");
    let false_claim = unreachable(secure(4), &node).await;
    assert_eq!(false_claim, "node 1 refused: the certificate is of node-3, not of node 4");
    assert_eq!(node.orders.was_asked(), 0);
}

#[tokio::test]
async fn a_client_certificate_opens_no_stream_between_nodes() {
    let authority = Authority::new();
    let node = Node::mutual(1, &node_tls(&authority, 1, &anyone()).await, anyone()).await;
    let client = unchecked(&authority, &authority, Identity::Client("kitchen-api".into()), VALID).await;
    let peers = links(3, LinkSecurity::Mutual(client.client()), Arc::new(TcpDialer)).peers("orders");
    let refused = soon(peers.call(&node.member, Lane::Raft, Bytes::new(), LONG)).await.unwrap_err();
    assert_eq!(refused.to_string(), "node 1 refused: the certificate is of client-kitchen-api, not of node 3");
}

#[tokio::test]
async fn a_removed_node_loses_its_connections_and_gets_no_new_ones() {
    let authority = Authority::new();
    let members = watch::Sender::new(Membership::Known([NodeId(1), NodeId(3), NodeId(4)].into()));
    let node = Node::mutual(1, &node_tls(&authority, 1, &members).await, members).await;
    let secure = async |id| {
        let tls = node_tls(&authority, id, &anyone()).await;
        links(id, LinkSecurity::Mutual(tls.client()), Arc::new(TcpDialer)).peers("orders")
    };
    let (three, four) = (secure(3).await, secure(4).await);
    let call =
        |peers: &replicated_grid::transport::TransportPeers| peers.call(&node.member, Lane::Raft, Bytes::new(), LONG);
    assert!(soon(call(&three)).await.is_ok() && soon(call(&four)).await.is_ok());
    node.orders.close(Lane::Raft);
    let waiting = tokio::spawn(call(&three));
    eventually("it is under way", async || node.orders.was_asked() == 3).await;
    node.membership.send_replace(Membership::Known([NodeId(1), NodeId(4)].into()));
    assert!(matches!(soon(waiting).await.unwrap(), Err(PeerError::NoAnswer { .. })), "its stream ended at once");
    node.orders.open(Lane::Raft);
    let mut last = String::new();
    eventually("the handshake refuses it", async || {
        last = call(&three).await.unwrap_err().to_string();
        last.contains("it refused this node's certificate")
    })
    .await;
    assert!(soon(call(&four)).await.is_ok());
    assert_eq!(node.orders.was_asked(), 4);
}

#[tokio::test]
async fn new_files_are_used_for_new_connections_and_bad_ones_are_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let one = Identity::Node(NodeId(1));
    let files = Files::new(&[&old], &old.issue(&[&node_name(1)], VALID));
    let server = files.load(one, &anyone()).await.unwrap();
    let of_old = node_tls(&old, 3, &anyone()).await;
    let of_new = unchecked(&new, &old, Identity::Node(NodeId(3)), VALID).await;
    let expect = Expect::Node(NodeId(1));
    assert!(handshake(&server, &of_old, expect).await.0.is_ok());
    assert!(handshake(&server, &of_new, expect).await.0.is_err());
    assert_eq!(server.reload().await.unwrap(), Reloaded::Unchanged);
    files.put(&[&old, &new], &new.issue(&[&node_name(1)], VALID));
    assert_eq!(server.reload().await.unwrap(), Reloaded::Changed);
    assert!(handshake(&server, &of_new, expect).await.1.is_ok());
    let gone = handshake(&server, &of_old, expect).await.1.unwrap_err();
    assert!(gone.contains("not issued by the CA"), "the old CA does not know the new certificate: {gone}");
    std::fs::write(&files.files.certificate, "half a certifi").unwrap();
    let bad = server.reload().await.unwrap_err().to_string();
    assert_eq!(bad, format!("{}/node.pem: expected a CERTIFICATE", files.directory().display()));
    assert!(handshake(&server, &of_new, expect).await.1.is_ok(), "what was good stays in use");
}

#[tokio::test(start_paused = true)]
async fn files_are_followed() {
    let authority = Authority::new();
    let files = Files::new(&[&authority], &authority.issue(&[&node_name(1)], VALID));
    let server = files.load(Identity::Node(NodeId(1)), &anyone()).await.unwrap();
    let (following, shutdown) = (server.clone(), CancellationToken::new());
    let stop = shutdown.clone();
    let following = tokio::spawn(async move { following.follow(stop).await });
    let new = Authority::new();
    files.put(&[&new], &new.issue(&[&node_name(1)], VALID));
    let of_new = node_tls(&new, 3, &anyone()).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    while handshake(&server, &of_new, Expect::Node(NodeId(1))).await.1.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it never took the new files");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    shutdown.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn bad_files_are_named_with_what_was_expected() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.issue(&[&node_name(1)], VALID);
    let files = Files::new(&[&authority], &good);
    let at = |name: &str| files.directory().join(name).display().to_string();
    let (ca, certificate, key) = (at("ca.pem"), at("node.pem"), at("node-key.pem"));
    let load = async || files.load(Identity::Node(NodeId(1)), &anyone()).await.map(|_| ()).unwrap_err().to_string();
    let untrusted = format!("{certificate}: expected a certificate that is valid now and was issued by a CA in {ca}");
    files.put(&[&other], &good);
    assert_eq!(load().await, untrusted);
    files.put(&[&authority], &authority.issue(&[&node_name(1)], EXPIRED));
    assert_eq!(load().await, untrusted);
    files.put(&[&authority], &authority.issue(&[&node_name(2)], VALID));
    assert_eq!(load().await, format!("{certificate}: expected a certificate with the DNS name node-1.west.comanda"));
    files.put(&[&authority], &(good.0.clone(), other.issue(&["x"], VALID).1));
    assert_eq!(load().await, format!("{key}: expected the private key of the certificate in {certificate}"));
    files.put(&[&authority], &(good.0.clone(), good.0.clone()));
    assert!(load().await.starts_with(&format!("{key}: expected a PRIVATE KEY")));
    files.put(&[], &good);
    assert_eq!(load().await, format!("{ca}: expected at least one CERTIFICATE"));
    std::fs::remove_file(&files.files.ca).unwrap();
    assert_eq!(load().await, format!("{ca}: cannot be read; expected is a PEM file with at least one CERTIFICATE"));
}

/// A service that answers who calls it.
struct WhoCalls;

#[tonic::async_trait]
impl GridTransport for WhoCalls {
    type ExchangeStream = futures::stream::BoxStream<'static, Result<Frames, Status>>;

    async fn exchange(&self, request: Request<Streaming<Frames>>) -> Result<Response<Self::ExchangeStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let identity = peer.and_then(|peer| peer.identity).map(|identity| identity.to_string());
        let content = Some(Content::Refusal(identity.unwrap_or_default()));
        let frames = vec![Frame { correlation: 0, grid: Bytes::new(), content }];
        Ok(Response::new(futures::stream::iter([Ok(Frames { frames })]).boxed()))
    }
}

#[tokio::test]
async fn internal_grpc_goes_over_the_same_certificates() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let security = ConnectionSecurity::Mutual(node_tls(&authority, 1, &anyone()).await.server());
    let cut = CancellationToken::new();
    let gate = Gate::open(tcp_incoming(listener), security, anyone().subscribe(), cut.clone());
    tokio::spawn(Server::builder().add_service(GridTransportServer::new(WhoCalls)).serve_with_incoming(gate));
    let kitchen = unchecked(&authority, &authority, Identity::Client("kitchen-api".into()), VALID).await;
    let transport = internal::remote(&address, Arc::new(TcpDialer), kitchen.client(), Expect::AnyMember).unwrap();
    let mut client = GridTransportClient::new(transport);
    let mut ask = async || -> Result<String, Status> {
        let message = client.exchange(futures::stream::empty()).await?.into_inner().message().await?;
        match message.and_then(|message| message.frames.into_iter().next()).and_then(|frame| frame.content) {
            Some(Content::Refusal(identity)) => Ok(identity),
            _ => Err(Status::internal("no answer")),
        }
    };
    assert_eq!(soon(ask()).await.unwrap(), "client-kitchen-api");
    cut.cancel();
    eventually("it is cut and connects again, to be cut again", async || ask().await.is_err()).await;
    let plain = proto::transport::remote(&format!("http://{address}")).unwrap();
    assert!(soon(GridTransportClient::new(plain).exchange(futures::stream::empty())).await.is_err());
}
