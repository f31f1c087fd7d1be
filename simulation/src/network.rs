//! The transport's sockets over turmoil's network. Faults are the driver's business.

use std::io;

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, stream};
use replicated_grid::transport::{Accepted, BoxedIo, Dial};
use turmoil::net::{TcpListener, TcpStream};

/// The port at which nodes listen for each other.
pub const GRID_PORT: u16 = 7_000;

/// The port at which they listen for polls: a node that is not simulated has one port for both.
pub const FEED_PORT: u16 = 7_001;

/// The name of machine `number` on the network.
pub fn host_name(number: u64) -> String {
    format!("n{number}")
}

/// The address of node `number`.
pub fn address(number: u64) -> String {
    format!("{}:{GRID_PORT}", host_name(number))
}

/// Connects over the simulated network.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimulatedDialer;

impl Dial for SimulatedDialer {
    fn dial(&self, address: &str) -> BoxFuture<'static, io::Result<BoxedIo>> {
        let address = address.to_owned();
        async move {
            let stream = TcpStream::connect(address.as_str()).await?;
            Ok(Box::new(stream) as BoxedIo)
        }
        .boxed()
    }
}

/// The connections made to `listener`, as they are.
pub fn streams(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send + 'static {
    stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    })
}

/// The connections made to `listener`, for the grid.
pub fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Accepted>> + Send + 'static {
    stream::unfold(listener, |listener| async move {
        let accepted =
            listener.accept().await.map(|(stream, from)| Accepted { io: Box::new(stream), from: from.to_string() });
        Some((accepted, listener))
    })
}
