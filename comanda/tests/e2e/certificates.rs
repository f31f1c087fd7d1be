//! Internal gRPC with certificates: who is refused by gateway-core, connection-polling and the other roles, what an
//! operator is told, and that a deployment without a cluster works with them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use comanda::system_clock::SystemClock;
use proto::connection_polling::ReadFencesRequest;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::gateway_core::GetOrderRequest;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::merchant_connection::TotalsRequest;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::order_events::StatusRequest;
use proto::order_events::order_events_client::OrderEventsClient;
use proto::transport::Transport;
use replicated_grid::transport::{
    ClusterName, Expect, Identity, Membership, NodeTls, TcpDialer, TlsConfig, TlsFiles, internal,
};
use tokio::sync::watch;
use tonic::Code;

use crate::deployment::{Deployment, Plan, flags};
use crate::history::Minimum;
use crate::kill::{FLAGS, SETTLE_LIMIT, judge, seed};
use crate::platform::{FREE_PORTS, eventually, run};
use crate::steady_stream::{Load, Stream};

/// A call is answered or refused within this.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Connections that begin and do not go on; more than shake hands at once.
const STALLED: usize = 100;

/// Whether `role` answers what it is asked, be it with a refusal of its own.
async fn is_answered(role: &str, transport: Transport) -> bool {
    let asked = async {
        match role {
            "gateway-core" => {
                let order_id = uuid::Uuid::new_v4().as_bytes().to_vec().into();
                GatewayCoreClient::new(transport)
                    .get_order(GetOrderRequest { order_id, ..GetOrderRequest::default() })
                    .await
                    .map(drop)
            }
            "connection-polling" => {
                ConnectionPollingClient::new(transport).read_fences(ReadFencesRequest {}).await.map(drop)
            }
            "order-events" => OrderEventsClient::new(transport).status(StatusRequest::default()).await.map(drop),
            _ => MerchantConnectionClient::new(transport).totals(TotalsRequest::default()).await.map(drop),
        }
    };
    let answered = tokio::time::timeout(ANSWER_LIMIT, asked).await.expect("nothing waits for ever");
    answered.map_or_else(|status| status.code() == Code::NotFound, |()| true)
}

/// A process with these files, as a caller.
async fn caller([ca, certificate, key]: [PathBuf; 3], name: &str) -> NodeTls {
    let config = TlsConfig {
        files: TlsFiles { ca, certificate, key },
        cluster: ClusterName::new("comanda").unwrap(),
        identity: Identity::Client(name.into()),
        roles: Vec::new(),
        membership: watch::Sender::new(Membership::Unknown).subscribe(),
        clock: SystemClock::shared(),
    };
    NodeTls::load(config).await.unwrap()
}

/// Certificates of another authority for a cluster of the same name, for somebody who trusts ours as well.
fn foreign(deployment: &Deployment, directory: &tempfile::TempDir) -> [PathBuf; 3] {
    let at = |name: &str| directory.path().join(name);
    let path = directory.path().display().to_string();
    made(&[&path, "--client", "operator"]);
    let [ours, ..] = deployment.certificate_files("client-operator");
    let both = [at("ca.pem"), ours].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    std::fs::write(at("both.pem"), both).unwrap();
    [at("both.pem"), at("client-operator.pem"), at("client-operator-key.pem")]
}

fn made(arguments: &[&str]) {
    let (code, _, stderr) = run(&[&["cluster", "certificates"], arguments].concat(), &[]);
    assert_eq!(code, 0, "{stderr}");
}

