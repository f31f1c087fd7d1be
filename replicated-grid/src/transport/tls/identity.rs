//! Names of clusters, and of nodes within certificates. Pure.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::node::NodeId;

/// The end of every name in a node's certificate.
const DOMAIN: &str = "comanda";
/// The start of the name of a role.
const ROLE_PREFIX: &str = "role-";
/// Longest name of a cluster: a DNS label, with room to spare.
const CLUSTER_NAME_CHARACTERS_MAX: usize = 40;

/// The name of a cluster: lower-case letters, digits and dashes, at most 40, neither beginning nor ending with a dash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(Arc<str>);

/// A text is not the name of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a cluster name: 1 to 40 lower-case letters, digits and dashes, no dash at either end")]
pub struct InvalidClusterName {
    /// The text.
    pub name: String,
}

impl ClusterName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(name: &str) -> Result<Self, InvalidClusterName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=CLUSTER_NAME_CHARACTERS_MAX).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if is_name { Ok(Self(name.into())) } else { Err(InvalidClusterName { name: name.to_owned() }) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who a certificate is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A node; its certificate names `node-<id>.<cluster>.comanda`. Admitted while it is a member.
    Node(NodeId),
    /// A process that is no node but calls some, such as kitchen-api; `client-<name>.<cluster>.comanda`. Admitted as
    /// long as its certificate is valid, and never to the streams between nodes.
    Client(Arc<str>),
}

impl Identity {
    /// The name that its certificate must carry, e.g. `node-3.west.comanda`.
    pub fn dns_name(&self, cluster: &ClusterName) -> String {
        format!("{self}.{cluster}.{DOMAIN}")
    }

    /// Which node it is, if it is one.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Node(node) => Some(*node),
            Self::Client(_) => None,
        }
    }

    /// Whose name of `cluster` this is.
    pub fn of_dns_name(name: &str, cluster: &ClusterName) -> Option<Self> {
        let label = name.strip_suffix(DOMAIN)?.strip_suffix('.')?.strip_suffix(cluster.as_str())?.strip_suffix('.')?;
        if let Some(client) = label.strip_prefix("client-") {
            // The same alphabet as a cluster's name.
            return ClusterName::new(client).ok().map(|client| Self::Client(client.0));
        }
        let id = label.strip_prefix("node-")?;
        // One spelling for each node: no sign, no zeros in front.
        let canonical = id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
        if canonical { id.parse().ok().map(|id| Self::Node(NodeId(id))) } else { None }
    }

    /// Who of `cluster` a certificate is of. Says nothing of who issued it.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn of_certificate(certificate: &CertificateDer<'_>, cluster: &ClusterName) -> Result<Self, IdentityError> {
        let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|_| IdentityError::Unreadable)?;
        let names: Vec<&str> = parsed.valid_dns_names().collect();
        let mut found: Vec<Self> = names.iter().filter_map(|name| Self::of_dns_name(name, cluster)).collect();
        found.sort();
        found.dedup();
        match (found.pop(), found.is_empty()) {
            (Some(identity), true) => Ok(identity),
            (Some(_), false) => Err(IdentityError::Several),
            (None, _) => {
                let names = names.into_iter().map(str::to_owned).collect();
                Err(IdentityError::Nobody { cluster: cluster.clone(), names })
            }
        }
    }
}

/// What the certificate of whoever may answer as a role of the services, such as `gateway-core`, names beside who it is
/// of: `role-<role>.<cluster>.comanda`. A certificate may name several, as a process may have several roles.
pub fn role_dns_name(role: &str, cluster: &ClusterName) -> String {
    format!("{ROLE_PREFIX}{role}.{cluster}.{DOMAIN}")
}

/// Whether `name` is one of [`role_dns_name`].
pub(super) fn is_role_dns_name(name: &str) -> bool {
    name.starts_with(ROLE_PREFIX)
}

/// Whether `name` stands in a certificate. Says nothing of who issued it.
pub(super) fn is_named(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let parsed = webpki::EndEntityCert::try_from(certificate);
    parsed.is_ok_and(|parsed| parsed.valid_dns_names().any(|named| named == name))
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(formatter, "node-{node}"),
            Self::Client(name) => write!(formatter, "client-{name}"),
        }
    }
}

/// A certificate does not say who of the cluster it is of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It is no X.509 certificate.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// None of its names is of this cluster.
    #[error(
        "the certificate names nobody of cluster {cluster} (its names: {names:?}, expected: node-<id>.{cluster}.comanda)"
    )]
    Nobody {
        /// The cluster expected.
        cluster: ClusterName,
        /// Its DNS names.
        names: Vec<String>,
    },
    /// It names several.
    #[error("the certificate names several nodes or clients")]
    Several,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling_and_one_cluster() {
        let west = ClusterName::new("west").unwrap();
        for identity in
            [Identity::Node(NodeId(u64::MAX)), Identity::Node(NodeId(3)), Identity::Client("kitchen-api".into())]
        {
            assert_eq!(Identity::of_dns_name(&identity.dns_name(&west), &west), Some(identity));
        }
        assert_eq!(Identity::Node(NodeId(3)).dns_name(&west), "node-3.west.comanda");
        for other in [
            "node-3.east.comanda",
            "node-3.far-west.comanda",
            "node-3west.comanda",
            "node-03.west.comanda",
            "node-+3.west.comanda",
            "node-0.west.comanda",
            "node-.west.comanda",
            "node-18446744073709551616.west.comanda",
            "node-3.west.comanda.example",
            "*.west.comanda",
            "client-.west.comanda",
            "client-a.b.west.comanda",
            &role_dns_name("gateway-core", &west),
        ] {
            assert_eq!(Identity::of_dns_name(other, &west), None, "{other}");
        }
    }

    #[test]
    fn cluster_names_are_dns_labels() {
        for name in ["w", "west-2", &"x".repeat(40)] {
            assert_eq!(ClusterName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "West", "we.st", "-west", "west-", "wést", &"x".repeat(41)] {
            assert!(ClusterName::new(name).is_err(), "{name}");
        }
    }
}
