//! Starting, stopping and limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use local_aws::{Config, Error, LocalAws};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Fixture;

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_address() {
    let first = LocalAws::start(Config::default()).unwrap();
    let refused = LocalAws::bind(Config { listen: first.address(), ..Config::default() }).err().unwrap();
    assert!(matches!(refused, Error::Bind { .. }));
    assert!(refused.to_string().contains(&first.address().to_string()), "{refused}");
}

#[tokio::test]
async fn an_unusable_data_directory_is_an_error_that_names_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below_a_file = file.path().join("data");
    let refused = LocalAws::bind(Config { data_dir: Some(below_a_file.clone()), ..Config::default() }).err().unwrap();
    assert!(matches!(refused, Error::DataDirectory { .. }));
    assert!(refused.to_string().contains(&*below_a_file.to_string_lossy()), "{refused}");
}

#[tokio::test]
async fn nothing_is_answered_between_bind_and_serve() {
    let bound = LocalAws::bind(Config::default()).unwrap();
    let address = bound.address();
    let request =
        tokio::spawn(async move { exchange(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await });
    tokio::task::yield_now().await;
    assert!(!request.is_finished());
    let aws = bound.serve().unwrap();
    assert!(request.await.unwrap().starts_with("HTTP/1.1 405"));
    aws.shutdown().await;
}

#[tokio::test]
async fn shutdown_cuts_off_long_polls_and_frees_the_port() {
    let fixture = Fixture::start();
    let address = fixture.aws.address();
    let (url, _) = fixture.queue("polled").await;
    let poll = tokio::spawn(fixture.sqs.receive_message().queue_url(url).wait_time_seconds(20).send());
    super::eventually("the poll has arrived", || async { fixture.aws.statistics().sqs_requests == 3 }).await;
    fixture.aws.shutdown().await;
    assert!(poll.await.unwrap().is_err());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn its_own_runtime_has_threads_of_its_own_and_ends() {
    let fixture = Fixture::with(Config { own_runtime: true, ..Config::default() });
    fixture.queue("elsewhere").await;
    assert!(threads_named("local-aws-") >= 2);
    fixture.aws.shutdown().await;
}

#[tokio::test]
async fn requests_are_counted_by_service() {
    let fixture = Fixture::start();
    fixture.queue("counted").await;
    fixture.topic("counted").await;
    fixture.dynamodb.list_tables().send().await.unwrap();
    let counted = fixture.aws.statistics();
    assert_eq!((counted.sqs_requests, counted.sns_requests, counted.dynamodb_requests), (2, 1, 1));
}

#[tokio::test]
async fn browsers_and_foreign_targets_are_refused() {
    let aws = LocalAws::start(Config::default()).unwrap();
    let post = |headers: &str, body: &str| {
        let length = body.len();
        format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}")
    };
    let from_a_page = exchange(aws.address(), &post("origin: https://evil.example\r\n", "Action=ListTopics")).await;
    assert!(from_a_page.starts_with("HTTP/1.1 403"), "{from_a_page}");
    let foreign = exchange(aws.address(), &post("x-amz-target: Kinesis_20131202.PutRecord\r\n", "{}")).await;
    assert!(foreign.starts_with("HTTP/1.1 400"), "{foreign}");
    assert_eq!(aws.statistics().refused_requests, 2);
    let no_action = exchange(aws.address(), &post("", "nonsense")).await;
    assert!(no_action.starts_with("HTTP/1.1 400"), "{no_action}");
    aws.shutdown().await;
}

#[tokio::test]
async fn a_body_over_16_mib_is_refused() {
    let aws = LocalAws::start(Config::default()).unwrap();
    let mut stream = TcpStream::connect(aws.address()).await.unwrap();
    let length = 17 * 1024 * 1024;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let sending = async {
        // The endpoint may close before everything is sent: that is the point.
        let _ = write.write_all(&vec![b'a'; length]).await;
        std::future::pending::<()>().await
    };
    let mut answer = vec![0; 64];
    let taken = tokio::select! { taken = read.read(&mut answer) => taken.unwrap(), () = sending => 0 };
    assert!(String::from_utf8_lossy(&answer[..taken]).starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn connections_end_at_shutdown_even_if_idle() {
    let aws = LocalAws::start(Config::default()).unwrap();
    let mut idle = TcpStream::connect(aws.address()).await.unwrap();
    idle.write_all(b"POST / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let started = tokio::time::Instant::now();
    aws.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn tables_in_a_data_directory_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { data_dir: Some(directory.path().join("made/for/it")), ..Config::default() };
    let first = Fixture::with(config.clone());
    crate::dynamodb::create_table(&first.dynamodb, "kept").await;
    crate::dynamodb::put(&first.dynamodb, "kept", "a", "1").await;
    first.aws.shutdown().await;
    let second = Fixture::with(config);
    assert_eq!(crate::dynamodb::get(&second.dynamodb, "kept", "a").await.as_deref(), Some("1"));
    second.aws.shutdown().await;
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn threads_named(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}
