//! PARTNER_API, section 1.2: distributed applications, from the user code to the refreshed token, on two instances at once.

use std::time::Duration;

use http::HeaderValue;
use kitchen_api::store::{ApplicationStore, AuthorisationStore, Rotation, StoreError, UserCode};
use kitchen_api::{Config, TokenConfig, generate_signing_key};
use order_model::{EventCode, OrderId};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::documentation::differences;
use crate::peers::event;
use crate::rate_limits::limit_named_by;
use crate::rig::{config, merchant};
use crate::sign_in::{POLL, SignIn, access_token, assert_bad_credentials, pos, refresh_token};

const ACKNOWLEDGE: &str = "/events/v1.0/events/acknowledgment";

#[tokio::test]
async fn any_instance_takes_any_step_of_the_flow() {
    let flow = SignIn::start().await;
    let opened = flow.open(0).await;
    let url = "https://api.example.com/comanda/activate";
    assert_eq!((opened.json["verificationUrl"].as_str(), opened.json["expiresIn"].as_u64()), (Some(url), Some(600)));
    assert_eq!(opened.json["verificationUrlComplete"], format!("{url}?c={}", opened.user_code));
    assert!(opened.verifier.len() >= 43, "256 bits");

    let key = flow.portal_key(merchant(1)).await;
    let page = flow.activate(1, "192.0.2.1", &opened.user_code.to_lowercase(), &key).await;
    assert_eq!(page.status, 200, "{page:?}");
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let code = page.split_once("class=\"code\">").unwrap().1.split_once('<').unwrap().0;

    let answer = flow.exchange(0, &opened.verifier, &code.to_lowercase().replace('-', "")).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["cache-control"]),
        (200, &http::HeaderValue::from_static("no-store"))
    );
    let json = answer.json();
    assert_eq!((json["type"].as_str(), json["expiresIn"].as_u64()), (Some("bearer"), Some(21_600)));
    assert_eq!(flow.instances[0].with_token(&access_token(&answer)).get(POLL).await.status, 204, "here at once");
    flow.until(&flow.instances[1].with_token(&access_token(&answer)), POLL, 204).await;

    let refreshed = flow.refresh(1, &refresh_token(&answer)).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_ne!(refresh_token(&refreshed), refresh_token(&answer));
    assert_eq!(flow.instances[0].with_token(&access_token(&refreshed)).get(POLL).await.status, 204);
}

#[tokio::test]
async fn a_token_sees_the_merchants_of_its_own_authorisation_only() {
    let flow = SignIn::start().await;
    let order = |number: u8| OrderId::from_bytes([number; 16]);
    for number in 1..=3 {
        flow.peers.core.put(order(number), merchant(number), "{}");
    }
    let (_, one, _) = flow.signed_in(&[merchant(1)]).await;
    let (_, two, _) = flow.signed_in(&[merchant(2), merchant(3)]).await;
    for (client, own, foreign) in [(&one, 1, 2), (&two, 2, 1)] {
        let named = |number| [("x-polling-merchants", merchant(number).to_string())];
        let headers = named(foreign);
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let refused = client.send("GET", POLL, &headers, "").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.json()["unauthorizedMerchants"], json!([merchant(foreign).to_string()]));
        let path = |number| format!("/order/v1.0/orders/{}", order(number));
        assert_eq!(client.get(&path(own)).await.status, 200);
        for tail in ["", "/cancellationReasons"] {
            assert_eq!(client.get(&format!("{}{tail}", path(foreign))).await.status, 404);
        }
        assert_eq!(client.post(&format!("{}/confirm", path(foreign)), "").await.status, 404);
        let profile = format!("/merchant/v1.0/merchants/{}/status", merchant(foreign));
        assert_eq!(client.get(&profile).await.status, 403);
    }
    assert!(flow.peers.core.acts.lock().is_empty());
    let events = [event(merchant(1), 1, EventCode::Placed), event(merchant(2), 2, EventCode::Placed)];
    flow.peers.feed.events.lock().extend(events.clone());
    let seen = one.get(POLL).await.json();
    assert_eq!((seen.as_array().unwrap().len(), &seen[0]["id"]), (1, &json!(events[0].id.to_string())));
    let both = json!([events[0].id.to_string(), events[1].id.to_string()]).to_string();
    assert_eq!(one.post(ACKNOWLEDGE, both).await.status, 202);
    assert_eq!(flow.peers.feed.acknowledged_by("pos"), [events[0].id], "as if it knew no such event");
    assert_eq!(two.get(POLL).await.json()[0]["id"], events[1].id.to_string());
}

