//! Open Delivery 1.7.0, and its clients down to 1.3.0, with us as the ordering application (PARTNER_API, section 4).
//!
//! Called by the routes for the rows of `operations::open_delivery`. The feed, the core and presence are the same as under the
//! iFood-style paths; this only speaks another language: one event has one id in both, and an acknowledgment in either counts
//! for that application; `webhooks` pushes what `pushed` renders, `pos_menu` reads the POS's document. What 1.3.0 has no word for is
//! hidden from applications that the operator calls such (`spoken_version`).
//!
//! Deliberately absent is what the document gives to others: the eight operations of `/v1/logistics`, which a logistics service serves and an
//! ordering application calls, because no courier of another service is sent from here; with them `/v1/newLogisticEvent` and
//! `/v1/confirmationCode`, by which such a service would answer us (the customer's code is checked by `validateCode`); and `GET /v1/merchant`
//! and `/v1/newEvent`, which the POS serves.

mod acknowledgment;
mod actions;
mod cancellation_codes;
mod delivery_code;
mod event;
mod event_types;
mod hours;
mod json;
mod menu_updated;
mod merchant_names;
mod merchant_status;
mod onboarding;
mod order;
mod order_changes;
mod order_details;
mod path;
mod polling;
mod prefix;
mod pushed;
mod spoken_version;
mod token;
mod tracking;
mod versions;

use order_model::SharedClock;

use merchant_names::MerchantNames;
pub use prefix::{InvalidPrefix, OpenDeliveryPrefix};
pub use spoken_version::OpenDeliveryVersion;

pub(crate) use acknowledgment::acknowledge;
pub(crate) use actions::{act, answer_cancellation, request_cancellation};
pub(crate) use cancellation_codes::Reason;
pub(crate) use delivery_code::validate_code;
pub(crate) use event_types::names as event_type_names;
pub(crate) use menu_updated::menu_updated;
pub(crate) use merchant_status::merchant_status;
pub(crate) use onboarding::{merchant_reading, onboard, pos_menu};
pub(crate) use order_changes::change_details;
pub(crate) use order_details::details;
pub(crate) use polling::poll;
pub(crate) use pushed::{merchant_id_of_pos, pushed_event};
pub(crate) use token::issue;
pub(crate) use tracking::{EVENTS as COURIER_EVENTS, track};
pub(crate) use versions::{merchant_versions, versions};

/// What this dialect's handlers share.
pub(crate) struct OpenDelivery {
    pub(crate) prefix: OpenDeliveryPrefix,
    names: MerchantNames,
}

impl OpenDelivery {
    /// Paths under `prefix`.
    pub(crate) fn new(prefix: OpenDeliveryPrefix, clock: SharedClock) -> Self {
        Self { prefix, names: MerchantNames::new(clock) }
    }
}
