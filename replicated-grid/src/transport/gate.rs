//! Where connections come in: TLS and identity before anything else, and the end of a connection whose node is removed.
//!
//! A [`Gate`] is a stream of connections as tonic's server takes them, whatever it serves. Handshakes run beside each
//! other, so that a peer that never finishes one delays nobody.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::Stream;
use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::Connected;

use super::io::{Accepted, BoxedIo};
use super::limits::{CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX};
use super::membership::{MembershipWatch, removed};
use super::refusal_log::RefusalLog;
use super::tls::Identity;
use super::tls::ServerTls;

/// The pause after an error of the listener, e.g. too many open files: it is not gone at once.
const LISTENER_PAUSE: Duration = Duration::from_millis(50);

/// Whether peers must prove who they are.
#[derive(Clone)]
pub enum ConnectionSecurity {
    /// Nobody proves anything: tests, the simulation, several processes of one machine.
    Plain,
    /// Peers show certificates of the cluster's CA. Plaintext is refused.
    Mutual(ServerTls),
}

/// A stream of the connections that were let in. Dropping it stops accepting; connections let in go on.
pub struct Gate {
    admitted: mpsc::Receiver<PeerConnection>,
}

impl Gate {
    /// Lets in what `incoming` brings. Connections of a node that `membership` no longer admits are cut, and all of
    /// them when `cut` is cancelled.
    pub fn open(
        incoming: impl Stream<Item = io::Result<Accepted>> + Send + 'static,
        security: ConnectionSecurity,
        membership: MembershipWatch,
        cut: CancellationToken,
    ) -> Self {
        let (admit, admitted) = mpsc::channel(HANDSHAKES_MAX);
        let shared = Arc::new(Shared { security, membership, cut, log: RefusalLog::default() });
        crate::spawn::spawn(accept(incoming, shared, admit));
        Self { admitted }
    }
}

impl Stream for Gate {
    type Item = io::Result<PeerConnection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.admitted.poll_recv(context).map(|admitted| admitted.map(Ok))
    }
}

struct Shared {
    security: ConnectionSecurity,
    membership: MembershipWatch,
    cut: CancellationToken,
    log: RefusalLog,
}

async fn accept(
    incoming: impl Stream<Item = io::Result<Accepted>> + Send + 'static,
    shared: Arc<Shared>,
    admit: mpsc::Sender<PeerConnection>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut incoming = std::pin::pin!(incoming);
    loop {
        // Neither semaphore is ever closed.
        let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = admit.closed() => return,
            accepted = incoming.next() => accepted,
        };
        match accepted {
            None => return,
            Some(Err(error)) => {
                shared.log.refused("", &format!("accepting: {error}"));
                tokio::time::sleep(LISTENER_PAUSE).await;
            }
            Some(Ok(accepted)) => match Arc::clone(&connections).try_acquire_owned() {
                Ok(held) => {
                    drop(crate::spawn::spawn(attend(accepted, Arc::clone(&shared), admit.clone(), handshake, held)))
                }
                Err(_) => shared.log.refused(&accepted.from, "there are as many connections as are allowed"),
            },
        }
    }
}

/// One connection: its handshake, and then its end if the node may no longer speak.
async fn attend(
    accepted: Accepted,
    shared: Arc<Shared>,
    admit: mpsc::Sender<PeerConnection>,
    handshake: OwnedSemaphorePermit,
    held: OwnedSemaphorePermit,
) {
    let Accepted { io, from } = accepted;
    let (io, identity) = match secure(io, &shared.security).await {
        Ok(secured) => secured,
        Err(reason) => return shared.log.refused(&from, &reason),
    };
    drop(handshake);
    let (cut, closed) = (Arc::new(Cut::default()), CancellationToken::new());
    let closes = closed.clone().drop_guard();
    let connection = PeerConnection {
        io,
        peer: Peer { identity: identity.clone(), from: from.into() },
        cut: Arc::clone(&cut),
        _closes: closes,
        _held: held,
    };
    if admit.send(connection).await.is_err() {
        return;
    }
    let forbidden = async {
        match identity.as_ref().and_then(Identity::node) {
            Some(node) => removed(shared.membership.clone(), node).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = closed.cancelled() => return,
        () = shared.cut.cancelled() => {}
        () = forbidden => {
            tracing::info!(identity = identity.map(tracing::field::display), "connection of a removed node cut");
        }
    }
    cut.make();
}

async fn secure(io: BoxedIo, security: &ConnectionSecurity) -> Result<(BoxedIo, Option<Identity>), String> {
    let ConnectionSecurity::Mutual(tls) = security else { return Ok((io, None)) };
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(io)).await {
        Ok(Ok((io, identity))) => Ok((io, Some(identity))),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it did not finish the TLS handshake in time".to_owned()),
    }
}

/// Who is at the other end of a connection; in the extensions of every request that came over it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who, if its certificate proved it.
    pub identity: Option<Identity>,
    /// Where it comes from, for logs.
    pub from: Arc<str>,
}

/// A connection that was let in.
pub struct PeerConnection {
    io: BoxedIo,
    peer: Peer,
    cut: Arc<Cut>,
    _closes: DropGuard,
    _held: OwnedSemaphorePermit,
}

/// Ends a connection from outside the task that owns it.
#[derive(Default)]
struct Cut {
    made: AtomicBool,
    reader: AtomicWaker,
}

impl Cut {
    fn make(&self) {
        self.made.store(true, Ordering::SeqCst);
        self.reader.wake();
    }

    fn check(&self) -> io::Result<()> {
        match self.made.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was cut")),
        }
    }
}

impl Connected for PeerConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Registered before the check, so that a cut in between wakes this task.
        self.cut.reader.register(context.waker());
        self.cut.check()?;
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for PeerConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
