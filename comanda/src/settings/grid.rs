//! The settings of a grid node and of whoever talks to one.
//!
//! Read by [`super::typed`] with everything else. Which of them a role needs is decided where roles are built.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use super::typed::{Reach, Reader};

/// The most partitions of a grid: each is a raft group with its own cost on every node that holds it.
const PARTITIONS_MAX: u64 = 64;

/// Offsets in a file of the log are 32 bits.
const SEGMENT_MIB_MAX: u64 = 2_048;

/// How this process takes part in the grid, or finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridSettings {
    /// Where peers, kitchen-api and `cluster` reach this node.
    pub listen: SocketAddr,
    /// The address others are told; `None`: the listener's.
    pub advertised: Option<String>,
    /// Some nodes, as `host:port`. Empty: no cluster.
    pub seeds: Vec<String>,
    /// The id of this node; `None`: made up.
    pub node_id: Option<u64>,
    /// The name of the cluster.
    pub cluster: String,
    /// How long each file of a node's log is, in MiB.
    pub segment_mib: u32,
    /// Copies of each partition: 1, 3 or 5.
    pub replication_factor: u16,
    /// Partitions of order-events.
    pub order_events_partitions: NonZeroU16,
    /// Partitions of merchant-connection.
    pub merchant_connection_partitions: NonZeroU16,
    /// Mutual TLS between processes, when it is on; it needs no cluster.
    pub tls: Option<GridTls>,
}

/// The files of mutual TLS between processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridTls {
    /// The authority.
    pub ca: PathBuf,
    /// Our certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl GridSettings {
    /// Whether the grid is a cluster of nodes, and not this process alone.
    pub fn is_cluster(&self) -> bool {
        !self.seeds.is_empty()
    }

    /// Who can connect to listeners for other processes.
    pub(super) fn reach(&self) -> Reach {
        reach(self.tls.as_ref())
    }

    /// Reads them; what is wrong is told to `reader`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let tls = read_tls(reader);
        let node_id = reader.optional_number("node_id", 1, u64::MAX).map(|id| id as u64);
        Self {
            listen: reader.address("grid_addr", reach(tls.as_ref())),
            advertised: read_advertised(reader),
            seeds: read_seeds(reader),
            node_id,
            cluster: read_cluster(reader),
            segment_mib: u32::try_from(reader.number("grid_segment_mib", 1, SEGMENT_MIB_MAX)).unwrap_or(1),
            replication_factor: read_replication_factor(reader),
            order_events_partitions: read_partitions(reader, "order_events_partitions"),
            merchant_connection_partitions: read_partitions(reader, "merchant_connection_partitions"),
            tls,
        }
    }
}

fn reach(tls: Option<&GridTls>) -> Reach {
    if tls.is_some() { Reach::Everybody } else { Reach::ThisMachineWithoutCertificates }
}

fn read_tls(reader: &mut Reader<'_>) -> Option<GridTls> {
    const KEYS: [&str; 3] = ["grid_ca_file", "grid_cert_file", "grid_key_file"];
    let files = KEYS.map(|key| reader.path(key));
    if let [Some(ca), Some(certificate), Some(key)] = files.clone() {
        return Some(GridTls { ca, certificate, key });
    }
    if files.iter().any(Option::is_some) {
        for (key, _) in KEYS.iter().zip(&files).filter(|(_, file)| file.is_none()) {
            reader.refuse::<()>(key, "is needed: the authority, the certificate and its key belong together");
        }
    }
    None
}

fn read_advertised(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text("grid_advertised_addr")?;
    if is_host_and_port(&text) {
        Some(text)
    } else {
        reader.refuse("grid_advertised_addr", "expected a host and a port, such as node-1.internal:7075")
    }
}

fn read_seeds(reader: &mut Reader<'_>) -> Vec<String> {
    let text = reader.text("grid_seeds").unwrap_or_default();
    let seeds: Vec<String> =
        text.split(',').map(str::trim).filter(|seed| !seed.is_empty()).map(str::to_owned).collect();
    if seeds.iter().all(|seed| is_host_and_port(seed)) {
        return seeds;
    }
    let message = "expected hosts and ports separated by commas, such as node-1.internal:7075, node-2.internal:7075";
    reader.refuse("grid_seeds", message).unwrap_or_default()
}

fn read_cluster(reader: &mut Reader<'_>) -> String {
    let text = reader.text("cluster").unwrap_or_default();
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=40).contains(&text.len()) || !text.bytes().all(is_label) || text.starts_with('-') || text.ends_with('-') {
        reader.refuse::<()>("cluster", "expected 1 to 40 lower-case letters, digits and dashes");
    }
    text
}

fn read_replication_factor(reader: &mut Reader<'_>) -> u16 {
    match reader.number("replication_factor", 1, 5) {
        odd @ (1 | 3 | 5) => odd.try_into().unwrap_or(1),
        _ => reader.refuse("replication_factor", "expected 1, 3 or 5").unwrap_or(1),
    }
}

fn read_partitions(reader: &mut Reader<'_>, key: &str) -> NonZeroU16 {
    let count = reader.number(key, 1, PARTITIONS_MAX);
    u16::try_from(count).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN)
}

/// Whether `text` is a host name or an address, a colon and a port. Names are resolved when they are needed.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    !host.is_empty() && host.bytes().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_host_and_a_port() {
        for good in ["node-1.internal:7075", "127.0.0.1:1", "[::1]:7075"] {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in ["", "node", ":7075", "node:0", "node:http", "a b:1", "node:70000"] {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
