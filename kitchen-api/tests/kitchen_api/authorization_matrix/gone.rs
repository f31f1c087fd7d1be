//! What was the application's own and is gone: a permission that was taken back, an order that was erased. It is answered as what
//! there never was: status, headers and body.

use crate::authorization_matrix::case::{Case, PARTS, SUBJECTS};
use crate::authorization_matrix::platform::{Platform, State, merchant_of, order_of};
use crate::authorization_matrix::{Findings, ask, cases};

/// Asks for what is gone and for what is unknown, in everything of `tokens` that the case names, and what belongs to it.
async fn are_alike(platform: &Platform, case: &Case, tokens: &[&'static str], findings: &mut Findings) {
    let named = case.tokens(tokens);
    if named.is_empty() {
        return;
    }
    let varied = [named, case.tokens(&PARTS)].concat();
    let gone = ask(platform, case, &platform.own, &varied).await;
    let unknown = ask(platform, case, &platform.unknown, &varied).await;
    let title = case.title();
    findings.check(gone.seen == unknown.seen, || {
        format!("{title}: gone and unknown differ:\n  {}\n  {}", gone.seen, unknown.seen)
    });
    findings.check(gone.status == case.refused, || format!("{title}: {} instead of {}", gone.seen, case.refused));
}

#[tokio::test]
async fn a_merchant_whose_permission_was_taken_back_is_as_unknown() {
    for state in [State::Primary, State::Fallback] {
        let platform = Platform::start(state).await;
        let own = merchant_of(&platform.own);
        platform.rig.applications.change("pos", |stored| stored.grants.retain(|grant| grant.merchant != own));
        let profile = format!("/merchant/v1.0/merchants/{own}");
        let mut attempts = 0;
        while platform.pos.get(&profile).await.status != 403 {
            attempts += 1;
            assert!(attempts < 500, "the permission is never taken back");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let mut findings = Findings::default();
        // A delivery is of the application's own webhook, and stays in its log.
        let of_merchants: Vec<&'static str> = SUBJECTS.into_iter().filter(|token| *token != "{delivery}").collect();
        for case in cases() {
            are_alike(&platform, &case, &of_merchants, &mut findings).await;
        }
        findings.none();
    }
}

#[tokio::test]
async fn an_erased_order_is_as_unknown() {
    let platform = Platform::start(State::Primary).await;
    let (own, peers) = (order_of(&platform.own), &platform.rig.peers);
    assert!(peers.core.orders.lock().remove(&own).is_some());
    peers.core.disputes.lock().retain(|_, order| *order != own);
    peers.core.evidence.lock().retain(|(order, _), _| *order != own);
    let mut findings = Findings::default();
    for case in cases() {
        are_alike(&platform, &case, &["{order}", "{dispute}"], &mut findings).await;
    }
    findings.none();
}
