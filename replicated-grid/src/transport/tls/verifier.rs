//! What a certificate of the other side must be: issued by the CA, valid now, of somebody of this cluster; a caller that
//! is a node must be a member. Who is called must be exactly the node that was meant, a member where any will do, or
//! somebody with a certificate for the role that was meant.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::identity::{ClusterName, Identity, IdentityError, is_named, is_role_dns_name};
use crate::node::NodeId;
use crate::transport::membership::MembershipWatch;

/// Verifies both directions.
pub(super) struct PeerVerifier {
    roots: Arc<RootCertStore>,
    callers: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
    cluster: ClusterName,
    membership: MembershipWatch,
}

/// The certificate is genuine, and still refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("node {0} is not a member of the cluster")]
    NoMember(NodeId),
    #[error("the certificate is of {found}, expected was {expected}")]
    Another { found: Identity, expected: String },
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}

/// The name to ask for when any member may answer.
pub(super) fn any_member(cluster: &ClusterName) -> String {
    format!("member.{cluster}.comanda")
}

impl PeerVerifier {
    /// Trusts what `roots` issued.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        cluster: ClusterName,
        membership: MembershipWatch,
    ) -> Result<Self, VerifierBuilderError> {
        let callers = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        Ok(Self { roots, callers, provider, cluster, membership })
    }

    fn admitted(&self, certificate: &CertificateDer<'_>) -> Result<Identity, Refused> {
        let identity = Identity::of_certificate(certificate, &self.cluster)?;
        match identity.node() {
            Some(node) if !self.membership.borrow().admits(node) => Err(Refused::NoMember(node)),
            _ => Ok(identity),
        }
    }

    fn called(&self, certificate: &CertificateDer<'_>, expected: &str) -> Result<(), Refused> {
        let found = Identity::of_certificate(certificate, &self.cluster)?;
        let is_expected = if expected == any_member(&self.cluster) {
            self.admitted(certificate)?.node().is_some()
        } else if is_role_dns_name(expected) {
            self.admitted(certificate)?;
            is_named(certificate, expected)
        } else {
            found.dns_name(&self.cluster) == expected
        };
        if is_expected { Ok(()) } else { Err(Refused::Another { found, expected: expected.to_owned() }) }
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PeerVerifier").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.callers.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.callers.verify_client_cert(certificate, intermediates, now)?;
        self.admitted(certificate)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.callers.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.callers.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.callers.supported_verify_schemes()
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        self.called(certificate, &server_name.to_str())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.callers.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.callers.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.callers.supported_verify_schemes()
    }
}
