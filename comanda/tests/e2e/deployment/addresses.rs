//! Where the processes of a deployment listen: addresses that stay free while a role is down.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use super::ROLES;

/// Where everything listens, the same after a restart.
pub(super) struct Addresses {
    pub(super) http: String,
    pub(super) internal: [(&'static str, String); 4],
    pub(super) ops: BTreeMap<&'static str, String>,
    pub(super) nodes: BTreeMap<&'static str, String>,
}

impl Addresses {
    pub(super) fn free(nodes: &[&'static str]) -> Self {
        let [http, core, events, presence, polling] = std::array::from_fn(|_| free_address());
        let internal = [
            ("gateway-core-addr", core),
            ("order-events-addr", events),
            ("merchant-connection-addr", presence),
            ("connection-polling-addr", polling),
        ];
        let ops = ROLES.iter().chain(nodes).map(|role| (*role, free_address())).collect();
        Self { http, internal, ops, nodes: nodes.iter().map(|node| (*node, free_address())).collect() }
    }
}

/// The flag of a role's internal gRPC.
pub(super) fn flag_of(role: &str) -> String {
    format!("{role}-addr")
}

/// An address that is free now and that no outgoing connection takes while a role is down: below the range from which
/// systems pick those.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 900) as u16 * 12;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
