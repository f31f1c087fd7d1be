//! A request with a key: read once, and reduced to two digests. Pure but for reading the body.

use axum::extract::Request;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::{HEADER, HEADER_NAME, KEY_MAX_CHARS};
use crate::body::{BODY_MAX_BYTES, read_body};
use crate::errors::ApiError;
use crate::rate_limits::Caller;

/// An effect key as a header holds it.
pub(super) const EFFECT_HEX_BYTES: usize = 32;

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The key, as it is remembered: of two callers each has its own.
    pub(super) under: [u8; 32],
    /// The request: method, path with its query, and body.
    pub(super) fingerprint: [u8; 32],
    /// What its caller may see.
    pub(super) scope: [u8; 32],
}

impl Asked {
    /// `of_whom` is the caller and a digest of what it may see.
    pub(super) async fn read(of_whom: (Caller, [u8; 32]), request: Request) -> Result<(Self, Parts, Bytes), ApiError> {
        let (caller, scope) = of_whom;
        let (parts, body) = request.into_parts();
        let under = digest(&caller, key(&parts.headers)?);
        let body = read_body(&parts.headers, body, BODY_MAX_BYTES).await?;
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let fingerprint = of_parts(&[parts.method.as_str().as_bytes(), path.as_bytes(), &body]);
        Ok((Self { under, fingerprint, scope }, parts, body))
    }
}

fn key(headers: &HeaderMap) -> Result<&[u8], ApiError> {
    let mut keys = headers.get_all(&HEADER_NAME).iter();
    let key = keys.next().map(|value| value.as_bytes().trim_ascii()).unwrap_or_default();
    let is_printable = key.iter().all(|byte| (0x20..=0x7e).contains(byte));
    if keys.next().is_none() && is_printable && (1..=KEY_MAX_CHARS).contains(&key.len()) {
        return Ok(key);
    }
    let message = format!("Idempotency-Key must be one value of 1 to {KEY_MAX_CHARS} printable ASCII characters.");
    Err(ApiError::bad_request(message).at_field(HEADER))
}

fn digest((application, restaurant): &Caller, key: &[u8]) -> [u8; 32] {
    let restaurant = restaurant.as_ref().map(|restaurant| &restaurant.as_bytes()[..]).unwrap_or_default();
    of_parts(&[application.as_str().as_bytes(), restaurant, key])
}

/// Each part behind its length: no two lists of parts have the same text.
fn of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures::FutureExt;
    use order_model::MerchantId;

    use super::*;

    fn asked(caller: &Caller, key: &str, method: &str, path: &str, body: &'static str) -> Result<Asked, u16> {
        let key = http::HeaderValue::from_bytes(key.as_bytes()).unwrap();
        let request = http::Request::builder().method(method).uri(path).header(HEADER, key);
        let request = request.body(Body::from(body)).unwrap();
        let read = Asked::read((caller.clone(), [0; 32]), request).now_or_never().unwrap();
        read.map(|(asked, _, _)| asked).map_err(|error| error.status().as_u16())
    }

    #[test]
    fn requests_are_told_apart_by_everything_but_their_headers() {
        let caller: Caller = ("app".parse().unwrap(), None);
        let first = asked(&caller, "k", "POST", "/a/b", "{}").unwrap();
        assert_eq!(asked(&caller, " k ", "POST", "/a/b", "{}").unwrap(), first);
        for (method, path, body) in [("PUT", "/a/b", "{}"), ("POST", "/a/b?c", "{}"), ("POST", "/a/b", "{ }")] {
            let other = asked(&caller, "k", method, path, body).unwrap();
            assert_eq!(other.under, first.under);
            assert_ne!(other.fingerprint, first.fingerprint, "{method} {path} {body}");
        }
        assert_ne!(asked(&caller, "K", "POST", "/a/b", "{}").unwrap().under, first.under);
        let of_restaurant = |byte| ("app".parse().unwrap(), Some(MerchantId::from_bytes([byte; 16])));
        let one = asked(&of_restaurant(1), "k", "POST", "/a/b", "{}").unwrap();
        let other = asked(&of_restaurant(2), "k", "POST", "/a/b", "{}").unwrap();
        assert!(one.under != first.under && one.under != other.under, "restaurants have keys of their own");
    }

    #[test]
    fn a_key_is_1_to_255_printable_characters() {
        let caller: Caller = ("app".parse().unwrap(), None);
        let status = |key: &str| asked(&caller, key, "POST", "/", "").map(|_| ());
        assert_eq!(status(&"k".repeat(255)), Ok(()));
        assert_eq!(status("a key, with ~ and \"quotes\""), Ok(()));
        for wrong in ["", "  ", "é", "a\tb", &"k".repeat(256)] {
            assert_eq!(status(wrong), Err(400), "{wrong:?}");
        }
    }
}
