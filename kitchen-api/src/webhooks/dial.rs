//! Where a webhook may be sent: rules for URLs, and for the addresses that their hosts turn out to have.
//!
//! Pure. The URL is judged when it is set and again before every dial; the addresses by [`super::dialer`], which connects to
//! the very address that was judged here, so that a name which changes its mind in between (DNS rebinding) gains nothing. Names
//! are never judged by what they look like alone: whatever a name resolves to decides. Resolving and connecting are absent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;
use http::uri::Scheme;

/// The longest URL of a webhook (PARTNER_API, 2.7).
pub const URL_MAX_BYTES: usize = 250;
/// Ports that are dialled: HTTPS and its usual second.
pub const PORTS: [u16; 2] = [443, 8443];
/// A host name as DNS has it.
const HOST_MAX_BYTES: usize = 253;

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DialRules {
    /// For development: `http`, any port, and loopback addresses beside the public ones.
    pub allow_loopback: bool,
}

/// Why a URL or an address is refused. Says what was expected, never what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`URL_MAX_BYTES`].
    #[error("expected at most 250 characters")]
    TooLong,
    /// Not an absolute URL, or one that readers of URLs disagree about.
    #[error(
        "expected an absolute URL of visible ASCII characters without a fragment, such as https://pos.example.com/hook"
    )]
    Malformed,
    /// Not HTTPS.
    #[error("expected https")]
    Scheme,
    /// A user name or a password.
    #[error("expected no user name and no password before the host")]
    UserInfo,
    /// Another port.
    #[error("expected port 443 or 8443")]
    Port,
    /// A host that is no public name and no plain address.
    #[error("expected a public host name, or an IP address in its usual form")]
    Host,
    /// An address that is not on the public internet.
    #[error("expected a host on the public internet")]
    Address,
}

/// Where to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name to resolve, or the address.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// A host as the URL has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// To be resolved.
    Name(String),
    /// An address, judged already.
    Address(IpAddr),
}

impl DialRules {
    /// Judges a URL as somebody wrote it.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_url(self, url: &str) -> Result<Target, Refusal> {
        if url.len() > URL_MAX_BYTES {
            return Err(Refusal::TooLong);
        }
        // `http::Uri` drops a fragment without a word, and a backslash is a slash to some readers.
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains(['#', '\\']) {
            return Err(Refusal::Malformed);
        }
        let uri: Uri = url.parse().map_err(|_| Refusal::Malformed)?;
        self.check_uri(&uri)
    }

    /// Judges a URL that was read.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_uri(self, uri: &Uri) -> Result<Target, Refusal> {
        let scheme = uri.scheme().ok_or(Refusal::Malformed)?;
        let is_https = *scheme == Scheme::HTTPS;
        if !(is_https || self.allow_loopback && *scheme == Scheme::HTTP) {
            return Err(Refusal::Scheme);
        }
        let authority = uri.authority().ok_or(Refusal::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(Refusal::UserInfo);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // `https://host:` and `https://host:99999` have no port that can be read.
            None if authority.as_str() != authority.host() => return Err(Refusal::Port),
            None => {
                if is_https {
                    443
                } else {
                    80
                }
            }
        };
        if port == 0 || !(PORTS.contains(&port) || self.allow_loopback) {
            return Err(Refusal::Port);
        }
        Ok(Target { host: self.check_host(authority.host())?, port })
    }

    fn check_host(self, host: &str) -> Result<Host, Refusal> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bare {
            let address: Ipv6Addr = address.parse().map_err(|_| Refusal::Host)?;
            return self.check_address(address.into()).map(|()| Host::Address(address.into()));
        }
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return self.check_address(address.into()).map(|()| Host::Address(address.into()));
        }
        let host = host.to_ascii_lowercase();
        let labels: Vec<&str> = host.split('.').collect();
        let is_label = |label: &&str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-')
        };
        if host.len() > HOST_MAX_BYTES || !labels.iter().all(is_label) {
            return Err(Refusal::Host);
        }
        // What ends in a number is an address to some resolvers, in decimal, octal or hexadecimal, with one to four parts.
        let last = labels.last().copied().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
            return Err(Refusal::Host);
        }
        let is_local = labels.len() < 2 || matches!(last, "localhost" | "local" | "internal" | "localdomain" | "arpa");
        let is_allowed_local = self.allow_loopback && last == "localhost";
        if is_local && !is_allowed_local { Err(Refusal::Host) } else { Ok(Host::Name(host)) }
    }

    /// Judges what a name has resolved to, and says where to connect. One address that is refused refuses them all: no honest
    /// name has one.
    ///
    /// # Errors
    /// [`Refusal::Address`] for one of them, or for none at all.
    pub fn check_resolved(self, addresses: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, Refusal> {
        if addresses.is_empty() {
            return Err(Refusal::Address);
        }
        addresses.iter().try_for_each(|address| self.check_address(*address))?;
        Ok(addresses.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }

    fn check_address(self, address: IpAddr) -> Result<(), Refusal> {
        let is_public = match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        };
        let is_allowed = is_public || self.allow_loopback && address.is_loopback();
        if is_allowed { Ok(()) } else { Err(Refusal::Address) }
    }
}

/// IPv4 networks that are not the public internet (IANA's special-purpose registry), and Azure's metadata address; those of
/// other clouds lie within.
const REFUSED_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, reserved and broadcast.
    ([224, 0, 0, 0], 3),
];

/// Networks within 2000::/3 that are none of the public internet, or that hide an IPv4 address.
const REFUSED_V6: &[([u16; 3], u32)] = &[
    // IETF protocol assignments: Teredo, benchmarking, ORCHID.
    ([0x2001, 0, 0], 23),
    // Documentation.
    ([0x2001, 0xdb8, 0], 32),
    ([0x3fff, 0, 0], 20),
    // 6to4.
    ([0x2002, 0, 0], 16),
    // AS112, which answers for private addresses.
    ([0x2620, 0x4f, 0x8000], 48),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !REFUSED_V4.iter().any(|(network, prefix)| (bits ^ u32::from(Ipv4Addr::from(*network))) >> (32 - prefix) == 0)
}

/// Only global unicast is public: loopback, v4-mapped, NAT64, ULA, link-local and multicast are all outside of 2000::/3.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let is_within = |[a, b, c]: [u16; 3], prefix: u32| {
        (bits ^ u128::from(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))) >> (128 - prefix) == 0
    };
    is_within([0x2000, 0, 0], 3) && !REFUSED_V6.iter().any(|(network, prefix)| is_within(*network, *prefix))
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
