//! kill -9 of every role at random moments under a steady stream of orders, hanging included, and what must survive it.
//!
//! What is done when, and the stream, follow from a seed that is printed; `E2E_SEED` sets it. The processes themselves
//! have none, so a failing run is likely, not certain, to fail again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::deployment::{Deployment, Plan, ROLES, flags};
use crate::history::{History, Minimum};
use crate::platform::eventually;
use crate::steady_stream::{Load, Stream};

/// Messages that a killed agent held come back after 30 s, early ones are tried again for longer.
pub const SETTLE_LIMIT: Duration = Duration::from_secs(150);

/// Each role that is to be killed is, at least this often; and hung.
const KILLS_OF_EACH_MIN: usize = 3;
const HANGS_OF_EACH_MIN: usize = 1;
/// For how long a role hangs: longer than every deadline of a call, and than the 3 s in which a fence stops a leader.
const HANGS_MS: std::ops::Range<u64> = 500..5_000;

/// The flags of every role: judged often, and with many polls read from both sides.
pub const FLAGS: [(&str, &str); 3] =
    [("sweep-interval", "1s"), ("offline-after", "30s"), ("shadow-reads-per-mille", "50")];

fn plan() -> Plan {
    Plan { merchants: 40, flags: flags(&FLAGS), ..Plan::default() }
}

pub fn seed() -> u64 {
    let set = std::env::var_os("E2E_SEED").and_then(|text| text.to_str()?.parse().ok());
    let seed = set.unwrap_or_else(rand::random);
    eprintln!("E2E_SEED={seed}");
    seed
}

/// The roles to kill: all, or those that `E2E_ROLES` names, to narrow a failure down.
fn roles() -> Vec<&'static str> {
    let named = std::env::var_os("E2E_ROLES").and_then(|text| text.into_string().ok());
    ROLES.into_iter().filter(|role| named.as_ref().is_none_or(|named| named.contains(role))).collect()
}

