//! `comanda bench rebuild`: how long order-events takes to serve again when everything but DynamoDB is lost.
//!
//! Fills the fallback's table with pending events, every tenth of them acknowledged, then starts order-events and
//! connection-polling as a process without any state and waits until it is ready. DynamoDB is the in-process one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connection_polling::index::{Index, Outcome, Record};
use event_feed::notification;
use futures::StreamExt;
use http::Method;
use order_model::{EventId, EventIdKey, OrderId, SharedClock};
use proto::connection_polling::AcknowledgeRequest;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::transport;
use serde_json::json;
use uuid::Uuid;

use super::arrivals::event;
use super::child::{address, start};
use super::processor_time::load_average;
use crate::cli::BenchRebuildArgs;
use crate::failure::{Context, Failure};
use crate::kitchen_client::KitchenClient;
use crate::platform::aws::{AwsClients, AwsNames, CONNECTION_POLLING_FEED};
use crate::platform::initialise::initialise;
use crate::platform::seed;
use crate::system_clock::SystemClock;

/// Events of one write.
const BATCH: u64 = 25;
/// Writes at once.
const WRITERS: usize = 16;
/// One event in so many is acknowledged.
const ACKNOWLEDGED_ONE_IN: u64 = 10;

/// How often the metrics are read for what has to be in them.
const METRICS_READ_MAX: u32 = 5;

/// Runs the benchmark and prints it.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub async fn execute(arguments: BenchRebuildArgs) -> Result<(), Failure> {
    let key_bytes = *Uuid::new_v4().as_bytes();
    let key = EventIdKey::from_bytes(key_bytes);
    let (_aws_process, ready) =
        start(&["aws", "local", "--local-aws-addr", "127.0.0.1:0", "--log", "warn"], &[]).await?;
    let endpoint = format!("http://{}", address(&ready, "aws")?);
    let aws = AwsClients::local(&endpoint).await;
    initialise(&aws, &AwsNames::new("")).await?;
    eprintln!("writing {} events …", arguments.events);
    let began = std::time::Instant::now();
    let ids = fill(&aws, &arguments, key).await?;
    acknowledge(&aws, key, &ids).await?;
    eprintln!("written in {:.0?}; starting order-events with nothing …", began.elapsed());
    let key_text = hex::encode(key_bytes);
    let environment = [
        ("COMANDA_EVENT_ID_KEY", key_text.as_str()),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    let began = std::time::Instant::now();
    let run = ["run", "order-events", "connection-polling", "--ops-addr", "127.0.0.1:0", "--log", "order_events=info"];
    let internal = ["--order-events-addr", "127.0.0.1:0", "--connection-polling-addr", "127.0.0.1:0"];
    // The in-process DynamoDB reads its whole table for each page of a segment.
    let export = ["--export-segments", "1"];
    let (mut process, ready) = start(&[run.as_slice(), &internal, &export].concat(), &environment).await?;
    let took = began.elapsed();
    hold_everything(&address(&ready, "ops")?.to_string(), arguments.events, ids.len() as u64).await?;
    // It has done what was asked.
    let _ = process.kill().await;
    let result = json!({
        "events": arguments.events, "acknowledged": ids.len(), "seconds": took.as_secs_f64(), "loadAverage": load_average(),
    });
    if arguments.output.json {
        println!("{result}");
    } else {
        println!(
            "{} events, {} of them acknowledged: serving {:.1} s after the start; load average {}",
            arguments.events,
            ids.len(),
            took.as_secs_f64(),
            load_average()
        );
    }
    Ok(())
}

/// That the process at `operations` holds all events and has taken all acknowledgments, by its own metrics.
async fn hold_everything(operations: &str, events: u64, acknowledged: u64) -> Result<(), Failure> {
    let client = KitchenClient::new(&format!("http://{operations}"), "", "").context("reading metrics")?;
    let wanted = (events, acknowledged);
    let mut held = (0, 0);
    for _ in 0..METRICS_READ_MAX {
        let answer = client.call(Method::GET, "/metrics", &[], Bytes::new()).await.context("reading metrics")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let sum = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name) && !line.contains("outcome=\"not_genuine\""));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
        };
        held = (sum("comanda_order_events_events "), sum("comanda_order_events_acknowledged_ids_total"));
        if held == wanted {
            return Ok(());
        }
        // Its sums are made once a second.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(Failure::Failed(format!("serves with (events, acknowledgments) {held:?} instead of {wanted:?}")))
}

