//! I7: a poll shows events of the merchants it asked for, and none of anybody else. Each body names its merchant.

use super::feed_history::{polls, scopes};
use crate::history::History;

/// Its name.
pub const NAME: &str = "I7 isolation";

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let scopes = scopes(history);
    let mut wrong = Vec::new();
    for poll in polls(history) {
        for event in poll.events {
            let is_granted = scopes.get(poll.application).is_some_and(|scope| scope.contains(&event.body_merchant));
            if event.merchant != event.body_merchant || !poll.merchants.contains(&event.body_merchant) || !is_granted {
                let (client, at_us) = (&poll.operation.client, poll.operation.invoked_us);
                let (of, by) = (event.body_merchant, poll.by);
                wrong.push(format!("{client} at {at_us} us was shown an event of merchant {of} by {by}"));
            }
        }
    }
    wrong
}
