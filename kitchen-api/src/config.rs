//! Every setting of kitchen-api with its default (CONTRACT, "Configuration"; RELIABILITY, "Security").
//!
//! Plain values: the binary reads files and the environment, checks them and passes the result. Parsing is absent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use secrecy::SecretString;

use crate::feed::FeedConfig;
use crate::open_delivery::OpenDeliveryPrefix;
use crate::shipping::CourierTariff;
use crate::webhooks::WebhookConfig;

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the public HTTP listener binds; port 0 takes any free one. Default `127.0.0.1:8080`.
    pub address: SocketAddr,
    /// TLS; cleartext when absent. Default none.
    pub tls: Option<TlsConfig>,
    /// Limits and timeouts of the accept loop.
    pub server: ServerConfig,
    /// How tokens are signed and checked.
    pub tokens: TokenConfig,
    /// The feed: partitions and the share of polls that are compared.
    pub feed: FeedConfig,
    /// Webhooks: where they may go, how many at a time, when a receiver is paused.
    pub webhooks: WebhookConfig,
    /// Proxies whose `X-Forwarded-For` counts. Default none.
    pub trusted_proxies: Vec<Network>,
    /// Our address as clients see it, e.g. `https://api.example.com`, for links in answers. Default none: the listener's.
    pub public_url: Option<String>,
    /// Where the Open Delivery paths are mounted. Default: at the root.
    pub open_delivery_prefix: OpenDeliveryPrefix,
    /// Requests to the token endpoint per minute and per (client, address); `None` for no limit. The lockout after
    /// failed secrets holds either way. Default 20.
    pub token_requests_per_minute: Option<u32>,
    /// Whether the published limits of requests per application and operation hold. Default true.
    pub limits_requests: bool,
    /// Whether polling is paused for whoever reaches 100 strikes within an hour. Default false.
    pub pauses_on_strikes: bool,
    /// How often the directory of applications looks for changes. Default 1 s, so that a revocation is effective
    /// well within 5 s.
    pub directory_refresh: Duration,
    /// How long one call of another service may take. Default 2 s.
    pub call_timeout: Duration,
    /// What the platform's couriers cost. Default none: the platform has no couriers to offer.
    pub courier_tariff: Option<CourierTariff>,
    /// How many requests may wait for events.
    pub waits: WaitLimits,
    /// The name under which this instance reports that it serves polls. Default `kitchen-api`.
    pub instance: String,
    /// How long requests in flight may take once a shutdown was asked for. Default 10 s.
    pub drain_timeout: Duration,
}

impl Config {
    /// The defaults, with the signing key, which has none.
    pub fn new(tokens: TokenConfig) -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tls: None,
            server: ServerConfig::default(),
            tokens,
            feed: FeedConfig::default(),
            webhooks: WebhookConfig::default(),
            trusted_proxies: Vec::new(),
            public_url: None,
            open_delivery_prefix: OpenDeliveryPrefix::default(),
            token_requests_per_minute: Some(20),
            limits_requests: true,
            pauses_on_strikes: false,
            directory_refresh: Duration::from_secs(1),
            call_timeout: Duration::from_secs(2),
            courier_tariff: None,
            waits: WaitLimits::default(),
            instance: "kitchen-api".to_owned(),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// How many requests may wait for events at once. Who finds no place is answered 429. A caller is an application or, of a
/// distributed one, a restaurant.
#[derive(Debug, Clone)]
pub struct WaitLimits {
    /// Polls that wait, of everybody. Default 65,536: a terminal each of 60,000 restaurants, some 3 KB each.
    pub polls: usize,
    /// Of one caller. Default 3,000: as many as wait when the published 6,000 a minute wait 30 s each.
    pub polls_per_caller: usize,
    /// Streams of everybody. Default 4,096. Each holds one page at most.
    pub streams: usize,
    /// Of one caller. Default 256.
    pub streams_per_caller: usize,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self { polls: 65_536, polls_per_caller: 3_000, streams: 4_096, streams_per_caller: 256 }
    }
}