#[tokio::test]
async fn what_is_wrong_with_a_code_is_not_said() {
    let flow = SignIn::start().await;
    let stranger = flow.table.applications.create_distributed(&"stranger".parse().unwrap(), "").await.unwrap();
    let opened = flow.open(0).await;
    assert_bad_credentials(&flow.exchange(0, &opened.verifier, "BCDF-GHJK-LMNP").await, "nobody has approved it");
    let (code, _) = flow.approve(&opened.user_code, &[merchant(1)]).await;
    let other = flow.open(0).await;
    let (other_code, _) = flow.approve(&other.user_code, &[merchant(2)]).await;
    assert_bad_credentials(&flow.exchange(1, &other.verifier, &code).await, "another request's verifier");
    assert_bad_credentials(&flow.exchange(1, &opened.verifier, &other_code).await, "another request's code");
    let short = &opened.verifier[..opened.verifier.len() - 1];
    assert_bad_credentials(&flow.exchange(1, short, &code).await, "a verifier that was cut");
    assert_bad_credentials(&flow.exchange(1, "nonsense", &code).await, "no verifier at all");
    let as_stranger = [
        ("grant_type", "authorization_code"),
        ("client_id", "stranger"),
        ("client_secret", stranger.expose_secret()),
        ("authorization_code", code.as_str()),
        ("authorization_code_verifier", opened.verifier.as_str()),
    ];
    assert_bad_credentials(&flow.token(0, &as_stranger).await, "another application's");
    let answer = flow.exchange(0, &opened.verifier, &code).await;
    assert_eq!(answer.status, 200, "none of it used the code up: {answer:?}");
    let token = refresh_token(&answer);
    let as_stranger = [
        ("grant_type", "refresh_token"),
        ("client_id", "stranger"),
        ("client_secret", stranger.expose_secret()),
        ("refresh_token", token.as_str()),
    ];
    assert_bad_credentials(&flow.token(0, &as_stranger).await, "another application's refresh token");
    assert_bad_credentials(&flow.refresh(0, &token[1..]).await, "no refresh token");
    assert_eq!(flow.refresh(0, &token).await.status, 200);
    let approved_again = UserCode::read(&opened.user_code).unwrap();
    assert!(flow.table.applications.approve(&approved_again, &[merchant(1)]).await.unwrap().is_none(), "used");
}

#[tokio::test]
async fn every_code_and_token_expires() {
    let flow = SignIn::start().await;
    let (unused, late, exchanged) = (flow.open(0).await, flow.open(0).await, flow.open(0).await);
    let (late_code, _) = flow.approve(&late.user_code, &[merchant(1)]).await;
    let (code, _) = flow.approve(&exchanged.user_code, &[merchant(1)]).await;
    let answer = flow.exchange(0, &exchanged.verifier, &code).await;
    flow.table.clock.jump(Duration::from_secs(300));
    assert_bad_credentials(&flow.exchange(0, &late.verifier, &late_code).await, "an authorization code lives 5 min");
    flow.table.clock.jump(Duration::from_secs(300));
    let unused = UserCode::read(&unused.user_code).unwrap();
    let approved = flow.table.applications.approve(&unused, &[merchant(1)]).await.unwrap();
    assert!(approved.is_none(), "a user code lives 10 min");
    let client = flow.instances[1].with_token(&access_token(&answer));
    flow.until(&client, POLL, 204).await;
    flow.table.clock.jump(Duration::from_secs(6 * 3600));
    assert_eq!(client.get(POLL).await.status, 401, "an access token lives 6 h");
    let refreshed = flow.refresh(0, &refresh_token(&answer)).await;
    assert_eq!(refreshed.status, 200);
    flow.table.clock.jump(Duration::from_secs(168 * 3600 + 1));
    assert_bad_credentials(&flow.refresh(1, &refresh_token(&refreshed)).await, "a refresh token lives 168 h");
}