/// Writes the events as the fallback's indexer does; answers the ids to acknowledge.
async fn fill(aws: &AwsClients, arguments: &BenchRebuildArgs, key: EventIdKey) -> Result<Vec<EventId>, Failure> {
    let clock = SystemClock::shared();
    let tolerance = connection_polling::Config::new(key).clock_tolerance;
    let index = Index::new(&aws.dynamodb, "", Arc::clone(&clock), tolerance, key);
    let written = AtomicU64::new(0);
    let batches = (0..arguments.events.div_ceil(BATCH)).map(|batch| {
        let (index, clock, written) = (&index, &clock, &written);
        async move {
            let size = BATCH.min(arguments.events - batch * BATCH);
            let done = written.fetch_add(size, Ordering::Relaxed) + size;
            if done % 100_000 < size {
                eprintln!("{done} of {} …", arguments.events);
            }
            let merchant = u32::try_from(batch % u64::from(arguments.merchants)).unwrap_or(0) + 1;
            write(index, clock, key, merchant, size).await
        }
    });
    let mut batches = futures::stream::iter(batches).buffer_unordered(WRITERS);
    let mut ids = Vec::new();
    while let Some(batch) = batches.next().await {
        ids.extend(batch?);
    }
    Ok(ids.into_iter().step_by(ACKNOWLEDGED_ONE_IN as usize).collect())
}

async fn write(
    index: &Index,
    clock: &SharedClock,
    key: EventIdKey,
    merchant: u32,
    size: u64,
) -> Result<Vec<EventId>, Failure> {
    let merchant = seed::merchant_id(merchant);
    let events: Vec<_> =
        (0..size).map(|_| event(&key, merchant, OrderId::from_uuid(Uuid::new_v4()), clock.now())).collect();
    let encoded: Vec<_> = events.iter().map(|event| notification::encode(event, "BENCH", None)).collect();
    let records: Vec<_> = encoded.iter().map(|(body, attributes)| Record { body, attributes }).collect();
    for outcome in index.apply(&records).await {
        match outcome {
            Outcome::Indexed => {}
            other => return Err(Failure::Failed(format!("an event was not written: {other:?}"))),
        }
    }
    Ok(events.iter().map(|event| event.id).collect())
}

async fn acknowledge(aws: &AwsClients, key: EventIdKey, ids: &[EventId]) -> Result<(), Failure> {
    let queue = |name: &str| Arc::new(message_bus::sqs::SqsQueue::new(aws.sqs.clone(), "", name));
    let dependencies = connection_polling::Dependencies {
        clock: SystemClock::shared(),
        dynamodb: aws.dynamodb.clone(),
        table_prefix: String::new(),
        // An acknowledgment asks nobody else.
        core: transport::remote("http://127.0.0.1:1").context("naming no core")?,
        feed: queue(CONNECTION_POLLING_FEED),
        dead_letters: queue(&format!("{CONNECTION_POLLING_FEED}-dlq")),
    };
    let service = connection_polling::Service::build(connection_polling::Config::new(key), dependencies);
    let service = service.context("building connection-polling")?;
    let mut client = ConnectionPollingClient::new(transport::local(connection_polling::grpc(service.handle())));
    for ids in ids.chunks(1_000) {
        let request = proto::feed::AcknowledgeRequest {
            application_id: seed::DEV_POS.0.to_owned(),
            event_ids: ids.iter().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect(),
        };
        let request = AcknowledgeRequest { acknowledge: Some(request), without_leader: false };
        client.acknowledge(request).await.context("acknowledging")?;
    }
    Ok(())
}
