//! When an event may be seen at all: the window of the grant and the expiry of the event.
//!
//! Both feeds and the oracle call it. Filters, acknowledgments and hold-back come after it and are elsewhere.

use order_model::Timestamp;

use crate::event::FeedEvent;

/// Whether an event that expires at `expires_at` is past it: from that very instant on no side indexes or serves it.
pub fn is_expired(expires_at: Timestamp, now: Timestamp) -> bool {
    now >= expires_at
}

/// Whether an event created at `created_at` lies inside a grant's window, which includes its first instant.
pub fn is_in_window(created_at: Timestamp, visible_from: Timestamp) -> bool {
    created_at >= visible_from
}

/// Whether `event` may be seen at `now` under a grant that shows events from `visible_from` on.
pub fn is_visible(event: &FeedEvent, visible_from: Timestamp, now: Timestamp) -> bool {
    is_in_window(event.created_at, visible_from) && !is_expired(event.expires_at, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_edges_are_exact() {
        let at = Timestamp::from_unix_ms(1_000);
        let before = Timestamp::from_unix_ms(999);
        assert!(is_expired(at, at) && !is_expired(at, before));
        assert!(is_in_window(at, at) && !is_in_window(before, at));
    }
}
