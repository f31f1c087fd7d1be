//! Signatures of webhooks: iFood's and Open Delivery's (PARTNER_API, 2.7 and 4), and those of Standard Webhooks.
//!
//! Pure. Used by [`super::message`]. Comparing signatures is absent: we only make them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use order_model::Timestamp;

/// What a Standard Webhooks secret begins with.
pub const STANDARD_PREFIX: &str = "whsec_";
/// Bytes of a Standard Webhooks secret, as the specification has them.
pub const STANDARD_SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// `X-IFood-Signature` and `X-App-Signature`: lowercase hexadecimal HMAC-SHA256 of the raw body under the client secret.
pub fn body_signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, body))
}

/// The bytes of a secret written as `whsec_` and base64; `None` when it is not one.
pub fn standard_secret_bytes(secret: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(secret.strip_prefix(STANDARD_PREFIX)?).ok()?;
    STANDARD_SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// A secret of 32 bytes as Standard Webhooks writes it.
pub fn standard_secret(bytes: &[u8; 32]) -> String {
    format!("{STANDARD_PREFIX}{}", STANDARD.encode(bytes))
}

/// `webhook-signature`: one `v1,<base64>` for each secret that counts, the newest first, separated by spaces. A secret that is none
/// signs nothing.
pub fn standard_signature(secrets: &[&str], id: &str, at: Timestamp, body: &[u8]) -> String {
    let prefix = format!("{id}.{}.", at.unix_ms() / 1000);
    let sign = |bytes: Vec<u8>| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        context.update(prefix.as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    let signatures: Vec<String> = secrets.iter().filter_map(|secret| standard_secret_bytes(secret)).map(sign).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ifoods_published_vector() {
        let body = r#"{"code":"PLC","createdAt":"2023-02-20T18:19:03.20162269Z","fullCode":"PLACED","id":"a38ba215-f949-4b2c-982a-0582a9d0c10e","merchantId":"cad65e8f-6fc6-438a-b159-e64a902a6b9a","orderId":"2c97e104-35ed-4c18-85d7-854a40b6b9e3"}"#;
        let expected = "6f9ed23a7b505a3b6907c5f6eb2ad1b056fbf35a643d365a9a072ed7aabca153";
        assert_eq!(body_signature("dummysecret", body.as_bytes()), expected);
        assert_ne!(body_signature("dummysecret", body.replace("PLC", "CFM").as_bytes()), expected);
    }

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn the_published_vector_of_standard_webhooks() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let at = Timestamp::from_unix_ms(1_614_265_330_000);
        let signed = standard_signature(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_rotated_both_sign() {
        let (new, old) = (standard_secret(&[1; 32]), standard_secret(&[2; 32]));
        let at = Timestamp::from_unix_ms(1_000_999);
        let both = standard_signature(&[&new, &old], "id", at, b"{}");
        let alone = |secret: &str| standard_signature(&[secret], "id", at, b"{}");
        assert_eq!(both, format!("{} {}", alone(&new), alone(&old)));
        assert_ne!(alone(&new), alone(&old));
    }

    #[test]
    fn a_secret_of_standard_webhooks_has_its_form() {
        assert_eq!(standard_secret_bytes(&standard_secret(&[7; 32])), Some(vec![7; 32]));
        let short = format!("whsec_{}", STANDARD.encode([1; 23]));
        let long = format!("whsec_{}", STANDARD.encode([1; 65]));
        for wrong in ["", "whsec_", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &short, &long] {
            assert_eq!(standard_secret_bytes(wrong), None, "{wrong}");
        }
        assert_eq!(standard_signature(&["nonsense"], "id", Timestamp::default(), b""), "");
    }
}
