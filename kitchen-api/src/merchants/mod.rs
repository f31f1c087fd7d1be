//! Merchants over HTTP: the list, details, status, interruptions and opening hours (PARTNER_API, section 1.5).
//!
//! Called by the routes. Profiles and presence are merchant-connection's; whether a store is open is judged here, by
//! [`status`], from both.

pub(crate) mod checkin_qrcode;
mod checkin_sheet;
pub(crate) mod closing;
mod identifiers;
pub(crate) mod interruptions;
mod interruptions_endpoint;
pub(crate) mod language;
mod list;
mod opening_hours;
mod opening_hours_endpoint;
mod presence_history;
mod profile_change;
pub(crate) mod shift_list;
pub(crate) mod status;
mod status_endpoint;
mod store_clock;
mod texts;

pub(crate) use identifiers::uuid_text;
pub(crate) use interruptions_endpoint::{add_interruption, interruptions, remove_interruption};
pub(crate) use list::{PAGE_SIZE_MAX, coordinates_of, details, fetch_one, find_one, list, merchant_in_path};
pub(crate) use opening_hours_endpoint::{opening_hours, set_opening_hours};
pub(crate) use presence_history::presence_history;
pub(crate) use status::Closed;
pub(crate) use status_endpoint::{closed, one_status, statuses, store};
