//! What `webhooks` needs to push events in this dialect.
//!
//! The event is the one that polls show; signing and sending are the webhooks' own.

use order_model::{EventCode, EventId, MerchantId, OrderId};

use super::event::{Header, render_header};
use super::merchant_names::names_of;
use crate::api::Api;

/// An event as it was recorded, in this dialect; `None` where it has no word for it.
pub(crate) fn pushed_event(api: &Api, id: EventId, code: EventCode, order: OrderId, body: &[u8]) -> Option<String> {
    let base_url = format!("{}{}", api.public_url, api.open_delivery.prefix);
    render_header(&Header { id, code, order, created_at: id.created_at(), body }, &base_url)
}

/// What its POS calls a merchant; `None` while nobody can be asked, or knows it.
pub(crate) async fn merchant_id_of_pos(api: &Api, merchant: MerchantId) -> Option<String> {
    let names = names_of(api, merchant).await.ok()??;
    Some(names.open_delivery_id.unwrap_or_else(|| merchant.to_string()))
}
