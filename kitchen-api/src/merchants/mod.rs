//! Merchants over HTTP: the list, details and status (PARTNER_API, section 1.5).
//!
//! Called by the routes. Profiles and presence are merchant-connection's; whether a store is open is judged here, by
//! [`status`], from both. Changing interruptions and opening hours is absent: a later issue's.

mod list;
mod opening_hours;
mod status;
mod status_endpoint;
mod texts;

pub(crate) use list::{details, list};
pub(crate) use status_endpoint::{one_status, statuses};
