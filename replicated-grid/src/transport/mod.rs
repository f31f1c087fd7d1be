//! The network between the nodes of a cluster: one stream for each pair of nodes and lane, over TLS that proves both
//! sides, or in the clear where only this machine can listen.
//!
//! [`Links`] calls other nodes and implements [`crate::peers::Peers`]; [`GridServer`] takes their calls. Several grids
//! share both, told apart by name. [`tls`] and [`gate`] stand by themselves: internal gRPC of the services is served
//! and called through them as well ([`internal`]). They live here and not in `proto`, because who may speak is decided
//! by node ids and membership, which `proto` does not know. Sockets, the clock and randomness are passed in, so that
//! the simulation runs this very code. What the bytes mean, and retrying, is the runner's business.

mod answers;
mod backoff;
pub mod gate;
pub mod internal;
pub mod io;
pub mod limits;
mod link;
mod links;
pub mod membership;
mod opening;
mod outstanding;
mod refusal_log;
mod server;
mod session;
pub mod tls;

pub use gate::{ConnectionSecurity, Gate, Peer, PeerConnection};
pub use io::{Accepted, BoxedIo, Dial, TcpDialer, tcp_incoming};
pub use links::{LinkSecurity, Links, LinksConfig, SharedRandom, TransportPeers};
pub use membership::{Membership, MembershipWatch, Memberships};
pub use server::{GridServer, GridServerConfig, ServeError};
pub use tls::{
    ClientTls, ClusterName, Expect, Identity, NodeTls, ServerTls, TlsConfig, TlsError, TlsFiles, role_dns_name,
};
