//! Bounds how many simulated orders of a caller are open at a time: each takes one of a few slots, and one that is over gives
//! its slot to the next.

use futures::StreamExt;
use order_model::{OrderId, Timestamp};
use proto::conversions::to_bytes;
use proto::gateway_core::GetOrderRequest;
use sha2::{Digest, Sha256};

use std::time::Duration;

use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::rate_limits::Caller;
use crate::store::kept::{RequestTableError, Slot};

/// Simulated orders of one application (of a distributed one: of each restaurant) that may be open at a time.
const OPEN_ORDERS_MAX: u8 = 20;
/// An order that the core does not know after this long was never placed.
const PLACED_WITHIN: Duration = Duration::from_secs(60);
/// Orders looked up at a time.
const LOOK_UPS_AT_A_TIME: usize = 5;
/// How often the slots are looked at again because others took them in between.
const ATTEMPTS_MAX: usize = 20;

/// Takes a slot for `order`; one that has a slot already keeps it.
///
/// # Errors
/// 409 when as many orders are open as may be.
pub(super) async fn take(api: &Api, caller: &Caller, order: OrderId) -> Result<(), ApiError> {
    let of = digest(caller);
    for _ in 0..ATTEMPTS_MAX {
        let now = api.clock.now();
        let taken = api.requests.slots(&of, now).await.map_err(|error| unavailable(&error))?;
        if taken.iter().any(|slot| slot.order == order) {
            return Ok(());
        }
        let is_free = |number: &u8| taken.iter().all(|slot| slot.number != *number);
        let free: Vec<u8> = (0..OPEN_ORDERS_MAX).filter(is_free).collect();
        let [random] = api.entropy.bytes();
        // Any of them: two at a time seldom want the same one.
        let (number, before) = match free.get(usize::from(random) % free.len().max(1)) {
            Some(number) => (*number, None),
            None => {
                let over = one_that_is_over(api, &taken, now).await?.ok_or_else(too_many)?;
                (over.number, Some(over.order))
            }
        };
        let slot = Slot { number, order, placed_at: now };
        if api.requests.take_slot(&of, slot, before).await.map_err(|error| unavailable(&error))? {
            return Ok(());
        }
    }
    Err(ApiError::unavailable())
}

/// One of these whose order is over, or was never placed.
async fn one_that_is_over(api: &Api, taken: &[Slot], now: Timestamp) -> Result<Option<Slot>, ApiError> {
    let look_ups = taken.iter().copied().map(|slot| async move {
        let order_id = to_bytes(slot.order.as_bytes());
        let found = api.core.get_order(GetOrderRequest { order_id, ..GetOrderRequest::default() }).await;
        match found {
            Ok(reply) => Ok(matches!(reply.state.as_str(), "CONCLUDED" | "CANCELLED").then_some(slot)),
            Err(CallError::NotFound) => Ok((now.since(slot.placed_at) > PLACED_WITHIN).then_some(slot)),
            Err(CallError::Invalid | CallError::Unavailable) => Err(ApiError::unavailable()),
        }
    });
    let mut found = futures::stream::iter(look_ups).buffer_unordered(LOOK_UPS_AT_A_TIME);
    while let Some(looked) = found.next().await {
        if let Some(slot) = looked? {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}

fn digest((application, restaurant): &Caller) -> [u8; 32] {
    let hash = Sha256::new().chain_update(application.as_str().as_bytes()).chain_update([0]);
    let restaurant = restaurant.as_ref().map(|restaurant| &restaurant.as_bytes()[..]).unwrap_or_default();
    hash.chain_update(restaurant).finalize().into()
}

fn too_many() -> ApiError {
    let message = format!("{OPEN_ORDERS_MAX} simulated orders are open, which is the most there may be.");
    ApiError::new(http::StatusCode::CONFLICT, "TooManySimulatedOrders", message)
        .with_hint("Conclude or cancel some; an order that nobody confirms is cancelled after the confirm deadline.")
}

fn unavailable(error: &RequestTableError) -> ApiError {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "the slots of simulated orders could not be read or taken"
    );
    ApiError::unavailable()
}
