//! Forged and stale tokens, one by one.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use order_model::ManualClock;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::sync::Arc;

use super::*;
use crate::oauth::generate_signing_key;

struct Rig {
    tokens: Tokens,
    clock: Arc<ManualClock>,
    key: SecretString,
    directory: Directory,
}

const START_S: i64 = 1_795_000_000;

fn config(key: &SecretString) -> TokenConfig {
    TokenConfig::new(key.clone())
}

fn rig() -> Rig {
    let clock = ManualClock::new(Timestamp::from_unix_ms(START_S * 1000));
    let key = generate_signing_key().unwrap();
    let tokens = Tokens::new(&config(&key), clock.clone(), Entropy::system()).unwrap();
    let directory = crate::directory::with_application("app");
    Rig { tokens, clock, key, directory }
}

impl Rig {
    fn check(&self, token: &str) -> Option<TokenError> {
        self.tokens.check(token.as_bytes(), &self.directory).err()
    }

    /// A token with other claims or another header, signed with our key all the same.
    fn forged(&self, header: &Header, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut claims = json!({
            "iss": "comanda", "aud": "comanda-partner-api", "sub": "app", "jti": "01".repeat(16),
            "iat": START_S, "nbf": START_S, "exp": START_S + 60,
        });
        change(&mut claims);
        jsonwebtoken::encode(header, &claims, &self.tokens.keys.signing).unwrap()
    }
}

#[test]
fn an_issued_token_counts_until_it_expires_and_not_before_its_time() {
    let rig = rig();
    let token = rig.tokens.issue(&"app".parse().unwrap(), Timestamp::default()).unwrap();
    assert_eq!(rig.check(&token), None);
    rig.clock.advance(Duration::from_secs(6 * 60 * 60 + 29));
    assert_eq!(rig.check(&token), None, "cached, within the leeway");
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(rig.check(&token), Some(TokenError::Expired), "although it is cached");
    let rig2 = Rig { tokens: Tokens::new(&config(&rig.key), rig.clock.clone(), Entropy::system()).unwrap(), ..rig };
    assert_eq!(rig2.check(&token), Some(TokenError::Expired));
    rig2.clock.jump(-(7 * 60 * 60 * 1000));
    let future = rig2.check(&token);
    assert_eq!(future, Some(TokenError::NotYet));
}

#[test]
fn unsigned_and_wrongly_signed_tokens_do_not_count() {
    let rig = rig();
    let good = rig.tokens.issue(&"app".parse().unwrap(), Timestamp::default()).unwrap();
    let parts: Vec<&str> = good.split('.').collect();

    let none =
        URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT", "kid": rig.tokens.keys.signing_id}).to_string());
    assert_eq!(rig.check(&format!("{none}.{}.", parts[1])), Some(TokenError::Invalid), "alg none");
    assert_eq!(rig.check(&format!("{none}.{}.{}", parts[1], parts[2])), Some(TokenError::Invalid), "alg none, signed");

    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(rig.tokens.keys.signing_id.clone());
    let public = rig.tokens.keys.verifying.values().next().unwrap().try_get_as_bytes().unwrap();
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let hmac = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(public)).unwrap();
    assert_eq!(rig.check(&hmac), Some(TokenError::Invalid), "HS256 with the public key as secret");

    let other = rig_with_other_key();
    assert_eq!(rig.check(&other), Some(TokenError::Invalid), "another key and its id");

    for cut in [1, 5, parts[2].len()] {
        assert_eq!(rig.check(&good[..good.len() - cut]), Some(TokenError::Invalid), "truncated by {cut}");
    }
    for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(20_000)] {
        assert_eq!(rig.check(nonsense), Some(TokenError::Invalid));
    }
}

fn rig_with_other_key() -> String {
    let other = rig();
    other.tokens.issue(&"app".parse().unwrap(), Timestamp::default()).unwrap()
}

#[test]
fn the_key_id_is_required_and_must_be_the_signers() {
    let rig = rig();
    let mut header = Header::new(Algorithm::EdDSA);
    assert_eq!(rig.check(&rig.forged(&header, |_| ())), Some(TokenError::Invalid), "no kid");
    header.kid = Some("../../etc/passwd".to_owned());
    assert_eq!(rig.check(&rig.forged(&header, |_| ())), Some(TokenError::Invalid), "unknown kid");
    header.kid = Some(rig.tokens.keys.signing_id.clone());
    assert_eq!(rig.check(&rig.forged(&header, |_| ())), None);
}

#[test]
fn every_claim_is_required_and_checked() {
    let rig = rig();
    let header = rig.tokens.header.clone();
    for claim in ["iss", "aud", "sub", "jti", "iat", "nbf", "exp"] {
        let token = rig.forged(&header, |claims| {
            claims.as_object_mut().unwrap().remove(claim);
        });
        assert_eq!(rig.check(&token), Some(TokenError::Invalid), "without {claim}");
    }
    let changed =
        |claim: &str, value: serde_json::Value| rig.check(&rig.forged(&header, |claims| claims[claim] = value));
    assert_eq!(changed("iss", json!("staging")), Some(TokenError::Invalid));
    assert_eq!(changed("aud", json!("another-api")), Some(TokenError::Invalid));
    assert_eq!(changed("sub", json!("nobody")), Some(TokenError::Revoked));
    assert_eq!(changed("nbf", json!(START_S + 31)), Some(TokenError::NotYet));
    assert_eq!(changed("nbf", json!(START_S + 30)), None, "within the leeway");
    assert_eq!(changed("iat", json!(START_S + 3600)), Some(TokenError::NotYet));
    assert_eq!(changed("exp", json!(START_S - 30)), Some(TokenError::Expired));
    assert_eq!(changed("exp", json!(i64::MAX)), None, "no overflow");
}

