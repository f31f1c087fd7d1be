//! The calling side: all links of this node, shared by its grids.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::RngCore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::io::Dial;
use super::limits::PAYLOAD_BYTES_MAX;
use super::link::{Begun, Link};
use super::opening::Opening;
use super::outstanding::Outcome;
use super::session::{Connecting, Session};
use super::tls::{ClientTls, ClusterName};
use crate::node::{Member, NodeId};
use crate::peers::{Lane, PeerError, Peers};

/// Randomness that several tasks draw from; here for jitter only.
pub type SharedRandom = Arc<Mutex<dyn RngCore + Send>>;

/// Links that are kept although they have no connection. More are forgotten: a node that takes a new id at every start
/// would otherwise leave its old ones here for ever.
const LINKS_DOWN_MAX: usize = 256;

/// Whether the other side must prove who it is.
#[derive(Clone)]
pub enum LinkSecurity {
    /// Nobody proves anything: tests, the simulation, several processes of one machine.
    Plain,
    /// Both sides show certificates of the cluster's CA.
    Mutual(ClientTls),
}

/// Who calls, and how.
#[derive(Clone)]
pub struct LinksConfig {
    /// This node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: ClusterName,
    /// How connections are secured.
    pub security: LinkSecurity,
}

/// Connections to other nodes, made when they are called. Cheap to clone; when the last clone and the last
/// [`TransportPeers`] are dropped, all connections end.
#[derive(Clone)]
pub struct Links {
    shared: Arc<Shared>,
}

struct Shared {
    config: LinksConfig,
    dialer: Arc<dyn Dial>,
    random: SharedRandom,
    links: Mutex<BTreeMap<(NodeId, Lane), Arc<Link>>>,
    ending: CancellationToken,
    _ends_with_us: DropGuard,
}

impl Links {
    /// Nothing is connected yet.
    pub fn new(config: LinksConfig, dialer: Arc<dyn Dial>, random: SharedRandom) -> Self {
        let ending = CancellationToken::new();
        let ends = ending.clone().drop_guard();
        let links = Mutex::default();
        Self { shared: Arc::new(Shared { config, dialer, random, links, ending, _ends_with_us: ends }) }
    }

    /// What the grid `name` calls other nodes through.
    pub fn peers(&self, name: &str) -> TransportPeers {
        TransportPeers { links: self.clone(), grid: Bytes::copy_from_slice(name.as_bytes()) }
    }

    /// Ends every connection; calls under way fail at once. Later calls connect again.
    pub fn disconnect(&self) {
        let links: Vec<_> = self.shared.links.lock().values().cloned().collect();
        links.iter().for_each(|link| link.disconnect());
    }

    fn link(&self, node: NodeId, lane: Lane) -> Arc<Link> {
        let mut links = self.shared.links.lock();
        if let Some(link) = links.get(&(node, lane)) {
            return Arc::clone(link);
        }
        if links.len() >= LINKS_DOWN_MAX {
            links.retain(|_, link| !link.is_down());
        }
        let link = Arc::new(Link::new(node, lane));
        links.insert((node, lane), Arc::clone(&link));
        link
    }

    fn begin(
        &self,
        link: &Arc<Link>,
        to: &Member,
        lane: Lane,
        grid: Bytes,
        payload: Bytes,
    ) -> Result<Begun, PeerError> {
        link.begin(&to.address, grid, payload, || {
            let LinksConfig { node, cluster, security } = self.shared.config.clone();
            let opening = Opening { cluster, from: node, to: to.id, lane };
            let connecting = Connecting { dialer: Arc::clone(&self.shared.dialer), security, opening };
            (connecting, self.shared.ending.child_token(), Arc::clone(&self.shared.random))
        })
    }

    async fn call(
        &self,
        to: Member,
        lane: Lane,
        grid: Bytes,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, PeerError> {
        let (node, started) = (to.id, Instant::now());
        if payload.len() > PAYLOAD_BYTES_MAX {
            let reason = format!("a request of {} bytes exceeds {PAYLOAD_BYTES_MAX}", payload.len());
            return Err(PeerError::Refused { node, reason });
        }
        let link = self.link(node, lane);
        let outcome = match self.begin(&link, &to, lane, grid, payload) {
            Err(error) => Err(error),
            Ok(begun) => {
                let outcome = answer(begun, node, deadline).await;
                outcome.unwrap_or_else(|| Err(PeerError::NoAnswer { node, after: started.elapsed() }))
            }
        };
        let count = match &outcome {
            Ok(_) => &link.metrics.answered,
            Err(PeerError::Refused { .. }) => &link.metrics.refused,
            Err(PeerError::Unreachable { .. }) => &link.metrics.unreachable,
            Err(PeerError::NoAnswer { .. }) => &link.metrics.no_answer,
        };
        count.increment(1);
        link.metrics.seconds.record(started.elapsed());
        outcome
    }
}

/// Waits for the answer; `None` when it was sent and there is none.
async fn answer(begun: Begun, node: NodeId, deadline: Duration) -> Option<Result<Bytes, PeerError>> {
    let Begun { session, correlation, answer } = begun;
    let mut abandoning = Abandoning { session, correlation, armed: true };
    match timeout(deadline, answer).await {
        Ok(outcome) => {
            abandoning.armed = false;
            match outcome {
                Ok(Outcome::Answered(payload)) => Some(Ok(payload)),
                Ok(Outcome::Refused(reason)) => Some(Err(PeerError::Refused { node, reason })),
                Ok(Outcome::NotSent(reason)) => Some(Err(PeerError::Unreachable { node, reason })),
                Ok(Outcome::Lost) | Err(_) => None,
            }
        }
        Err(_) => match abandoning.now() {
            Some(false) => {
                let reason = format!("there was no connection within {deadline:?}");
                Some(Err(PeerError::Unreachable { node, reason }))
            }
            Some(true) | None => None,
        },
    }
}

/// Gives a call up when its caller is dropped, so that it is not sent any more and holds nothing.
struct Abandoning {
    session: Arc<Session>,
    correlation: u64,
    armed: bool,
}

impl Abandoning {
    fn now(&mut self) -> Option<bool> {
        self.armed = false;
        self.session.abandon(self.correlation)
    }
}

impl Drop for Abandoning {
    fn drop(&mut self) {
        if self.armed {
            self.session.abandon(self.correlation);
        }
    }
}

/// [`Peers`] of one grid over [`Links`].
#[derive(Clone)]
pub struct TransportPeers {
    links: Links,
    grid: Bytes,
}

impl Peers for TransportPeers {
    fn call(
        &self,
        to: &Member,
        lane: Lane,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, PeerError>> {
        let (links, grid, to) = (self.links.clone(), self.grid.clone(), to.clone());
        async move { links.call(to, lane, grid, request, deadline).await }.boxed()
    }
}
