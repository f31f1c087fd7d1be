//! What was the application's own and is gone: a permission that was taken back, an order that was erased, a merchant's profile. It is
//! answered as what there never was: status, headers and body.

use crate::authorization_matrix::case::{Case, PARTS, SUBJECTS};
use crate::authorization_matrix::platform::{Platform, State, merchant_of, order_of};
use crate::authorization_matrix::{Findings, ask, cases};

/// Below these everything is said of a merchant's profile, or needs one.
const OF_PROFILES: [&str; 5] = [
    "/merchant/v1.0/",
    "/v1/merchant/{id}/status",
    "/shipping/v1.0/merchants/",
    "/comanda/v1/merchants/{id}/presence",
    "/comanda/v1/simulator/orders",
];

/// These name an order, which stays, and need its merchant's profile.
const OF_ORDERS_AND_PROFILES: [&str; 2] =
    ["/shipping/v1.0/orders/{id}/deliveryAvailabilities", "/comanda/v1/simulator/orders/{id}/steps"];

/// What names a merchant and is not answered without its profile: its POS's name for it stands there, and when it is closed.
fn needs_profile(case: &Case) -> bool {
    let is_named_by_its_pos = case.place_of("{name}").is_some();
    let closes_or_opens = case.body.contains("merchantStatus");
    is_named_by_its_pos || closes_or_opens || OF_PROFILES.iter().any(|part| case.operation.contains(part))
}

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

/// Nobody deletes a merchant, but one may be granted that was never added, or lose its profile.
#[tokio::test]
async fn a_merchant_without_a_profile_is_as_unknown_where_one_is_needed_and_served_elsewhere() {
    let platform = Platform::start(State::Primary).await;
    let (own, profiles) = (merchant_of(&platform.own), &platform.rig.peers.merchants.merchants);
    let mut findings = Findings::default();
    for case in cases() {
        if case.tokens(&["{merchant}", "{name}", "{order}", "{dispute}"]).is_empty() {
            continue;
        }
        platform.prepare(&case).await;
        assert!(profiles.lock().remove(&own).is_some());
        let is_of_order = OF_ORDERS_AND_PROFILES.iter().any(|path| case.operation.ends_with(path));
        if needs_profile(&case) && !is_of_order {
            are_alike(&platform, &case, &["{merchant}", "{name}"], &mut findings).await;
        } else {
            let expected = if is_of_order { 403 } else { case.own };
            let answer = ask(&platform, &case, &platform.own, &[]).await;
            let title = case.title();
            findings.check(answer.status == expected, || format!("{title}: {} instead of {expected}", answer.seen));
        }
    }
    let listed = platform.pos.get("/merchant/v1.0/merchants").await.json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    findings.check(names == ["Filial"], || format!("those that are left are listed: {listed}"));
    findings.none();
}
