//! Reaching a grid node, or a role in another process, by its address, with the certificates that the settings name.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::transport::{self, Connector, Transport};
use replicated_grid::transport::{
    ClusterName, ConnectionSecurity, Expect, Identity, Membership, NodeTls, TcpDialer, TlsConfig, TlsFiles, internal,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::Role;
use crate::failure::{Context, Failure};
use crate::platform::admission::Admission;
use crate::platform::feed_port;
use crate::settings::grid::{GridSettings, GridTls};
use crate::system_clock::SystemClock;

/// Makes connections to grid nodes and other roles for a process that may be no node itself, or for a command.
#[derive(Clone)]
pub struct GridLink {
    tls: Option<NodeTls>,
    roles: Vec<&'static str>,
}

impl GridLink {
    /// Reads the certificates, if there are any, for somebody who only calls.
    ///
    /// # Errors
    /// When a file cannot be used; the text names it.
    pub async fn new(settings: &GridSettings) -> Result<Self, Failure> {
        Self::answering_as(settings, &[]).await
    }

    /// The same for a process that others call as `roles`: its certificate must be for each of them, or nobody would
    /// believe it.
    ///
    /// # Errors
    /// When a file cannot be used; the text names it.
    pub async fn answering_as(settings: &GridSettings, roles: &[Role]) -> Result<Self, Failure> {
        let roles: Vec<&'static str> = roles.iter().map(|role| role.name()).collect();
        let Some(files) = &settings.tls else { return Ok(Self { tls: None, roles }) };
        let cluster = ClusterName::new(&settings.cluster).context("reading the cluster's name")?;
        let config = TlsConfig {
            identity: identity(files, &cluster).await?,
            roles: roles.clone(),
            files: tls_files(files),
            cluster,
            membership: watch::Sender::new(Membership::Unknown).subscribe(),
            clock: SystemClock::shared(),
        };
        let tls = NodeTls::load(config).await.context("reading the grid's certificates")?;
        Ok(Self { tls: Some(tls), roles })
    }

    /// What this process answers as.
    pub fn roles(&self) -> &[&'static str] {
        &self.roles
    }

    /// Who may connect to listeners of a process that is no node: whoever has a certificate of the cluster, if there are
    /// certificates. Which nodes were removed it does not know.
    pub fn admission(&self) -> Admission {
        let tls = self.tls.as_ref();
        Admission {
            security: tls.map_or(ConnectionSecurity::Plain, |tls| ConnectionSecurity::Mutual(tls.server())),
            membership: watch::Sender::new(Membership::Unknown).subscribe(),
        }
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
        self.reach(address, Expect::AnyMember)
    }

    /// The transport of `role` in another process; connects at the first call.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn connect_role(&self, role: Role, address: SocketAddr) -> Result<Transport, transport::InvalidAddress> {
        self.reach(&address.to_string(), Expect::Role(role.name()))
    }

    fn reach(&self, address: &str, expect: Expect) -> Result<Transport, transport::InvalidAddress> {
        match &self.tls {
            Some(tls) => internal::remote(address, Arc::new(TcpDialer), tls.client(), expect),
            None => transport::remote(&format!("http://{address}")),
        }
    }

    /// Makes connections to a node for polls.
    pub fn feed_connector(&self, address: &str) -> Connector {
        self.reach_feed(address, Expect::AnyMember)
    }

    /// Makes connections to order-events in another process for polls.
    pub fn role_feed_connector(&self, role: Role, address: SocketAddr) -> Connector {
        self.reach_feed(&address.to_string(), Expect::Role(role.name()))
    }

    fn reach_feed(&self, address: &str, expect: Expect) -> Connector {
        feed_port::connector(address, self.tls.as_ref().map(|tls| (tls.client(), expect)))
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
