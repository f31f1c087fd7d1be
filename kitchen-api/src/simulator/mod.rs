//! The order simulator: orders for an application's own test merchants, and what their POS cannot cause itself.
//!
//! Called by the routes. A simulated order is submitted to gateway-core as gateway-agent submits those of the queue: it is
//! decided, committed, published and polled like any other, and is marked `isTest`. Only merchants that an operator has marked
//! as test merchants have any. Deliberately absent: what a POS can do by its own calls.

mod choice;
mod endpoints;
mod order_text;
mod request;
mod slots;
mod steps;

pub(crate) use endpoints::{place, step};
pub(crate) use request::{CATEGORIES, COURIERS, ORDER_TYPES, SCENARIOS, TIMINGS};
pub(crate) use steps::{DISPUTES, STEPS};
