//! Tokens that were verified, by their digest, so that a poll costs a hash and not a signature check.
//!
//! Used by `claims`. Bounded; revocation is deliberately not cached: an entry points to the living application.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use dashmap::DashMap;
use order_model::Timestamp;
use sha2::{Digest, Sha256};

use crate::directory::Application;

/// Tokens remembered: 60,000 applications with one each, and room. About 150 bytes a token.
const TOKENS_MAX: usize = 100_000;

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl std::hash::Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// A digest is as good as random already: its first bytes are its hash.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A verified token.
#[derive(Debug, Clone)]
pub(crate) struct CachedToken {
    /// Whose it is.
    pub(crate) application: Arc<Application>,
    /// When it was issued.
    pub(crate) issued_at: Timestamp,
    /// From then on it does not count; the leeway is in it.
    pub(crate) expires_at: Timestamp,
}

/// The cache.
#[derive(Default)]
pub(super) struct Cache {
    tokens: DashMap<TokenDigest, CachedToken, BuildHasherDefault<DigestHasher>>,
}

impl Cache {
    pub(super) fn find(&self, digest: &TokenDigest) -> Option<CachedToken> {
        self.tokens.get(digest).map(|entry| entry.value().clone())
    }

    pub(super) fn insert(&self, digest: TokenDigest, token: CachedToken, now: Timestamp) {
        if self.tokens.len() >= TOKENS_MAX {
            self.make_room(now);
        }
        self.tokens.insert(digest, token);
    }

    /// Drops what has expired; when that is too little, also every eighth of the rest: those are verified once more.
    fn make_room(&self, now: Timestamp) {
        self.tokens.retain(|_, token| now < token.expires_at);
        if self.tokens.len() >= TOKENS_MAX {
            let mut index = 0u32;
            self.tokens.retain(|_, _| {
                index += 1;
                !index.is_multiple_of(8)
            });
        }
    }
}
