//! How long an answer takes must not tell a foreign thing from an unknown one. Time is noise on a shared machine; what takes time is not:
//! for both, the same services are called, as often.

use std::sync::atomic::Ordering;

use crate::authorization_matrix::case::{Case, SUBJECTS};
use crate::authorization_matrix::platform::{Platform, State};
use crate::authorization_matrix::{Findings, ask, cases};

/// How often both are asked before a difference counts: something else may have called in between, but not every time.
const ATTEMPTS: usize = 5;

/// Calls so far of each service behind us.
fn calls(platform: &Platform) -> [u32; 5] {
    let peers = &platform.rig.peers;
    let counts = [
        &peers.core.calls,
        &peers.merchants.calls,
        &peers.feed.polls,
        &peers.fallback.polls,
        &peers.fallback.acknowledgments,
    ];
    counts.map(|count| count.load(Ordering::SeqCst))
}

/// How many calls one request costs.
async fn cost(platform: &Platform, case: &Case, is_foreign: bool, token: &str) -> [i64; 5] {
    let world = if is_foreign { &platform.foreign } else { &platform.unknown };
    let before = calls(platform).map(i64::from);
    ask(platform, case, world, &[token]).await;
    let after = calls(platform).map(i64::from);
    std::array::from_fn(|service| after[service] - before[service])
}

#[tokio::test]
async fn a_foreign_and_an_unknown_thing_cost_the_same_calls() {
    for state in [State::Primary, State::Fallback] {
        let platform = Platform::start(state).await;
        let (mut findings, mut has_called) = (Findings::default(), false);
        // An answer without an end polls on for as long as it is listened to.
        for case in cases().into_iter().filter(|case| !case.is_endless) {
            for token in case.tokens(&SUBJECTS) {
                let mut costs = Vec::new();
                while costs.len() < ATTEMPTS && costs.last().is_none_or(|(foreign, unknown)| foreign != unknown) {
                    let foreign = cost(&platform, &case, true, token).await;
                    costs.push((foreign, cost(&platform, &case, false, token).await));
                    has_called |= foreign.iter().any(|calls| *calls > 0);
                }
                let is_alike = costs.last().is_some_and(|(foreign, unknown)| foreign == unknown);
                findings.check(is_alike, || format!("{}: {token}: calls (foreign, unknown): {costs:?}", case.title()));
            }
        }
        findings.check(has_called, || "nothing was ever called".to_owned());
        findings.none();
    }
}
