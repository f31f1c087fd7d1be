//! Which connections are open: the caps on them, and how they are told to drain.
//!
//! Used by the accept loop. One lock, taken when a connection opens or closes and never for a request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

/// Why a connection was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The cap on all connections.
    Full,
    /// The cap on connections of one address.
    AddressFull,
}

struct Open {
    /// Resolves the connection's drain signal when sent or dropped.
    drain: oneshot::Sender<()>,
    task: Option<AbortHandle>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    open: HashMap<u64, Open>,
    per_address: HashMap<IpAddr, u32>,
}

struct Shared {
    state: Mutex<State>,
    emptied: Notify,
    connections: metrics::Gauge,
    count_addresses: bool,
}

/// The open connections.
pub(super) struct Registry {
    shared: Arc<Shared>,
    connections_max: usize,
    per_address_max: Option<u32>,
}

/// The right to be connected; given back when dropped.
pub(super) struct Admission {
    id: u64,
    address: IpAddr,
    shared: Arc<Shared>,
}

impl Registry {
    pub(super) fn new(connections_max: usize, per_address_max: Option<u32>) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            emptied: Notify::new(),
            connections: metrics::gauge!("comanda_kitchen_api_connections"),
            count_addresses: per_address_max.is_some(),
        };
        Self { shared: Arc::new(shared), connections_max, per_address_max }
    }

    /// Admits a connection of `address`; the receiver resolves when the connection should drain.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(Admission, oneshot::Receiver<()>), Refusal> {
        let mut state = self.shared.state.lock();
        if state.open.len() >= self.connections_max {
            return Err(Refusal::Full);
        }
        if let Some(max) = self.per_address_max {
            let connections = state.per_address.entry(address).or_default();
            if *connections >= max {
                return Err(Refusal::AddressFull);
            }
            *connections += 1;
        }
        let id = state.next_id;
        state.next_id += 1;
        let (drain, drained) = oneshot::channel();
        state.open.insert(id, Open { drain, task: None });
        drop(state);
        self.shared.connections.increment(1.0);
        Ok((Admission { id, address, shared: Arc::clone(&self.shared) }, drained))
    }

    /// Remembers how to end connection `id` by force; nothing when it has ended already.
    pub(super) fn abort_with(&self, id: u64, task: AbortHandle) {
        if let Some(open) = self.shared.state.lock().open.get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// Tells every connection to finish what it is doing, waits at most `timeout`, and ends the rest by force.
    pub(super) async fn drain(&self, timeout: Duration) {
        let tasks: Vec<AbortHandle> = {
            let mut state = self.shared.state.lock();
            let tasks = state.open.values().filter_map(|open| open.task.clone()).collect();
            for open in state.open.values_mut() {
                let (closed, _) = oneshot::channel();
                let _ = std::mem::replace(&mut open.drain, closed).send(());
            }
            tasks
        };
        if tokio::time::timeout(timeout, self.emptied()).await.is_err() {
            let connections = self.shared.state.lock().open.len();
            tracing::warn!(connections, "connections did not finish in time and are closed");
            tasks.iter().for_each(AbortHandle::abort);
        }
    }

    async fn emptied(&self) {
        loop {
            let emptied = self.shared.emptied.notified();
            if self.shared.state.lock().open.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Admission {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.open.remove(&self.id);
        if self.shared.count_addresses
            && let Some(connections) = state.per_address.get_mut(&self.address)
        {
            *connections -= 1;
            if *connections == 0 {
                state.per_address.remove(&self.address);
            }
        }
        if state.open.is_empty() {
            self.shared.emptied.notify_waiters();
        }
        drop(state);
        self.shared.connections.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn caps_hold_and_places_come_back() {
        let registry = Registry::new(2, Some(1));
        let (one, two, three) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap());
        let first = registry.admit(one).ok().unwrap();
        assert_eq!(registry.admit(one).err(), Some(Refusal::AddressFull));
        let second = registry.admit(two).ok().unwrap();
        assert_eq!(registry.admit(three).err(), Some(Refusal::Full));
        drop(first);
        let third = registry.admit(one).ok().unwrap();
        drop((second, third));
        registry.drain(Duration::from_secs(1)).await;
    }
}