/// A certificate chain and its key.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// The certificate chain in PEM, the server's own first.
    pub certificates_pem: String,
    /// The private key in PEM (PKCS#8, PKCS#1 or SEC1).
    pub key_pem: SecretString,
}

/// Limits and timeouts of the accept loop.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Connections at a time. When all are taken the one that has rested longest makes place for the next. Default 10,000.
    pub connections_max: usize,
    /// Connections at a time from one address. Default none: chains sit behind one NAT.
    pub connections_per_address_max: Option<u32>,
    /// HTTP/2 connections that rest and on which nobody has shown a token yet: each holds some 40 KB in buffers of the HTTP library, and
    /// whoever opens thousands is to be somebody. Where there are as many, a new connection is offered HTTP/1.1 alone. Default 1,000.
    pub strangers_max: usize,
    /// From the first byte of a request to the end of its headers, and for a TLS handshake. Default 5 s.
    pub header_timeout: Duration,
    /// From the end of the headers to the end of the body. Default 30 s.
    pub body_timeout: Duration,
    /// From the request to the start of its answer, the body's time and the time it asks to wait apart. Default 10 s.
    pub request_timeout: Duration,
    /// A connection on which nothing moves for this long is closed; a POS polls every 30 s. Default 75 s.
    pub idle_timeout: Duration,
    /// An HTTP/1.1 connection that has rested for this long between requests gives back its buffers: short, so that many that come
    /// at once do not hold them together, and long enough for requests that follow one another. Default 500 ms.
    pub rest_after: Duration,
    /// All headers of a request together, in bytes. Default 32 KiB, at most 56 KiB.
    pub headers_max_bytes: usize,
    /// The URI of a request, in bytes. Default 8 KiB.
    pub uri_max_bytes: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: None,
            strangers_max: 1_000,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            rest_after: Duration::from_millis(500),
            headers_max_bytes: 32 * 1024,
            uri_max_bytes: 8 * 1024,
        }
    }
}

/// How access tokens are signed and checked.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The Ed25519 key that signs, PKCS#8 in PEM; see [`crate::oauth::generate_signing_key`].
    pub signing_key_pem: SecretString,
    /// Keys that signed before and whose tokens still count, likewise. Default none.
    pub previous_signing_keys_pem: Vec<SecretString>,
    /// `iss`: names the environment, so that a token of another one does not count. Default `comanda`.
    pub issuer: String,
    /// `aud`. Default `comanda-partner-api`.
    pub audience: String,
    /// How long a token counts. Default 6 h, as partners expect.
    pub lifetime: Duration,
}

impl TokenConfig {
    /// The defaults, with the key that has none.
    pub fn new(signing_key_pem: SecretString) -> Self {
        Self {
            signing_key_pem,
            previous_signing_keys_pem: Vec::new(),
            issuer: "comanda".to_owned(),
            audience: "comanda-partner-api".to_owned(),
            lifetime: Duration::from_secs(6 * 60 * 60),
        }
    }
}

/// A range of addresses, e.g. 10.0.0.0/8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of the range.
    pub address: IpAddr,
    /// How many leading bits are common, 0 to 32 or 0 to 128.
    pub prefix_bits: u8,
}

impl Network {
    /// Whether `address` lies in the range. An IPv4 address inside IPv6 counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32u32.saturating_sub(u32::from(self.prefix_bits));
                let bits = |address: std::net::Ipv4Addr| u32::from(address).checked_shr(shift);
                bits(own) == bits(other)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128u32.saturating_sub(u32::from(self.prefix_bits));
                let bits = |address: std::net::Ipv6Addr| u128::from(address).checked_shr(shift);
                bits(own) == bits(other)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses() {
        let ten = Network { address: "10.1.2.3".parse().unwrap(), prefix_bits: 8 };
        assert!(ten.contains("10.200.0.1".parse().unwrap()));
        assert!(ten.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!ten.contains("11.0.0.1".parse().unwrap()));
        let all = Network { address: "0.0.0.0".parse().unwrap(), prefix_bits: 0 };
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
    }
}
