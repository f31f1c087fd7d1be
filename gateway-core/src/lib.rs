//! gateway-core: which transition of an order is legal, and the only writer of order state.
//!
//! gateway-agent submits the messages of internal apps, kitchen-api acts for merchants, timers cancel and conclude. Every
//! transition is one DynamoDB transaction (state, events, idempotency record); committed events are published to the
//! topic `order-events` at least once. To read it: `planning` decides, `core` loads, commits and decides again, `store`
//! has the tables, `relay` the way to the topic, `deadline_reconciler` the timers, `rpc` the door. Who polls, and
//! HTTP, are deliberately absent.

mod acting;
mod address_change;
mod clock_guard;
mod codes;
mod config;
mod core;
mod deadline_reconciler;
mod denial;
mod disputes;
mod error;
mod evidence;
mod merchant_field;
mod merchants;
mod order;
mod order_patch;
mod personal_data;
mod planning;
mod position;
mod raw_json;
mod relay;
mod rpc;
mod service;
mod serving;
mod serving_report;
mod store;
mod telemetry;
mod wire;

pub use config::{Config, Dependencies};
pub use error::Error;
pub use rpc::grpc;
pub use service::{Handle, Service};
pub use store::{StoreError, create_tables, events_table, orders_table};
