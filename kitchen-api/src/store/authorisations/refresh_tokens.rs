//! Which refresh tokens of an authorisation count: replaced at each use, and never before their successor is known to have arrived.
//!
//! Pure. A POS whose answer was lost still has the token it sent: that one goes on counting until one of its successors is
//! used, at most [`REPLACED_GRACE`]. Two that refresh with one token at once both get a successor, and both count until one is
//! used. Only hashes are held.

use std::time::Duration;

use order_model::Timestamp;

use crate::store::HashedSecret;

/// How long a refresh token counts (PARTNER_API, section 1.2).
pub(super) const LIFETIME: Duration = Duration::from_secs(168 * 60 * 60);
/// How long one that was replaced goes on counting while none of its successors was used: an outage of the restaurant's
/// connection that began with the answer.
pub(super) const REPLACED_GRACE: Duration = Duration::from_secs(60 * 60);
/// Successors that nobody has used yet; of more the oldest ends.
const UNUSED_MAX: usize = 4;

/// The tokens of one authorisation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RefreshTokens {
    /// Given out and not used yet, oldest first.
    pub(super) unused: Vec<HashedSecret>,
    /// The one that was used last.
    pub(super) replaced: Option<HashedSecret>,
}

impl RefreshTokens {
    /// The tokens after a code was exchanged; `None` when an exchange is repeated although its answer evidently arrived.
    pub(super) fn exchanged(&self, at: Timestamp, new: HashedSecret) -> Option<Self> {
        self.replaced.is_none().then(|| self.with(at, new))
    }

    /// The tokens after `sent` was used; `None` when it does not count.
    pub(super) fn refreshed(&self, at: Timestamp, sent: &str, new: HashedSecret) -> Option<Self> {
        // All are compared, so that the time tells nothing.
        let matching: Vec<&HashedSecret> = self.unused.iter().filter(|known| known.matches(sent, at)).collect();
        let used = matching.first().copied().cloned();
        let is_repeated = self.replaced.as_ref().is_some_and(|known| known.matches(sent, at));
        match used {
            Some(mut used) => {
                let grace_ends_at = at.plus(REPLACED_GRACE);
                used.valid_until = Some(used.valid_until.map_or(grace_ends_at, |end| end.min(grace_ends_at)));
                Some(Self { unused: Vec::new(), replaced: Some(used) }.with(at, new))
            }
            None => is_repeated.then(|| self.with(at, new)),
        }
    }

    fn with(&self, at: Timestamp, mut new: HashedSecret) -> Self {
        new.valid_until = Some(at.plus(LIFETIME));
        let mut unused = self.unused.clone();
        if unused.len() >= UNUSED_MAX {
            unused.remove(0);
        }
        unused.push(new);
        Self { unused, replaced: self.replaced.clone() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_000_000);

    fn hashed(token: &str) -> HashedSecret {
        HashedSecret::new(token, [1; 16])
    }

    fn after(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    fn first() -> RefreshTokens {
        RefreshTokens::default().exchanged(START, hashed("a")).unwrap()
    }

    #[test]
    fn a_token_counts_for_168_hours() {
        assert!(first().refreshed(after(168 * 3600 - 1), "a", hashed("b")).is_some());
        assert_eq!(first().refreshed(after(168 * 3600), "a", hashed("b")), None);
        assert_eq!(first().refreshed(START, "b", hashed("c")), None);
    }

    #[test]
    fn the_one_before_counts_until_its_successor_is_used_or_an_hour_is_over() {
        let second = first().refreshed(after(10), "a", hashed("b")).unwrap();
        let lost = second.refreshed(after(20), "a", hashed("c")).unwrap();
        for successor in ["b", "c"] {
            let used = lost.refreshed(after(30), successor, hashed("d")).unwrap();
            assert_eq!(used.refreshed(after(30), "a", hashed("e")), None);
            assert!(used.refreshed(after(30), successor, hashed("e")).is_some(), "its own answer may be lost, too");
            assert!(used.refreshed(after(30), "d", hashed("e")).is_some());
        }
        assert!(lost.refreshed(after(10 + 3599), "a", hashed("d")).is_some());
        assert_eq!(lost.refreshed(after(10 + 3600), "a", hashed("d")), None);
    }

    #[test]
    fn an_exchange_is_repeated_until_its_token_was_used() {
        let twice = first().exchanged(after(1), hashed("b")).unwrap();
        assert!(twice.refreshed(after(2), "a", hashed("c")).is_some());
        let used = twice.refreshed(after(2), "b", hashed("c")).unwrap();
        assert_eq!(used.exchanged(after(3), hashed("d")), None);
    }

    proptest! {
        /// Whatever is lost: a POS that keeps the last token it heard of can go on, within the grace.
        #[test]
        fn who_loses_answers_is_not_locked_out(lost in proptest::collection::vec(any::<bool>(), 1..30)) {
            let mut tokens = first();
            let mut held = "a".to_owned();
            for (number, lost) in lost.into_iter().enumerate() {
                let new = format!("token-{number}");
                tokens = tokens.refreshed(after(number as u64), &held, hashed(&new)).expect("it counts");
                prop_assert!(tokens.unused.len() <= UNUSED_MAX);
                if !lost {
                    held = new;
                }
            }
        }
    }
}
