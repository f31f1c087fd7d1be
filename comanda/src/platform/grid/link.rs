//! Reaching a grid node by its address.

use proto::transport::{self, InvalidAddress, Transport};

use crate::settings::grid::GridSettings;

/// A node's transport; connects at the first call.
///
/// # Errors
/// When the address cannot be one.
pub fn connect(address: &str, _settings: &GridSettings) -> Result<Transport, InvalidAddress> {
    transport::remote(&format!("http://{address}"))
}
