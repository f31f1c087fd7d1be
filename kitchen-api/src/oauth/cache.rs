//! Tokens that were verified, by their digest, so that a poll costs a hash and not a signature check.
//!
//! Used by `claims`. Bounded; revocation is deliberately not cached: an entry points to the living application. The digest
//! is keyed with a secret of this process: nobody can look for a token of the same digest, and how long a comparison of
//! digests takes tells nothing about a token.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use dashmap::DashMap;
use order_model::Timestamp;
use siphasher::sip128::{Hash128, Hasher128, SipHasher24};

use crate::directory::{Application, Authorisation};
use crate::entropy::Entropy;
use crate::store::TokenId;

/// Tokens remembered: 60,000 applications with one each, and room. About 80 bytes a token.
const TOKENS_MAX: usize = 100_000;

/// The SipHash-2-4 of a token, 128 bits under the cache's key: a third of the time of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigest(Hash128);

impl std::hash::Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.h1);
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
    /// Under which of its authorisations, if it is a distributed one.
    pub(crate) authorisation: Option<Arc<Authorisation>>,
    /// Which token it is.
    pub(crate) id: TokenId,
    /// When it was issued.
    pub(crate) issued_at: Timestamp,
    /// From then on it does not count; the leeway is in it.
    pub(crate) expires_at: Timestamp,
}

/// The cache.
pub(super) struct Cache {
    tokens: DashMap<TokenDigest, CachedToken, BuildHasherDefault<DigestHasher>>,
    keyed: SipHasher24,
}

impl Cache {
    pub(super) fn new(entropy: &Entropy) -> Self {
        Self { tokens: DashMap::default(), keyed: SipHasher24::new_with_key(&entropy.bytes()) }
    }

    pub(super) fn digest_of(&self, token: &[u8]) -> TokenDigest {
        let mut hasher = self.keyed;
        hasher.write(token);
        TokenDigest(hasher.finish128())
    }

    /// Looks at a verified token where it lies; `None` when it is not known.
    pub(super) fn look<R>(&self, digest: &TokenDigest, look: impl FnOnce(&CachedToken) -> R) -> Option<R> {
        self.tokens.get(digest).map(|entry| look(entry.value()))
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