/// Keeps what a failed run leaves: everything seen and acknowledged, and every log.
fn keep_artefacts(deployment: &Deployment, history: &History, seed: u64) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-{seed}"));
    std::fs::create_dir_all(&folder).unwrap();
    let seen = history.seen.iter().map(|seen| {
        let at_ms = seen.asked_at.as_millis() as u64;
        json!({"asked_at_ms": at_ms, "event": seen.event, "order": seen.order, "sequence": seen.sequence, "code": seen.code})
    });
    let acknowledged = history.acknowledged.iter();
    let acknowledged =
        acknowledged.map(|one| json!({"acknowledged_at_ms": one.at.as_millis() as u64, "event": one.event}));
    let lines: Vec<String> = seen.chain(acknowledged).map(|line| line.to_string()).collect();
    std::fs::write(folder.join("history.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(folder.join("processes.jsonl"), deployment.logs()).unwrap();
    folder
}

pub fn judge(deployment: &Deployment, history: &History, problems: Vec<String>, minimum: Minimum, seed: u64) {
    eprintln!(
        "{} orders, {} events seen, {} acknowledged, {} faults, {} polls answered, {} failed",
        history.placed.len(),
        history.seen.len(),
        history.acknowledged.len(),
        history.faults,
        history.polls_answered,
        history.polls_failed
    );
    eprintln!("between the faults, of how many how many succeeded: {:?}", history.quiet());
    let broken: Vec<String> = history.verdict(minimum).into_iter().chain(problems).collect();
    if broken.is_empty() {
        return;
    }
    let folder = keep_artefacts(deployment, history, seed);
    let shown = broken.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    panic!("{} broken promises (history and logs in {}):\n{shown}", broken.len(), folder.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_comes_back_while_each_role_is_killed() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let load = Load { orders: 2_000, orders_per_second: 20, terminals: 8 };
    let stream = Stream::start(&deployment, load, seed).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut roles = roles();
    let mut faults: BTreeMap<&str, Faults> = roles.iter().map(|role| (*role, Faults::default())).collect();
    while !stream.is_all_sent() {
        roles.shuffle(&mut rng);
        for role in &roles {
            tokio::time::sleep(Duration::from_millis(rng.random_range(300..2_500))).await;
            let hangs = Duration::from_millis(rng.random_range(HANGS_MS));
            if stream.is_all_sent() {
                break;
            }
            let since = stream.elapsed();
            stream.count_fault();
            let done = faults.get_mut(role).expect("a role that is to be killed");
            // Killed first, then hung, then killed twice, and so on.
            if done.hangs * 2 < done.kills {
                eprintln!("{since:.1?}: {role} hangs for {hangs:?}");
                deployment.signal(role, "STOP");
                tokio::time::sleep(hangs).await;
                deployment.signal(role, "CONT");
                done.hangs += 1;
            } else {
                eprintln!("{since:.1?}: kill -9 {role}");
                deployment.kill(role);
                deployment.restart(role);
                done.kills += 1;
            }
            stream.end_fault(since);
            done.away += stream.elapsed() - since;
        }
    }
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    for role in deployment.roles.clone() {
        deployment.wait_until_ready(role).await;
    }
    faults.iter().for_each(|(role, done)| eprintln!("{role}: {done:?}"));
    let is_enough = |done: &Faults| done.kills >= KILLS_OF_EACH_MIN && done.hangs >= HANGS_OF_EACH_MIN;
    assert!(faults.values().all(is_enough), "vacuous: {faults:?}");
    let minimum = Minimum { orders: 2_000, faults: 24, polls: 2_000, polls_answered_percent: 90 };
    judge(&deployment, &history, problems, minimum, seed);
}

/// What was done to one role.
#[derive(Debug, Default)]
struct Faults {
    kills: usize,
    hangs: usize,
    /// In all; of a kill, until it was ready again.
    away: Duration,
}

/// Polls answered by one side, as kitchen-api counts them.
async fn answered_by(deployment: &Deployment, side: &str) -> f64 {
    let series = format!("comanda_kitchen_api_feed_polls_total{{answered_by=\"{side}\"}}");
    deployment.metric("kitchen-api", &series).await
}

#[tokio::test(flavor = "multi_thread")]
async fn order_events_stops_under_load_and_takes_over_again() {
    let seed = seed();
    let deployment = Arc::new(Deployment::start(&plan()).await);
    let load = Load { orders: 500, orders_per_second: 10, terminals: 4 };
    let stream = Stream::start(&deployment, load, seed).await;
    let mut rng = StdRng::seed_from_u64(seed);
    for stop in [Deployment::kill, Deployment::stop] {
        tokio::time::sleep(Duration::from_millis(rng.random_range(3_000..5_000))).await;
        let primary_before = answered_by(&deployment, "primary").await;
        assert!(primary_before > 0.0, "order-events answers while it is there");
        let since = stream.elapsed();
        stop(&deployment, "order-events");
        stream.count_fault();
        let fallback_before = answered_by(&deployment, "fallback").await;
        eventually("polls are answered by the fallback", Duration::from_secs(20), async || {
            (answered_by(&deployment, "fallback").await >= fallback_before + 100.0).then_some(())
        })
        .await;
        assert!(!stream.is_all_sent(), "this happens under load");
        deployment.restart("order-events");
        deployment.wait_until_ready("order-events").await;
        let primary = answered_by(&deployment, "primary").await;
        eventually("order-events has taken over", Duration::from_secs(20), async || {
            let fallback = answered_by(&deployment, "fallback").await;
            let primary_now = answered_by(&deployment, "primary").await;
            let fallback_now = answered_by(&deployment, "fallback").await;
            (primary_now >= primary + 40.0 && fallback_now == fallback).then_some(())
        })
        .await;
        stream.end_fault(since);
    }
    let (_, polls_failed) = stream.polls();
    assert_eq!(polls_failed, 0, "no poll failed");
    let (history, problems) = stream.finish(SETTLE_LIMIT).await;
    assert_eq!(history.polls_failed, 0, "no poll failed");
    let minimum = Minimum { orders: 500, faults: 2, polls: 400, polls_answered_percent: 100 };
    judge(&deployment, &history, problems, minimum, seed);
}
