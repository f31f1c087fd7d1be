//! What is asked while the primary goes away: it takes a request, dies of it, and the fallback answers.

use std::sync::atomic::Ordering;

use crate::authorization_matrix::aftermath::check_peers;
use crate::authorization_matrix::platform::{Platform, State};
use crate::authorization_matrix::{Findings, cases, compare, serve};

#[tokio::test]
async fn foreign_and_unknown_are_alike_and_own_is_served_while_the_primary_goes_away() {
    let platform = Platform::start(State::Failover).await;
    let (mut findings, mut asked, mut deaths) = (Findings::default(), 0, 0);
    for case in cases().into_iter().filter(|case| case.is_of_feed || case.operation.ends_with("/acknowledgment")) {
        platform.prepare(&case).await;
        compare(&platform, &case, &mut findings).await;
        serve(&platform, &case, State::Failover, &mut findings).await;
        asked += 1;
        // Not of every one: after three deaths in a row the primary is left alone for a moment.
        deaths += usize::from(platform.rig.peers.feed.dies_of.load(Ordering::SeqCst) == 0);
    }
    findings
        .check(asked > 10 && deaths > 0, || format!("{deaths} of {asked} requests met a primary that died of them"));
    check_peers(&platform, &mut findings);
    findings.none();
}
