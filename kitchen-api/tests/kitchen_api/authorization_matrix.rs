//! Who may see and do what: every operation that is served, for what is the application's own, another one's and nobody's.
//!
//! The list of operations is the served documents'; an operation without a case fails by its name. A foreign and an unknown
//! merchant, order, dispute or delivery are answered alike: status, headers and body, once what the request itself named is
//! taken out. Whatever the other application keeps holds a canary, which is looked for in every answer. All of it is
//! asked twice: while the primary answers polls, and while the fallback does.

mod aftermath;
mod case;
mod catalogs;
mod failover;
mod gone;
mod judgement;
mod lists;
mod menu;
mod nesting;
mod open_delivery_and_own;
mod orders_and_merchants;
mod outages;
mod platform;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use crate::authorization_matrix::aftermath::{check_peers, kept_by_other};
use crate::authorization_matrix::case::{Case, PARTS, SUBJECTS, World};
use crate::authorization_matrix::judgement::{leaks, seen, spellings};
use crate::authorization_matrix::platform::{Platform, State};
use crate::client::{Answer, Client};

const DOCUMENTS: [&str; 3] = ["/openapi/merchant.json", "/openapi/open-delivery.json", "/openapi/comanda.json"];

/// What a request that names something foreign in an odd spelling may be answered.
const REFUSALS: [u16; 3] = [400, 403, 404];

/// In so many kinds of answers to the application that it is kept for the canary is, at least.
const CANARIES_MIN: usize = 15;

/// Every case. Those that take something away stand last among their like.
fn cases() -> Vec<Case> {
    [orders_and_merchants::cases(), catalogs::cases(), open_delivery_and_own::cases()].concat()
}

/// Every operation that is served, and whether it takes a token.
async fn operations(client: &Client) -> BTreeMap<String, bool> {
    let mut operations = BTreeMap::new();
    for path in DOCUMENTS {
        let document = client.get(path).await.json();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().iter().filter(|(_, operation)| operation.is_object());
            operations.extend(
                methods.map(|(method, operation)| (format!("{method} {path}"), operation.get("security").is_some())),
            );
        }
    }
    operations
}

/// What was found wrong, all of it at once.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn check(&mut self, is_right: bool, wrong: impl FnOnce() -> String) {
        if !is_right {
            self.0.push(wrong());
        }
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "{} findings:\n{}", self.0.len(), self.0.join("\n"));
    }
}

#[tokio::test]
async fn every_operation_has_a_case_that_names_something_or_says_why_not() {
    let rig = crate::rig::Rig::start().await;
    let served: BTreeSet<String> = operations(&rig.client).await.into_keys().collect();
    assert!(served.len() > 100, "{}", served.len());
    let covered: BTreeSet<String> = cases().into_iter().map(|case| case.operation).collect();
    let mut findings = Findings::default();
    for operation in served.difference(&covered) {
        findings.check(false, || format!("no case for operation {operation}"));
    }
    for operation in covered.difference(&served) {
        findings.check(false, || format!("a case for {operation}, which is not served"));
    }
    for case in cases() {
        let names_something = !case.tokens(&SUBJECTS).is_empty();
        let title = case.title();
        findings.check(names_something != case.names_nothing.is_some(), || format!("{title}: what does it name?"));
    }
    findings.none();
}

#[tokio::test]
async fn foreign_and_unknown_are_alike_and_own_is_served_by_the_primary() {
    walk(State::Primary).await;
}

#[tokio::test]
async fn foreign_and_unknown_are_alike_and_own_is_served_by_the_fallback() {
    walk(State::Fallback).await;
}

async fn walk(state: State) {
    let platform = Platform::start(state).await;
    let before = kept_by_other(&platform).await;
    let (mut findings, mut canaries) = (Findings::default(), 0);
    for case in cases() {
        platform.prepare(&case).await;
        canaries += usize::from(is_kept_for_other(&platform, &case, &mut findings).await);
        compare(&platform, &case, &mut findings).await;
        spell(&platform, &case, &mut findings).await;
        serve(&platform, &case, state, &mut findings).await;
    }
    findings.check(canaries >= CANARIES_MIN, || format!("the canary is in {canaries} answers only"));
    let after = kept_by_other(&platform).await;
    for (name, (before, after)) in before.iter().map(|(name, kept)| (name, (kept, &after[name]))) {
        findings.check(before == after, || format!("{name} has changed: {before}\n  now {after}"));
    }
    check_peers(&platform, &mut findings);
    findings.none();
}

/// What is foreign to one application is there for the other: whoever may read it does. Whether the canary was in it.
async fn is_kept_for_other(platform: &Platform, case: &Case, findings: &mut Findings) -> bool {
    // The second merchant is of `pos`.
    if !case.operation.starts_with("get ") || case.names_nothing.is_some() || case.title().contains("{second}") {
        return false;
    }
    let answer = platform.ask(&platform.other, &case.filled(&platform.foreign, &platform.foreign, &[])).await;
    let title = case.title();
    findings.check(answer.status.as_u16() == case.own, || format!("{title}: its own application: {answer:?}"));
    seen(&answer, &[]).contains(judgement::CANARY)
}

