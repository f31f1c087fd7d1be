//! Who may connect to a listener of this process. For grid nodes and for internal gRPC.
//!
//! Connections come told apart by [`super::feed_port`]; each goes through a gate of the transport, which bounds how many
//! there are, how many shake hands at once and for how long.

use std::io;

use futures::{Stream, StreamExt};
use replicated_grid::transport::{Accepted, ConnectionSecurity, Gate, MembershipWatch};
use tokio_util::sync::CancellationToken;

use super::feed_port;

/// What callers must prove.
#[derive(Clone)]
pub struct Admission {
    /// Certificates of the cluster, or nothing where only this machine can connect.
    pub security: ConnectionSecurity,
    /// Which nodes may call, as far as this process knows.
    pub membership: MembershipWatch,
}

impl Admission {
    /// Those of `incoming` that may connect. All of them are cut when `cut` is cancelled.
    pub fn gate(&self, incoming: feed_port::Incoming, cut: CancellationToken) -> Gate {
        Gate::open(accepted(incoming), self.security.clone(), self.membership.clone(), cut)
    }
}

/// Connections as a gate takes them.
pub fn accepted(incoming: feed_port::Incoming) -> impl Stream<Item = io::Result<Accepted>> + Send + 'static {
    feed_port::stream_of(incoming).map(|connected| {
        let connection = connected?;
        let from = connection.peer_addr()?.to_string();
        Ok(Accepted { io: Box::new(connection), from })
    })
}