#[test]
fn tokens_of_a_previous_key_count_until_it_is_taken_away() {
    let old = rig();
    let token = old.tokens.issue(&"app".parse().unwrap(), Timestamp::default()).unwrap();
    let mut config = TokenConfig::new(generate_signing_key().unwrap());
    let without = Tokens::new(&config, old.clock.clone(), Entropy::system()).unwrap();
    assert_eq!(without.check(token.as_bytes(), &old.directory).err(), Some(TokenError::Invalid));
    config.previous_signing_keys_pem.push(old.key.clone());
    let with = Tokens::new(&config, old.clock.clone(), Entropy::system()).unwrap();
    assert!(with.check(token.as_bytes(), &old.directory).is_ok());
    assert!(!format!("{config:?}").contains(old.key.expose_secret()));
}

#[test]
fn a_token_counts_only_under_the_authorisation_it_names() {
    let mut rig = rig();
    let merchant = order_model::MerchantId::from_bytes([1; 16]);
    let now = Timestamp::from_unix_ms(START_S * 1000);
    let (known, unknown): (AuthorisationId, AuthorisationId) =
        ("01".repeat(16).parse().unwrap(), "02".repeat(16).parse().unwrap());
    let stored = || {
        let grant = event_feed::Grant { merchant, granted_at: now };
        vec![crate::store::StoredAuthorisation::new(known, vec![grant], now)]
    };
    let app: ApplicationId = "app".parse().unwrap();
    let issue = |rig: &Rig, id| rig.tokens.issue_under(id, &app, Timestamp::default()).unwrap();
    let (plain, of_known, of_unknown) = (issue(&rig, None), issue(&rig, Some(known)), issue(&rig, Some(unknown)));

    assert_eq!(rig.check(&plain), None, "an application of the first version, whose tokens have no such claim");
    assert_eq!(rig.check(&of_known), Some(TokenError::NotLoaded), "this instance may not have read it yet");
    rig.clock.advance(Duration::from_secs(5));
    assert_eq!(rig.check(&of_known), Some(TokenError::Revoked));

    rig.directory = crate::directory::with_stored("app", Kind::Distributed, stored());
    rig.tokens = Tokens::new(&config(&rig.key), rig.clock.clone(), Entropy::system()).unwrap();
    let admitted = rig.tokens.check(of_known.as_bytes(), &rig.directory).unwrap();
    assert_eq!(admitted.access.scope.merchants(), [merchant]);
    assert_eq!(admitted.modules, Modules::ALL, "those of the application: an authorisation has none");
    assert_eq!(rig.check(&plain), Some(TokenError::Revoked), "it would be for all restaurants at once");
    assert_eq!(rig.check(&of_unknown), Some(TokenError::Revoked));
    let nonsense = rig.forged(&rig.tokens.header.clone(), |claims| claims["authorization_id"] = json!("*"));
    assert_eq!(rig.check(&nonsense), Some(TokenError::Invalid));

    rig.directory = crate::directory::with_stored("app", Kind::Centralised, stored());
    rig.tokens = Tokens::new(&config(&rig.key), rig.clock.clone(), Entropy::system()).unwrap();
    assert_eq!(rig.check(&of_known), Some(TokenError::Revoked), "a centralised application has no authorisations");
}

mod hostile {
    use hostile_inputs::{json_of, text_of};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nobody can make a token that counts of one that does: any other text is refused.
        #[test]
        fn a_damaged_token_is_refused(
            seed in any::<proptest::sample::Index>(),
            damages in text_of("0123456789".to_owned()),
        ) {
            let rig = rig();
            let token = rig.tokens.issue(&"app".parse().unwrap(), Timestamp::default()).unwrap();
            let at = seed.index(token.len());
            let damaged = format!("{}{damages}{}", &token[..at], &token[at + 1..]);
            prop_assert_eq!(rig.check(&token), None);
            prop_assert!(damaged == token || rig.check(&damaged).is_some(), "{}", damaged);
        }

        /// Whatever stands in claims that were signed, a token counts only for whom and when it says so.
        #[test]
        fn any_signed_claims_are_judged(
            claims in json_of(json!({
                "iss": "comanda", "aud": "comanda-partner-api", "sub": "app", "jti": "01".repeat(16),
                "iat": START_S, "nbf": START_S, "exp": START_S + 60,
            })),
        ) {
            let rig = rig();
            let signed = |payload: &str| {
                let mut header = Header::new(Algorithm::EdDSA);
                header.kid = Some(rig.tokens.keys.signing_id.clone());
                let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).unwrap());
                let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
                let signature =
                    jsonwebtoken::crypto::sign(message.as_bytes(), &rig.tokens.keys.signing, Algorithm::EdDSA).unwrap();
                format!("{message}.{signature}")
            };
            if rig.check(&signed(&claims)).is_none()
                && let Ok(read) = serde_json::from_str::<serde_json::Value>(&claims)
            {
                prop_assert_eq!(read["sub"].as_str(), Some("app"));
                prop_assert!(read["exp"].as_i64().is_some_and(|exp| exp > START_S - LEEWAY_S));
            }
        }
    }
}
