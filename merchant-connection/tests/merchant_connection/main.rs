//! merchant-connection from outside: its gRPC API over the real table of an in-process DynamoDB and a topic in memory.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod brake;
mod cluster;
mod leading;
mod outages;
mod platform;
mod profiles;
mod proxy;
mod restart;
mod takeover;
mod time;
mod transitions;
mod versions;
