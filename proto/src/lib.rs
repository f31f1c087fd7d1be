//! The internal wire: generated gRPC code, its conversions to the domain's types, and how a client reaches a server.
//!
//! Every service uses it. [`transport`] makes one client type serve both a server in the same process and one across a
//! network; [`frames`] carries polls, for which gRPC is too dear; [`remembered`] keeps answers for some minutes. Business rules are deliberately
//! absent; a value that a peer sent wrong is a `Status`, never a panic.

pub mod conversions;
pub mod failover;
pub mod frames;
#[cfg(test)]
mod hostile;
pub mod remembered;
pub mod transport;

/// The messages both feeds share.
pub mod feed {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from feed.proto, where the comments are")]
    tonic::include_proto!("comanda.feed.v1");
}
/// order-events.
pub mod order_events {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from order_events.proto")]
    tonic::include_proto!("comanda.order_events.v1");
}
/// connection-polling.
pub mod connection_polling {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from connection_polling.proto")]
    tonic::include_proto!("comanda.connection_polling.v1");
}
/// gateway-core.
pub mod gateway_core {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from gateway_core.proto")]
    tonic::include_proto!("comanda.gateway_core.v1");
}
/// merchant-connection.
pub mod merchant_connection {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from merchant_connection.proto")]
    tonic::include_proto!("comanda.merchant_connection.v1");
}
/// What an operator asks of a grid node.
pub mod grid_admin {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from grid_admin.proto")]
    tonic::include_proto!("comanda.grid_admin.v1");
}
/// The stream between two nodes of a cluster.
pub mod grid_transport {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from grid_transport.proto")]
    tonic::include_proto!("comanda.grid_transport.v1");
}
