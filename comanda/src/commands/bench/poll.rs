//! `comanda bench poll`: polls with token, scope and heartbeat against an empty handler behind the same accept loop.
//!
//! Both are served by one process in one run, in turns, with the same request headers; CPU is that process's own, less
//! what it uses when idle. With `--nodes` order-events is a grid of that many processes, and a poll goes over one hop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::arrivals::Arrivals;
use super::child::Platform;
use super::elections;
use super::load::Load;
use super::percentiles::median;
use super::processor_time::{ProcessorTime, load_average};
use crate::cli::BenchPollArgs;
use crate::failure::{Context, Failure};
use crate::kitchen_client::KitchenClient;
use crate::platform::aws::AwsClients;
use crate::platform::seed;

/// One phase, measured.
struct Phase {
    requests_per_second: f64,
    cpu_us_per_request: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

/// Runs the benchmark and prints it.
pub async fn execute(arguments: BenchPollArgs) -> Result<(), Failure> {
    eprintln!("starting a platform with {} merchants …", arguments.merchants);
    let platform = Platform::start(arguments.merchants, arguments.nodes).await?;
    let (client_id, secret) = seed::DEV_POS;
    let client =
        KitchenClient::new(&format!("http://{}", platform.http), client_id, secret).context("making a client")?;
    client.authenticate().await.context("getting a token")?;
    let token = client.token();
    let requests = |path: &str| requests(path, &token, arguments.merchants);
    let (polls, empties) = (Arc::new(requests("/events/v1.0/events:polling")), Arc::new(requests("/")));

    warm_up(&platform, &arguments, &polls, &empties).await?;
    eprintln!("waiting until the platform is idle …");
    let mut idle_per_second = settle(&platform, arguments.nodes).await;
    let aws = AwsClients::local(&format!("http://{}", platform.aws)).await;
    let arrivals = Arrivals::start(aws, arguments.events_per_second, arguments.merchants);
    let terms_before = elections::terms(&platform.grid).await?;
    let mut empty = Vec::new();
    let mut poll = Vec::new();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {} …", arguments.rounds);
        // What was set off before may have gone on until now, and would be taken off twice.
        idle_per_second = idle_per_second.min(idle(&platform, IDLE_SPAN / 2).await);
        empty.push(phase(&platform, platform.yardstick, &empties, &arguments, idle_per_second).await?);
        poll.push(phase(&platform, platform.http, &polls, &arguments, idle_per_second).await?);
    }
    let elections = elections::terms(&platform.grid).await?.saturating_sub(terms_before);
    platform.stop().await;
    let around = Around { idle_per_second, arrived: arrivals.taken(), elections };
    print(&arguments, &empty, &poll, &around);
    Ok(())
}

fn requests(path: &str, token: &str, merchants: u32) -> Vec<Vec<u8>> {
    // A stride that shares no factor with the count visits every merchant in an order caches do not like.
    let stride = 7919;
    let merchant = |number: u32| {
        seed::merchant_id(u32::try_from(u64::from(number) * stride % u64::from(merchants)).unwrap_or(0) + 1)
    };
    let request = |number: u32| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nx-polling-merchants: {}\r\n\r\n",
            merchant(number)
        )
        .into_bytes()
    };
    (0..merchants).map(request).collect()
}

async fn warm_up(
    platform: &Platform,
    arguments: &BenchPollArgs,
    polls: &Arc<Vec<Vec<u8>>>,
    empties: &Arc<Vec<Vec<u8>>>,
) -> Result<(), Failure> {
    let rate = arguments.rate.max(WARM_UP_RATE);
    // Every merchant polls once before anything is measured.
    let all_polled = Duration::from_secs(u64::from(arguments.merchants / rate));
    for (address, requests, span) in [(platform.http, polls, all_polled), (platform.yardstick, empties, Duration::ZERO)]
    {
        let duration = WARM_UP_LEAST + span;
        let load = Load { address, requests: Arc::clone(requests), rate, connections: arguments.connections, duration };
        load.run().await.context("warming up")?;
    }
    Ok(())
}

/// The least requests a second of the warm-up, and its least length.
const WARM_UP_RATE: u32 = 15_000;
const WARM_UP_LEAST: Duration = Duration::from_secs(2);

/// How long one look at the idle platform takes.
const IDLE_SPAN: Duration = Duration::from_secs(4);
/// Below this part of a core the platform counts as idle.
const IDLE_MOST: f64 = 0.10;
/// And so much more for each process of the grid: elections and leases never rest.
const IDLE_MOST_OF_A_NODE: f64 = 0.12;
/// Looks before the benchmark goes on all the same.
const IDLE_LOOKS_MAX: usize = 45;

/// Waits until what the start and the first polls set off is done; gives the CPU seconds a second that our threads then use
/// when nobody polls.
async fn settle(platform: &Platform, nodes: u16) -> f64 {
    let most = IDLE_MOST + IDLE_MOST_OF_A_NODE * f64::from(nodes);
    let mut idle_per_second = 0.0;
    for _ in 0..IDLE_LOOKS_MAX {
        idle_per_second = idle(platform, IDLE_SPAN).await;
        if idle_per_second < most {
            break;
        }
    }
    idle_per_second
}

