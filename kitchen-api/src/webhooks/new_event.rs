//! Open Delivery's `newEvent`: what it adds to a request, and where that comes from.
//!
//! Used by [`super::dispatch`] before a request is made; the body and the signature are [`super::message`]'s.

use order_model::{EventId, EventIdKey, MerchantId, OrderId, Timestamp};

use super::delivery::Delivery;
use crate::api::Api;
use crate::open_delivery::{merchant_id_of_pos, pushed_event};

/// What only a request in this dialect has.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Us, to every receiver alike.
    pub app_id: String,
    /// The merchant as its POS calls it.
    pub merchant_id: String,
    /// The event in this dialect.
    pub body: String,
}

/// `X-App-Id`: the one UUID of this installation as an ordering application. It follows from the key of event ids, which stays for as
/// long as the installation does, and is the id that an event of no order at no time would have.
pub fn app_id(key: &EventIdKey) -> String {
    let (merchant, order) = (MerchantId::from_bytes([0; 16]), OrderId::from_bytes([0; 16]));
    EventId::derive(key, Timestamp::default(), merchant, order, 0).to_string()
}

/// What `delivery` becomes; `None` while its merchant's name cannot be asked for, and where there is no word for the event.
pub(super) async fn of_delivery(api: &Api, app_id: &str, delivery: &Delivery) -> Option<NewEvent> {
    let body = pushed_event(api, delivery.event, delivery.code, delivery.order, &delivery.body)?;
    let merchant_id = merchant_id_of_pos(api, delivery.merchant).await?;
    Some(NewEvent { app_id: app_id.to_owned(), merchant_id, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_has_one_id_which_is_a_uuid() {
        let id = |byte| app_id(&EventIdKey::from_bytes([byte; 16]));
        assert_eq!(id(1), id(1));
        assert_ne!(id(1), id(2));
        assert_eq!(id(1).parse::<MerchantId>().unwrap().to_string(), id(1));
    }
}
