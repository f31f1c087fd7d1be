//! Shipping (PARTNER_API, section 1.7; docs/SHIPPING.md): the platform's couriers for a merchant that delivers itself. Quotes,
//! orders made outside, and changes of an address.
//!
//! Called by the routes. The tariff is a setting; quotes are kept in the table of requests; orders and what may happen to them are
//! gateway-core's. Finding a courier is deliberately absent: whoever does answers `RDR` with an update, as an internal app.

mod address;
mod address_change;
mod availability;
mod order_request;
mod order_text;
mod outside_orders;
mod quotes;
mod tariff;

pub(crate) use address::{OPTIONAL, OPTIONAL_MAX_CHARS, REQUIRED};
pub(crate) use address_change::request_address_change;
pub(crate) use order_request::{
    DISPLAY_ID_MAX_CHARS, ITEMS_MAX, METHODS_MAX, NAME_MAX_CHARS, OPTIONS_MAX, PREPARATION_MAX_S,
};
pub(crate) use outside_orders::place_outside_order;
pub(crate) use quotes::{for_order, for_place};
pub use tariff::CourierTariff;
