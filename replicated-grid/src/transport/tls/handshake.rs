//! Handshakes in both directions, and words for why they fail.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::CertificateError;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::files::Loaded;
use super::identity::{Identity, role_dns_name};
use super::verifier::any_member;
use crate::node::NodeId;
use crate::transport::io::{BoxedIo, Io};

/// Who must be at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// This node.
    Node(NodeId),
    /// Any member of the cluster: services of which it does not matter who answers.
    AnyMember,
    /// Whoever of the cluster has a certificate for this role, such as `gateway-core`, be it a node or not.
    Role(&'static str),
}

/// A handshake failed. The text is one line for a log.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct HandshakeError {
    reason: String,
}

impl HandshakeError {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Takes connections of nodes that prove who they are. Each handshake uses the files read last.
#[derive(Clone)]
pub struct ServerTls {
    pub(super) loaded: Arc<ArcSwap<Loaded>>,
}

impl ServerTls {
    /// Does the handshake on a connection somebody made, and answers who that is.
    ///
    /// # Errors
    /// When it does not speak TLS 1.3, or has no certificate that is admitted now.
    pub async fn accept(&self, io: impl Io) -> Result<(BoxedIo, Identity), HandshakeError> {
        let loaded = self.loaded.load_full();
        let accepted = TlsAcceptor::from(Arc::clone(&loaded.server)).accept(io).await;
        let stream = accepted.map_err(|error| HandshakeError::new(explain(&error)))?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let leaf = leaf.ok_or_else(|| HandshakeError::new("it showed no certificate"))?;
        let identity = Identity::of_certificate(leaf, &loaded.cluster);
        let identity = identity.map_err(|error| HandshakeError::new(error.to_string()))?;
        Ok((Box::new(stream), identity))
    }
}

/// Connects to nodes and proves who this one is. Each handshake uses the files read last.
#[derive(Clone)]
pub struct ClientTls {
    pub(super) loaded: Arc<ArcSwap<Loaded>>,
}

impl ClientTls {
    /// Does the handshake on a connection that was just made. The other side may still refuse this one's certificate:
    /// that shows at the first byte it would answer.
    ///
    /// # Errors
    /// When the other side does not speak TLS 1.3 or is not who was expected.
    pub async fn connect(&self, io: impl Io, expect: Expect) -> Result<BoxedIo, HandshakeError> {
        let loaded = self.loaded.load_full();
        let name = match expect {
            Expect::Node(node) => Identity::Node(node).dns_name(&loaded.cluster),
            Expect::AnyMember => any_member(&loaded.cluster),
            Expect::Role(role) => role_dns_name(role, &loaded.cluster),
        };
        let name =
            ServerName::try_from(name).map_err(|error: InvalidDnsNameError| HandshakeError::new(error.to_string()))?;
        let connected = TlsConnector::from(Arc::clone(&loaded.client)).connect(name, io).await;
        let stream = connected.map_err(|error| HandshakeError::new(explain(&error)))?;
        Ok(Box::new(stream))
    }
}

/// What an error of a connection means, in words; TLS errors are told by what is wrong with the other side.
pub(in crate::transport) fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(inner) = inner else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the other side closed the connection".to_owned(),
            _ => error.to_string(),
        };
    };
    match inner {
        rustls::Error::InvalidMessage(_) => "it does not speak TLS (plaintext is refused between nodes)".to_owned(),
        rustls::Error::NoCertificatesPresented => "it showed no certificate".to_owned(),
        rustls::Error::PeerIncompatible(reason) => format!("it does not speak TLS as nodes do (1.3 only): {reason:?}"),
        rustls::Error::AlertReceived(alert) => format!("it refused this node's certificate (TLS alert {alert:?})"),
        rustls::Error::InvalidCertificate(reason) => explain_certificate(reason),
        other => other.to_string(),
    }
}

fn explain_certificate(reason: &CertificateError) -> String {
    match reason {
        // A CA that was made anew under the same name shows as a wrong signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate was not issued by the CA of this cluster".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::Other(reason) => reason.to_string(),
        other => format!("its certificate is refused: {other}"),
    }
}
