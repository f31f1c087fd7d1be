//! TLS between nodes: both sides show certificates of the cluster's private CA, TLS 1.3 only, no session resumption
//! (a resumed session would not be checked against membership again).
//!
//! Who somebody is stands among the subject alternative names of the certificate, as a DNS name:
//! `node-<id>.<cluster>.comanda` or `client-<name>.<cluster>.comanda`. Beside it stands what it may answer as:
//! `role-<role>.<cluster>.comanda`, so that the key of a process that only calls cannot pose as one that is called. Such
//! names are never resolved. A CA is trusted for as long as it stands in the file: its own dates are not judged, as usual
//! for trust anchors.
//!
//! [`NodeTls`] reads the files and follows their changes; [`ServerTls`] and [`ClientTls`] do handshakes with what it
//! read last. Making certificates is the command line's business.

mod files;
mod handshake;
mod identity;
mod reload;
mod verifier;

pub use files::{TlsConfig, TlsError, TlsFiles};
pub use handshake::{ClientTls, Expect, HandshakeError, ServerTls};
pub use identity::{ClusterName, Identity, IdentityError, InvalidClusterName, role_dns_name};
pub use reload::{NodeTls, Reloaded};

pub(super) use handshake::explain;
