//! The way to one node on one lane: at most one connection at a time, made when it is needed, rested after failures.

use std::sync::Arc;

use bytes::Bytes;
use metrics::{Counter, Gauge, Histogram};
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::links::SharedRandom;
use super::opening::lane_name;
use super::outstanding::{Loss, NotBegun, Outcome};
use super::session::{Connecting, End, Session, drive};
use crate::node::NodeId;
use crate::peers::{Lane, PeerError};

/// See the module.
pub(super) struct Link {
    node: NodeId,
    lane: Lane,
    state: Mutex<State>,
    pub(super) metrics: LinkMetrics,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    backoff: Backoff,
    /// Until when the link rests, and what a caller is told meanwhile.
    resting: Option<(Instant, Loss)>,
    /// The failure last logged; `None` while all is well.
    logged: Option<String>,
}

/// A call that has begun.
pub(super) struct Begun {
    pub(super) session: Arc<Session>,
    pub(super) correlation: u64,
    pub(super) answer: oneshot::Receiver<Outcome>,
}

/// How calls of a link end and how its connection fares.
pub(super) struct LinkMetrics {
    pub(super) answered: Counter,
    pub(super) refused: Counter,
    pub(super) unreachable: Counter,
    pub(super) no_answer: Counter,
    pub(super) seconds: Histogram,
    connected: Gauge,
    losses: Counter,
}

impl LinkMetrics {
    fn new(lane: Lane) -> Self {
        let lane = lane_name(lane);
        let calls =
            |outcome: &'static str| metrics::counter!("comanda_grid_calls_total", "lane" => lane, "outcome" => outcome);
        Self {
            answered: calls("answered"),
            refused: calls("refused"),
            unreachable: calls("unreachable"),
            no_answer: calls("no_answer"),
            seconds: metrics::histogram!("comanda_grid_call_seconds", "lane" => lane),
            connected: metrics::gauge!("comanda_grid_links", "lane" => lane),
            losses: metrics::counter!("comanda_grid_link_losses_total", "lane" => lane),
        }
    }
}

impl Link {
    pub(super) fn new(node: NodeId, lane: Lane) -> Self {
        Self { node, lane, state: Mutex::new(State::default()), metrics: LinkMetrics::new(lane) }
    }

    /// Whether it has no connection.
    pub(super) fn is_down(&self) -> bool {
        self.state.lock().session.is_none()
    }

    /// Ends the connection, if there is one.
    pub(super) fn disconnect(&self) {
        if let Some(session) = &self.state.lock().session {
            session.ending.cancel();
        }
    }

    /// Begins a call over the connection to `address`, or over a new one, for which `connecting` is asked.
    pub(super) fn begin(
        self: &Arc<Self>,
        address: &str,
        grid: Bytes,
        payload: Bytes,
        connecting: impl FnOnce() -> (Connecting, CancellationToken, SharedRandom),
    ) -> Result<Begun, PeerError> {
        let session = self.session(address, connecting)?;
        match session.begin(grid, payload) {
            Ok((correlation, answer)) => Ok(Begun { session, correlation, answer }),
            Err(NotBegun::Full) => Err(self.refused("as many calls as are allowed wait for its answers".to_owned())),
            // It ended between the two lines above; what ended it is not told here.
            Err(NotBegun::Ended) => Err(self.unreachable("the connection was lost".to_owned())),
        }
    }

    fn session(
        self: &Arc<Self>,
        address: &str,
        connecting: impl FnOnce() -> (Connecting, CancellationToken, SharedRandom),
    ) -> Result<Arc<Session>, PeerError> {
        let mut state = self.state.lock();
        match &state.session {
            Some(session) if session.address == address && !session.ending.is_cancelled() => {
                return Ok(Arc::clone(session));
            }
            // The node has moved: what was learnt of the old address says nothing of the new one.
            Some(session) if session.address != address => {
                session.ending.cancel();
                (state.backoff, state.resting) = (Backoff::default(), None);
            }
            _ => {}
        }
        if let Some((until, loss)) = &state.resting
            && Instant::now() < *until
        {
            let reason = loss.reason.clone();
            return Err(if loss.refused { self.refused(reason) } else { self.unreachable(reason) });
        }
        let (connecting, ending, random) = connecting();
        let session = Arc::new(Session::new(address.to_owned(), ending));
        state.session = Some(Arc::clone(&session));
        crate::spawn::spawn(Arc::clone(self).run(Arc::clone(&session), connecting, random));
        Ok(session)
    }

    async fn run(self: Arc<Self>, session: Arc<Session>, connecting: Connecting, random: SharedRandom) {
        let mut opened = false;
        let end = drive(&session, &connecting, || {
            opened = true;
            self.opened();
        })
        .await;
        if opened {
            self.metrics.connected.decrement(1.0);
        }
        let loss = match end {
            End::Wanted => Loss { reason: "the connection was closed".to_owned(), refused: false },
            End::Lost(loss) => {
                self.rest(&session, &loss, &random);
                loss
            }
        };
        // First the link forgets the session, then its callers hear: who calls again at once gets the pause.
        self.forget(&session);
        session.end(&loss);
    }

    fn opened(&self) {
        self.metrics.connected.increment(1.0);
        let mut state = self.state.lock();
        state.backoff.worked();
        state.resting = None;
        if state.logged.take().is_some() {
            tracing::info!(node = %self.node, lane = lane_name(self.lane), "node is reached again");
        }
    }

    fn rest(&self, session: &Arc<Session>, loss: &Loss, random: &SharedRandom) {
        self.metrics.losses.increment(1);
        let jitter = random.lock().random_range(0.0..1.0);
        let mut state = self.state.lock();
        if !state.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            return;
        }
        let pause = state.backoff.failed(jitter);
        state.resting = Some((Instant::now() + pause, loss.clone()));
        if state.logged.as_ref() != Some(&loss.reason) {
            tracing::warn!(node = %self.node, lane = lane_name(self.lane), reason = %loss.reason, "node cannot be reached");
            state.logged = Some(loss.reason.clone());
        }
    }

    fn forget(&self, session: &Arc<Session>) {
        let mut state = self.state.lock();
        if state.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            state.session = None;
        }
    }

    fn unreachable(&self, reason: String) -> PeerError {
        PeerError::Unreachable { node: self.node, reason }
    }

    fn refused(&self, reason: String) -> PeerError {
        PeerError::Refused { node: self.node, reason }
    }
}
