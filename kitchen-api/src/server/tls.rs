//! TLS of the public listener, from PEM texts.
//!
//! Used by [`crate::Service::build`]. TLS 1.2 and 1.3; HTTP/2 is offered here and only here. Client certificates and
//! reloading without a restart are absent.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use tokio_rustls::TlsAcceptor;

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

/// An acceptor for this certificate and key.
///
/// # Errors
/// When either cannot be read or they do not fit together.
pub fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(config.certificates_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificate(Some(error)))?;
    if certificates.is_empty() {
        return Err(TlsError::Certificate(None));
    }
    let key = PrivateKeyDer::from_pem_slice(config.key_pem.expose_secret().as_bytes()).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Mismatch)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
