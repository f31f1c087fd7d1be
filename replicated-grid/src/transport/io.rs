//! Sockets as the transport sees them: bytes in, bytes out, and the name of the other end.
//!
//! The binary passes TCP ([`TcpDialer`], [`tcp_incoming`]), the simulation its own network.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::Stream;
use futures::{FutureExt, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Anything that carries bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A connection of whatever kind.
pub type BoxedIo = Box<dyn Io>;

/// A connection that somebody made to us.
pub struct Accepted {
    /// Its bytes.
    pub io: BoxedIo,
    /// Where it comes from, for logs, e.g. `10.0.0.7:52114`.
    pub from: String,
}

/// Makes connections.
pub trait Dial: Send + Sync + 'static {
    /// Connects to `address`, as it stands in [`crate::Member::address`]. The caller limits the time.
    fn dial(&self, address: &str) -> BoxFuture<'static, io::Result<BoxedIo>>;
}

/// Connects over TCP to `host:port`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

impl Dial for TcpDialer {
    fn dial(&self, address: &str) -> BoxFuture<'static, io::Result<BoxedIo>> {
        let address = address.to_owned();
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxedIo)
        }
        .boxed()
    }
}

/// The connections made to `listener`. An error is of one attempt; the stream goes on after it.
pub fn tcp_incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Accepted>> + Send + 'static {
    stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.and_then(|(stream, from)| {
            stream.set_nodelay(true)?;
            Ok(Accepted { io: Box::new(stream), from: from.to_string() })
        });
        Some((accepted, listener))
    })
}

/// Remembers why a connection broke: the layers above report that it did, and lose the reason.
pub(super) struct WithLastError {
    io: BoxedIo,
    last_error: std::sync::Arc<std::sync::OnceLock<String>>,
}

impl WithLastError {
    pub(super) fn new(io: BoxedIo) -> (Self, std::sync::Arc<std::sync::OnceLock<String>>) {
        let last_error = std::sync::Arc::default();
        (Self { io, last_error: std::sync::Arc::clone(&last_error) }, last_error)
    }

    fn noted<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &outcome {
            self.last_error.get_or_init(|| super::tls::explain(error));
        }
        outcome
    }
}

impl AsyncRead for WithLastError {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.io).poll_read(context, buffer);
        if matches!(outcome, Poll::Ready(Ok(()))) && buffer.filled().len() == before && buffer.remaining() > 0 {
            self.last_error.get_or_init(|| "the other side closed the connection".to_owned());
        }
        self.noted(outcome)
    }
}

impl AsyncWrite for WithLastError {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(context, bytes);
        self.noted(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(context);
        self.noted(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.noted(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
