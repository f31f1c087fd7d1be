//! PARTNER_API, section 8: what of a request's head a tolerant server takes, where no other file has it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use kitchen_api::{Config, TokenConfig, generate_signing_key};
use order_model::{MerchantId, OrderId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::rig::{Rig, config, merchant};

const POLL: &str = "/events/v1.0/events:polling";
/// The longest header value that has to be taken: a token that lists all it may see.
const TOKEN_MAX_BYTES: usize = 16 * 1024;

#[tokio::test]
async fn an_empty_post_needs_no_content_type_and_any_is_taken() {
    let rig = Rig::start().await;
    let order = OrderId::from_bytes([1; 16]);
    rig.peers.core.put(order, merchant(1), "{}");
    let pos = rig.as_application("pos").await;
    for tail in ["confirm", "startPreparation", "readyToPickup", "dispatch", "requestDriver"] {
        for headers in [&[][..], &[("content-type", "application/json")], &[("content-type", "text/plain")]] {
            let answer = pos.send("POST", &format!("/order/v1.0/orders/{order}/{tail}"), headers, "").await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{tail} {headers:?}");
        }
    }
    assert_eq!(rig.peers.core.acts.lock().len(), 15, "each of them reached the core");
}

#[tokio::test]
async fn content_type_is_ignored_on_every_kind_of_get() {
    let rig = Rig::start().await;
    let order = OrderId::from_bytes([1; 16]);
    rig.peers.core.put(order, merchant(1), "{}");
    rig.peers.merchants.put(merchant(1), "Loja");
    let pos = rig.as_application("pos").await;
    let paths = [
        (POLL.to_owned(), 204),
        (format!("/order/v1.0/orders/{order}"), 200),
        (format!("/order/v1.0/orders/{order}/cancellationReasons"), 200),
        ("/merchant/v1.0/merchants".to_owned(), 200),
        (format!("/merchant/v1.0/merchants/{}/status", merchant(1)), 200),
        ("/v1/events:polling".to_owned(), 204),
    ];
    for (path, status) in paths {
        for content_type in ["application/json", "application/x-www-form-urlencoded", "nonsense"] {
            let answer = pos.send("GET", &path, &[("content-type", content_type)], "").await;
            assert_eq!(answer.status.as_u16(), status, "{path} {content_type}");
        }
    }
}

/// A token as `token` is, with claims that nobody asks for, of so many bytes or at most two fewer.
fn padded(token: &str, key: &SecretString, bytes: usize) -> String {
    let header = jsonwebtoken::decode_header(token).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    let pem = key.expose_secret();
    let der = STANDARD.decode(pem.lines().find(|line| !line.starts_with('-')).unwrap()).unwrap();
    let key = EncodingKey::from_ed_der(&der);
    let mut padding = bytes * 3 / 4;
    loop {
        claims["padding"] = json!("x".repeat(padding));
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        if token.len() <= bytes {
            assert!(token.len() + 2 >= bytes, "{}", token.len());
            return token;
        }
        padding -= 1;
    }
}

#[tokio::test]
async fn a_token_of_16_kib_counts_and_a_longer_one_is_a_401() {
    let key = generate_signing_key().unwrap();
    let rig = Rig::start_with(Config { tokens: TokenConfig::new(key.clone()), ..config() }).await;
    let token = rig.token("pos").await;
    for bytes in [8_000, TOKEN_MAX_BYTES] {
        let pos = rig.client.with_token(&padded(&token, &key, bytes));
        assert_eq!(pos.get(POLL).await.status, 204, "{bytes}");
        assert_eq!(pos.get("/v1/events:polling").await.status, 204, "{bytes}");
    }
    let longer = rig.client.with_token(&padded(&token, &key, TOKEN_MAX_BYTES + 4)).get(POLL).await;
    assert_eq!((longer.status.as_u16(), longer.error_code().as_str()), (401, "Unauthorized"));
    assert_eq!(longer.json()["message"], "The token is not valid.");
}

#[tokio::test]
async fn headers_of_16_kib_are_read_and_more_than_32_kib_in_all_say_what_may_be() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let named = merchant(1).to_string();
    let padded = |bytes: usize| format!("{named}{}", " ,".repeat((bytes - named.len()) / 2));
    let header = padded(16 * 1024);
    assert_eq!(pos.send("GET", POLL, &[("x-polling-merchants", &header)], "").await.status, 204);
    for header in [padded(32 * 1024), padded(48 * 1024)] {
        let refused = pos.send("GET", POLL, &[("x-polling-merchants", &header)], "").await;
        assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (431, "RequestHeaderFieldsTooLarge"));
        assert!(refused.json()["message"].as_str().unwrap().contains("32768"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_header_of_500_merchants_is_longer_than_16_kib_and_read() {
    let rig = Rig::start().await;
    let many: Vec<MerchantId> = (1..=500u128).map(|number| MerchantId::from_bytes(number.to_be_bytes())).collect();
    rig.applications.put("chain", "chain-secret", &many);
    let chain = rig.once_known("chain").await;
    let named: Vec<String> = many.iter().map(ToString::to_string).collect();
    let header = named.join(", ");
    assert!(header.len() > 16 * 1024);
    assert_eq!(chain.send("GET", POLL, &[("x-polling-merchants", &header)], "").await.status, 204);
}
