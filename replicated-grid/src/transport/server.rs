//! The called side: takes the streams of other nodes and hands their requests to the grids.
//!
//! Requests of one stream run beside each other, each in a task of its own that goes on when the link is lost: the
//! caller does not know whether it was carried out, so it may as well be. When a stream has as much under way as is
//! allowed, it is not read, and the caller's own limit refuses what is more.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::Stream;
use parking_lot::{Mutex, RwLock};
use proto::grid_transport::grid_transport_server::{GridTransport, GridTransportServer};
use proto::grid_transport::{Frame, Frames, frame::Content};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::answers::{Answer, AnswerSender, Answers, answers};
use super::gate::{ConnectionSecurity, Gate, Peer};
use super::io::Accepted;
use super::limits::{
    BYTES_IN_FLIGHT_MAX, HTTP2_FRAME_BYTES_MAX, LAST_ANSWERS_TIMEOUT, MESSAGE_BYTES_MAX, OPENINGS_WAITING_MAX,
    PAYLOAD_BYTES_MAX, REFUSAL_BYTES_MAX, SERVER_KEEPALIVE_INTERVAL, SERVER_KEEPALIVE_TIMEOUT,
    STREAMS_PER_CONNECTION_MAX, WINDOW_BYTES, cost,
};
use super::membership::{MembershipWatch, removed};
use super::opening::{Opening, lane_name};
use super::refusal_log::RefusalLog;
use super::tls::{ClusterName, Identity};
use crate::node::NodeId;
use crate::peers::{Lane, PeerRequests};

/// Who is called, and by whom it may be.
#[derive(Clone)]
pub struct GridServerConfig {
    /// This node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: ClusterName,
    /// Who may call: the members of any of its grids, see [`super::Memberships::union`].
    pub membership: MembershipWatch,
    /// What callers must prove.
    pub security: ConnectionSecurity,
}

/// Takes requests of other nodes for the grids of this process. Cheap to clone.
#[derive(Clone)]
pub struct GridServer {
    shared: Arc<Shared>,
}

struct Shared {
    config: GridServerConfig,
    grids: RwLock<Vec<ServedGrid>>,
    refusals: RefusalLog,
    stopping: CancellationToken,
    opened: mpsc::Sender<OpenedStream>,
    /// Taken by whoever serves.
    opening: Mutex<Option<mpsc::Receiver<OpenedStream>>>,
}

/// A grid of this process.
#[derive(Clone)]
struct ServedGrid {
    name: Bytes,
    requests: Arc<dyn PeerRequests>,
    /// Its own members; `None`: whoever may call at all.
    membership: Option<MembershipWatch>,
}

/// A stream that was admitted, on its way from the task that tonic runs to the one that serves: tasks started there
/// keep the seed of a simulation, tonic's do not.
struct OpenedStream {
    opening: Opening,
    is_stranger: bool,
    requests: Streaming<Frames>,
    answers: AnswerSender,
}

/// The server ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It serves or has served already.
    #[error("the nodes of the cluster are served only once")]
    Again,
    /// HTTP/2 failed.
    #[error("serving the nodes of the cluster failed")]
    Http2(#[source] tonic::transport::Error),
}

impl GridServer {
    /// Serves no grid yet.
    pub fn new(config: GridServerConfig) -> Self {
        let (grids, refusals, stopping) = (RwLock::default(), RefusalLog::default(), CancellationToken::new());
        let (opened, opening) = mpsc::channel(OPENINGS_WAITING_MAX);
        let opening = Mutex::new(Some(opening));
        Self { shared: Arc::new(Shared { config, grids, refusals, stopping, opened, opening }) }
    }

    /// Hands requests for the grid `name` to `requests` from now on. Until then they are refused.
    pub fn register(&self, name: &str, requests: Arc<dyn PeerRequests>) {
        self.put(name, requests, None);
    }

    /// As [`GridServer::register`], and refuses requests of nodes that are not in the grid's own `membership`, although
    /// another grid of this process may have them.
    pub fn register_with(&self, name: &str, requests: Arc<dyn PeerRequests>, membership: MembershipWatch) {
        self.put(name, requests, Some(membership));
    }