#[tokio::test]
async fn every_code_and_token_counts_until_the_end_of_its_life() {
    let flow = SignIn::start().await;
    flow.table.clock.stop();
    let opened = flow.open(0).await;
    flow.table.clock.pass(Duration::from_secs(600 - 1));
    let (code, _) = flow.approve(&opened.user_code, &[merchant(1)]).await;
    flow.table.clock.pass(Duration::from_secs(300 - 1));
    let answer = flow.exchange(0, &opened.verifier, &code).await;
    assert_eq!(answer.status, 200, "10 min for the user code, then 5 min for the authorization code: {answer:?}");
    let client = flow.instances[0].with_token(&access_token(&answer));
    flow.until(&client, POLL, 204).await;
    flow.table.clock.pass(Duration::from_secs(6 * 3600 - 1));
    assert_eq!(client.get(POLL).await.status, 204, "6 h for the access token");
    flow.table.clock.pass(Duration::from_secs(162 * 3600));
    let refreshed = flow.refresh(0, &refresh_token(&answer)).await;
    assert_eq!(refreshed.status, 200, "168 h for the refresh token: {refreshed:?}");
    flow.table.clock.pass(Duration::from_secs(168 * 3600));
    assert_bad_credentials(&flow.refresh(0, &refresh_token(&refreshed)).await, "and not a second more");
}

#[tokio::test]
async fn a_user_code_is_two_times_four_letters_that_cannot_be_mistaken() {
    let flow = SignIn::start().await;
    for _ in 0..20 {
        let code = flow.open(0).await.user_code;
        let (first, last) = code.split_once('-').unwrap();
        for half in [first, last] {
            assert!(half.len() == 4 && half.bytes().all(|letter| b"BCDFGHJKLMNPQRSTVWXZ".contains(&letter)), "{code}");
        }
    }
}

#[tokio::test]
async fn twenty_tokens_and_twenty_user_codes_a_minute_are_what_is_published() {
    let published = Config::new(TokenConfig::new(generate_signing_key().unwrap())).token_requests_per_minute;
    let flow = SignIn::start_with(Config { token_requests_per_minute: published, ..config() }).await;
    flow.table.clock.stop();
    let token = || flow.instances[0].ask_for_token("central", &flow.central_secret);
    for _ in 0..20 {
        assert_eq!(token().await.status, 200);
        assert_eq!(flow.ask_for_user_code(0, "pos").await.status, 200, "counted by itself");
    }
    for refused in [token().await, flow.ask_for_user_code(0, "pos").await] {
        assert_eq!((limit_named_by(&refused), &refused.headers["retry-after"]), (20, &HeaderValue::from(60)));
    }
    flow.table.clock.pass(Duration::from_secs(60));
    assert_eq!(token().await.status, 200);
    assert_eq!(flow.ask_for_user_code(0, "pos").await.status, 200);
}

