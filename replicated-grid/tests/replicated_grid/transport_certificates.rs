//! Authorities, certificates and their files for the tests of TLS between nodes.

use std::path::Path;
use std::sync::Arc;

use order_model::{ManualClock, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use replicated_grid::NodeId;
use replicated_grid::transport::{Identity, Membership, MembershipWatch, NodeTls, TlsConfig, TlsError, TlsFiles};
use tempfile::TempDir;
use tokio::sync::watch;

use super::transport_nodes::west;

/// The tests' now: 18 November 2026.
pub const NOW_MS: i64 = 1_795_000_000_000;

/// The first and the last day of a certificate.
pub type Days = ((i32, u8, u8), (i32, u8, u8));
/// Valid now and for months to come.
pub const VALID: Days = ((2026, 1, 1), (2027, 6, 1));
/// Valid until yesterday.
pub const EXPIRED: Days = ((2026, 1, 1), (2026, 11, 17));

/// Signs certificates. All have the same name, like the authorities a cluster had one after the other.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "comanda cluster west");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key, PEM.
    pub fn issue(&self, names: &[&str], days: Days) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        let ((year, month, day), end) = days;
        parameters.not_before = date_time_ymd(year, month, day);
        parameters.not_after = date_time_ymd(end.0, end.1, end.2);
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// The three files of a node, and what reads them.
pub struct Files {
    directory: TempDir,
    pub files: TlsFiles,
    pub clock: Arc<ManualClock>,
    /// What the process answers as.
    pub roles: Vec<&'static str>,
}

impl Files {
    /// `authorities` are trusted; certificate and key as given.
    pub fn new(authorities: &[&Authority], certificate_and_key: &(String, String)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = TlsFiles { ca: path("ca.pem"), certificate: path("node.pem"), key: path("node-key.pem") };
        let clock = ManualClock::new(Timestamp::from_unix_ms(NOW_MS));
        let this = Self { directory, files, clock, roles: Vec::new() };
        this.put(authorities, certificate_and_key);
        this
    }

    pub fn put(&self, authorities: &[&Authority], (certificate, key): &(String, String)) {
        let authorities: String = authorities.iter().map(|authority| authority.pem()).collect();
        std::fs::write(&self.files.ca, authorities).unwrap();
        std::fs::write(&self.files.certificate, certificate).unwrap();
        std::fs::write(&self.files.key, key).unwrap();
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub async fn load(&self, identity: Identity, membership: &watch::Sender<Membership>) -> Result<NodeTls, TlsError> {
        self.load_judging(identity, membership.subscribe()).await
    }

    pub async fn load_judging(&self, identity: Identity, membership: MembershipWatch) -> Result<NodeTls, TlsError> {
        let (files, cluster, roles) = (self.files.clone(), west(), self.roles.clone());
        let clock = Arc::<ManualClock>::clone(&self.clock);
        NodeTls::load(TlsConfig { files, cluster, identity, roles, membership, clock }).await
    }
}

/// TLS of node `id` with a good certificate of `authority`, by the clock of [`NOW_MS`].
pub async fn node_tls(authority: &Authority, id: u64, membership: &watch::Sender<Membership>) -> NodeTls {
    node_tls_judging(authority, id, membership.subscribe()).await
}

/// As [`node_tls`], judging others by `membership`.
pub async fn node_tls_judging(authority: &Authority, id: u64, membership: MembershipWatch) -> NodeTls {
    let identity = Identity::Node(NodeId(id));
    let pair = authority.issue(&[&identity.dns_name(&west())], VALID);
    Files::new(&[authority], &pair).load_judging(identity, membership).await.unwrap()
}