/// CPU seconds a second of our own threads over `span`.
async fn idle(platform: &Platform, span: Duration) -> f64 {
    let before = ProcessorTime::of(&platform.pids);
    tokio::time::sleep(span).await;
    ours(&before, platform) / span.as_secs_f64()
}

/// CPU seconds of our own threads since `before`; the in-process AWS is not part of a poll.
fn ours(before: &ProcessorTime, platform: &Platform) -> f64 {
    ProcessorTime::of(&platform.pids).since(before, |name| !name.starts_with("local-aws")).as_secs_f64()
}

async fn phase(
    platform: &Platform,
    address: SocketAddr,
    requests: &Arc<Vec<Vec<u8>>>,
    arguments: &BenchPollArgs,
    idle_per_second: f64,
) -> Result<Phase, Failure> {
    let load = Load {
        address,
        requests: Arc::clone(requests),
        rate: arguments.rate,
        connections: arguments.connections,
        duration: arguments.duration,
    };
    let before = ProcessorTime::of(&platform.pids);
    let outcome = load.run().await.context("running the load")?;
    let used = ours(&before, platform);
    if outcome.failures > 0 {
        return Err(Failure::Failed(format!("{} of {} requests failed", outcome.failures, outcome.latencies.count())));
    }
    let net = (used - idle_per_second * arguments.duration.as_secs_f64()).max(0.0);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
    let requests = outcome.latencies.count().max(1) as f64;
    let requests_per_second = requests / arguments.duration.as_secs_f64();
    let cpu_us_per_request = net * 1e6 / requests;
    let at = |percent| outcome.latencies.percentile_ms(percent);
    Ok(Phase { requests_per_second, cpu_us_per_request, p50_ms: at(50.0), p99_ms: at(99.0), p999_ms: at(99.9) })
}

/// What went on beside the phases.
struct Around {
    idle_per_second: f64,
    arrived: u64,
    /// Of leaders, in all measured rounds.
    elections: u64,
}

fn print(arguments: &BenchPollArgs, empty: &[Phase], poll: &[Phase], around: &Around) {
    let Around { idle_per_second, arrived, elections } = *around;
    let of = |phases: &[Phase], pick: fn(&Phase) -> f64| median(&phases.iter().map(pick).collect::<Vec<_>>());
    let ratios = |pick: fn(&Phase) -> f64| {
        median(&poll.iter().zip(empty).map(|(poll, empty)| pick(poll) / pick(empty).max(1e-9)).collect::<Vec<_>>())
    };
    let row = |phases: &[Phase]| {
        json!({
            "requestsPerSecond": of(phases, |phase| phase.requests_per_second),
            "cpuMicrosecondsPerRequest": of(phases, |phase| phase.cpu_us_per_request),
            "p50Ms": of(phases, |phase| phase.p50_ms),
            "p99Ms": of(phases, |phase| phase.p99_ms),
            "p999Ms": of(phases, |phase| phase.p999_ms),
        })
    };
    let result = json!({
        "rate": arguments.rate, "merchants": arguments.merchants, "connections": arguments.connections,
        "rounds": arguments.rounds, "nodes": arguments.nodes, "eventsArrived": arrived, "elections": elections, "loadAverage": load_average(), "idleCpuPercent": idle_per_second * 100.0,
        "empty": row(empty), "poll": row(poll),
        "cpuRatio": ratios(|phase| phase.cpu_us_per_request), "p99Ratio": ratios(|phase| phase.p99_ms),
    });
    if arguments.output.json {
        println!("{result}");
        return;
    }
    println!(
        "{} requests/s, {} connections, {} merchants, {arrived} events arrived; medians of {} rounds; load average {}",
        arguments.rate,
        arguments.connections,
        arguments.merchants,
        arguments.rounds,
        load_average()
    );
    if arguments.nodes > 0 {
        println!("a grid of {} processes; CPU is of all of them; {elections} elections meanwhile", arguments.nodes);
    }
    println!("idle: {:.1} % of a core, taken off", idle_per_second * 100.0);
    println!("{:<16}{:>12}{:>12}{:>10}{:>10}{:>10}", "", "requests/s", "CPU us/req", "p50 ms", "p99 ms", "p99.9 ms");
    for (name, key) in [("empty handler", "empty"), ("poll", "poll")] {
        let figure = |figure: &str| result[key][figure].as_f64().unwrap_or(0.0);
        let (rate, cpu) = (figure("requestsPerSecond"), figure("cpuMicrosecondsPerRequest"));
        println!(
            "{name:<16}{rate:>12.0}{cpu:>12.2}{:>10.3}{:>10.3}{:>10.3}",
            figure("p50Ms"),
            figure("p99Ms"),
            figure("p999Ms")
        );
    }
    let ratio = |key: &str| result[key].as_f64().unwrap_or(0.0);
    println!(
        "poll / empty: CPU {:.2}x, p99 {:.2}x (medians of the rounds' ratios)",
        ratio("cpuRatio"),
        ratio("p99Ratio")
    );
}
