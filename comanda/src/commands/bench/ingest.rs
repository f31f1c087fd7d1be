//! `comanda bench ingest`: from the queue to a poll, open loop, every event acknowledged.
//!
//! One PLACED order each, spread over merchants, one application. Latency counts from when the order was due to be sent
//! until a poll showed its event. CPU is told apart: the in-process AWS runs on threads of its own name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::child::Platform;
use super::percentiles::Latencies;
use super::processor_time::{ProcessorTime, load_average};
use crate::cli::BenchIngestArgs;
use crate::commands::sample_order;
use crate::failure::{Context, Failure};
use crate::kitchen_client::KitchenClient;
use crate::platform::aws::{AwsClients, ORDERS};
use crate::platform::seed;
use crate::system_clock::SystemClock;

/// How long after the last order its event may take before it counts as missing.
const STRAGGLERS_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two polls: below the latency to be measured, above what would only burn CPU.
const POLL_PAUSE: Duration = Duration::from_millis(4);
/// Senders at once, so that one slow answer of the queue delays no other order.
const SENDERS_MAX: usize = 64;

/// Orders sent and not yet seen, by order id: when each was due.
type Outstanding = Arc<Mutex<HashMap<String, Instant>>>;

/// Runs the benchmark and prints it.
pub async fn execute(arguments: BenchIngestArgs) -> Result<(), Failure> {
    eprintln!("starting a platform with {} merchants …", arguments.merchants);
    let platform = Platform::start(arguments.merchants, 0).await?;
    let (client_id, secret) = seed::DEV_POS;
    let client =
        KitchenClient::new(&format!("http://{}", platform.http), client_id, secret).context("making a client")?;
    client.authenticate().await.context("getting a token")?;
    let aws = AwsClients::local(&format!("http://{}", platform.aws)).await;
    let queue = aws.sqs.get_queue_url().queue_name(ORDERS).send().await.context("finding the queue")?;
    let queue_url = queue.queue_url().unwrap_or_default().to_owned();

    let outstanding = Outstanding::default();
    let stop = CancellationToken::new();
    let poller = tokio::spawn(poll_until(client, arguments.merchants, Arc::clone(&outstanding), stop.clone()));
    let before = ProcessorTime::of(&platform.pids);
    let started = tokio::time::Instant::now();
    let sent = send_orders(&aws.sqs, &queue_url, &arguments, &outstanding).await;
    let missing = wait_for_stragglers(&outstanding).await;
    let elapsed = started.elapsed();
    let after = ProcessorTime::of(&platform.pids);
    stop.cancel();
    let latencies = poller.await.context("polling")?.context("polling")?;
    platform.stop().await;
    let is_aws = |name: &str| name.starts_with("local-aws");
    let (aws_cpu, our_cpu) = (after.since(&before, is_aws), after.since(&before, |name| !is_aws(name)));
    report(&arguments, &Report { sent, missing, elapsed, latencies, aws_cpu, our_cpu });
    if missing > 0 {
        Err(Failure::Failed(format!("{missing} orders were not seen within {STRAGGLERS_TIMEOUT:?}")))
    } else {
        Ok(())
    }
}

struct Report {
    sent: u64,
    missing: usize,
    elapsed: Duration,
    latencies: Latencies,
    aws_cpu: Duration,
    our_cpu: Duration,
}

