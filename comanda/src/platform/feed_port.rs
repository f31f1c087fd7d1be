//! One listener for gRPC and for polls: the first byte of a connection tells which it is.
//!
//! A node has one address, and polls go over plain frames beside everything else. Who polls writes [`PREFACE`] in the clear
//! before anything else, also before a TLS handshake: neither TLS nor HTTP/2 begins like it. The connection is then handed to
//! the runtime that answers polls, before a byte of it is interpreted. Whoever is handed connections judges them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use proto::transport::{BoxedConnection, Connector};
use replicated_grid::transport::ClientTls;
use replicated_grid::transport::Expect;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// What a connection for polls begins with; the digit is the version.
const PREFACE: &[u8; 8] = b"cmdpoll1";

/// How long a connection may take to show its first bytes: they come with it.
const PREFACE_TIMEOUT: Duration = Duration::from_millis(600);

/// Connections whose first byte is waited for, and those told apart and not taken yet: those that come meanwhile wait in
/// the kernel.
const UNTOLD_MAX: usize = 64;

/// The pause after an error of the listener, e.g. too many open files: it is not gone at once.
const LISTENER_PAUSE: Duration = Duration::from_millis(50);

/// The connections of one kind.
pub type Incoming = mpsc::Receiver<io::Result<TcpStream>>;

/// Tells the connections made to `listener` apart: those for gRPC, and those for polls, which belong to the runtime
/// `polls` from then on. Ends when nobody takes the first any more.
pub fn fork(listener: TcpListener, polls: Handle) -> (Incoming, Incoming) {
    let (rpc, rpc_incoming) = mpsc::channel(UNTOLD_MAX);
    let (poll, poll_incoming) = mpsc::channel(UNTOLD_MAX);
    tokio::spawn(accept(listener, rpc, poll, polls));
    (rpc_incoming, poll_incoming)
}

/// The same as a stream.
pub fn stream_of(incoming: Incoming) -> impl Stream<Item = io::Result<TcpStream>> + Send + 'static {
    stream::unfold(incoming, |mut incoming| async move { Some((incoming.recv().await?, incoming)) })
}

type Taker = mpsc::Sender<io::Result<TcpStream>>;

async fn accept(listener: TcpListener, rpc: Taker, poll: Taker, polls: Handle) {
    let untold = Arc::new(Semaphore::new(UNTOLD_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&untold).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = rpc.closed() => return,
        };
        match accepted {
            Ok((connection, _)) => {
                let (rpc, poll, polls) = (rpc.clone(), poll.clone(), polls.clone());
                tokio::spawn(async move {
                    // Who shows nothing in time, or goes away, is nobody's.
                    let _ = timeout(PREFACE_TIMEOUT, tell(connection, &rpc, &poll, &polls)).await;
                    drop(place);
                });
            }
            Err(error) => {
                if rpc.send(Err(error)).await.is_err() {
                    return;
                }
                tokio::time::sleep(LISTENER_PAUSE).await;
            }
        }
    }
}

async fn tell(mut connection: TcpStream, rpc: &Taker, poll: &Taker, polls: &Handle) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut first = [0];
    connection.peek(&mut first).await?;
    let taker = if first[0] == PREFACE[0] {
        let mut preface = [0; PREFACE.len()];
        connection.read_exact(&mut preface).await?;
        if preface != *PREFACE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let of_no_runtime = connection.into_std()?;
        connection = {
            let _there = polls.enter();
            TcpStream::from_std(of_no_runtime)?
        };
        poll
    } else {
        rpc
    };
    // Nobody takes it: this process has nothing of the kind.
    taker.send(Ok(connection)).await.map_err(|_| io::ErrorKind::ConnectionRefused.into())
}

/// Connects to a peer's listener for polls; where `tls` is given, both sides prove who they are.
pub fn connector(address: &str, tls: Option<(ClientTls, Expect)>) -> Connector {
    let address: Arc<str> = address.into();
    Arc::new(move || Box::pin(connect(Arc::clone(&address), tls.clone())))
}

async fn connect(address: Arc<str>, tls: Option<(ClientTls, Expect)>) -> io::Result<BoxedConnection> {
    let mut connection = TcpStream::connect(&*address).await?;
    connection.set_nodelay(true)?;
    connection.write_all(PREFACE).await?;
    match tls {
        None => Ok(Box::new(connection)),
        Some((tls, expect)) => {
            let secured = tls.connect(connection, expect).await.map_err(io::Error::other)?;
            Ok(Box::new(secured))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn bound() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    async fn read<const BYTES: usize>(connection: &mut TcpStream) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        connection.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn each_kind_gets_its_connections_and_who_says_nothing_delays_nobody() {
        let (listener, address) = bound().await;
        let (rpc, polls) = fork(listener, Handle::current());
        let (mut rpc, mut polls) = (Box::pin(stream_of(rpc)), Box::pin(stream_of(polls)));
        let mut silent = TcpStream::connect(&address).await.unwrap();
        let mut impostor = TcpStream::connect(&address).await.unwrap();
        impostor.write_all(b"cmdpoll9").await.unwrap();
        let mut grpc = TcpStream::connect(&address).await.unwrap();
        grpc.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let mut polling = connector(&address, None)().await.unwrap();
        polling.write_all(b"frames").await.unwrap();
        assert_eq!(read(&mut rpc.next().await.unwrap().unwrap()).await, *b"PRI * HTTP/2.0", "nothing is taken of it");
        assert_eq!(read(&mut polls.next().await.unwrap().unwrap()).await, *b"frames", "without the preface");
        for left in [&mut impostor, &mut silent] {
            // An end or a reset, depending on what it had written.
            assert!(matches!(left.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        }
    }

    #[tokio::test]
    async fn the_listener_is_free_again_when_nobody_takes_connections() {
        let (listener, address) = bound().await;
        drop(fork(listener, Handle::current()));
        let mut tries = 0;
        while let Err(error) = TcpListener::bind(&address).await {
            tries += 1;
            assert!(tries < 1_000, "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