#[tokio::test]
async fn a_lost_answer_locks_nobody_out_and_a_replay_gives_nothing() {
    let flow = SignIn::start().await;
    let opened = flow.open(0).await;
    let (code, _) = flow.approve(&opened.user_code, &[merchant(1)]).await;
    let lost = flow.exchange(0, &opened.verifier, &code).await;
    flow.table.clock.jump(Duration::from_secs(30));
    let first = flow.exchange(1, &opened.verifier, &code).await;
    assert_eq!((lost.status.as_u16(), first.status.as_u16()), (200, 200), "repeated within a minute");

    let lost = flow.refresh(0, &refresh_token(&first)).await;
    let second = flow.refresh(1, &refresh_token(&first)).await;
    assert_eq!((lost.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_bad_credentials(&flow.exchange(1, &opened.verifier, &code).await, "its tokens are in use");
    let third = flow.refresh(0, &refresh_token(&second)).await;
    assert_eq!(third.status, 200);
    assert_bad_credentials(&flow.refresh(0, &refresh_token(&first)).await, "its successor was used");
    assert_bad_credentials(&flow.refresh(1, &refresh_token(&lost)).await, "so has that one's sibling");
    flow.table.clock.jump(Duration::from_secs(3601));
    assert_bad_credentials(&flow.refresh(0, &refresh_token(&second)).await, "the grace is over");
    assert_eq!(flow.refresh(0, &refresh_token(&third)).await.status, 200);

    let opened = flow.open(0).await;
    let (code, _) = flow.approve(&opened.user_code, &[merchant(1)]).await;
    assert_eq!(flow.exchange(0, &opened.verifier, &code).await.status, 200);
    flow.table.clock.jump(Duration::from_secs(61));
    assert_bad_credentials(
        &flow.exchange(0, &opened.verifier, &code).await,
        "a replay, though the code has not expired",
    );
}

#[tokio::test]
async fn many_exchanges_and_refreshes_at_once_leave_one_line_of_tokens() {
    let flow = SignIn::start().await;
    let opened = flow.open(0).await;
    let (code, _) = flow.approve(&opened.user_code, &[merchant(1)]).await;
    let at_once = (0..4).map(|number| flow.exchange(number % 2, &opened.verifier, &code));
    let answers = futures::future::join_all(at_once).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let tokens: Vec<String> = answers.iter().map(refresh_token).collect();
    let refreshed = futures::future::join_all(tokens.iter().map(|token| flow.refresh(0, token))).await;
    let given: Vec<String> = refreshed.iter().filter(|answer| answer.status == 200).map(refresh_token).collect();
    assert_eq!(given.len(), 1, "of tokens nobody has used one is the line: {refreshed:?}");
    assert_eq!(flow.refresh(1, &given[0]).await.status, 200);
}

#[tokio::test]
async fn each_kind_of_application_has_its_own_grants() {
    let flow = SignIn::start().await;
    let refused = flow.instances[0].ask_for_token("pos", &flow.secret).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (400, "UnauthorizedClient"));
    assert!(refused.json()["message"].as_str().unwrap().contains("authorization_code"));
    for grant in [
        &[("grantType", "refresh_token"), ("refreshToken", "x")][..],
        &[("grantType", "authorization_code"), ("authorizationCode", "x"), ("authorizationCodeVerifier", "x")],
    ] {
        let client = [("clientId", "central"), ("clientSecret", flow.central_secret.as_str())];
        let refused = flow.token(0, &[grant, &client].concat()).await;
        assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (400, "UnauthorizedClient"), "{grant:?}");
    }
    assert_eq!(flow.instances[0].ask_for_token("central", &flow.central_secret).await.status, 200);
    let unknown = flow.ask_for_user_code(0, "nobody").await;
    let central = flow.ask_for_user_code(0, "central").await;
    assert_bad_credentials(&unknown, "there is no such application");
    assert_eq!((central.status, &central.body), (unknown.status, &unknown.body));
    let nothing = flow.instances[0].post("/authentication/v1.0/oauth/userCode", "clientId=").await;
    assert_eq!((nothing.status.as_u16(), nothing.json()["error"]["field"].as_str()), (400, Some("clientId")));
    let granted = flow.table.applications.grant(&pos(), &[merchant(1)]).await.unwrap_err();
    assert!(matches!(granted, StoreError::Distributed(_)), "{granted}");
    assert_eq!(flow.kind().await, kitchen_api::store::Kind::Distributed);
}

#[tokio::test]
async fn one_authorisation_is_revoked_within_five_seconds_and_others_go_on() {
    let flow = SignIn::start().await;
    let (first, one, one_refresh) = flow.signed_in(&[merchant(1)]).await;
    let (_, two, two_refresh) = flow.signed_in(&[merchant(1), merchant(2)]).await;
    flow.table.applications.revoke_authorisation(&pos(), first).await.unwrap();
    flow.until(&one, POLL, 401).await;
    assert_bad_credentials(&flow.refresh(1, &one_refresh).await, "revoked");
    let gone = flow.table.applications.revoke_authorisation(&pos(), first).await.unwrap_err();
    assert!(matches!(gone, StoreError::UnknownAuthorisation));
    let status = |number| format!("/merchant/v1.0/merchants/{}", merchant(number));
    flow.peers.merchants.put(merchant(1), "Um");
    flow.peers.merchants.put(merchant(2), "Dois");
    assert_eq!(two.get(&status(1)).await.status, 200);

    flow.table.applications.take_back(&pos(), &[merchant(1)]).await.unwrap();
    flow.until(&two, &status(1), 403).await;
    assert_eq!((two.get(&status(2)).await.status.as_u16(), two.get(POLL).await.status.as_u16()), (200, 204));
    let refreshed = flow.refresh(0, &two_refresh).await;
    assert_eq!(refreshed.status, 200, "what is left goes on");
    flow.table.applications.take_back(&pos(), &[merchant(2)]).await.unwrap();
    flow.until(&two, POLL, 401).await;
    assert_bad_credentials(&flow.refresh(0, &refresh_token(&refreshed)).await, "nothing is left of it");
    let stored = flow.table.applications.load(&pos()).await.unwrap().unwrap();
    assert!(stored.authorisations.is_empty());
}

