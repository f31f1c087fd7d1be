//! `proto`'s transport under the name that `calls.rs` uses for it.
//!
//! It was a workaround for a boxed transport error, which `proto` has replaced since. To be deleted once `calls.rs` names
//! [`Transport`] itself.

use proto::transport::Transport;

/// A way to reach one service.
pub(crate) type Channel = Transport;

/// The same peer.
pub(crate) fn channel(transport: Transport) -> Channel {
    transport
}
