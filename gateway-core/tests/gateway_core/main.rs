//! gateway-core from outside: its gRPC API over the real tables of an in-process DynamoDB and a topic in memory.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod deadlines;
mod deliveries;
mod disputes;
mod events_of_order;
mod evidence;
mod ingest;
mod merchant;
mod open_delivery;
mod patches;
mod platform;
mod relay;
mod reports;
