//! The private authority of a cluster and the certificates it signs. For `comanda cluster certificates`.
//!
//! [`authority`] and [`issue`] are pure: PEM texts out, nothing read, written or asked, the time passed in. [`write`]
//! puts a pair into files. What a certificate must say is decided by `replicated_grid::transport::tls`, which checks it.
//! Revocation is deliberately absent: a node is shut out by removing it from the cluster, everybody else by a new
//! authority, of which two may be trusted at once while it replaces the old one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use order_model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use replicated_grid::transport::{ClusterName, Identity, role_dns_name};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use secrecy::{ExposeSecret, SecretString};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An authority lives long: replacing it touches every node.
const AUTHORITY_LIFE: Duration = Duration::from_secs(3_652 * DAY.as_secs());
/// A certificate is replaced once a year; nodes take the new file without a restart.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * DAY.as_secs());
/// Clocks of machines differ: what was made just now is valid on all of them.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60 * 60);

/// A certificate and its private key, both PEM.
pub struct CertificateAndKey {
    /// The certificate.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: SecretString,
}

/// A certificate could not be made or stored. Says nothing of any key's content.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making a key or signing failed.
    #[error("making a certificate failed at: {step}")]
    Make {
        /// What was tried.
        step: &'static str,
        /// What went wrong.
        #[source]
        source: rcgen::Error,
    },
    /// Nobody can have this name.
    #[error("{identity:?} cannot be the name of a node or client of cluster {cluster}")]
    Name {
        /// The name.
        identity: String,
        /// The cluster.
        cluster: ClusterName,
    },
    /// The authority's key is no key.
    #[error("the key of the authority is not PEM with an ECDSA PRIVATE KEY as `cluster certificates` makes it")]
    AuthorityKey(#[source] rcgen::Error),
    /// What was signed is not trusted under the authority's certificate.
    #[error(
        "the authority's certificate and key do not belong together, are not of cluster {cluster}, or have expired"
    )]
    Authority {
        /// The cluster.
        cluster: ClusterName,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// A file could not be written.
    #[error("{}: cannot be written", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A new authority for `cluster`, valid for ten years.
///
/// # Errors
/// When the machine has no randomness or signing fails.
pub fn authority(cluster: &ClusterName, now: Timestamp) -> Result<CertificateAndKey, CertificateError> {
    let made = |step| move |source| CertificateError::Make { step, source };
    let key = KeyPair::generate().map_err(made("making the authority's key"))?;
    let mut parameters = authority_parameters(cluster);
    set_life(&mut parameters, now, AUTHORITY_LIFE);
    let certificate = parameters.self_signed(&key).map_err(made("signing the authority's certificate"))?;
    Ok(CertificateAndKey { certificate_pem: certificate.pem(), key_pem: key.serialize_pem().into() })
}

/// A certificate for `identity`, which may answer as `roles`, signed by the `authority` of `cluster`, valid for one year
/// and on both ends of a connection.
///
/// # Errors
/// When the name would not be recognized, or the authority is not this cluster's, has expired, or its key is not the
/// certificate's.
pub fn issue(
    identity: &Identity,
    roles: &[&str],
    cluster: &ClusterName,
    authority: &CertificateAndKey,
    now: Timestamp,
) -> Result<CertificateAndKey, CertificateError> {
    let made = |step| move |source| CertificateError::Make { step, source };
    let authority_key = KeyPair::from_pem(authority.key_pem.expose_secret()).map_err(CertificateError::AuthorityKey)?;
    let key = KeyPair::generate().map_err(made("making the key"))?;
    let name = identity.dns_name(cluster);
    if Identity::of_dns_name(&name, cluster).as_ref() != Some(identity) {
        return Err(CertificateError::Name { identity: identity.to_string(), cluster: cluster.clone() });
    }
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = named(&name);
    let names = [name].into_iter().chain(roles.iter().map(|role| role_dns_name(role, cluster)));
    let names = names.map(|name| name.try_into().map(SanType::DnsName)).collect::<Result<Vec<_>, _>>();
    parameters.subject_alt_names = names.map_err(made("naming the certificate"))?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    set_life(&mut parameters, now, CERTIFICATE_LIFE);
    let issuer = Issuer::new(authority_parameters(cluster), authority_key);
    let certificate = parameters.signed_by(&key, &issuer).map_err(made("signing the certificate"))?;
    check(certificate.der(), cluster, &authority.certificate_pem, now)?;
    Ok(CertificateAndKey { certificate_pem: certificate.pem(), key_pem: key.serialize_pem().into() })
}

/// Writes a pair: `certificate` for all to read, `key` for its owner only (mode 0600). Files that exist stay as they
/// are: a key that is in use is never overwritten.
///
/// # Errors
/// When either exists or cannot be written; then neither was changed, or only the key was made.
pub fn write(pair: &CertificateAndKey, certificate: &Path, key: &Path) -> Result<(), CertificateError> {
    if certificate.exists() {
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(CertificateError::Write { file: certificate.to_owned(), source });
    }
    write_new(key, pair.key_pem.expose_secret(), 0o600)?;
    write_new(certificate, &pair.certificate_pem, 0o644)
}

fn write_new(file: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let written = options.open(file).and_then(|mut opened| {
        opened.write_all(text.as_bytes())?;
        opened.sync_all()
    });
    written.map_err(|source| CertificateError::Write { file: file.to_owned(), source })
}

/// Everything of an authority that its certificates repeat; the same for every authority of a cluster.
fn authority_parameters(cluster: &ClusterName) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = named(&format!("comanda cluster {cluster}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn set_life(parameters: &mut CertificateParams, now: Timestamp, life: Duration) {
    let now = date_time_ymd(1970, 1, 1) + since_epoch(now);
    parameters.not_before = now - CLOCKS_DIFFER;
    parameters.not_after = now + life;
}

fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(time.unix_ms() / 1_000).unwrap_or_default())
}

