//! kitchen-api from outside: real HTTP on a free port, scripted peers behind their real gRPC services.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod abuse;
mod acknowledgment;
mod activation;
mod applications;
mod authorisations;
mod catalog;
mod catalog_batches;
mod catalog_concurrency;
mod catalog_limits;
mod catalog_table;
mod checkin_qrcode;
mod client;
mod directory;
mod disputes;
mod documentation;
mod documentation_page;
mod errors;
mod histories;
mod idempotency;
mod interruptions;
mod limits;
mod logistics;
mod merchants;
mod nobody_authorises;
mod open_delivery;
mod open_delivery_deliveries;
mod open_delivery_orders;
mod opening_hours;
mod orders;
mod peers;
mod polling;
mod presence_history;
mod rate_limits;
mod replay;
mod replays;
mod rig;
mod shutdown;
mod sign_in;
mod simulator;
mod store_status;
mod submissions;
mod tls;
mod tokens;