/// Sends on schedule; one batch per millisecond tick carries what was due. Gives how many orders were taken by the queue.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn send_orders(
    sqs: &aws_sdk_sqs::Client,
    queue_url: &str,
    arguments: &BenchIngestArgs,
    outstanding: &Outstanding,
) -> u64 {
    let clock = SystemClock::shared();
    let permits = Arc::new(tokio::sync::Semaphore::new(SENDERS_MAX));
    let taken = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let start = Instant::now();
    let total = (f64::from(arguments.rate) * arguments.duration.as_secs_f64()) as u64;
    let mut next = 0;
    while next < total {
        let mut entries = Vec::new();
        while next < total && entries.len() < 10 {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52 orders")]
            let due = start + Duration::from_secs_f64(next as f64 / f64::from(arguments.rate));
            if due > Instant::now() {
                break;
            }
            let order = Uuid::new_v4();
            let merchant = seed::merchant_id(u32::try_from(next % u64::from(arguments.merchants)).unwrap_or(0) + 1);
            let message = sample_order::message(order, &merchant.to_string(), "DELIVERY", clock.now());
            outstanding.lock().insert(order.to_string(), due);
            let entry =
                SendMessageBatchRequestEntry::builder().id(entries.len().to_string()).message_body(message.to_string());
            entries.extend(entry.build().ok());
            next += 1;
        }
        if entries.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let send = sqs.send_message_batch().queue_url(queue_url).set_entries(Some(entries)).send();
        let taken = Arc::clone(&taken);
        tokio::spawn(async move {
            if let Ok(answer) = send.await {
                taken.fetch_add(answer.successful().len() as u64, std::sync::atomic::Ordering::Relaxed);
            }
            drop(permit);
        });
    }
    // All permits back: every send has been answered.
    let _ = permits.acquire_many(u32::try_from(SENDERS_MAX).unwrap_or(u32::MAX)).await;
    taken.load(std::sync::atomic::Ordering::Relaxed)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn poll_until(
    client: KitchenClient,
    merchants: u32,
    outstanding: Outstanding,
    stop: CancellationToken,
) -> Result<Latencies, crate::kitchen_client::ClientError> {
    let merchants: Vec<String> = (1..=merchants).map(|number| seed::merchant_id(number).to_string()).collect();
    let mut latencies = Latencies::new();
    while !stop.is_cancelled() {
        let events = client.poll(&merchants).await?;
        let seen = Instant::now();
        for order in events.iter().filter(|event| event["code"] == "PLC").filter_map(|event| event["orderId"].as_str())
        {
            if let Some(due) = outstanding.lock().remove(order) {
                latencies.record(seen.saturating_duration_since(due));
            }
        }
        let ids: Vec<String> = events.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)).collect();
        if ids.is_empty() {
            tokio::time::sleep(POLL_PAUSE).await;
        } else {
            client.acknowledge(&ids).await?;
        }
    }
    Ok(latencies)
}

async fn wait_for_stragglers(outstanding: &Outstanding) -> usize {
    let deadline = tokio::time::Instant::now() + STRAGGLERS_TIMEOUT;
    loop {
        let missing = outstanding.lock().len();
        if missing == 0 || tokio::time::Instant::now() >= deadline {
            return missing;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn report(arguments: &BenchIngestArgs, report: &Report) {
    let at = |percent| report.latencies.percentile_ms(percent);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 orders")]
    let orders = report.latencies.count().max(1) as f64;
    let per_order = |cpu: Duration| cpu.as_secs_f64() * 1e6 / orders;
    let sustained = orders / report.elapsed.as_secs_f64();
    let result = json!({
        "rate": arguments.rate, "merchants": arguments.merchants, "seconds": arguments.duration.as_secs_f64(),
        "loadAverage": load_average(), "sent": report.sent, "seen": report.latencies.count(), "missing": report.missing,
        "sustainedPerSecond": sustained, "p50Ms": at(50.0), "p99Ms": at(99.0), "p999Ms": at(99.9),
        "localAwsCpuMicrosecondsPerOrder": per_order(report.aws_cpu), "ourCpuMicrosecondsPerOrder": per_order(report.our_cpu),
    });
    if arguments.output.json {
        println!("{result}");
        return;
    }
    println!("{} orders/s due over {} merchants; load average {}", arguments.rate, arguments.merchants, load_average());
    println!(
        "sent {}, seen {}, missing {}; {sustained:.0} orders/s from first sent to last seen",
        report.sent,
        report.latencies.count(),
        report.missing
    );
    println!("queue to visible: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms", at(50.0), at(99.0), at(99.9));
    println!(
        "CPU per order: {:.0} us ours, {:.0} us the in-process AWS",
        per_order(report.our_cpu),
        per_order(report.aws_cpu)
    );
}