#[tokio::test]
async fn a_new_secret_keeps_authorisations_and_a_revoked_application_loses_them() {
    let mut flow = SignIn::start().await;
    let (_, client, refresh) = flow.signed_in(&[merchant(1)]).await;
    let secret = flow.table.applications.rotate(&pos(), Rotation::Immediately).await.unwrap();
    flow.until(&client, POLL, 401).await;
    flow.secret = secret.expose_secret().to_owned();
    let refreshed = flow.refresh(0, &refresh).await;
    assert_eq!(refreshed.status, 200, "with the new secret: {refreshed:?}");
    let client = flow.instances[1].with_token(&access_token(&refreshed));
    flow.until(&client, POLL, 204).await;

    let pending = flow.open(0).await;
    let (code, _) = flow.approve(&pending.user_code, &[merchant(1)]).await;
    let open = flow.open(0).await;
    flow.table.applications.revoke(&pos()).await.unwrap();
    for instance in &flow.instances {
        flow.until(&instance.with_token(&access_token(&refreshed)), POLL, 401).await;
    }
    let approved = flow.table.applications.approve(&UserCode::read(&open.user_code).unwrap(), &[merchant(1)]).await;
    assert!(approved.unwrap().is_none(), "nobody approves for a revoked application");
    assert_eq!(flow.ask_for_user_code(0, "pos").await.status, 401);
    let secret = flow.table.applications.rotate(&pos(), Rotation::Immediately).await.unwrap();
    flow.secret = secret.expose_secret().to_owned();
    assert_bad_credentials(&flow.refresh(0, &refresh_token(&refreshed)).await, "it does not come back");
    assert_bad_credentials(&flow.exchange(0, &pending.verifier, &code).await, "nor does what was approved before");
    let (_, client, _) = flow.signed_in(&[merchant(1)]).await;
    assert_eq!(client.get(POLL).await.status, 204, "owners authorise again");
}

#[tokio::test]
async fn guessed_authorization_codes_spend_the_request_on_all_instances() {
    let flow = SignIn::start().await;
    let opened = flow.open(0).await;
    let (code, _) = flow.approve(&opened.user_code, &[merchant(1)]).await;
    for attempt in 0..5 {
        let guess = "BCDFGHJKLMNPQRSTVWXZ".chars().cycle().skip(attempt).take(12).collect::<String>();
        assert_bad_credentials(&flow.exchange(attempt % 2, &opened.verifier, &guess).await, "a guess");
    }
    assert_bad_credentials(&flow.exchange(0, &opened.verifier, &code).await, "the right one, too late");
}

#[tokio::test]
async fn guessed_verifiers_and_refresh_tokens_are_locked_out_and_other_restaurants_are_not() {
    let flow = SignIn::start().await;
    let (_, _, one) = flow.signed_in(&[merchant(1)]).await;
    let (_, _, two) = flow.signed_in(&[merchant(2)]).await;
    // The end of a token, another letter, is another secret of the same authorisation.
    let guess = format!("{}{}", &one[..one.len() - 8], "AAAAAAAA");
    for _ in 0..10 {
        assert_bad_credentials(&flow.refresh(0, &guess).await, "a guess");
    }
    let locked = flow.refresh(0, &one).await;
    assert_eq!((locked.status.as_u16(), locked.error_code().as_str()), (429, "TooManyRequests"));
    assert_eq!(limit_named_by(&locked), 10, "so many may be wrong");
    assert_eq!(flow.refresh(0, &two).await.status, 200, "from the same address, by the same application");
    let opened = flow.open(0).await;
    let guess = format!("{}A", &opened.verifier[..opened.verifier.len() - 1]);
    let guess = if guess == opened.verifier { format!("{}B", &guess[..guess.len() - 1]) } else { guess };
    for _ in 0..10 {
        assert_bad_credentials(&flow.exchange(0, &guess, "BCDF-GHJK-LMNP").await, "a guess");
    }
    assert_eq!(limit_named_by(&flow.exchange(0, &opened.verifier, "BCDF-GHJK-LMNP").await), 10);
}

