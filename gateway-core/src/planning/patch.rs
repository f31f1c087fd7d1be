//! Plans what an `OPA` makes of an order's body.

use bytes::Bytes;

use super::Refusal;
use crate::codes::OrderBody;
use crate::order::Order;
use crate::order_patch::OrderPatch;
use crate::personal_data;
use crate::wire::CONTENT_BYTES_MAX;

/// `body` of `order` after `patch`. An order that was erased stays so: what a patch brings of a person is blanked.
pub(super) fn patched(order: &Order, body: Option<&OrderBody>, patch: &OrderPatch) -> Result<OrderBody, Refusal> {
    let patched = patch.apply(body.ok_or(Refusal::UnknownOrder)?).ok_or(Refusal::Unpatchable)?;
    if patched.json.len() > CONTENT_BYTES_MAX {
        return Err(Refusal::Unpatchable);
    }
    if !order.is_erased {
        return Ok(patched);
    }
    let blanked = personal_data::blanked(&patched.json).map_err(|_| Refusal::Unpatchable)?;
    Ok(OrderBody { json: Bytes::from(blanked), drop_code: None })
}
