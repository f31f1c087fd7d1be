//! order-events as others see it: an in-memory queue, a fake connection-polling and a fake core around the real service.
//!
//! Time is tokio's and paused: it passes as fast as the tasks allow, and every wait has a deadline.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod exchange;
mod feed;
mod fence;
mod gaps;
mod leading;
mod peers;
mod platform;
mod rebuild;
mod time;
