//! Binding before serving: every address of a process is taken before anything of it starts.
//!
//! A port in use must leave nothing half started, and must say which flag changes it.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::failure::Failure;

/// Binds `address`, which the setting `key` names.
///
/// # Errors
/// With the address, the reason and the flag that changes it.
pub async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| refused(key, address, &error))
}

/// The message of an address that cannot be bound.
pub fn refused(key: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let flag = key.replace('_', "-");
    Failure::Failed(format!(
        "cannot listen on {address}: {error}; choose another address with --{flag} (port 0 takes any free one)"
    ))
}