/// Verifies what was signed as a peer would: the authority's files may have been mixed up. Peers do not look at the
/// authority's own dates, so they are checked here: it signs no more when it has expired.
fn check(
    certificate: &CertificateDer<'_>,
    cluster: &ClusterName,
    authority_pem: &str,
    now: Timestamp,
) -> Result<(), CertificateError> {
    let wrong = |source| CertificateError::Authority { cluster: cluster.clone(), source };
    let general = |error: &dyn std::fmt::Display| wrong(rustls::Error::General(error.to_string()));
    let authority = CertificateDer::from_pem_slice(authority_pem.as_bytes()).map_err(|error| general(&error))?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(wrong)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
    let verifier = verifier.map_err(|error| general(&error))?;
    let now = UnixTime::since_unix_epoch(since_epoch(now));
    verifier.verify_client_cert(certificate, &[], now).map_err(wrong)?;
    // An authority is no client and is always refused as one, but for its dates first.
    match verifier.verify_client_cert(&authority, &[], now) {
        Err(source) if is_about_dates(&source) => Err(wrong(source)),
        _ => Ok(()),
    }
}

fn is_about_dates(error: &rustls::Error) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(NOW)
    }

    fn after(days: i64) -> Timestamp {
        Timestamp::from_unix_ms(NOW + days * 24 * 60 * 60 * 1_000)
    }

    fn west() -> ClusterName {
        ClusterName::new("west").unwrap()
    }

    fn node() -> Identity {
        Identity::Node(replicated_grid::NodeId(3))
    }

    fn der(pair: &CertificateAndKey) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes()).unwrap()
    }

    fn is_for(certificate: &CertificateDer<'_>, role: &str) -> bool {
        let parsed = rustls::server::ParsedCertificate::try_from(certificate).unwrap();
        let name = role_dns_name(role, &west()).try_into().unwrap();
        rustls::client::verify_server_name(&parsed, &name).is_ok()
    }

    #[test]
    fn a_certificate_is_of_whom_it_was_made_for_and_lives_a_year() {
        let authority = authority(&west(), now()).unwrap();
        for identity in [node(), Identity::Client("kitchen-api".into())] {
            let issued = der(&issue(&identity, &["gateway-core"], &west(), &authority, now()).unwrap());
            assert_eq!(Identity::of_certificate(&issued, &west()), Ok(identity));
            assert!(is_for(&issued, "gateway-core") && !is_for(&issued, "connection-polling"));
            let valid = |at| check(&issued, &west(), &authority.certificate_pem, at).is_ok();
            assert!(valid(now()) && valid(after(364)) && valid(Timestamp::from_unix_ms(NOW - 59 * 60 * 1_000)));
            assert!(!valid(after(366)) && !valid(after(-1)));
        }
    }

    #[test]
    fn an_authority_lives_ten_years_and_signs_until_then() {
        let authority = authority(&west(), now()).unwrap();
        assert!(issue(&node(), &[], &west(), &authority, after(3_640)).is_ok());
        assert!(issue(&node(), &[], &west(), &authority, after(-2)).is_err(), "before it was made");
        let late = issue(&node(), &[], &west(), &authority, after(3_660));
        assert!(matches!(late, Err(CertificateError::Authority { .. })));
    }

    #[test]
    fn a_mixed_up_authority_is_noticed() {
        let (ours, other) = (authority(&west(), now()).unwrap(), authority(&west(), now()).unwrap());
        let mixed = CertificateAndKey { certificate_pem: ours.certificate_pem.clone(), key_pem: other.key_pem };
        assert!(matches!(issue(&node(), &[], &west(), &mixed, now()), Err(CertificateError::Authority { .. })));
        let east = ClusterName::new("east").unwrap();
        assert!(matches!(issue(&node(), &[], &east, &ours, now()), Err(CertificateError::Authority { .. })));
        let no_key = CertificateAndKey { certificate_pem: ours.certificate_pem, key_pem: "nothing".into() };
        assert!(matches!(issue(&node(), &[], &west(), &no_key, now()), Err(CertificateError::AuthorityKey(_))));
    }

    #[test]
    fn a_name_that_nobody_would_recognize_gets_no_certificate() {
        let authority = authority(&west(), now()).unwrap();
        for identity in [Identity::Node(replicated_grid::NodeId(0)), Identity::Client("-x".into())] {
            let refused = issue(&identity, &[], &west(), &authority, now());
            assert!(matches!(refused, Err(CertificateError::Name { .. })), "{identity}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_its_owners_and_nothing_is_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("ca.pem"), directory.path().join("ca-key.pem"));
        let pair = authority(&west(), now()).unwrap();
        write(&pair, &certificate, &key).unwrap();
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&key).unwrap(), pair.key_pem.expose_secret());
        assert!(
            matches!(write(&pair, &certificate, &key), Err(CertificateError::Write { file, .. }) if file == certificate)
        );
        std::fs::remove_file(&certificate).unwrap();
        assert!(matches!(write(&pair, &certificate, &key), Err(CertificateError::Write { file, .. }) if file == key));
    }
}
