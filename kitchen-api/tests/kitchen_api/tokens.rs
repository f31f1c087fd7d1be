//! PARTNER_API, section 1.2: credentials against tokens, and what makes a token count.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kitchen_api::Config;
use kitchen_api::store::NamedToken;
use order_model::Clock;
use serde_json::{Value, json};

use crate::client::Client;
use crate::rate_limits::limit_named_by;
use crate::rig::{Rig, config, eventually, merchant};

const POLL: &str = "/events/v1.0/events:polling";

async fn status(client: &Client) -> u16 {
    client.get(POLL).await.status.as_u16()
}

#[tokio::test]
async fn credentials_give_a_bearer_token_for_six_hours() {
    let rig = Rig::start().await;
    let answer = rig.client.ask_for_token("pos", "pos-secret").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let json = answer.json();
    assert_eq!((json["type"].as_str(), json["expiresIn"].as_i64()), (Some("bearer"), Some(21_600)));
    assert!(json.get("refreshToken").is_none());
    assert_eq!(status(&rig.client.with_token(json["accessToken"].as_str().unwrap())).await, 204);
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_client_answer_identically() {
    let rig = Rig::start().await;
    let wrong = rig.client.ask_for_token("pos", "wrong").await;
    let unknown = rig.client.ask_for_token("nobody", "wrong").await;
    assert_eq!((wrong.status, wrong.error_code().as_str()), (http::StatusCode::UNAUTHORIZED, "Unauthorized"));
    assert_eq!((unknown.status, &unknown.body), (wrong.status, &wrong.body));
    assert_eq!(wrong.json()["message"], "Bad credentials");
}

#[tokio::test]
async fn a_form_that_is_none_or_asks_for_another_grant_is_refused() {
    let rig = Rig::start().await;
    let path = "/authentication/v1.0/oauth/token";
    let json = [("content-type", "application/json")];
    let answer = rig.client.send("POST", path, &json, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (415, "UnsupportedMediaType"));
    let answer = rig.client.post(path, "grantType=password&clientId=pos&clientSecret=pos-secret").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "UnsupportedGrantType"));
    let answer = rig.client.post(path, "grantType=client_credentials&clientId=pos").await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["field"].as_str()), (400, Some("clientSecret")));
    let answer = rig.client.post(path, "x".repeat(20_000)).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (413, "PayloadTooLarge"));
    let charset = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
    let form = "grantType=client_credentials&clientId=pos&clientSecret=pos-secret";
    assert_eq!(rig.client.send("POST", path, &charset, form).await.status, 200);
}

#[tokio::test]
async fn each_field_that_a_grant_needs_is_400_and_named_where_it_is_missing_or_empty() {
    let rig = Rig::start().await;
    let client = [("clientId", "pos"), ("clientSecret", "pos-secret")];
    let grants = [
        vec![("grantType", "client_credentials")],
        vec![("grantType", "authorization_code"), ("authorizationCode", "c"), ("authorizationCodeVerifier", "v")],
        vec![("grantType", "refresh_token"), ("refreshToken", "r")],
    ];
    for grant in grants {
        let whole = [grant, client.to_vec()].concat();
        for (missing, _) in &whole {
            for is_there in [false, true] {
                let sent = whole.iter().filter(|(name, _)| is_there || name != missing);
                let pairs = sent.map(|(name, value)| format!("{name}={}", if name == missing { "" } else { *value }));
                let form = pairs.collect::<Vec<_>>().join("&");
                let answer = rig.client.post("/authentication/v1.0/oauth/token", form.clone()).await;
                assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{form}");
                assert_eq!(answer.json()["error"]["field"], *missing, "{form}");
                assert!(answer.json()["message"].as_str().unwrap().contains(missing), "{form}");
            }
        }
    }
}

