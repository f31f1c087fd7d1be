//! One connection to another node, from the dial to its end: what is under way on it, and the task that drives it.
//!
//! A [`super::link`] starts one when it is called and has none. Everything a connection spawned ends with it, and so
//! does every call: there is no sender that could outlive a lost link.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::Stream;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proto::grid_transport::Frames;
use proto::grid_transport::grid_transport_client::GridTransportClient;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::io::{Dial, WithLastError};
use super::limits::{
    DIAL_TIMEOUT, HANDSHAKE_TIMEOUT, HTTP2_FRAME_BYTES_MAX, IDLE_INTERVAL, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    MESSAGE_BYTES_MAX, WINDOW_BYTES,
};
use super::links::LinkSecurity;
use super::opening::Opening;
use super::outstanding::{Loss, NotBegun, Outcome, Outstanding};

/// The calls of one connection, shared by its callers and the task that drives it.
pub(super) struct Session {
    calls: Mutex<Calls>,
    /// Ends the connection and every task of it.
    pub(super) ending: CancellationToken,
    /// Where it is connected to.
    pub(super) address: String,
}

struct Calls {
    outstanding: Outstanding,
    /// Whoever waits for something to send.
    sender: Option<Waker>,
}

/// Why a connection ended, as its link sees it.
#[derive(Debug)]
pub(super) enum End {
    /// Nobody called any more, or this side wanted it.
    Wanted,
    /// It failed.
    Lost(Loss),
}

impl Session {
    pub(super) fn new(address: String, ending: CancellationToken) -> Self {
        let calls = Mutex::new(Calls { outstanding: Outstanding::new(), sender: None });
        Self { calls, ending, address }
    }

    /// Begins a call; see [`Outstanding::begin`].
    pub(super) fn begin(&self, grid: Bytes, payload: Bytes) -> Result<(u64, oneshot::Receiver<Outcome>), NotBegun> {
        let (reply, answer) = oneshot::channel();
        let (correlation, sender) = {
            let mut calls = self.calls.lock();
            (calls.outstanding.begin(grid, payload, reply)?, calls.sender.take())
        };
        if let Some(sender) = sender {
            sender.wake();
        }
        Ok((correlation, answer))
    }

    /// Gives a call up; see [`Outstanding::abandon`].
    pub(super) fn abandon(&self, correlation: u64) -> Option<bool> {
        self.calls.lock().outstanding.abandon(correlation)
    }

    /// Ends all calls and every task of the connection.
    pub(super) fn end(&self, loss: &Loss) {
        let (ended, sender) = {
            let mut calls = self.calls.lock();
            (calls.outstanding.end(loss), calls.sender.take())
        };
        self.ending.cancel();
        if let Some(sender) = sender {
            sender.wake();
        }
        for (reply, outcome) in ended {
            // A caller that is gone waits for nothing.
            let _ = reply.send(outcome);
        }
    }

    fn open(&self) {
        let sender = {
            let mut calls = self.calls.lock();
            calls.outstanding.open();
            calls.sender.take()
        };
        if let Some(sender) = sender {
            sender.wake();
        }
    }

    fn answered(&self, message: Frames) {
        for frame in message.frames {
            let ended = self.calls.lock().outstanding.answer(frame);
            if let Some((reply, outcome)) = ended {
                let _ = reply.send(outcome);
            }
        }
    }

    fn is_idle(&self, idle_since: &mut u64) -> bool {
        self.calls.lock().outstanding.is_idle(idle_since)
    }
}

/// The requests of a session as a stream of messages, each of what had gathered when the connection could take it.
struct Requests(Arc<Session>);

