//! From three PEM files to what handshakes need, with errors that name the file and what was expected in it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use order_model::SharedClock;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::identity::{ClusterName, Identity, IdentityError, is_named, role_dns_name};
use super::verifier::PeerVerifier;
use crate::transport::limits::{CERTIFICATE_FILE_BYTES_MAX, EXPIRY_WARNING};
use crate::transport::membership::MembershipWatch;

/// Where the PEM files of a node are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the cluster's CA: one, or two while it is replaced.
    pub ca: PathBuf,
    /// The node's certificate, and what is between it and the CA, if anything.
    pub certificate: PathBuf,
    /// The node's private key.
    pub key: PathBuf,
}

/// What TLS of a node is made from.
#[derive(Clone)]
pub struct TlsConfig {
    /// The files; they are followed.
    pub files: TlsFiles,
    /// The node's cluster.
    pub cluster: ClusterName,
    /// Who this process is; its certificate must be of it.
    pub identity: Identity,
    /// The roles that it answers as; its certificate must be for each of them.
    pub roles: Vec<&'static str>,
    /// Who may speak.
    pub membership: MembershipWatch,
    /// By which clock certificates are judged.
    pub clock: SharedClock,
}

/// The files cannot be used. Says nothing of the key's content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("{}: cannot be read; expected is a PEM file with {expected}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{}: expected {expected}", file.display())]
    Content {
        /// Which.
        file: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What was wrong with what is there; `None` when nothing of the kind is there.
        #[source]
        source: Option<pem::Error>,
    },
    /// A CA certificate is PEM and still unusable.
    #[error("{}: expected certificates of a CA", file.display())]
    Ca {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Certificate and key do not belong together.
    #[error("{}: expected the private key of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The certificate is not this process's, or not for a role that it answers as.
    #[error("{}: expected a certificate with the DNS name {expected}", file.display())]
    Identity {
        /// The certificate's file.
        file: PathBuf,
        /// The name.
        expected: String,
        /// What it is instead; `None` when it is somebody else's.
        #[source]
        source: Option<IdentityError>,
    },
    /// Peers would refuse the certificate.
    #[error("{}: expected a certificate that is valid now and was issued by a CA in {}", file.display(), ca.display())]
    Untrusted {
        /// The certificate's file.
        file: PathBuf,
        /// The CA's file.
        ca: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The bytes of the three files.
pub(super) struct Contents {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    /// Reads the files.
    pub(super) async fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            ca: read(&files.ca, "at least one CERTIFICATE").await?,
            certificate: read(&files.certificate, "a CERTIFICATE").await?,
            key: read(&files.key, "a PRIVATE KEY").await?,
        })
    }

    /// Tells whether files have changed; not for security.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.ca, &self.certificate, &self.key).hash(&mut hasher);
        hasher.finish()
    }
}

async fn read(file: &Path, expected: &'static str) -> Result<Vec<u8>, TlsError> {
    let read = async {
        if tokio::fs::metadata(file).await?.len() > CERTIFICATE_FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it is larger than {CERTIFICATE_FILE_BYTES_MAX} bytes")));
        }
        tokio::fs::read(file).await
    };
    read.await.map_err(|source| TlsError::Read { file: file.to_owned(), expected, source })
}

/// What handshakes need.
pub(super) struct Loaded {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    pub(super) cluster: ClusterName,
    pub(super) fingerprint: u64,
    /// Whether the node's certificate expires within [`EXPIRY_WARNING`].
    pub(super) expires_soon: bool,
}

/// Checks `contents` against each other and against `config`, as peers would.
pub(super) fn load(config: &TlsConfig, contents: &Contents) -> Result<Loaded, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let files = &config.files;
    let roots = Arc::new(roots(&files.ca, &contents.ca)?);
    let chain = certificates(&files.certificate, &contents.certificate, "a CERTIFICATE")?;
    let expires_soon = judge(config, &provider, &roots, &chain)?;
    let ca = |source| TlsError::Ca { file: files.ca.clone(), source };
    let general = |error: &dyn fmt::Display| ca(rustls::Error::General(error.to_string()));
    let verifier = PeerVerifier::new(roots, Arc::clone(&provider), config.cluster.clone(), config.membership.clone());
    let verifier = Arc::new(verifier.map_err(|error| general(&error))?);
    let time = Arc::new(ClockTime(Arc::clone(&config.clock)));
    let key = || {
        PrivateKeyDer::from_pem_slice(&contents.key).map_err(|source| TlsError::Content {
            file: files.key.clone(),
            expected: "a PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY block",
            source: Some(source),
        })
    };
    let mismatch =
        |source| TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone(), source };
    let mut server = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::<ClockTime>::clone(&time))
        .with_protocol_versions(&[&TLS13])
        .map_err(ca)?
        .with_client_cert_verifier(Arc::<PeerVerifier>::clone(&verifier))
        .with_single_cert(chain.clone(), key()?)
        .map_err(mismatch)?;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&TLS13])
        .map_err(ca)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key()?)
        .map_err(mismatch)?;
    client.resumption = Resumption::disabled();
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Loaded {
        server: Arc::new(server),
        client: Arc::new(client),
        cluster: config.cluster.clone(),
        fingerprint: contents.fingerprint(),
        expires_soon,
    })
}

fn certificates(file: &Path, pem: &[u8], expected: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = |source| TlsError::Content { file: file.to_owned(), expected, source };
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| content(Some(error)))?;
    if certificates.is_empty() { Err(content(None)) } else { Ok(certificates) }
}

fn roots(file: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, pem, "at least one CERTIFICATE")? {
        roots.add(certificate).map_err(|source| TlsError::Ca { file: file.to_owned(), source })?;
    }
    Ok(roots)
}

/// Whether peers would take the node's certificate now, and answers whether they will not for much longer.
fn judge(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
) -> Result<bool, TlsError> {
    let files = &config.files;
    let without = |expected, source| TlsError::Identity { file: files.certificate.clone(), expected, source };
    let identity = |source| without(config.identity.dns_name(&config.cluster), source);
    let [leaf, intermediates @ ..] = chain else { return Err(identity(Some(IdentityError::Unreadable))) };
    let found = Identity::of_certificate(leaf, &config.cluster).map_err(|error| identity(Some(error)))?;
    if found != config.identity {
        return Err(identity(None));
    }
    let mut roles = config.roles.iter().map(|role| role_dns_name(role, &config.cluster));
    if let Some(missing) = roles.find(|name| !is_named(leaf, name)) {
        return Err(without(missing, None));
    }
    let untrusted = |source| TlsError::Untrusted { file: files.certificate.clone(), ca: files.ca.clone(), source };
    let judge = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
    let judge = judge.build().map_err(|error| untrusted(rustls::Error::General(error.to_string())))?;
    let now = unix_time(&config.clock);
    judge.verify_client_cert(leaf, intermediates, now).map_err(untrusted)?;
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + EXPIRY_WARNING);
    Ok(judge.verify_client_cert(leaf, intermediates, soon).is_err())
}

fn unix_time(clock: &SharedClock) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(clock.now().unix_ms()).unwrap_or_default()))
}

/// The clock that was passed in, as rustls asks for it.
struct ClockTime(SharedClock);

impl fmt::Debug for ClockTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClockTime")
    }
}

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(&self.0))
    }
}
