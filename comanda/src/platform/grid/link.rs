//! Reaching a grid node by its address, with the certificates that the settings name.

use std::sync::Arc;

use proto::transport::{self, Connector, Transport};
use replicated_grid::transport::{
    ClusterName, Expect, Identity, Membership, NodeTls, TcpDialer, TlsConfig, TlsFiles, internal,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::{Context, Failure};
use crate::platform::feed_port;
use crate::settings::grid::{GridSettings, GridTls};
use crate::system_clock::SystemClock;

/// Makes connections to grid nodes for a process that is none itself, or for a command.
#[derive(Clone)]
pub struct GridLink {
    tls: Option<NodeTls>,
}

impl GridLink {
    /// Reads the certificates, if there are any.
    ///
    /// # Errors
    /// When a file cannot be used; the text names it.
    pub async fn new(settings: &GridSettings) -> Result<Self, Failure> {
        let Some(files) = &settings.tls else { return Ok(Self { tls: None }) };
        let cluster = ClusterName::new(&settings.cluster).context("reading the cluster's name")?;
        let config = TlsConfig {
            identity: identity(files, &cluster).await?,
            files: tls_files(files),
            cluster,
            membership: watch::Sender::new(Membership::Unknown).subscribe(),
            clock: SystemClock::shared(),
        };
        let tls = NodeTls::load(config).await.context("reading the grid's certificates")?;
        Ok(Self { tls: Some(tls) })
    }

    /// Takes new certificates from their files until `shutdown`.
    pub async fn follow(self, shutdown: CancellationToken) {
        match &self.tls {
            Some(tls) => tls.follow(shutdown).await,
            None => shutdown.cancelled().await,
        }
    }

    /// A node's transport; connects at the first call.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn connect(&self, address: &str) -> Result<Transport, transport::InvalidAddress> {
        match &self.tls {
            Some(tls) => internal::remote(address, Arc::new(TcpDialer), tls.client(), Expect::AnyMember),
            None => transport::remote(&format!("http://{address}")),
        }
    }

    /// Makes connections to a node for polls.
    pub fn feed_connector(&self, address: &str) -> Connector {
        feed_port::connector(address, self.tls.as_ref().map(NodeTls::client))
    }
}

/// Whom our certificate is made out to.
///
/// # Errors
/// When it cannot be read, or names no node and no client of `cluster`.
pub async fn identity(files: &GridTls, cluster: &ClusterName) -> Result<Identity, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let named = format!("reading {}", files.certificate.display());
    let pem = tokio::fs::read(&files.certificate).await.context(&named)?;
    let certificate = CertificateDer::from_pem_slice(&pem).context(&named)?;
    Identity::of_certificate(&certificate, cluster).context(&named)
}

/// The same files as the transport calls them.
pub fn tls_files(files: &GridTls) -> TlsFiles {
    TlsFiles { ca: files.ca.clone(), certificate: files.certificate.clone(), key: files.key.clone() }
}
