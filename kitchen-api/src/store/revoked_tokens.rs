//! Single access tokens that were taken back: each by its id (`jti`), for as long as it would count otherwise.
//!
//! Kept with the application's own item by [`super::Applications::revoke_token`] and asked at every request by `oauth::claims`.
//! Bounded: whoever has to take back more gives the application a new secret, which ends all. Taking back is effective within 5 s.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use order_model::{ApplicationId, Timestamp};
use serde::Deserialize;

/// The most of one application that are kept at a time.
pub const REVOKED_TOKENS_MAX: usize = 100;

/// The id of an access token: 128 bits, 32 hexadecimal digits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hexadecimal digits")]
pub struct ParseTokenIdError;

impl TokenId {
    /// An id of these bytes, drawn at random.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for TokenId {
    type Err = ParseTokenIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseTokenIdError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

/// A token that was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevokedToken {
    /// Which one.
    pub id: TokenId,
    /// When it would have ended by itself; nobody needs to remember it then.
    pub until: Timestamp,
}

impl RevokedToken {
    /// As it stands in the table: `<id>:<seconds since 1970>`.
    pub(super) fn to_text(self) -> String {
        format!("{}:{}", self.id, self.until.unix_s_ceil())
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let (id, until_s) = text.split_once(':')?;
        let until_s: i64 = until_s.parse().ok()?;
        Some(Self { id: id.parse().ok()?, until: Timestamp::from_unix_ms(until_s.checked_mul(1000)?) })
    }
}

/// Whose token it is and which, read off the token itself without checking its signature: only for one who may take back any token
/// of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedToken {
    /// Whose.
    pub application: ApplicationId,
    /// Which, and when it ends.
    pub token: RevokedToken,
}

/// The text is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an access token, three parts with dots between them")]
pub struct NoTokenError;

/// How far past its `exp` a token may count: the clocks of instances differ.
const UNTIL_MARGIN_S: i64 = 60;

impl FromStr for NamedToken {
    type Err = NoTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        #[derive(Deserialize)]
        struct Payload {
            sub: String,
            jti: String,
            exp: i64,
        }
        let mut parts = text.trim().split('.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(NoTokenError);
        };
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| NoTokenError)?;
        let payload: Payload = serde_json::from_slice(&payload).map_err(|_| NoTokenError)?;
        let until_ms = payload.exp.saturating_add(UNTIL_MARGIN_S).checked_mul(1000).ok_or(NoTokenError)?;
        Ok(Self {
            application: payload.sub.parse().map_err(|_| NoTokenError)?,
            token: RevokedToken {
                id: payload.jti.parse().map_err(|_| NoTokenError)?,
                until: Timestamp::from_unix_ms(until_ms),
            },
        })
    }
}

/// Those of `revoked` that have ended by themselves at `now`, and how many have not.
pub(super) fn over_and_standing(revoked: &BTreeSet<RevokedToken>, now: Timestamp) -> (Vec<RevokedToken>, usize) {
    let over: Vec<RevokedToken> = revoked.iter().copied().filter(|token| token.until <= now).collect();
    let standing = revoked.len() - over.len();
    (over, standing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(number: u8, until_s: i64) -> RevokedToken {
        RevokedToken { id: TokenId::from_bytes([number; 16]), until: Timestamp::from_unix_ms(until_s * 1000) }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let one = token(0xAB, 1_795_000_000);
        assert_eq!(one.to_text(), format!("{}:1795000000", "ab".repeat(16)));
        assert_eq!(RevokedToken::read(&one.to_text()), Some(one));
        for other in ["", ":", "ab:1", &format!("{}:", "ab".repeat(16)), &format!("{}:x", "ab".repeat(16))] {
            assert_eq!(RevokedToken::read(other), None, "{other}");
        }
        let too_late = format!("{}:{}", "ab".repeat(16), i64::MAX);
        assert_eq!(RevokedToken::read(&too_late), None);
    }

    #[test]
    fn a_token_names_its_application_and_itself() {
        let of = |payload: serde_json::Value| format!("head.{}.signature", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let good = json!({"sub": "pos", "jti": "ab".repeat(16), "exp": 1_795_000_000, "more": true});
        let named: NamedToken = format!(" {} ", of(good)).parse().unwrap();
        assert_eq!(named.application.as_str(), "pos");
        assert_eq!(named.token, token(0xAB, 1_795_000_000 + UNTIL_MARGIN_S));
        let without_id = of(json!({"sub": "pos", "exp": 1}));
        let odd_id = of(json!({"sub": "pos", "jti": "1", "exp": 1}));
        let endless = of(json!({"sub": "pos", "jti": "ab".repeat(16), "exp": i64::MAX}));
        for other in ["", "a.b", "a.b.c.d", "a.!.c", &without_id, &odd_id, &endless] {
            assert_eq!(other.parse::<NamedToken>(), Err(NoTokenError), "{other}");
        }
    }

    #[test]
    fn what_has_ended_by_itself_is_told_apart() {
        let revoked = BTreeSet::from([token(1, 10), token(2, 20), token(3, 30)]);
        let (over, standing) = over_and_standing(&revoked, Timestamp::from_unix_ms(20_000));
        assert_eq!((over, standing), (vec![token(1, 10), token(2, 20)], 1));
    }
}
