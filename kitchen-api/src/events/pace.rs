//! How long a request that waits for events goes without looking for them. Pure; used by `vigil`.
//!
//! Nothing here makes an event arrive earlier where news are told: it bounds how late one can be that was not told, and what
//! waiting costs meanwhile.

use std::time::Duration;

use event_feed::hold_back::HOLD_BACK;

/// Where everything new is told: a belt to the braces. A poll that waits has ended by then; a stream beats so often.
pub(super) const WHERE_TOLD: Duration = Duration::from_secs(30);

/// Where something new may go untold, because a node of order-events is not connected or of an older version. 60,000
/// terminals make 20,000 reads/s of it, from memory.
pub(super) const WHERE_UNTOLD: Duration = Duration::from_secs(3);

/// Where the fallback answered. 60,000 terminals make 4,000 reads/s of DynamoDB, as many as it is sized for.
pub(super) const BY_FALLBACK: Duration = Duration::from_secs(15);

/// After a read that nobody answered.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// After news that a read did not show: an event that stands above a gap shows when it is no longer held back.
pub(super) const AFTER_HIDDEN_NEWS: Duration = HOLD_BACK.saturating_add(Duration::from_millis(100));

/// After a full page: more may be pending than it holds.
pub(super) const AFTER_FULL_PAGE: Duration = Duration::from_secs(1);

/// What the last read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// The primary answered for everything.
    Primary,
    /// Another did, or not for everything.
    Fallback,
    /// Nobody did.
    Failed,
    /// As many events came as fit.
    FullPage,
}

/// How long until the next look. `was_told`: this one was made because there were news, and showed nothing.
pub(super) fn pause(looked: Looked, was_told: bool, tells_everything: bool) -> Duration {
    match looked {
        Looked::Failed => AFTER_FAILURE,
        Looked::FullPage => AFTER_FULL_PAGE,
        Looked::Primary | Looked::Fallback if was_told => AFTER_HIDDEN_NEWS,
        Looked::Fallback => BY_FALLBACK,
        Looked::Primary if tells_everything => WHERE_TOLD,
        Looked::Primary => WHERE_UNTOLD,
    }
}

/// Up to a quarter more, so that those who began together do not look together for ever. `dice` is any number.
pub(super) fn with_jitter(pause: Duration, dice: u8) -> Duration {
    pause + pause / 4 * u32::from(dice) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_hardly_looks_and_who_is_not_looks_more_gently_the_dearer_it_is() {
        assert_eq!(pause(Looked::Primary, false, true), WHERE_TOLD);
        assert_eq!(pause(Looked::Primary, false, false), WHERE_UNTOLD);
        assert_eq!(pause(Looked::Fallback, false, true), BY_FALLBACK);
        assert!(pause(Looked::Primary, true, true) > HOLD_BACK, "what is held back shows by then");
        assert_eq!(pause(Looked::Failed, true, true), AFTER_FAILURE);
    }

    #[test]
    fn jitter_only_adds_and_at_most_a_quarter() {
        let pause = Duration::from_secs(4);
        assert_eq!(with_jitter(pause, 0), pause);
        assert_eq!(with_jitter(pause, 255), Duration::from_secs(5));
    }
}