    fn put(&self, name: &str, requests: Arc<dyn PeerRequests>, membership: Option<MembershipWatch>) {
        let mut grids = self.shared.grids.write();
        grids.retain(|grid| grid.name != name.as_bytes());
        grids.push(ServedGrid { name: Bytes::copy_from_slice(name.as_bytes()), requests, membership });
    }

    /// Refuses requests for the grid `name` from now on.
    pub fn unregister(&self, name: &str) {
        self.shared.grids.write().retain(|grid| grid.name != name.as_bytes());
    }

    /// Serves the streams of other nodes, and `others` beside them, over what `incoming` brings, until `shutdown`;
    /// answers under way then have [`LAST_ANSWERS_TIMEOUT`]. Serves once: afterwards every stream is refused.
    ///
    /// # Errors
    /// When the HTTP/2 server fails.
    pub async fn serve(
        &self,
        incoming: impl Stream<Item = io::Result<Accepted>> + Send + 'static,
        others: Routes,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        let mut opening = self.shared.opening.lock().take().ok_or(ServeError::Again)?;
        let GridServerConfig { membership, security, .. } = self.shared.config.clone();
        let cut = CancellationToken::new();
        // However this ends, also by being dropped, no connection stays behind.
        let _cut_at_the_end = cut.clone().drop_guard();
        let gate = Gate::open(incoming, security, membership, cut);
        let service = GridTransportServer::new(self.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let stopping = &self.shared.stopping;
        let served = Server::builder()
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(HTTP2_FRAME_BYTES_MAX)
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_keepalive_interval(Some(SERVER_KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(SERVER_KEEPALIVE_TIMEOUT))
            .add_routes(others.add_service(service))
            .serve_with_incoming_shutdown(gate, stopping.cancelled());
        let cut_off = async {
            shutdown.cancelled().await;
            stopping.cancel();
            tokio::time::sleep(LAST_ANSWERS_TIMEOUT).await;
        };
        let attending = async {
            while let Some(opened) = opening.recv().await {
                crate::spawn::spawn(self.clone().attend(opened));
            }
        };
        tokio::select! {
            biased;
            served = served => served.map_err(ServeError::Http2),
            () = cut_off => Ok(()),
            () = attending => Ok(()),
        }
    }

    /// What the grid `name` makes of a request of `from`.
    fn asked(&self, name: &Bytes, from: NodeId) -> Asked {
        let grids = self.shared.grids.read();
        let Some(grid) = grids.iter().find(|grid| grid.name == name) else {
            return Asked::Refused("this grid is not served here".to_owned());
        };
        let members = grid.membership.as_ref().unwrap_or(&self.shared.config.membership);
        if members.borrow().admits(from) {
            Asked::ByMember(Arc::clone(&grid.requests))
        } else if self.hears_strangers() {
            Asked::ByStranger(Arc::clone(&grid.requests))
        } else {
            Asked::Refused(format!("node {from} is not a member of this grid"))
        }
    }

    /// Where nobody proves anything, a node that comes back under a new id may say so. Where certificates are shown, an
    /// operator adds it.
    fn hears_strangers(&self) -> bool {
        matches!(self.shared.config.security, ConnectionSecurity::Plain)
    }

    /// Judges who opens a stream; answers also whether it is a stranger.
    fn admit(&self, request: &Request<Streaming<Frames>>) -> Result<(Opening, bool), Status> {
        let config = &self.shared.config;
        let opening = Opening::read(request.metadata(), &config.cluster, config.node)?;
        let proven = request.extensions().get::<Peer>().and_then(|peer| peer.identity.clone());
        match (&config.security, proven) {
            (ConnectionSecurity::Mutual(_), Some(proven)) if proven != Identity::Node(opening.from) => {
                let reason = format!("the certificate is of {proven}, not of node {}", opening.from);
                return Err(Status::permission_denied(reason));
            }
            (ConnectionSecurity::Mutual(_), None) => {
                return Err(Status::permission_denied("a certificate is required"));
            }
            (ConnectionSecurity::Mutual(_), Some(_)) | (ConnectionSecurity::Plain, _) => {}
        }
        let is_stranger = !config.membership.borrow().admits(opening.from);
        if is_stranger && !(self.hears_strangers() && opening.lane == Lane::Proposal) {
            return Err(no_member(opening.from));
        }
        Ok((opening, is_stranger))
    }
}

/// Whom a request is from, as its grid sees it.
enum Asked {
    ByMember(Arc<dyn PeerRequests>),
    ByStranger(Arc<dyn PeerRequests>),
    Refused(String),
}

fn no_member(node: NodeId) -> Status {
    Status::permission_denied(format!("node {node} is not a member of the cluster"))
}

#[tonic::async_trait]
impl GridTransport for GridServer {
    type ExchangeStream = Answers;

    async fn exchange(&self, request: Request<Streaming<Frames>>) -> Result<Response<Answers>, Status> {
        let (opening, is_stranger) = self.admit(&request).inspect_err(|status| {
            let from = request.extensions().get::<Peer>().map_or("", |peer| &peer.from);
            self.shared.refusals.refused(from, status.message());
        })?;
        let (sender, answers) = answers();
        let opened = OpenedStream { opening, is_stranger, requests: request.into_inner(), answers: sender };
        let stopping = |_| Status::unavailable("the node is stopping");
        self.shared.opened.send(opened).await.map_err(stopping)?;
        Ok(Response::new(answers))
    }
}

impl GridServer {
    /// Reads one stream until it ends, its node is removed, or the server stops.
    async fn attend(self, opened: OpenedStream) {
        let OpenedStream { opening, is_stranger, requests, answers } = opened;
        let no_longer_admitted = async {
            // A stranger never was; each of its requests is judged.
            if is_stranger {
                std::future::pending::<()>().await;
            }
            removed(self.shared.config.membership.clone(), opening.from).await;
        };
        let ended = tokio::select! {
            biased;
            // Nothing more is read; the stream ends with the last answer under way.
            () = self.shared.stopping.cancelled() => return,
            () = no_longer_admitted => no_member(opening.from),
            () = answers.closed() => return,
            ended = self.read(&opening, requests, &answers) => match ended {
                Ok(()) => return,
                Err(status) => status,
            },
        };
        // There is room for it beside the answers; if not, the stream is gone already.
        let _ = answers.try_send(Answer::End(ended));
    }

    async fn read(
        &self,
        opening: &Opening,
        mut requests: Streaming<Frames>,
        answers: &AnswerSender,
    ) -> Result<(), Status> {
        let under_way = Arc::new(Semaphore::new(BYTES_IN_FLIGHT_MAX));
        let taken = metrics::counter!("comanda_grid_requests_total", "lane" => lane_name(opening.lane));
        while let Some(message) = requests.message().await? {
            for Frame { correlation, grid, content } in message.frames {
                let Some(Content::Payload(payload)) = content else {
                    return Err(Status::invalid_argument("a request without a payload"));
                };
                let held = u32::try_from(cost(payload.len())).unwrap_or(u32::MAX);
                let Ok(held) = Arc::clone(&under_way).acquire_many_owned(held).await else { return Ok(()) };
                taken.increment(1);
                let (from, lane, answers) = (opening.from, opening.lane, answers.clone());
                let asked = self.asked(&grid, from);
                crate::spawn::spawn(async move {
                    let content = Some(answer(asked, from, lane, payload).await);
                    let frame = Frame { correlation, grid: Bytes::new(), content };
                    // The caller may be gone.
                    let _ = answers.try_send(Answer::Frame(frame, held));
                });
            }
        }
        Ok(())
    }
}

async fn answer(asked: Asked, from: NodeId, lane: Lane, payload: Bytes) -> Content {
    let answered = match asked {
        Asked::ByMember(requests) => requests.answer(from, lane, payload).await,
        Asked::ByStranger(requests) if lane == Lane::Proposal => requests.answer_stranger(from, payload).await,
        Asked::ByStranger(_) => Err(format!("node {from} is not a member of this grid")),
        Asked::Refused(reason) => Err(reason),
    };
    match answered {
        Ok(payload) if payload.len() <= PAYLOAD_BYTES_MAX => Content::Payload(payload),
        Ok(payload) => Content::Refusal(format!("an answer of {} bytes exceeds {PAYLOAD_BYTES_MAX}", payload.len())),
        Err(reason) => Content::Refusal(shortened(reason)),
    }
}

fn shortened(mut reason: String) -> String {
    if reason.len() > REFUSAL_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REFUSAL_BYTES_MAX));
    }
    reason
}
