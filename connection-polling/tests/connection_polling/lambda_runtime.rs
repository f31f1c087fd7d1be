//! The Lambda binary under a runtime: what AWS puts around it, and nothing of ours in between.
//!
//! [`Runtime`] is the Runtime API that Lambda documents (`/2018-06-01/runtime`): the function asks for its next
//! invocation and posts what came out of it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use event_feed::FeedEvent;
use message_bus::admin::QueueSettings;
use order_model::Timestamp;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use crate::lambda::record;
use crate::platform::{EventSpec, PREFIX, Platform, PollSpec, ids, notified};

/// A past instant: the binary has the real clock, the rest of the test lives in 2100.
const CREATED_AT: Timestamp = Timestamp::from_unix_ms(1_767_225_600_000);

/// Expired neither today nor in 2100.
const LIVES: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A start and an invocation take well under a second; test machines are slow.
const PATIENCE: Duration = Duration::from_secs(60);

struct Invocations {
    next: Mutex<mpsc::Receiver<Value>>,
    outcomes: mpsc::Sender<Result<Value, Value>>,
    taken: mpsc::Sender<()>,
}

/// The Runtime API of one function.
struct Runtime {
    address: String,
    invoke: mpsc::Sender<Value>,
    outcomes: mpsc::Receiver<Result<Value, Value>>,
    taken: mpsc::Receiver<()>,
}

impl Runtime {
    async fn start() -> Self {
        let ((invoke, next), (done, outcomes), (take, taken)) = (mpsc::channel(8), mpsc::channel(8), mpsc::channel(8));
        let invocations = Arc::new(Invocations { next: Mutex::new(next), outcomes: done, taken: take });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
            .with_state(invocations);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, invoke, outcomes, taken }
    }

    /// The ids that one invocation answers as failed.
    async fn outcome(&mut self) -> Vec<String> {
        let outcome = tokio::time::timeout(PATIENCE, self.outcomes.recv()).await.expect("it answers in time").unwrap();
        let response = outcome.unwrap_or_else(|error| panic!("the invocation failed: {error}"));
        let failures = response["batchItemFailures"].as_array().unwrap().iter();
        failures.map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }

    fn function(&self, endpoint: &str, event_id_key: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connection-polling-lambda"));
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", &self.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "connection-polling")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("COMANDA_AWS_PREFIX", PREFIX)
            .env("COMANDA_DEAD_LETTER_QUEUE", "connection-polling-feed-dlq")
            .env("COMANDA_EVENT_ID_KEY", event_id_key)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn start_function(&self, platform: &Platform) -> Child {
        self.function(&platform.endpoint, &"07".repeat(16)).spawn().unwrap()
    }
}

async fn next_invocation(State(invocations): State<Arc<Invocations>>) -> impl IntoResponse {
    let event = invocations.next.lock().await.recv().await.expect("the test holds the sender");
    let _ = invocations.taken.send(()).await;
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("Lambda-Runtime-Deadline-Ms", "4102444800000".to_owned()),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:connection-polling".to_owned()),
        ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
    ];
    (headers, Json(event))
}

/// The function posts JSON without saying that it is.
fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("the function posts JSON")
}

async fn response(State(invocations): State<Arc<Invocations>>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let _ = invocations.outcomes.send(Ok(json_of(&body))).await;
    StatusCode::ACCEPTED
}

async fn failure(State(invocations): State<Arc<Invocations>>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let _ = invocations.outcomes.send(Err(json_of(&body))).await;
    StatusCode::ACCEPTED
}

fn events(count: u32) -> Vec<FeedEvent> {
    let created_at = |number: u32| CREATED_AT.plus(Duration::from_millis(number.into()));
    (1..=count)
        .map(|number| EventSpec { lives: LIVES, ..EventSpec::new(1, number, created_at(number)) }.build())
        .collect()
}

fn batch(events: &[FeedEvent]) -> Vec<Value> {
    (1u32..).zip(events).map(|(number, event)| record(&number.to_string(), notified(event))).collect()
}

fn poll() -> PollSpec {
    let mut poll = PollSpec::new("pos", [1]);
    poll.merchants.iter_mut().for_each(|(_, visible_from)| *visible_from = Timestamp::default());
    poll
}

async fn dead_letters(platform: &Platform) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .credentials_provider(aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test"))
        .region(aws_sdk_sqs::config::Region::new("us-east-1"))
        .endpoint_url(&platform.endpoint)
        .build();
    let client = aws_sdk_sqs::Client::from_conf(config);
    let settings = QueueSettings::default();
    message_bus::admin::create_queue(&client, PREFIX, "connection-polling-feed-dlq", &settings).await.unwrap();
    client
}

