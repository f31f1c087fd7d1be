//! Foreign and unknown while whoever would know does not answer: what is remembered here must not tell them apart.

use std::sync::atomic::Ordering;

use crate::authorization_matrix::case::{Case, PARTS};
use crate::authorization_matrix::platform::{Platform, State};
use crate::authorization_matrix::{Findings, ask, cases};

/// Asks for what is foreign and what is unknown, with everything else own.
async fn are_alike(platform: &Platform, case: &Case, token: &str, findings: &mut Findings) {
    let foreign = ask(platform, case, &platform.foreign, &[token]).await;
    let unknown = ask(platform, case, &platform.unknown, &[token]).await;
    let title = case.title();
    findings.check(foreign.seen == unknown.seen, || {
        format!("{title}: foreign and unknown {token} differ:\n  {}\n  {}", foreign.seen, unknown.seen)
    });
    findings.check(foreign.leaks.is_empty(), || format!("{title}: tells {:?}", foreign.leaks));
    let is_refused = foreign.status == 503 || foreign.status == case.refused;
    findings.check(is_refused, || format!("{title}: {}", foreign.seen));
}

/// The feed keeps the bodies of recent orders, foreign ones too.
#[tokio::test]
async fn without_the_core_a_foreign_order_is_as_unknown() {
    let platform = Platform::start(State::Primary).await;
    platform.rig.peers.core.down.store(true, Ordering::SeqCst);
    let mut findings = Findings::default();
    for case in cases() {
        for token in case.tokens(&["{order}", "{dispute}"]) {
            are_alike(&platform, &case, token, &mut findings).await;
        }
    }
    let own = platform.pos.get(&format!("/order/v1.0/orders/{}", platform.own.value("{order}"))).await;
    findings.check(own.status == 200, || format!("own: {own:?}"));
    findings.none();
}

/// Names that POSes gave their merchants are remembered once they were looked up.
#[tokio::test]
async fn without_the_merchants_a_foreign_one_is_as_unknown() {
    let platform = Platform::start(State::Primary).await;
    let mut findings = Findings::default();
    let all: Vec<Case> = cases().into_iter().filter(|case| case.tokens(&PARTS).is_empty()).collect();
    for is_down in [false, true] {
        platform.rig.peers.merchants.down.store(is_down, Ordering::SeqCst);
        for case in &all {
            for token in case.tokens(&["{merchant}", "{name}"]) {
                are_alike(&platform, case, token, &mut findings).await;
            }
        }
    }
    findings.none();
}
