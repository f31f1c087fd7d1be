//! Changing a merchant's profile: read, edit, and write where nobody else has written in between.
//!
//! Used by the endpoints of interruptions and opening hours. What the edit is, they say; that it fits together is judged by
//! merchant-connection, which keeps the profile.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use http::StatusCode;
use order_model::{MerchantId, Timestamp};
use proto::merchant_connection::{Merchant, PutRefusal};
use serde_json::{Map, Value};

use super::interruptions::drop_old;
use super::list::{fetch_one, refusal};
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::calls::CallError;
use crate::errors::ApiError;

/// How often an edit is made because somebody else was faster: enough for a system that sends a store's twenty closings at
/// once, and less than a second of waiting.
const ATTEMPTS_MAX: u32 = 10;
/// Whoever waits for an answer has waited long enough then: with the last attempt it is 7 s at most.
const NO_ATTEMPT_AFTER: Duration = Duration::from_secs(3);
/// The longest wait before the second attempt; it doubles up to [`PAUSE_MAX_MS`].
const FIRST_PAUSE_MAX_MS: u64 = 10;
/// The longest wait before any attempt.
const PAUSE_MAX_MS: u64 = 150;

/// What an edit did, and what is answered then.
pub(super) enum Edit<T> {
    Changed(T),
    /// Everything is as it should be already.
    AsItWas(T),
}

/// Lets `edit` change the profile of `id`; it may run several times, on what was read last: so an edit that has been made
/// must find that out. Interruptions that were over long ago are gone.
pub(super) async fn change<T>(
    api: &Api,
    id: MerchantId,
    mut edit: impl FnMut(&mut Merchant, Timestamp) -> Result<Edit<T>, ApiError>,
) -> Result<T, ApiError> {
    let started = api.clock.monotonic();
    for attempt in 0..ATTEMPTS_MAX {
        if api.clock.monotonic().saturating_sub(started) > NO_ATTEMPT_AFTER {
            break;
        }
        if attempt > 0 {
            tokio::time::sleep(pause(attempt, u64::from_be_bytes(api.entropy.bytes()))).await;
        }
        let mut merchant = fetch_one(api, id).await?;
        let now = api.clock.now();
        drop_old(&mut merchant.interruptions, now);
        let answer = match edit(&mut merchant, now)? {
            Edit::AsItWas(answer) => return Ok(answer),
            Edit::Changed(answer) => answer,
        };
        if merchant.version == 0 {
            // From a node that knows no versions: the change would replace whatever is there.
            return Err(ApiError::unavailable());
        }
        let put = match api.merchants.put_merchant(merchant).await {
            // It may have been written all the same: what is read next says so.
            Err(CallError::Unavailable) => continue,
            Err(CallError::Invalid) => {
                return Err(ApiError::bad_request("The merchant's profile would not be valid."));
            }
            Err(error) => return Err(refusal(&error)),
            Ok(put) => put,
        };
        match put {
            PutRefusal::None => return Ok(answer),
            PutRefusal::Overtaken => {}
            PutRefusal::ShiftsOverlap => {
                return Err(
                    ApiError::bad_request("No two shifts may overlap, also not across midnight.").at_field("shifts")
                );
            }
            PutRefusal::InterruptionsOverlap => {
                let message = "The merchant has an interruption at that time already.";
                return Err(ApiError::new(StatusCode::CONFLICT, "InterruptionOverlap", message));
            }
        }
    }
    // Not a 409: to a client that is an interruption which overlaps.
    Err(ApiError::unavailable())
}

/// How long to wait before `attempt`, from 1: anything up to twice as long as before, so that rivals come apart.
fn pause(attempt: u32, random: u64) -> Duration {
    let most_ms = (FIRST_PAUSE_MAX_MS << (attempt - 1).min(16)).min(PAUSE_MAX_MS);
    Duration::from_millis(random % (most_ms + 1))
}

/// The JSON object that a request brings.
pub(super) async fn json_object(request: Request<Body>) -> Result<Map<String, Value>, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(ApiError::bad_request("The body must be a JSON object.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_short() {
        let longest = |attempt| (0..1000).map(|random| pause(attempt, random)).max().unwrap();
        assert_eq!([1, 2, 3, 4, 5, u32::MAX].map(longest), [10, 20, 40, 80, 150, 150].map(Duration::from_millis));
        assert_eq!(pause(1, u64::MAX).max(pause(9, u64::MAX)), pause(9, u64::MAX));
    }
}
