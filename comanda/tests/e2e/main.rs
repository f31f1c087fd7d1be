//! End to end: the real binary, the real AWS SDK, HTTP from outside. And the shape of the repository itself.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

mod canaries;
mod cancellations;
mod certificates;
mod command_line;
mod couriers;
mod degraded_modes;
mod deployment;
mod disputes;
mod first_order;
mod grid;
mod history;
mod kill;
mod link_proxy;
mod order_steps;
mod platform;
mod proxy;
mod restaurant;
mod script;
mod steady_stream;
mod suggestions;
mod tidy;
#[path = "../../../kitchen-api/tests/kitchen_api/webhook_receiver.rs"]
mod webhook_receiver;
mod webhooks;
