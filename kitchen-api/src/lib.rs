//! kitchen-api: the public HTTP API of Comanda. Authenticates, authorises, translates, calls, renders.
//!
//! [`Service`] is run by the binary; [`server::serve`] also serves the benchmark's yardstick; [`Applications`] is the
//! administration of partner applications for the CLI. Order, event and presence state are deliberately absent: they are
//! asked for, over gRPC, at the services that own them.

mod api;
mod body;
mod calls;
mod catalog;
pub mod config;
mod directory;
mod documentation;
mod entropy;
mod errors;
mod events;
pub mod feed;
mod idempotency;
mod json_depth;
mod logistics;
mod merchants;
mod modules;
pub mod oauth;
mod open_delivery;
mod openapi;
mod operations;
mod orders;
mod pos_menu;
pub mod presence;
mod rate_limits;
mod replay;
mod routes;
pub mod server;
mod service;
mod shipping;
mod simulator;
pub mod store;
mod telemetry;
pub mod webhooks;

pub use catalog::CatalogTable;
pub use config::{Config, Network, ServerConfig, TlsConfig, TokenConfig};
pub use entropy::Entropy;
pub use modules::{Module, Modules, UnknownModule};
pub use oauth::generate_signing_key;
pub use open_delivery::{InvalidPrefix, OpenDeliveryPrefix, OpenDeliveryVersion};
pub use service::{Dependencies, Error, Handle, Service};
pub use shipping::CourierTariff;
pub use store::{Applications, RequestTable, create_tables};
