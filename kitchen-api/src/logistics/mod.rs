//! Logistics (PARTNER_API, section 1.7): the steps of a courier that an integrator of the merchant's reports.
//!
//! Called by the routes. gateway-core takes the steps in their one order. Their events are told to every other application; to
//! the one that took the step they are acknowledged, which keeps them out of its polls.

mod details;
mod steps;

pub(crate) use details::details;
pub(crate) use steps::{assign_driver, step, verify_delivery_code};