impl Stream for Requests {
    type Item = Frames;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frames>> {
        let mut calls = self.0.calls.lock();
        let frames = calls.outstanding.gather();
        if !frames.is_empty() {
            return Poll::Ready(Some(Frames { frames }));
        }
        if calls.outstanding.has_ended() {
            return Poll::Ready(None);
        }
        calls.sender = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Spawns what an HTTP/2 connection needs, to end with the session.
#[derive(Clone)]
struct SessionTasks(CancellationToken);

impl hyper::rt::Executor<BoxFuture<'static, ()>> for SessionTasks {
    fn execute(&self, task: BoxFuture<'static, ()>) {
        let ending = self.0.clone();
        crate::spawn::spawn(async move { ending.run_until_cancelled_owned(task).await });
    }
}

/// What a session needs to connect.
pub(super) struct Connecting {
    pub(super) dialer: Arc<dyn Dial>,
    pub(super) security: LinkSecurity,
    pub(super) opening: Opening,
}

/// Connects, tells `opened`, and carries calls until the connection ends. The caller then ends the session.
pub(super) async fn drive(session: &Arc<Session>, connecting: &Connecting, opened: impl FnOnce()) -> End {
    let ending = session.ending.clone();
    let driven = ending.run_until_cancelled(async {
        let io = match dial(&session.address, connecting).await {
            Ok(io) => io,
            Err(reason) => return End::Lost(Loss { reason, refused: false }),
        };
        let (io, last_error) = WithLastError::new(io);
        // What the connection itself said explains more than the layers above make of it.
        let lost = |status: Status| {
            let refused = matches!(
                status.code(),
                Code::PermissionDenied | Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented
            );
            let said = last_error.get().filter(|_| !refused).cloned();
            End::Lost(Loss { reason: said.unwrap_or_else(|| status.message().to_owned()), refused })
        };
        let answers = match timeout(HANDSHAKE_TIMEOUT, open(io, session, connecting)).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(status)) => return lost(status),
            Err(_) => return lost(Status::unavailable("it did not open the stream in time")),
        };
        session.open();
        opened();
        carry(session, answers).await.map_or_else(lost, |()| End::Wanted)
    });
    driven.await.unwrap_or(End::Wanted)
}

async fn dial(address: &str, connecting: &Connecting) -> Result<super::io::BoxedIo, String> {
    let dialed = timeout(DIAL_TIMEOUT, connecting.dialer.dial(address)).await;
    let io = match dialed {
        Ok(dialed) => dialed.map_err(|error| format!("connecting to {address}: {error}"))?,
        Err(_) => return Err(format!("connecting to {address}: no answer within {DIAL_TIMEOUT:?}")),
    };
    match &connecting.security {
        LinkSecurity::Plain => Ok(io),
        LinkSecurity::Mutual(tls) => {
            let secured = timeout(HANDSHAKE_TIMEOUT, tls.connect(io, super::tls::Expect::Node(connecting.opening.to)));
            match secured.await {
                Ok(secured) => secured.map_err(|error| format!("TLS with {address}: {error}")),
                Err(_) => Err(format!("TLS with {address}: no answer within {HANDSHAKE_TIMEOUT:?}")),
            }
        }
    }
}

async fn open(io: WithLastError, session: &Arc<Session>, connecting: &Connecting) -> Result<Streaming<Frames>, Status> {
    let channel = channel(io, session.ending.clone()).await?;
    let mut client = GridTransportClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let mut request = Request::new(Requests(Arc::clone(session)));
    connecting.opening.write(request.metadata_mut());
    Ok(client.exchange(request).await?.into_inner())
}

async fn channel(io: WithLastError, ending: CancellationToken) -> Result<Channel, Status> {
    let mut only = Some(TokioIo::new(io));
    // Channels reconnect by themselves; this one must not: its link decides when, and fails its calls first.
    let connector = tower::service_fn(move |_| {
        let io = only.take().ok_or_else(|| std::io::Error::other("the connection is lost"));
        std::future::ready(io)
    });
    let endpoint = Endpoint::from_static("http://node.comanda")
        .executor(SessionTasks(ending))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    endpoint.connect_with_connector(connector).await.map_err(|error| Status::unavailable(chain(&error)))
}

async fn carry(session: &Session, mut answers: Streaming<Frames>) -> Result<(), Status> {
    let receiving = async {
        while let Some(message) = answers.message().await? {
            session.answered(message);
        }
        Err::<Infallible, _>(Status::unavailable("the other side ended the stream"))
    };
    tokio::select! {
        biased;
        received = receiving => received.map(|_| ()),
        () = idle(session) => Ok(()),
    }
}

async fn idle(session: &Session) {
    let mut idle_since = 0;
    while !session.is_idle(&mut idle_since) {
        tokio::time::sleep(IDLE_INTERVAL).await;
    }
}

/// An error and everything beneath it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