#[tokio::test]
async fn a_batch_is_indexed_and_only_what_may_succeed_later_comes_back() {
    let platform = Platform::start().await;
    let sqs = dead_letters(&platform).await;
    let mut runtime = Runtime::start().await;
    let _function = runtime.start_function(&platform);
    let events = events(3);
    let mut records = batch(&events);
    records.push(record("again", notified(&events[0])));
    records.push(record("nonsense", ("[]".to_owned(), notified(&events[0]).1)));
    runtime.invoke.send(json!({"Records": records})).await.unwrap();
    assert_eq!(runtime.outcome().await, Vec::<String>::new(), "a message that is buried must not come back");
    assert_eq!(platform.poll(&poll()).await.id_set(), ids(&events));
    let name = format!("{PREFIX}connection-polling-feed-dlq");
    let queue = sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
    let buried = sqs.receive_message().queue_url(queue).max_number_of_messages(10).send().await.unwrap();
    assert_eq!(buried.messages().iter().filter_map(|message| message.body()).collect::<Vec<_>>(), ["[]"]);
}

/// Partial: one of three. The queue's own redrive policy takes it in the end.
#[tokio::test]
async fn a_hopeless_message_that_cannot_be_buried_comes_back_alone() {
    let platform = Platform::start().await;
    let mut runtime = Runtime::start().await;
    let events = events(2);
    let nonsense = record("nonsense", ("[]".to_owned(), notified(&events[0]).1));
    for dead_letter_queue in [None, Some("no-such-queue")] {
        let mut command = runtime.function(&platform.endpoint, &"07".repeat(16));
        match dead_letter_queue {
            None => command.env_remove("COMANDA_DEAD_LETTER_QUEUE"),
            Some(name) => command.env("COMANDA_DEAD_LETTER_QUEUE", name),
        };
        let mut function = command.spawn().unwrap();
        let mut records = batch(&events);
        records.insert(1, nonsense.clone());
        runtime.invoke.send(json!({"Records": records})).await.unwrap();
        assert_eq!(runtime.outcome().await, ["nonsense"], "{dead_letter_queue:?}");
        assert_eq!(platform.poll(&poll()).await.id_set(), ids(&events));
        function.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_is_away_fails_the_batch_and_the_next_invocation_indexes_it() {
    let platform = Platform::start().await;
    let mut runtime = Runtime::start().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let events = events(2);
    let mut lost = runtime.function(&format!("http://{gone}"), &"07".repeat(16)).spawn().unwrap();
    runtime.invoke.send(json!({"Records": batch(&events)})).await.unwrap();
    assert_eq!(runtime.outcome().await, ["1", "2"]);
    lost.kill().await.unwrap();
    let _function = runtime.start_function(&platform);
    runtime.invoke.send(json!({"Records": batch(&events)})).await.unwrap();
    assert_eq!(runtime.outcome().await, Vec::<String>::new());
    assert_eq!(platform.poll(&poll()).await.id_set(), ids(&events));
}

/// As Lambda does after a crash: the batch was never answered, so the queue delivers it again.
#[tokio::test]
async fn a_function_killed_within_its_batch_loses_nothing() {
    let platform = Platform::start().await;
    let mut runtime = Runtime::start().await;
    let events = events(60);
    for pause_ms in [0, 5, 20, 60] {
        let mut function = runtime.start_function(&platform);
        runtime.invoke.send(json!({"Records": batch(&events)})).await.unwrap();
        tokio::time::timeout(PATIENCE, runtime.taken.recv()).await.expect("it asks in time").unwrap();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        function.kill().await.unwrap();
        // A batch that was answered before the kill counts for nobody.
        while runtime.outcomes.try_recv().is_ok() {}
    }
    let _function = runtime.start_function(&platform);
    runtime.invoke.send(json!({"Records": batch(&events)})).await.unwrap();
    assert_eq!(runtime.outcome().await, Vec::<String>::new());
    let polled = platform.poll(&poll()).await;
    assert_eq!((polled.events.len(), polled.id_set()), (events.len(), ids(&events)));
}

#[tokio::test]
async fn a_bad_setting_ends_it_with_the_name_of_the_setting() {
    let runtime = Runtime::start().await;
    for (key, said) in [("", "COMANDA_EVENT_ID_KEY is not set"), ("xyz", "must be 32 hex digits")] {
        let ended = runtime.function("http://127.0.0.1:1", key).stderr(Stdio::piped()).output();
        let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends in time").unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && stderr.contains(said), "{stderr}");
    }
}