#[tokio::test]
async fn an_access_token_is_a_signed_jwt_that_names_the_application_and_its_times_and_no_merchants() {
    let rig = Rig::start().await;
    let before_s = rig.clock.now().unix_ms() / 1000;
    let (first, second) = (rig.token("pos").await, rig.token("pos").await);
    let part = |token: &str, index: usize| -> Value {
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(first.split('.').count(), 3);
    let header = part(&first, 0);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("JWT")));
    assert_eq!(header["kid"].as_str().unwrap().len(), 16, "which key signed it");
    let claims = part(&first, 1);
    let mut names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"], "what it may see is looked up, not claimed");
    assert_eq!((&claims["sub"], &claims["iss"]), (&json!("pos"), &json!("comanda")));
    assert_eq!(claims["aud"], "comanda-partner-api");
    let seconds = |name: &str| claims[name].as_i64().unwrap();
    assert!(seconds("iat") >= before_s);
    assert_eq!((seconds("nbf"), seconds("exp")), (seconds("iat"), seconds("iat") + 21_600));
    let [one, other] = [&first, &second].map(|token| part(token, 1)["jti"].as_str().unwrap().to_owned());
    assert_eq!(one.len(), 32);
    assert_ne!(one, other, "unique");
}

#[tokio::test]
async fn an_access_token_counts_until_its_six_hours_are_over() {
    let rig = Rig::start().await;
    rig.clock.stop();
    let pos = rig.as_application("pos").await;
    rig.clock.pass(Duration::from_secs(6 * 60 * 60 - 1));
    assert_eq!(status(&pos).await, 204);
    // Clocks of two instances may differ by half a minute.
    rig.clock.pass(Duration::from_secs(1 + 30));
    let over = pos.get(POLL).await;
    assert_eq!((over.status.as_u16(), &over.json()["message"]), (401, &json!("The token has expired.")));
}

#[tokio::test]
async fn requests_without_a_token_that_counts_are_401_and_no_beat() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    assert_eq!(status(&rig.client).await, 401);
    assert_eq!(status(&rig.client.with_token("nonsense")).await, 401);
    assert_eq!(status(&rig.client.with_token(&token[..token.len() - 4])).await, 401);
    let foreign = Rig::start().await;
    assert_eq!(status(&foreign.client.with_token(&token)).await, 401, "signed by another installation");
    let answer = rig.client.get(POLL).await;
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    assert_eq!(answer.error_code(), "Unauthorized");
    rig.clock.jump(Duration::from_secs(6 * 60 * 60 + 31));
    assert_eq!(status(&rig.client.with_token(&token)).await, 401, "expired");
    assert_eq!(rig.peers.feed.polls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn revocation_and_grants_take_effect_on_tokens_already_out() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let third = [("x-polling-merchants", "00000000-0000-4000-8000-000000000003")];
    assert_eq!(pos.send("GET", POLL, &third, "").await.status, 403);
    rig.applications.put("pos", "pos-secret", &[merchant(1), merchant(2), merchant(3)]);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while pos.send("GET", POLL, &third, "").await.status != 204 {
        assert!(tokio::time::Instant::now() < deadline, "a grant is effective within 5 s");
    }
    let now = rig.clock.now();
    rig.applications.change("pos", |stored| (stored.record.revoked, stored.record.not_before) = (true, now));
    while status(&pos).await != 401 {
        assert!(tokio::time::Instant::now() < deadline, "a revocation is effective within 5 s");
    }
    assert_eq!(rig.client.ask_for_token("pos", "pos-secret").await.status, 401);
    let not_before = rig.clock.now();
    rig.applications.change("pos", |stored| {
        (stored.record.revoked, stored.record.not_before) = (false, not_before);
    });
    let renewed = rig.once_known("pos").await;
    assert_eq!((status(&renewed).await, status(&pos).await), (204, 401), "new tokens count, old ones do not come back");
}

#[tokio::test]
async fn one_token_is_taken_back_and_the_others_go_on_to_count() {
    let rig = Rig::start().await;
    let (first, second) = (rig.token("pos").await, rig.token("pos").await);
    let named: NamedToken = first.parse().unwrap();
    assert_eq!(named.application.as_str(), "pos");
    let [lost, kept] = [&first, &second].map(|token| rig.client.with_token(token));
    assert_eq!((status(&lost).await, status(&kept).await), (204, 204));
    rig.applications.change("pos", |stored| {
        stored.record.revoked_tokens.insert(named.token);
    });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while status(&lost).await != 401 {
        assert!(tokio::time::Instant::now() < deadline, "effective within 5 s");
    }
    assert_eq!(status(&kept).await, 204);
    assert_eq!(status(&rig.as_application("pos").await).await, 204, "new ones count as well");
}