/// A foreign thing and an unknown one are answered alike, and as the case says.
async fn compare(platform: &Platform, case: &Case, findings: &mut Findings) {
    for varied in case.variations() {
        let foreign = ask(platform, case, &platform.foreign, &varied).await;
        let unknown = ask(platform, case, &platform.unknown, &varied).await;
        let at = format!("{} with other {}", case.title(), varied.join(", "));
        findings.check(foreign.seen == unknown.seen, || {
            format!("{at}: foreign and unknown differ:\n  {}\n  {}", foreign.seen, unknown.seen)
        });
        let has_subject = varied.iter().any(|token| SUBJECTS.contains(token));
        let is_refused =
            if has_subject { foreign.status == case.refused } else { (400..500).contains(&foreign.status) };
        findings.check(is_refused, || format!("{at}: {} instead of {}", foreign.seen, case.refused));
        findings.check(foreign.leaks.is_empty(), || format!("{at}: tells {:?}: {}", foreign.leaks, foreign.seen));
    }
}

/// However a foreign thing is spelled, its answer is that of an unknown one so spelled, and a refusal.
async fn spell(platform: &Platform, case: &Case, findings: &mut Findings) {
    for token in case.tokens(&SUBJECTS) {
        let place = case.place_of(token).unwrap();
        let of = |world: &World| spellings(world.value(token), platform.own.value(token), place);
        for (foreign, unknown) in of(&platform.foreign).iter().zip(of(&platform.unknown)) {
            let at = format!("{} with {foreign}", case.title());
            let foreign = ask(platform, case, &platform.foreign.with(token, foreign), &[token]).await;
            let unknown = ask(platform, case, &platform.unknown.with(token, &unknown), &[token]).await;
            findings.check(foreign.seen == unknown.seen, || {
                format!("{at}: foreign and unknown differ:\n  {}\n  {}", foreign.seen, unknown.seen)
            });
            let is_refused = REFUSALS.contains(&foreign.status) || foreign.status == case.refused;
            findings.check(is_refused, || format!("{at}: {}", foreign.seen));
            findings.check(foreign.leaks.is_empty(), || format!("{at}: tells {:?}", foreign.leaks));
        }
    }
}

/// The own request succeeds, shows what is own and nothing else, and is answered by whoever should.
async fn serve(platform: &Platform, case: &Case, state: State, findings: &mut Findings) {
    let polls_before = platform.polls();
    let answer = ask(platform, case, &platform.own, &[]).await;
    let title = case.title();
    findings.check(answer.status == case.own, || format!("{title}: own: {} instead of {}", answer.seen, case.own));
    findings.check(answer.leaks.is_empty(), || format!("{title}: own tells {:?}", answer.leaks));
    if let Some(token) = case.shows {
        let shown = platform.own.value(token).to_lowercase();
        findings.check(answer.whole.contains(&shown), || format!("{title}: {token} is not in {}", answer.whole));
    }
    let polls = platform.polls();
    let is_as_it_should = match state {
        _ if !case.is_of_feed => true,
        State::Primary => polls.0 > polls_before.0,
        State::Failover => polls.1 > polls_before.1,
        State::Fallback => polls.0 == polls_before.0 && polls.1 > polls_before.1,
    };
    findings.check(is_as_it_should, || format!("{title}: polls went from {polls_before:?} to {polls:?}"));
}

/// An answer as it is judged.
struct Judged {
    status: u16,
    /// Without what was named.
    seen: String,
    whole: String,
    leaks: Vec<String>,
}

async fn ask(platform: &Platform, case: &Case, other: &World, varied: &[&str]) -> Judged {
    let request = case.filled(&platform.own, other, varied);
    let answer: Answer = platform.ask(&platform.pos, &request).await;
    // The ids as they are, however they were spelled.
    let plain = [&platform.foreign, &platform.unknown].map(|world| varied.iter().map(move |token| world.value(token)));
    let spelled = varied.iter().map(|token| other.value(token));
    let named: Vec<String> = plain.into_iter().flatten().chain(spelled).map(str::to_owned).collect();
    let seen = seen(&answer, &named);
    let leaks = leaks(&seen, &foreign_only(platform));
    let whole = judgement::seen(&answer, &[]);
    Judged { status: answer.status.as_u16(), seen, whole, leaks }
}

/// What stands in the other application's world alone: some values are those of every world.
fn foreign_only(platform: &Platform) -> World {
    let is_its_own = |(token, value): &(&'static str, String)| platform.own.value(token) != value;
    World(platform.foreign.0.iter().filter(|one| is_its_own(one)).cloned().collect())
}

/// Whose token counts is asked before anything is looked at.
#[tokio::test]
async fn without_a_token_that_counts_every_operation_that_takes_one_is_401() {
    let platform = Platform::start(State::Primary).await;
    let takes_token = operations(&platform.rig.client).await;
    let nobody = platform.rig.client.clone();
    let callers = [
        ("no token", nobody.clone()),
        ("garbage", nobody.with_token("garbage")),
        ("revoked", platform.revoked.clone()),
    ];
    let mut findings = Findings::default();
    for case in cases() {
        let takes_token = takes_token.get(&case.operation).copied().unwrap_or(true);
        let title = case.title();
        findings.check(takes_token || case.names_nothing.is_some(), || format!("{title}: anybody may name it"));
        if !takes_token {
            continue;
        }
        for world in [&platform.own, &platform.foreign] {
            let all = [case.tokens(&SUBJECTS), case.tokens(&PARTS)].concat();
            let mut answers = Vec::new();
            for (who, client) in &callers {
                let answer = platform.ask(client, &case.filled(&platform.own, world, &all)).await;
                let is_shaped = answer.headers.get("www-authenticate").is_some_and(|value| value == "Bearer");
                findings.check(answer.status == 401 && is_shaped, || format!("{title}: {who}: {answer:?}"));
                answers.push(seen(&answer, &[]));
            }
            let foreign = foreign_only(&platform);
            findings.check(answers.iter().all(|seen| leaks(seen, &foreign).is_empty()), || format!("{title}: tells"));
        }
    }
    findings.none();
}
