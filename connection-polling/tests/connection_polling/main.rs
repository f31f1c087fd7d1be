//! Black-box tests: the service behind its gRPC client, over a real DynamoDB in this process.
//!
//! One door, `platform::Platform`. Time is a manual clock far in the future, so that the local DynamoDB's own TTL never
//! deletes anything: whatever expires here expires by our rules.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod acknowledgments;
mod export;
mod faults;
mod feed;
mod fences;
mod half_batches;
mod lambda;
mod lambda_runtime;
mod oracle;
mod platform;
mod queue;
mod replay;