#[tokio::test]
async fn failed_secrets_lock_out_and_the_rate_is_a_setting() {
    let rig = Rig::start().await;
    for _ in 0..10 {
        assert_eq!(rig.client.ask_for_token("pos", "wrong").await.status, 401);
    }
    let locked = rig.client.ask_for_token("pos", "pos-secret").await;
    assert_eq!((locked.status.as_u16(), locked.error_code().as_str()), (429, "TooManyRequests"));
    assert!(locked.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() <= 60);
    assert_eq!(limit_named_by(&locked), 10, "so many may be wrong");
    assert_eq!(rig.client.ask_for_token("other", "other-secret").await.status, 200);

    let limited = Rig::start_with(Config { token_requests_per_minute: Some(2), ..config() }).await;
    for _ in 0..2 {
        assert_eq!(limited.client.ask_for_token("pos", "pos-secret").await.status, 200);
    }
    assert_eq!(limit_named_by(&limited.client.ask_for_token("pos", "pos-secret").await), 2);
}

#[tokio::test]
async fn an_application_or_a_secret_that_is_new_counts_at_once_and_is_no_failure() {
    let rig = Rig::start_with(Config { directory_refresh: Duration::from_secs(3_600), ..config() }).await;
    let ask = async |client: &str, secret: &str| rig.client.ask_for_token(client, secret).await.status.as_u16();
    for round in 0..12 {
        let (client, secret) = (format!("new-{round}"), format!("secret-{round}"));
        assert_eq!(ask(&client, &secret).await, 401);
        rig.applications.put(&client, &secret, &[merchant(1)]);
        rig.applications.put("pos", &secret, &[merchant(1)]);
        assert_eq!((ask(&client, &secret).await, ask("pos", &secret).await), (200, 200), "round {round}");
    }
    rig.applications.down.store(true, Ordering::SeqCst);
    rig.applications.put("pos", "renewed", &[merchant(1)]);
    assert_eq!((ask("pos", "renewed").await, ask("pos", "secret-11").await), (401, 200), "an outage: as it was known");
}

#[tokio::test]
async fn many_wrong_secrets_at_once_are_counted_and_share_one_look_at_the_table() {
    let rig = Rig::start_with(Config { directory_refresh: Duration::from_secs(3_600), ..config() }).await;
    let before = rig.applications.looks.load(Ordering::SeqCst);
    let tries = (0..60).map(|_| rig.client.ask_for_token("pos", "wrong"));
    let answers = futures::future::join_all(tries).await;
    let refused = answers.iter().filter(|answer| answer.status == 401).count();
    assert!((10..=14).contains(&refused), "{refused} were tried: {answers:?}");
    assert!(answers.iter().all(|answer| [401, 429].contains(&answer.status.as_u16())));
    let looks = rig.applications.looks.load(Ordering::SeqCst) - before;
    assert!((1..=10).contains(&looks), "{looks}");
}

#[tokio::test]
async fn before_the_applications_were_read_answers_are_503_and_afterwards_an_outage_changes_nothing() {
    let rig = Rig::start_cold(config(), |applications| applications.down.store(true, Ordering::SeqCst)).await;
    let answer = rig.client.ask_for_token("pos", "pos-secret").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (503, &http::HeaderValue::from_static("1")));
    assert!(rig.handle.readiness().unwrap_err().contains("DynamoDB"));
    rig.applications.down.store(false, Ordering::SeqCst);
    eventually("the applications are read", || rig.handle.readiness().is_ok()).await;
    rig.applications.down.store(true, Ordering::SeqCst);
    let pos = rig.as_application("pos").await;
    assert_eq!(status(&pos).await, 204);
}
