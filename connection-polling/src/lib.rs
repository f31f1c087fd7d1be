//! connection-polling: the fallback feed in DynamoDB, the place where an acknowledgment becomes true, and the fence.
//!
//! kitchen-api polls it when order-events cannot answer and acknowledges here first; order-events reads its fences and
//! rebuilds itself from its export; the same events reach it through a queue of its own or as an AWS Lambda. It shares
//! the rules of `event-feed` with order-events and nothing else: the grid, HTTP and JSON are deliberately absent, and
//! only `store/` knows DynamoDB.
//!
//! Where to begin reading: `keys.rs` lays the table out, `plan.rs` decides from heads and cursors what a poll need not
//! read (100 merchants with nothing pending cost two requests), `index.rs` says why no transaction is needed.

mod acknowledge;
mod admission;
mod config;
mod consumer;
mod export;
mod fence;
mod fences;
mod gaps;
pub mod index;
mod keys;
pub mod lambda;
mod pending;
mod plan;
mod poll;
mod recent;
mod replay;
mod rpc;
mod service;
mod store;
mod store_time;

pub use config::{Config, Dependencies};
pub use rpc::{MESSAGE_BYTES_MAX, grpc};
pub use service::{Error, Handle, Service};
pub use store::{StoreError, TABLE, create_tables};