/// Each of `roles` answers whoever has a certificate of the cluster, and nobody else.
pub async fn strangers_are_refused(deployment: &Deployment, roles: &[&'static str]) {
    let directory = tempfile::tempdir().unwrap();
    let known = caller(deployment.certificate_files("client-operator"), "operator").await;
    let foreign = caller(foreign(deployment, &directory), "operator").await;
    for role in roles.iter().copied() {
        let address = deployment.internal(role);
        let through =
            |tls: &NodeTls| internal::remote(address, Arc::new(TcpDialer), tls.client(), Expect::Role(role)).unwrap();
        assert!(is_answered(role, through(&known)).await, "{role} answers a certificate of the cluster");
        assert!(!is_answered(role, through(&foreign)).await, "{role} refuses one of another authority");
        let plain = proto::transport::remote(&format!("http://{address}")).unwrap();
        assert!(!is_answered(role, plain).await, "{role} refuses plaintext");
        let _stalled: Vec<TcpStream> = (0..2 * STALLED).map(|number| stalled(address, number % 2 == 0)).collect();
        eventually(&format!("{role} answers beside stalled connections"), ANSWER_LIMIT, async || {
            is_answered(role, through(&known)).await.then_some(())
        })
        .await;
    }
}

/// A connection that says nothing, or begins a handshake and leaves it there.
fn stalled(address: &str, begins: bool) -> TcpStream {
    const START_OF_A_HANDSHAKE: &[u8] = &[0x16, 3, 1, 2];
    let mut connection = TcpStream::connect(address).unwrap();
    if begins {
        connection.write_all(START_OF_A_HANDSHAKE).unwrap();
    }
    connection
}

/// What a process says to polls in the clear until it closes the connection. A frame begins with a length, so with 0; an
/// alert of TLS does not.
pub fn poll_in_the_clear(address: &str) -> Vec<u8> {
    const SIGN_OF_LIFE: &[u8] = &[0, 0, 0, 2, 8, 1];
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
    connection.write_all(&[b"cmdpoll1", SIGN_OF_LIFE].concat()).unwrap();
    let mut said = Vec::new();
    let read = connection.read_to_end(&mut said);
    assert!(!matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock), "it is closed: {read:?}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_with_certificates_and_without_a_cluster_refuse_strangers() {
    let seed = seed();
    let plan = Plan { merchants: 40, flags: flags(&FLAGS), is_tls_mutual: true, ..Plan::default() };
    let deployment = Arc::new(Deployment::start(&plan).await);
    let stream = Stream::start(&deployment, Load { orders: 40, orders_per_second: 10, terminals: 4 }, seed).await;
    let roles = ["gateway-core", "connection-polling", "order-events", "merchant-connection"];
    strangers_are_refused(&deployment, &roles).await;
    // The second has no polls to answer at all.
    for role in ["order-events", "gateway-core"] {
        let said = tokio::task::block_in_place(|| poll_in_the_clear(deployment.internal(role)));
        assert!(said.first() != Some(&0), "a frame is an answer of {role}: {said:?}");
    }
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    let by_primary = "comanda_kitchen_api_feed_polls_total{answered_by=\"primary\"}";
    let by_primary = deployment.metric("kitchen-api", by_primary).await;
    assert!(by_primary > 0.0, "with certificates every poll went past order-events");
    judge(
        &deployment,
        &history,
        problems,
        Minimum { orders: 40, faults: 0, polls: 100, polls_answered_percent: 100 },
        seed,
    );
}

#[test]
fn what_certificates_do_not_fit_is_said_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    made(&[&path, "--client", "kitchen-api"]);
    made(&[&path, "--client", "core", "--role", "gateway-core", "--role", "connection-polling"]);
    let check = |certificate: Option<&str>| {
        let mut all = vec!["check".to_owned(), "gateway-core".to_owned()];
        all.extend(["--gateway-core-addr".to_owned(), "0.0.0.0:7071".to_owned()]);
        for name in certificate.iter() {
            let files =
                [("ca", "ca.pem".to_owned()), ("cert", format!("{name}.pem")), ("key", format!("{name}-key.pem"))];
            all.extend(
                files.into_iter().flat_map(|(flag, file)| [format!("--grid-{flag}-file"), format!("{path}/{file}")]),
            );
        }
        let environment =
            [("COMANDA_EVENT_ID_KEY", "00112233445566778899aabbccddeeff"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
        let (code, _, stderr) = run(&all.iter().map(String::as_str).collect::<Vec<_>>(), &environment);
        (code, stderr)
    };
    let (code, stderr) = check(None);
    assert!(code == 64 && stderr.contains("gateway_core_addr") && stderr.contains("grid_ca_file"), "{code} {stderr}");
    let (code, stderr) = check(Some("client-kitchen-api"));
    assert!(code == 1 && stderr.contains("role-gateway-core.comanda.comanda"), "{code} {stderr}");
    let (code, stderr) = check(Some("client-core"));
    assert_eq!(code, 0, "{stderr}");
    let (code, _, _) = run(&["cluster", "certificates", &path, "--role", "gateway-core"], &[]);
    assert_eq!(code, 2, "nobody to make it for");
    let [ca, certificate, key] = ["ca", "client-core", "client-core-key"].map(|name| format!("{path}/{name}.pem"));
    let files = ["--grid-ca-file", &ca, "--grid-cert-file", &certificate, "--grid-key-file", &key];
    let (code, _, stderr) = run(&[&["dev", "--nodes", "2"][..], &FREE_PORTS, &files].concat(), &[]);
    assert!(code == 2 && stderr.contains("works without certificates"), "{code} {stderr}");
}