#[tokio::test]
async fn user_codes_are_bounded_per_minute_and_in_number() {
    let limited = SignIn::start_with(Config { token_requests_per_minute: Some(2), ..config() }).await;
    for _ in 0..2 {
        assert_eq!(limited.ask_for_user_code(0, "pos").await.status, 200);
    }
    assert_eq!(limit_named_by(&limited.ask_for_user_code(0, "pos").await), 2);
    let flow = SignIn::start().await;
    let application = pos();
    for batch in 0..40 {
        let opened = (0..50).map(|_| flow.table.applications.open(&application));
        let opened = futures::future::try_join_all(opened).await.unwrap();
        assert!(opened.iter().all(Option::is_some), "batch {batch}");
    }
    let refused = flow.ask_for_user_code(1, "pos").await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (429, "TooManyRequests"));
    assert_eq!(limit_named_by(&refused), 2_000);
    flow.table.clock.jump(Duration::from_secs(600));
    assert_eq!(flow.ask_for_user_code(1, "pos").await.status, 200, "old ones have expired");
}

#[tokio::test]
async fn requests_with_too_many_merchants_or_none_are_not_approved() {
    let flow = SignIn::start().await;
    let code = UserCode::read(&flow.open(0).await.user_code).unwrap();
    let many: Vec<_> = (0..501u128).map(|number| order_model::MerchantId::from_bytes(number.to_be_bytes())).collect();
    let none = Vec::new();
    for merchants in [&none, &many] {
        let refused = flow.table.applications.approve(&code, merchants).await.unwrap_err();
        assert!(matches!(refused, StoreError::Merchants { most: 500 }), "{refused}");
    }
    assert!(flow.table.applications.approve(&code, &many[..500]).await.unwrap().is_some());
}

#[tokio::test]
async fn tokens_and_user_codes_are_answered_as_documented() {
    let flow = SignIn::start().await;
    let document = flow.instances[0].get("/openapi.json").await.json();
    let check = |path: &str, value: &serde_json::Value| {
        let operation = &document["paths"][format!("/authentication/v1.0/oauth/{path}")]["post"];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(differences(&document, schema, value, path), [""; 0]);
    };
    let opened = flow.open(0).await;
    check("userCode", &opened.json);
    let (code, _) = flow.approve(&opened.user_code, &[merchant(1)]).await;
    check("token", &flow.exchange(0, &opened.verifier, &code).await.json());
    check("token", &flow.instances[0].ask_for_token("central", &flow.central_secret).await.json());
    let flows = &document["components"]["securitySchemes"]["clientCredentials"]["flows"];
    assert!(flows["clientCredentials"]["tokenUrl"].is_string() && flows["authorizationCode"]["refreshUrl"].is_string());
    let forms = document["components"]["schemas"]["TokenForm"]["anyOf"].as_array().unwrap();
    let grant = |form: &serde_json::Value| form["properties"]["grantType"]["enum"].clone();
    let grants: Vec<_> = forms.iter().map(grant).collect();
    assert_eq!(grants, [json!(["client_credentials"]), json!(["authorization_code"]), json!(["refresh_token"])]);
    assert!(forms.iter().all(|form| form["required"].as_array().unwrap().contains(&json!("clientSecret"))));
}

#[tokio::test]
async fn without_the_table_steps_are_503_and_tokens_that_are_out_go_on() {
    let mut flow = SignIn::start().await;
    let (_, client, refresh) = flow.signed_in(&[merchant(1)]).await;
    let opened = flow.open(0).await;
    let key = flow.portal_key(merchant(1)).await;
    flow.aws.take().unwrap().shutdown().await;
    assert_eq!(client.get(POLL).await.status, 204);
    for answer in [
        flow.refresh(0, &refresh).await,
        flow.exchange(0, &opened.verifier, "BCDF-GHJK-LMNP").await,
        flow.ask_for_user_code(0, "pos").await,
        flow.activate(0, "192.0.2.1", &opened.user_code, &key).await,
    ] {
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["retry-after"]),
            (503, &http::HeaderValue::from_static("1"))
        );
    }
}

#[tokio::test]
async fn one_restaurant_of_a_distributed_application_takes_no_other_ones_requests() {
    let flow = SignIn::start_with(Config { limits_requests: true, ..config() }).await;
    let (_, eager, _) = flow.signed_in(&[merchant(1)]).await;
    let (_, other, _) = flow.signed_in(&[merchant(2)]).await;
    let path = format!("/order/v1.0/orders/{}/requestCancellation", OrderId::from_bytes([7; 16]));
    let mut taken = 0;
    while eager.post(&path, "{}").await.status != 429 {
        taken += 1;
        assert!(taken < 2_000, "never refused");
    }
    assert!(taken >= 300, "{taken}");
    assert_eq!(other.post(&path, "{}").await.status, 404, "it is counted by itself");
}
