//! TLS of the public listener, from PEM texts.
//!
//! Made by [`crate::Service::build`], used by `connection`. TLS 1.2 and 1.3; HTTP/2 is offered here and only here, and only while there is
//! room for another connection of it. Client certificates and reloading without a restart are absent.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;

/// The certificate or the key cannot be used. None of these says anything about the key's content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or PEM that holds something else.
    #[error("the TLS certificate file is not PEM with at least one CERTIFICATE block")]
    Certificate(#[source] Option<rustls::pki_types::pem::Error>),
    /// Not PEM, or PEM that holds something else.
    #[error("the TLS key file is not PEM with a PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY block")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// Each is readable, but they do not fit together or are of an unknown kind.
    #[error("the TLS certificate and key cannot be used together")]
    Mismatch(#[source] rustls::Error),
}

/// HTTP/2 as ALPN calls it.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Shakes hands with clients.
#[derive(Clone)]
pub struct Acceptor {
    both: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
}

impl Acceptor {
    /// Shakes hands. `has_room` is asked of who can speak HTTP/2; where there is none it speaks HTTP/1.1, and who cannot is let go before
    /// anything is computed for it.
    ///
    /// # Errors
    /// When the client is gone, says what is not TLS, or what we do not speak.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        has_room: impl FnOnce() -> bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let offers = |protocol: &[u8]| {
            begun.client_hello().alpn().is_some_and(|mut offered| offered.any(|offered| offered == protocol))
        };
        let config = match (offers(HTTP2), offers(HTTP1)) {
            (false, _) => &self.http1,
            (true, _) if has_room() => &self.both,
            (true, true) => &self.http1,
            (true, false) => return Err(io::Error::other("there is no room for another HTTP/2 connection")),
        };
        begun.into_stream(Arc::clone(config)).await
    }
}

/// An acceptor for this certificate and key.
///
/// # Errors
/// When either cannot be read or they do not fit together.
pub fn acceptor(config: &TlsConfig) -> Result<Acceptor, TlsError> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(config.certificates_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificate(Some(error)))?;
    if certificates.is_empty() {
        return Err(TlsError::Certificate(None));
    }
    let key = PrivateKeyDer::from_pem_slice(config.key_pem.expose_secret().as_bytes()).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut both = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Mismatch)?;
    let mut http1 = both.clone();
    http1.alpn_protocols = vec![HTTP1.to_vec()];
    both.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(Acceptor { both: Arc::new(both), http1: Arc::new(http1) })
}
