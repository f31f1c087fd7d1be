//! gateway-core from outside: its gRPC API over the real tables of an in-process DynamoDB and a topic in memory.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod deadlines;
mod ingest;
mod merchant;
mod platform;
mod relay;
